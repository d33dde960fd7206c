"""The folder is laid out as the filesystem provider's, so both may use it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cshelve
from cshelve.providers import Filesystem
from cshelve.providers.paths import staging_of
from cshelve.providers.sftp.provider import Sftp
from cshelve.testing import ODD_NAMES
from testbed.openssh import OpenSSH
from tests.providers.sftp.rig import files_in, write

Opened = Callable[..., Sftp]
NAMES = [name for name in ODD_NAMES if len(name) < 1000]


def test_what_the_filesystem_provider_wrote_is_read(folder: Path, store: Sftp) -> None:
    local = Filesystem(folder, _portable=False)
    for name in NAMES:
        local.put(name, name.encode())
    assert sorted(store.names()) == sorted(NAMES)
    assert [store.get(name).data.decode() for name in NAMES] == NAMES


def test_what_it_wrote_on_windows_is_read_and_replaced(
    folder: Path, store: Sftp, openssh: OpenSSH
) -> None:
    names = ["Case", "a:b", "con", "d./x"]
    local = Filesystem(folder, _portable=True)
    for name in names:
        local.put(name, b"old")
    for path in folder.rglob("*"):
        openssh.own(path)
    assert sorted(store.names()) == names
    assert [store.get(name).data for name in names] == [b"old"] * 4
    with pytest.raises(cshelve.ConflictError):
        store.put("Case", b"", if_absent=True)
    for name in names[:2]:
        store.put(name, b"new")
    assert store.delete("con")
    assert sorted(store.names()) == ["Case", "a:b", "d./x"]
    assert {file for file in files_in(folder) if not file.startswith("%tmp/")} == {
        "Case",
        "a:b",
        "%=d%2E/x",
    }


def test_what_it_writes_is_read_by_the_filesystem_provider(folder: Path, store: Sftp) -> None:
    for name in NAMES:
        store.put(name, name.encode())
    local = Filesystem(folder, _portable=False)
    assert sorted(local.names()) == sorted(NAMES)
    assert [local.get(name).data.decode() for name in NAMES] == NAMES


def test_a_write_leaves_nothing_else(folder: Path, store: Sftp) -> None:
    store.put("a/b", b"value")
    store.put("c", b"value", if_absent=True)
    with pytest.raises(cshelve.ConflictError):
        store.put("c", b"value", if_absent=True)
    assert files_in(folder) == {"a/b", "c"}
    store.delete("a/b")
    store.delete("c")
    assert os.listdir(folder) == ["%tmp"]


def test_names_that_are_not_utf_8_are_skipped(folder: Path, store: Sftp, openssh: OpenSSH) -> None:
    store.put("k", b"value")
    (folder / os.fsdecode(b"\xff\xfe")).write_bytes(b"theirs")
    (folder / os.fsdecode(b"d\xff")).mkdir()
    (folder / os.fsdecode(b"d\xff") / "x").write_bytes(b"theirs")
    assert list(store.names()) == ["k"]
    assert list(store.names(limit=5)) == ["k"]


def test_a_link_to_a_file_is_read_and_one_to_a_folder_is_not_listed(
    folder: Path, store: Sftp, tmp_path: Path
) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"theirs")
    (folder / "link").symlink_to(elsewhere / "file")
    (folder / "d").symlink_to(elsewhere)
    (folder / "broken").symlink_to("nowhere")
    assert [(entry.name, entry.size_bytes) for entry in store.entries()] == [("link", 6)]
    assert store.get("link").data == b"theirs"
    store.delete("link")
    assert (elsewhere / "file").exists()


class TestAKilledClient:
    def test_leaves_temporary_files_that_are_removed_after_a_day(
        self, folder: Path, opened: Opened, openssh: OpenSSH
    ) -> None:
        opened().put("k", b"value")
        write(openssh, folder / "%tmp", "new", b"")
        write(openssh, folder / "%tmp", "old", b"")
        before = time.time() - 25 * 60 * 60
        os.utime(folder / "%tmp/old", (before, before))
        opened().prepare("r")
        assert files_in(folder) == {"k", "%tmp/new", "%tmp/old"}
        opened().prepare("w")
        assert files_in(folder) == {"k", "%tmp/new"}

    @pytest.mark.parametrize("has_directory", [True, False])
    def test_in_the_middle_of_a_move_leaves_a_value_that_is_found(
        self, folder: Path, opened: Opened, openssh: OpenSSH, has_directory: bool
    ) -> None:
        store = opened()
        store.put("other", b"other")
        staging = staging_of(b"a").decode()
        _plant(openssh, folder, {"%tmp/two-steps": b"", f"{staging}/where": b"a"})
        _plant(openssh, folder, {f"{staging}/%@": b"moving"})
        if has_directory:
            _plant(openssh, folder, {"a/b": b"below"})
        assert store.get("a").data == b"moving"
        assert store.contains("a")
        assert sorted(store.names()) == ["a", *(["a/b"] if has_directory else []), "other"]
        with pytest.raises(cshelve.ConflictError):
            store.put("a", b"new", if_absent=True)
        assert Filesystem(folder, _portable=False).get("a").data == b"moving"
        opened().prepare("w")
        assert not (folder / staging).exists()
        assert (folder / "a/%@").read_bytes() == b"moving"
        assert store.get("a").data == b"moving"

    def test_leaves_a_value_that_a_later_one_replaces(
        self, folder: Path, opened: Opened, openssh: OpenSSH
    ) -> None:
        store = opened()
        store.put("other", b"other")
        staging = staging_of(b"a").decode()
        _plant(openssh, folder, {"%tmp/two-steps": b"", f"{staging}/where": b"a"})
        _plant(openssh, folder, {f"{staging}/%@": b"moving"})
        store.put("a", b"later")
        assert store.get("a").data == b"later"
        opened().prepare("w")
        assert store.get("a").data == b"later"
        assert not (folder / staging).exists()
        assert store.delete("a")
        assert not store.contains("a")

    def test_leaves_a_value_that_is_deleted(
        self, folder: Path, opened: Opened, openssh: OpenSSH
    ) -> None:
        store = opened()
        staging = staging_of(b"a").decode()
        _plant(openssh, folder, {"%tmp/two-steps": b"", f"{staging}/where": b"a"})
        _plant(openssh, folder, {f"{staging}/%@": b"moving"})
        assert store.delete("a") is True
        assert store.delete("a") is False


def _plant(server: OpenSSH, folder: Path, files: dict[str, bytes]) -> None:
    """Write files at these paths, as the server's user."""
    for relative, data in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        for each in (path, *path.parents):
            if each == folder:
                break
            server.own(each)


def test_names_below_names_may_be_written_at_the_same_time(folder: Path, opened: Opened) -> None:
    names = ["a", "a/b", "a/b/c", "a/b/c/d", "a/x", "a/b/y", "a/b/c/z"]
    for _ in range(2):
        store = opened()
        assert {outcome.failure for outcome in store.put_many((n, n.encode()) for n in names)} == {
            None
        }
        assert [store.get(name).data.decode() for name in names] == names
        assert sorted(store.names()) == sorted(names)
        for name in names:
            assert store.delete(name)
        assert list(store.names()) == []


def test_a_reader_finds_a_value_while_it_becomes_a_directory(opened: Opened) -> None:
    writer, reader = opened(), opened()
    names = [f"{number}" for number in range(25)]
    for name in names:
        writer.put(name, b"value")
    moved_last = names[0]

    def move_all() -> None:
        nonlocal moved_last
        for moved_last in names:
            writer.put(f"{moved_last}/below", b"below")

    moving = threading.Thread(target=move_all)
    moving.start()
    try:
        while moving.is_alive():
            name = moved_last
            assert reader.get(name).data == b"value"
            assert reader.contains(name)
    finally:
        moving.join()


def test_the_first_names_of_a_long_directory_are_found_without_reading_it_all(
    folder: Path, store: Sftp, openssh: OpenSSH
) -> None:
    for number in range(350):
        write(openssh, folder, f"d/{number}", b"")
    assert len(set(store.names(limit=3))) == 3
    assert len(set(store.names(limit=300))) == 300
    assert len(set(store.names("d/34", limit=30))) == 11
    assert list(store.names("x", limit=1)) == []
