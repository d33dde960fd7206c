"""Which file a name lies in: any name, files of 1.x, links, other systems; and the listing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cshelve.exceptions import ConflictError, KeyNotFoundError, KeyNotStorableError
from cshelve.providers.filesystem.provider import Filesystem
from tests.providers.filesystem.rig import files_in
from tests.rigs import finish

NASTY_NAMES = [
    "", "/", "//", "a/", "a//b", "/etc/passwd", ".", "..", "../../x", "a/../../x", "\0", "a\0b",
    "%tmp/x", "%@", "a/%@", "%=", "%=%2E", "%+x/y", "User", "user", "user:1", "e\u0301", "é",
    "日本" * 60, "x" * 1000, "con", "a\\b", "new\nline", "~", "a", "a/b", "a/b/c", "x" * 300 + "/y",
]  # fmt: skip


@pytest.mark.parametrize("portable", [False, True])
def test_any_names_live_side_by_side_inside_the_folder(tmp_path: Path, portable: bool) -> None:
    store = Filesystem(tmp_path / "shelf", _portable=portable)
    store.create()
    for name in NASTY_NAMES:
        store.put(name, b"value of " + name.encode())
    for name in NASTY_NAMES:
        assert store.get(name).data == b"value of " + name.encode()
    assert sorted(store.names()) == sorted(NASTY_NAMES)
    assert {entry.name: entry.size_bytes for entry in store.entries()} == {
        name: len(b"value of " + name.encode()) for name in NASTY_NAMES
    }
    assert [path.name for path in tmp_path.iterdir()] == ["shelf"]
    for prefix in ("a", "a/", "us", "x" * 290, "%", "é", "/"):
        assert set(store.names(prefix)) == {n for n in NASTY_NAMES if n.startswith(prefix)}
    for name in NASTY_NAMES:
        assert store.delete(name)
        assert not store.contains(name)
    assert [path.name for path in (tmp_path / "shelf").iterdir()] == ["%tmp"]


@pytest.mark.parametrize("name", ["a/b", "a%20b", "100%", "user:1", ".hid", "User", "é/ü"])
def test_a_name_of_an_ordinary_path_is_that_path(
    store: Filesystem, folder: Path, name: str
) -> None:
    store.put(name, b"value")
    assert (folder / name).read_bytes() == b"value"


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize(
    "name", ["a/b", "a%20b", "User:1", "e\u0301", "%=x/y", "%+x", "%@", "x" * 250, "a b."]
)
def test_a_file_of_1x_is_read_listed_replaced_and_deleted(
    folder: Path, name: str, portable: bool
) -> None:
    store = Filesystem(folder, _portable=portable)
    for replace in (False, True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"old")
        item = store.get(name)
        assert item.data == b"old"
        assert list(store.names()) == [name]
        with pytest.raises(ConflictError):
            store.put(name, b"new", if_absent=True)
        if replace:
            store.put(name, b"new", if_version=item.version)
            assert store.get(name).data == b"new"
            assert list(store.names()) == [name]
        assert store.delete(name)
        assert files_in(folder) == set()


def test_a_folder_goes_from_one_system_to_another(folder: Path) -> None:
    names = ["User:1", "CON", "a/B", "plain"]
    here, there = Filesystem(folder, _portable=False), Filesystem(folder, _portable=True)
    here.create()
    for writer, reader in ((here, there), (there, here)):
        for name in names:
            writer.put(name, b"value")
        assert sorted(reader.names()) == sorted(names)
        assert [reader.get(name).data for name in names] == [b"value"] * len(names)
        assert len(files_in(folder)) == len(names)
        finish(reader.purge())
        assert files_in(folder) == set()


def test_a_file_that_differs_in_case_is_not_taken_for_a_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Filesystem(folder, _portable=True)
    store.create()
    store.put("user", b"small")
    # What a system that ignores case does: there, `User` opens `user`.
    real_open, real_stat = os.open, os.stat
    monkeypatch.setattr(os, "open", lambda path, *a, **k: real_open(_small(path), *a, **k))
    monkeypatch.setattr(os, "stat", lambda path, *a, **k: real_stat(_small(path), *a, **k))
    with pytest.raises(KeyNotFoundError):
        store.get("User")
    assert not store.delete("User")
    store.put("User", b"capital")
    assert (store.get("user").data, store.get("User").data) == (b"small", b"capital")


def _small(path: Any) -> Any:
    return path.replace(b"/User", b"/user") if isinstance(path, bytes) else path


def test_what_no_utf8_decodes_is_left_out_and_left_alone(store: Filesystem, folder: Path) -> None:
    foreign = os.fsencode(folder) + b"/a/\xff"
    store.put("a/b", b"value")
    with open(foreign, "wb") as file:
        file.write(b"not ours")
    assert list(store.names()) == ["a/b"]
    finish(store.purge())
    assert os.path.exists(foreign)
    assert not (folder / "a/b").exists()


def test_a_name_that_is_too_long_is_absent_and_refused(store: Filesystem, folder: Path) -> None:
    name = "long/" * 2000
    with pytest.raises(KeyNotStorableError):
        store.put(name, b"value")
    with pytest.raises(KeyNotFoundError):
        store.get(name)
    assert not store.contains(name)
    assert not store.delete(name)
    assert [path.name for path in folder.iterdir()] == ["%tmp"]
    assert files_in(folder) == set()


def test_a_name_that_utf8_lacks_is_absent_and_refused(store: Filesystem) -> None:
    with pytest.raises(KeyNotStorableError):
        store.put("\ud800", b"value")
    with pytest.raises(KeyNotFoundError):
        store.get("\ud800")
    assert not store.contains("\ud800")
    assert not store.delete("\ud800")


def test_links_to_directories_are_not_listed_nor_purged(
    store: Filesystem, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"precious")
    (folder / "directory").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    (folder / "loop").symlink_to(folder / "loop")
    assert list(store.names()) == ["file"]
    assert store.get("file").data == b"precious"
    store.put("file", b"mine")
    finish(store.purge())
    assert (outside / "file").read_bytes() == b"precious"


def test_a_pipe_in_the_folder_holds_up_nobody(store: Filesystem, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert list(store.names()) == []
    with pytest.raises(KeyNotFoundError):
        store.get("pipe")


def test_files_may_be_deleted_while_they_are_listed(store: Filesystem) -> None:
    expected = {f"{directory}/{number}" for directory in "abc" for number in range(20)}
    for name in expected:
        store.put(name, b"value")
    seen = []
    for name in store.names():
        seen.append(name)
        store.delete(name)
    assert sorted(seen) == sorted(expected)


def test_a_limit_ends_the_listing(store: Filesystem) -> None:
    for number in range(10):
        store.put(f"{number}", b"value")
    assert len(list(store.names(limit=3))) == 3
    assert list(store.entries(limit=0)) == []
