"""Files that are uploaded in parts and downloaded in ranges: requests, and what failures leave."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import cshelve
from cshelve.providers.aws_s3 import multipart
from testbed.faults import Answer, CutBody, Fault, Hang, Reset
from tests.providers.aws_s3.large_values.rig import (
    ABORT,
    CHUNK,
    COMPLETE,
    CREATE,
    GET,
    NEW,
    OLD,
    OPTIONS,
    PART,
    PUT,
    RANGE,
    Case,
)
from tests.providers.aws_s3.rig import ranges_of_any_size, threads_left, without_pauses
from tests.rigs import S3Rig, provider_of, wait_until
from tests.shelf.files.rig import Stream, Watching

pytestmark = pytest.mark.s3

LONG = os.urandom(2 * CHUNK + 3)
# Longer than all parts that are in flight at once.
LONGER = os.urandom(5 * CHUNK + 3)


@contextmanager
def opened(s3: S3Rig, engine: str, range_bytes: int) -> Iterator[Case]:
    sizes = {"multipart_threshold_bytes": range_bytes, "multipart_chunk_bytes": range_bytes}
    config = s3.config(**{**OPTIONS, **sizes, "engine": engine})
    with without_pauses(), ranges_of_any_size(), cshelve.open_from_dict(config) as db:
        case = Case(s3, config, db)
        yield case
        s3.proxy.clear()
        for shelf in case.opened:
            shelf.close()
        db.clear()
        assert case.uploads() == []
        assert threads_left() == []


@pytest.fixture(params=["direct", "boto3"])
def case(request: pytest.FixtureRequest, s3: S3Rig) -> Iterator[Case]:
    with opened(s3, request.param, CHUNK) as case:
        yield case


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files" / "file"


class TestUpload:
    def test_sends_a_request_a_part(self, case: Case, path: Path) -> None:
        path.write_bytes(LONG)
        watching = Watching()
        seen = case.operations(lambda: case.db.upload("k", path, progress=watching))
        assert sorted(seen) == sorted([CREATE, *[PART] * 3, COMPLETE])
        assert case.stored("k") == LONG
        watching.assert_went_up_to(len(LONG), len(LONG))
        assert len(watching.told) == 4

    def test_sends_one_request_up_to_the_threshold(self, case: Case) -> None:
        assert case.operations(lambda: case.db.upload("k", Stream(LONG[:CHUNK]))) == [PUT]

    def test_of_a_stream_of_unknown_length_is_the_same(self, case: Case) -> None:
        assert case.operations(lambda: case.db.upload("k", Stream(NEW))).count(PART) == 2
        assert case.stored("k") == NEW

    def test_of_a_stream_of_too_many_parts_is_refused(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case.store("k", OLD)
        monkeypatch.setattr(multipart, "MOST_PARTS", 2)
        with pytest.raises(cshelve.UnsupportedOperationError, match="multipart_chunk_bytes"):
            case.db.upload("k", Stream(LONG))
        assert case.stored("k") == OLD

    def test_makes_larger_parts_of_a_longer_file(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(multipart, "MOST_PARTS", 2)
        assert case.operations(lambda: case.db.upload("k", io.BytesIO(LONG))).count(PART) == 2
        assert case.stored("k") == LONG

    @pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), Answer(500), Reset(), Reset(False)])
    @pytest.mark.parametrize("operation", [PART, COMPLETE])
    def test_passes_over_what_fails_once(self, operation: str, fault: Fault, case: Case) -> None:
        case.inject(fault, operation)
        case.db.upload("k", Stream(NEW))
        assert case.stored("k") == NEW

    @pytest.mark.parametrize("operation", [CREATE, PART, COMPLETE])
    def test_that_fails_leaves_the_old_value_and_no_parts(self, operation: str, case: Case) -> None:
        case.store("k", OLD)
        case.inject(
            Answer(403, "AccessDenied"), operation, times=None, after=int(operation == PART)
        )
        with case.s3.proxy.counting() as seen, pytest.raises(cshelve.AuthError):
            case.db.upload("k", io.BytesIO(NEW))
        assert seen.operations.count(ABORT) == (operation != CREATE)
        assert case.stored("k") == OLD

    @pytest.mark.parametrize("error", [OSError("broken"), KeyboardInterrupt()])
    def test_of_a_file_that_breaks_in_the_middle_leaves_no_parts(
        self, error: BaseException, case: Case
    ) -> None:
        class Breaking(Stream):
            def read(self, size: int) -> bytes:
                if len(self._data) < CHUNK:
                    raise error
                return super().read(size)

        case.store("k", OLD)
        with case.s3.proxy.counting() as seen, pytest.raises(type(error)) as caught:
            case.db.upload("k", Breaking(LONGER))
        assert caught.value is error
        # A part that had left before may arrive after it.
        assert seen.operations.count(ABORT) == 1
        assert case.stored("k") == OLD

    def test_of_a_file_that_grows_leaves_no_parts(self, case: Case, path: Path) -> None:
        path.write_bytes(LONGER)

        def grow(progress: cshelve.Progress) -> None:
            with path.open("ab") as file:
                file.write(b"more")

        # The end is read after the first part is stored, as fewer are in flight than there are.
        with pytest.raises(cshelve.StorageError, match="changed its size"):
            case.db.upload("k", path, progress=grow)
        assert not case.db


class TestDownload:
    SHORT, LONG = os.urandom(2 * RANGE + 100), os.urandom(5 * RANGE + 3)

    @pytest.fixture(params=["direct", "boto3"])
    def case(self, request: pytest.FixtureRequest, s3: S3Rig) -> Iterator[Case]:
        with opened(s3, request.param, RANGE) as case:
            yield case

    def test_sends_a_request_a_range(self, case: Case, path: Path) -> None:
        case.store("k", self.LONG)
        watching = Watching()
        with case.s3.proxy.counting() as seen:
            case.db.download("k", path, progress=watching)
        assert seen.operations == [GET] * 6
        assert "if-match" not in seen.requests[0].headers
        etags = {request.headers["if-match"] for request in seen.requests[1:]}
        assert len(etags) == 1
        assert path.read_bytes() == self.LONG
        watching.assert_went_up_to(len(self.LONG), len(self.LONG))

    @pytest.mark.parametrize("size", [1, RANGE - 1, RANGE])
    def test_sends_one_request_for_a_short_value(self, size: int, case: Case, path: Path) -> None:
        case.store("k", self.LONG[:size])
        assert case.operations(lambda: case.db.download("k", path)) == [GET]
        assert path.read_bytes() == self.LONG[:size]

    def test_of_empty_values_stays_with_its_engine(self, case: Case, path: Path) -> None:
        engine = provider_of(case.db).engine
        case.store("k", b"")
        for _ in range(5):
            case.db.download("k", path)
        assert path.read_bytes() == b""
        assert provider_of(case.db).engine == engine

    @pytest.mark.parametrize(
        "fault", [Answer(503, "SlowDown"), Answer(500), Reset(), Reset(False), CutBody(1000)]
    )
    @pytest.mark.parametrize("after", [0, 2])
    def test_passes_over_what_fails_once(
        self, after: int, fault: Fault, case: Case, path: Path
    ) -> None:
        case.store("k", self.SHORT)
        case.inject(fault, GET, after=after)
        case.db.download("k", path)
        assert path.read_bytes() == self.SHORT

    @pytest.mark.parametrize("after", [0, 2])
    def test_that_fails_leaves_no_file(self, after: int, case: Case, path: Path) -> None:
        case.store("k", self.SHORT)
        case.inject(Answer(403, "AccessDenied"), GET, times=None, after=after)
        with pytest.raises(cshelve.AuthError, match="'k' in s3://"):
            case.db.download("k", path)
        assert os.listdir(path.parent) == []

    def test_of_a_missing_key_leaves_no_file(self, case: Case, path: Path) -> None:
        with pytest.raises(cshelve.KeyNotFoundError):
            case.db.download("k", path)
        assert os.listdir(path.parent) == []

    @pytest.mark.parametrize("value", [LONG[::-1], None])
    def test_never_mixes_two_values(self, value: bytes | None, case: Case, path: Path) -> None:
        case.store("k", self.LONG)

        def replace(progress: cshelve.Progress) -> None:
            if progress.bytes == RANGE:
                if value is None:
                    case.s3.client.delete_object(Bucket=case.bucket, Key=case.name("k"))
                else:
                    case.store("k", value)

        with pytest.raises(cshelve.ConflictError, match="while it was downloaded"):
            case.db.download("k", path, progress=replace)
        assert os.listdir(path.parent) == []

    @pytest.mark.parametrize("etag", ['"one"', 'W/"one"', None])
    def test_of_a_server_without_ranges_reads_all_at_once(
        self, etag: str | None, case: Case, path: Path
    ) -> None:
        headers = {"last-modified": "Sat, 28 Nov 2026 21:00:00 GMT"}
        headers |= {} if etag is None else {"etag": etag}
        case.inject(Answer(200, body=self.SHORT, headers=headers), GET, times=None)
        for _ in range(2):
            case.db.download("k", path)
            assert path.read_bytes() == self.SHORT

    def test_of_a_server_without_ranges_is_of_one_version(self, case: Case, path: Path) -> None:
        headers = {"last-modified": "Sat, 28 Nov 2026 21:00:00 GMT"}
        for number in range(20):
            of_one = {**headers, "etag": f'"{number}"'}
            case.inject(Answer(200, body=self.SHORT, headers=of_one), GET)
        with pytest.raises(cshelve.ConflictError):
            case.db.download("k", path)
        assert os.listdir(path.parent) == []


MOVER = """
import io, json, signal, sys
import cshelve

signal.signal(signal.SIGINT, signal.default_int_handler)
db = cshelve.open_from_dict(json.loads(sys.argv[1]))
if sys.argv[2] == "upload":
    db.upload("k", io.BytesIO(bytes(20 * 2**20)))
else:
    db.download("k", sys.argv[3])
"""


@pytest.mark.parametrize(("what", "operation"), [("upload", PART), ("download", GET)])
def test_ctrl_c_leaves_no_parts_and_no_file(
    what: str, operation: str, case: Case, path: Path
) -> None:
    case.store("k", LONG)
    default = {**case.config["default"], "read_timeout_seconds": 1, "total_max_attempts": 100}
    config = json.dumps({**case.config, "default": default})
    hanging = case.inject(Hang(), operation, times=None, after=1)
    command = [sys.executable, "-c", MOVER, config, what, str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as mover:
        try:
            wait_until(lambda: hanging.hits >= 2)
            mover.send_signal(signal.SIGINT)
            _, said = mover.communicate(timeout=60)
        finally:
            mover.kill()
    hanging.remove()
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert case.uploads() == []
    assert case.stored("k") == LONG
    assert os.listdir(path.parent) == []
