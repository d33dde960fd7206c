"""Downloading the value of a key to a file, in every store."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.providers.wrapper import Wrapper
from tests.rigs import Place
from tests.shelf.files.rig import MIB, PLAIN, Watching, plain

VALUE = os.urandom(MIB + 5)


class TestDownload:
    @pytest.mark.parametrize("value", [b"", b"v", VALUE])
    def test_writes_to_a_path(self, value: bytes, place: Place, tmp_path: Path) -> None:
        db, watching = plain(place).open(), Watching()
        db["k"] = value
        db.download("k", tmp_path / "file", progress=watching)
        assert (tmp_path / "file").read_bytes() == value
        watching.assert_went_up_to(len(value), len(value))

    def test_writes_to_an_open_file_from_its_position(self, place: Place, tmp_path: Path) -> None:
        db = plain(place).open()
        db["k"] = VALUE
        file = io.BytesIO(b"before")
        file.seek(0, io.SEEK_END)
        db.download("k", file)
        assert file.getvalue() == b"before" + VALUE
        for buffering in (0, -1):
            with (tmp_path / "file").open("wb", buffering) as opened:
                db.download("k", opened)
            assert (tmp_path / "file").read_bytes() == VALUE

    def test_reads_below_the_prefix_of_a_view(self, place: Place) -> None:
        db, file = plain(place).open(), io.BytesIO()
        db["a/k"] = b"v"
        db.prefix("a/").download("k", file)
        assert file.getvalue() == b"v"
        with pytest.raises(cshelve.KeyNotFoundError) as caught:
            db.prefix("a/").download("l", file)
        assert caught.value.args == ("l",)

    def test_replaces_a_file_with_the_rights_that_a_new_one_has(
        self, place: Place, tmp_path: Path
    ) -> None:
        db = plain(place).open()
        db["k"] = VALUE
        target, new = tmp_path / "files" / "file", tmp_path / "new"
        target.parent.mkdir()
        target.write_bytes(b"before")
        new.write_bytes(b"")
        db.download("k", str(target))
        assert target.read_bytes() == VALUE
        assert target.stat().st_mode == new.stat().st_mode
        assert os.listdir(target.parent) == ["file"]

    def test_keeps_the_rights_of_the_file_that_it_replaces(
        self, place: Place, tmp_path: Path
    ) -> None:
        db = plain(place).open()
        db["k"] = VALUE
        (tmp_path / "secret").touch(0o600)
        db.download("k", tmp_path / "secret")
        assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600

    def test_writes_to_what_a_link_leads_to(self, place: Place, tmp_path: Path) -> None:
        db = plain(place).open()
        db["k"] = b"v"
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
        db.download("k", tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "elsewhere" / "file").read_bytes() == b"v"

    def test_writes_to_a_device_and_leaves_it_there(self, place: Place) -> None:
        db = plain(place).open()
        db["k"] = b"v"
        db.download("k", os.devnull)
        assert not os.path.isfile(os.devnull)

    def test_writes_to_a_pipe_that_only_its_descriptor_leads_to(self, place: Place) -> None:
        """A bug: `/dev/stdout` was a missing file if another program read it."""
        db = plain(place).open()
        db["k"] = b"v"
        reading, writing = os.pipe()
        db.download("k", f"/dev/fd/{writing}")
        os.close(writing)
        with open(reading, "rb") as pipe:
            assert pipe.read() == b"v"

    def test_of_a_missing_key_leaves_no_file(self, place: Place, tmp_path: Path) -> None:
        db = plain(place).open()
        (tmp_path / "files").mkdir()
        for key in ("absent", "", "x" * 2000, "\ud800"):
            with pytest.raises(cshelve.KeyNotFoundError) as caught:
                db.download(key, tmp_path / "files" / "file")
            assert caught.value.args == (key,)
            assert os.listdir(tmp_path / "files") == []

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
    def test_that_fails_leaves_what_was_there(
        self, error: BaseException, place: Place, tmp_path: Path
    ) -> None:
        def stop(progress: cshelve.Progress) -> None:
            raise error

        db = plain(place).open()
        db["k"] = VALUE
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "file").write_bytes(b"before")
        with pytest.raises(type(error)):
            db.download("k", tmp_path / "files" / "file", progress=stop)
        assert (tmp_path / "files" / "file").read_bytes() == b"before"
        assert os.listdir(tmp_path / "files") == ["file"]

    def test_raises_what_the_file_raises(self, place: Place) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError(errno.ENOSPC, "full")

        db = plain(place).open()
        db["k"] = VALUE
        with pytest.raises(OSError, match="full") as caught:
            db.download("k", Full())
        assert not isinstance(caught.value, cshelve.Error)

    def test_to_a_directory_or_below_none_raises_what_open_does(
        self, place: Place, tmp_path: Path
    ) -> None:
        db = plain(place).open()
        db["k"] = VALUE
        (tmp_path / "files").mkdir()
        with pytest.raises(IsADirectoryError):
            db.download("k", tmp_path / "files")
        with pytest.raises(FileNotFoundError) as caught:
            db.download("k", tmp_path / "nowhere" / "file")
        assert caught.value.filename == str(tmp_path / "nowhere" / "file")
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(NotADirectoryError):
            db.download("k", tmp_path / "file" / "file")

    def test_takes_nothing_but_paths_and_binary_files(self, place: Place) -> None:
        db = plain(place).open()
        db["k"] = b"v"
        others: list[Any] = [io.StringIO(), 7, None, b"path", object()]
        for file in others:
            with pytest.raises(cshelve.ValueTypeError, match="pass a path, or a binary file"):
                db.download("k", file)

    def test_works_where_the_shelf_only_reads(self, place: Place) -> None:
        plain(place).open()["k"] = b"v"
        file = io.BytesIO()
        place.open("r").download("k", file)
        assert file.getvalue() == b"v"

    def test_writes_a_cached_value_first(self, place: Place) -> None:
        db, file = plain(place).open(writeback=True), io.BytesIO()
        value: Any = bytearray(b"before")
        db["k"] = value
        value[:] = b"after"
        db.download("k", file)
        assert file.getvalue() == b"after"


def test_a_provider_of_somebody_elses_needs_nothing_for_it(tmp_path: Path) -> None:
    store = Wrapper(InMemory(exists=True))
    with cshelve.open_provider(store, config={"default": PLAIN}) as db:
        db.upload("k", io.BytesIO(VALUE))
        db.download("k", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == VALUE
