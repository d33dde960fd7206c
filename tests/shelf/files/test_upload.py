"""Uploading a file as the value of a key, in every store."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from tests.rigs import Place
from tests.shelf.files.rig import MIB, PLAIN, Stream, Watching, plain

VALUE = os.urandom(MIB + 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(VALUE)
    return path


class TestUpload:
    def test_stores_what_is_at_a_path(self, place: Place, path: Path) -> None:
        db = plain(place).open()
        db.upload("k", path)
        assert db["k"] == VALUE
        db.upload("l", str(path))
        assert db["l"] == VALUE

    def test_stores_short_files_too(self, place: Place, path: Path) -> None:
        db = plain(place).open()
        for value in (b"", b"v"):
            path.write_bytes(value)
            db.upload("k", path)
            assert db["k"] == value
            db.upload("l", Stream(value))
            assert db["l"] == value

    def test_reads_an_open_file_from_its_position(self, place: Place, path: Path) -> None:
        db = plain(place).open()
        with path.open("rb") as file:
            file.seek(7)
            watching = Watching()
            db.upload("k", file, progress=watching)
            assert file.read() == b""
        assert db["k"] == VALUE[7:]
        watching.assert_went_up_to(len(VALUE) - 7, len(VALUE) - 7)

    def test_takes_all_kinds_of_binary_files(self, place: Place) -> None:
        db = plain(place).open()
        packed = io.BytesIO(gzip.compress(VALUE, 1))
        with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile() as spooled:
            for file in (named, spooled):
                file.write(VALUE)
                file.seek(0)
            unpacked = gzip.GzipFile(fileobj=packed)
            streams: list[Any] = [io.BytesIO(VALUE), Stream(VALUE), unpacked, named]
            for number, stream in enumerate([*streams, spooled]):
                db.upload(str(number), stream)
                assert db[str(number)] == VALUE

    def test_takes_buffers_before_what_is_no_file(self, place: Place, tmp_path: Path) -> None:
        """A bug: the length was that of the compressed file, or asking for it failed."""
        packed, archive = tmp_path / "packed", tmp_path / "archive"
        packed.write_bytes(gzip.compress(VALUE))
        member = tarfile.TarInfo("member")
        member.size = len(VALUE)
        with tarfile.open(archive, "w") as written:
            written.addfile(member, io.BytesIO(VALUE))
        db = plain(place).open()
        with gzip.open(packed) as unpacked, tarfile.open(archive) as read:
            files: dict[str, Any] = {
                "a": io.BufferedReader(unpacked),
                "b": read.extractfile("member"),
            }
            for key, file in files.items():
                db.upload(key, file)
                assert db[key] == VALUE

    def test_takes_files_that_say_that_they_have_no_length(self, place: Place) -> None:
        db = plain(place).open()
        db.upload("k", "/proc/self/cmdline")
        assert db["k"] == Path("/proc/self/cmdline").read_bytes()

    def test_replaces_what_was_there(self, place: Place, path: Path) -> None:
        db = plain(place).open()
        db["k"] = b"before"
        db.upload("k", path)
        assert db["k"] == VALUE

    def test_writes_below_the_prefix_of_a_view(self, place: Place) -> None:
        db = plain(place).open()
        db.prefix("a/").upload("k", io.BytesIO(b"v"))
        assert db["a/k"] == b"v"

    def test_tells_how_far_it_is(self, place: Place, path: Path) -> None:
        db, watching = plain(place).open(), Watching()
        db.upload("k", path, progress=watching)
        watching.assert_went_up_to(len(VALUE), len(VALUE))
        watching = Watching()
        db.upload("k", Stream(VALUE), progress=watching)
        watching.assert_went_up_to(len(VALUE), None)

    def test_ends_with_what_progress_raises(self, place: Place, path: Path) -> None:
        db = plain(place).open()
        db["k"] = b"before"
        size = 0

        def stop(progress: cshelve.Progress) -> None:
            nonlocal size
            size = progress.bytes
            raise LookupError("enough")

        with pytest.raises(LookupError, match="enough"):
            db.upload("k", path, progress=stop)
        assert db["k"] == (VALUE if size == len(VALUE) else b"before")

    @pytest.mark.parametrize("error", [OSError("broken"), KeyboardInterrupt(), RuntimeError("no")])
    def test_of_a_file_that_breaks_raises_that_and_stores_nothing(
        self, error: BaseException, place: Place
    ) -> None:
        class Breaking(Stream):
            def read(self, size: int) -> bytes:
                if not self._data:
                    raise error
                return super().read(size)

        db = plain(place).open()
        db["k"] = b"before"
        with pytest.raises(type(error)) as caught:
            db.upload("k", Breaking(VALUE))
        assert caught.value is error
        assert db["k"] == b"before"
        assert list(db) == ["k"]

    def test_of_a_path_without_a_file_raises_what_open_does(
        self, place: Place, tmp_path: Path
    ) -> None:
        db = plain(place).open()
        with pytest.raises(FileNotFoundError, match="nowhere"):
            db.upload("k", tmp_path / "nowhere")
        assert "k" not in db

    @pytest.mark.parametrize("change", [b"", b"longer" + VALUE])
    def test_of_a_file_that_changes_its_size_stores_nothing(
        self, change: bytes, place: Place, path: Path
    ) -> None:
        db = plain(place).open()
        with path.open("rb", buffering=0) as file:

            class Changing(io.FileIO):
                def read(self, size: int | None = -1) -> bytes:
                    path.write_bytes(change)
                    return super().read(size)

            with (
                Changing(file.fileno(), closefd=False) as changing,
                pytest.raises(cshelve.StorageError, match="changed its size"),
            ):
                db.upload("k", changing)
        assert "k" not in db

    def test_takes_nothing_but_paths_and_binary_files(self, place: Place) -> None:
        db = plain(place).open()
        others: list[Any] = [io.StringIO("text"), 7, None, b"path", object()]
        for file in others:
            with pytest.raises(cshelve.ValueTypeError, match="pass a path, or a binary file"):
                db.upload("k", file)

    def test_refuses_a_stream_of_text(self, place: Place) -> None:
        class Text:
            def read(self, size: int) -> str:
                return "text"

        db = plain(place).open()
        with pytest.raises(cshelve.ValueTypeError, match="has to return bytes, not str"):
            db.upload("k", Text())  # type: ignore[arg-type]

    def test_is_refused_where_the_shelf_only_reads(self, place: Place, path: Path) -> None:
        plain(place).open().close()
        with pytest.raises(cshelve.ReadOnlyError):
            place.open("r").upload("k", path)

    def test_is_refused_on_a_closed_shelf(self, place: Place, path: Path) -> None:
        db = plain(place).open()
        db.close()
        with pytest.raises(ValueError, match="closed shelf"):
            db.upload("k", path)

    def test_takes_the_place_of_a_cached_value(self, place: Place) -> None:
        db = plain(place).open(writeback=True)
        value: Any = bytearray(b"before")
        db["k"] = value
        value += b" and changed"
        db.upload("k", io.BytesIO(b"after"))
        assert db["k"] == b"after"
        db.sync()
        assert db["k"] == b"after"

    @pytest.mark.s3
    @pytest.mark.parametrize("key", ["", "\ud800"])
    def test_of_a_key_that_cannot_be_stored_is_refused(self, key: str, s3_place: Place) -> None:
        with pytest.raises(cshelve.KeyNotStorableError):
            plain(s3_place).open().upload(key, io.BytesIO(b"v"))


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({}, "serializer pickle"),
        ({"default": {"serializer": "bytes"}}, "headers"),
        ({"default": {"use_versioning": False, "serializer": "json"}}, "serializer json"),
        ({"default": PLAIN, "compression": {"algorithm": "zlib"}}, "compressed"),
        ({"default": {"serializer": "bytes", "checksum": True}}, "checksums"),
        (
            {"signing": {"algorithm": "hmac-sha256", "key": cshelve.generate_key()}},
            "sealed or signed",
        ),
    ],
)
def test_of_a_record_that_has_to_be_complete_is_refused(
    sections: dict[str, dict[str, Any]], why: str
) -> None:
    with cshelve.open_provider(InMemory(exists=True), config=sections) as db:
        with pytest.raises(cshelve.UnsupportedOperationError, match=f"{why}.*stored"):
            db.upload("k", io.BytesIO(b"v"))
        with pytest.raises(cshelve.UnsupportedOperationError, match=f"{why}.*trusted"):
            db.download("k", io.BytesIO())


def test_of_a_local_shelf_is_refused(tmp_path: Path) -> None:
    with cshelve.open(str(tmp_path / "local")) as db:
        with pytest.raises(cshelve.UnsupportedOperationError, match="serializer pickle"):
            db.upload("k", io.BytesIO(b"v"))
        with pytest.raises(cshelve.UnsupportedOperationError, match="serializer pickle"):
            db.download("k", io.BytesIO())
