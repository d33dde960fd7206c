"""Values that travel in parts: what is sent, what arrives, and what a failure leaves behind.

The limits are as low as S3 allows. What the store has is read by plain boto3, round the proxy.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import cshelve
from cshelve.providers.aws_s3 import multipart
from cshelve.providers.aws_s3.session import OURS
from testbed.exchange import Exchange
from testbed.faults import (
    AfterActing,
    Answer,
    CutBody,
    EditResponse,
    Fault,
    Hang,
    Meanwhile,
    Reset,
    pass_on,
)
from testbed.http_messages import Response, made_response
from tests.behaviour.test_forks import in_child
from tests.rigs import S3Rig, wait_until
from tests.shelf.test_many_keys import PEAK

pytestmark = pytest.mark.s3

MIB = 2**20
CHUNK = 5 * MIB
ATTEMPTS = 2
OPTIONS: dict[str, Any] = {
    "multipart_threshold_bytes": CHUNK,
    "multipart_chunk_bytes": CHUNK,
    "total_max_attempts": ATTEMPTS,
    # By the other engine a value is read whole for as long as the shelf has met no large one, as it
    # cannot know before; all others, and all that this file is about, is boto3's.
    "engine": "boto3",
    # The objects are the values alone, so that sizes are exact.
    "use_pickle": False,
    "use_versioning": False,
}
GET, PUT, HEAD = "GetObject", "PutObject", "HeadObject"
CREATE, PART, COMPLETE = "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"
ABORT = "AbortMultipartUpload"
IN_3_PARTS = [CREATE, PART, PART, PART, COMPLETE]

_random = random.Random(5)


def value_of(size: int) -> bytes:
    """Make a value whose parts are all different."""
    return _random.randbytes(size)


SMALL, OLD, NEW = b"small", value_of(2 * CHUNK + 1), value_of(3 * CHUNK)


@dataclass
class Case:
    """A shelf, and the way round everything to what the store has."""

    s3: S3Rig
    config: dict[str, dict[str, Any]]
    db: cshelve.CloudShelf
    opened: list[cshelve.CloudShelf] = field(default_factory=list)

    def open(self, **options: Any) -> cshelve.CloudShelf:
        """Open another shelf in the same place, which is closed after the test."""
        config = {**self.config, "default": {**self.config["default"], **options}}
        self.opened.append(cshelve.open_from_dict(config))
        return self.opened[-1]

    @property
    def bucket(self) -> str:
        return self.s3.bucket

    def name(self, key: str) -> str:
        return f"{self.config['default']['key_prefix']}/{key}"

    def store(self, key: str, value: bytes) -> None:
        """Write round the shelf and the proxy, in one request."""
        self.s3.client.put_object(Bucket=self.bucket, Key=self.name(key), Body=value)

    def stored(self, key: str) -> bytes:
        answer = self.s3.client.get_object(Bucket=self.bucket, Key=self.name(key))
        return answer["Body"].read()

    def uploads(self) -> list[str]:
        """List the uploads under the shelf's prefix that were begun and not ended."""
        prefix = self.name("")
        answer = self.s3.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        return [upload["Key"] for upload in answer.get("Uploads", ())]

    def operations(self, operation: Callable[[], Any]) -> list[str]:
        with self.s3.proxy.counting() as seen:
            operation()
        return seen.operations

    def inject(self, fault: Fault, operation: str, **where: Any) -> Any:
        """Have a fault wait for some requests of one kind."""
        return self.s3.proxy.inject(fault, operation=operation, **where)


@pytest.fixture(scope="module")
def _no_pauses() -> Iterator[None]:
    """Take what is only waiting out of the attempts, and never run out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.001)
        patch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda *_: True)
        patch.setattr("cshelve.providers.aws_s3.conditional._pause", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def shared(s3_rig: S3Rig, _no_pauses: None) -> Iterator[Case]:
    config = s3_rig.config(**OPTIONS)
    with cshelve.open_from_dict(config) as db:
        # It finds out here whether the server honours conditions, and builds its second client.
        db.setdefault("warm-up", SMALL)
        db.pop("warm-up")
        yield Case(s3_rig, config, db)


@pytest.fixture
def case(shared: Case, s3: S3Rig) -> Iterator[Case]:
    case = Case(s3, shared.config, shared.db)
    yield case
    s3.proxy.clear()
    for shelf in case.opened:
        shelf.close()
    case.db.clear()
    assert case.uploads() == []
    assert threads_left() == []


def threads_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("cshelve")]


def parts_of(size: int) -> int:
    return -(-size // CHUNK)


class TestSizes:
    @pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK])
    def test_up_to_the_threshold_are_one_request_each_way(self, size: int, case: Case) -> None:
        value = value_of(size)
        assert case.operations(lambda: case.db.__setitem__("k", value)) == [PUT]
        assert case.stored("k") == value
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == value
        assert seen.operations == [GET]

    @pytest.mark.parametrize(
        "size", [CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 4 * CHUNK + 3]
    )
    def test_over_it_are_one_request_a_part_and_two_more_to_write(
        self, size: int, case: Case
    ) -> None:
        value = value_of(size)
        operations = case.operations(lambda: case.db.__setitem__("k", value))
        assert operations == [CREATE, *[PART] * parts_of(size), COMPLETE]
        assert case.stored("k") == value
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == value
        assert seen.operations == [GET] * parts_of(size)

    def test_by_default_are_large_above_16_mib(self, case: Case) -> None:
        db = case.open(multipart_threshold_bytes=None, multipart_chunk_bytes=None)
        value = value_of(16 * MIB + 1)
        assert case.operations(lambda: db.__setitem__("k", value[1:])) == [PUT]
        assert case.operations(lambda: db["k"]) == [GET]
        assert case.operations(lambda: db.__setitem__("k", value)) == IN_3_PARTS
        with case.s3.proxy.counting() as seen:
            assert db["k"] == value
        ranges = [request.headers.get("range") for request in seen.requests]
        assert ranges[0] is None
        assert sorted(ranges[1:]) == ["bytes=16777216-16777216", "bytes=8388608-16777215"]

    def test_of_one_chunk_are_never_split(self, case: Case) -> None:
        db = case.open(multipart_threshold_bytes=0)
        assert case.operations(lambda: db.__setitem__("k", value_of(CHUNK))) == [PUT]
        assert case.operations(lambda: db["k"]) == [GET]

    def test_of_many_chunks_are_read_in_twelve_ranges_at_most(self, case: Case) -> None:
        value = value_of(13 * CHUNK)
        case.store("k", value)
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == value
        assert seen.operations == [GET] * 7

    @pytest.mark.parametrize(
        ("option", "value"),
        [("multipart_chunk_bytes", CHUNK - 1), ("multipart_threshold_bytes", -1)],
    )
    def test_that_s3_does_not_take_are_refused_when_the_shelf_is_opened(
        self, option: str, value: int, case: Case
    ) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=option):
            case.open(**{option: value})


class TestPut:
    def test_gives_the_version_that_is_there(self, case: Case) -> None:
        version = provider(case.db).put("k", NEW)
        head = case.s3.client.head_object(Bucket=case.bucket, Key=case.name("k"))
        assert version == head["ETag"]
        assert provider(case.db).get("k").version == version

    def test_counts_its_requests_and_bytes(self, case: Case) -> None:
        stats = provider(case.db).stats
        requests, sent, received = stats.requests.copy(), stats.bytes_sent, stats.bytes_received
        case.db["k"] = NEW
        assert case.db["k"] == NEW
        assert stats.requests - requests == {CREATE: 1, PART: 3, COMPLETE: 1, GET: 3}
        assert stats.bytes_sent - sent == stats.bytes_received - received == len(NEW)

    def test_begins_by_a_request_that_knows_all_that_a_put_may_carry(self, case: Case) -> None:
        model = case.s3.client.meta.service_model
        puts, begins = (
            set(model.operation_model(each).input_shape.members) for each in (PUT, CREATE)
        )
        checksums = {name for name in puts if name.startswith("Checksum")}
        assert puts - begins <= OURS | checksums

    def test_carries_the_parameters_that_each_request_knows(self, case: Case) -> None:
        config = {**case.config, "put_params": {"Metadata.team": "blue", "ContentType": "a/b"}}
        with case.s3.proxy.counting() as seen, cshelve.open_from_dict(config) as db:
            db["k"] = NEW
        (create,) = [request for request in seen.requests if request.operation == CREATE]
        assert create.headers["x-amz-meta-team"] == "blue"
        head = case.s3.client.head_object(Bucket=case.bucket, Key=case.name("k"))
        assert (head["Metadata"], head["ContentType"]) == ({"team": "blue"}, "a/b")

    @pytest.mark.parametrize("algorithm", [None, "SHA256"])
    def test_sends_a_checksum_of_each_part(self, algorithm: str | None, case: Case) -> None:
        config = {**case.config, "put_params": {"ChecksumAlgorithm": algorithm}}
        with case.s3.proxy.counting() as seen, cshelve.open_from_dict(config) as db:
            db["k"] = NEW
        name = (algorithm or "CRC32").lower()
        parts = [request for request in seen.requests if request.operation == PART]
        assert len(parts) == 3
        assert all(f"x-amz-checksum-{name}" in part.headers for part in parts)
        (complete,) = [request for request in seen.requests if request.operation == COMPLETE]
        assert complete.body.count(f"<Checksum{name.upper()}>".encode()) == 3

    def test_sends_no_checksum_where_the_client_is_told_not_to(self, case: Case) -> None:
        params = {"config.request_checksum_calculation": "when_required"}
        config = {
            **case.config,
            "provider_params": {**case.config["provider_params"], **params},
        }
        with case.s3.proxy.counting() as seen, cshelve.open_from_dict(config) as db:
            db["k"] = NEW
        names = {name for request in seen.requests for name in request.headers}
        assert not any("checksum" in name for name in names)
        assert case.stored("k") == NEW

    @pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), Answer(500), Reset(), Reset(False)])
    @pytest.mark.parametrize("operation", [CREATE, PART, COMPLETE])
    def test_passes_over_what_fails_once(self, operation: str, fault: Fault, case: Case) -> None:
        case.inject(fault, operation)
        case.db["k"] = NEW
        assert case.stored("k") == NEW
        # The answer that was lost is that to a beginning: nobody knows the name of that upload.
        for upload in case.uploads() if operation == CREATE and fault == Reset(False) else ():
            abort_all(case, upload)

    @pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), Answer(403, "AccessDenied")])
    @pytest.mark.parametrize("operation", [CREATE, PART, COMPLETE])
    def test_that_fails_leaves_the_old_value_and_no_parts(
        self, operation: str, fault: Fault, case: Case
    ) -> None:
        case.store("k", OLD)
        case.inject(fault, operation, times=None, after=int(operation == PART))
        with case.s3.proxy.counting() as seen, pytest.raises(cshelve.StorageError) as caught:
            case.db["k"] = NEW
        assert isinstance(caught.value.__cause__, ClientError)
        assert operation in str(caught.value)
        assert "'k' in s3://" in str(caught.value)
        assert isinstance(caught.value, cshelve.AuthError) == (fault == Answer(403, "AccessDenied"))
        assert seen.operations.count(ABORT) == (operation != CREATE)
        assert case.stored("k") == OLD
        assert case.uploads() == []

    def test_that_fails_says_so_even_where_its_parts_cannot_be_removed(
        self, case: Case, caplog: pytest.LogCaptureFixture
    ) -> None:
        case.inject(Answer(500), PART, times=None)
        case.inject(Answer(403, "AccessDenied"), ABORT, times=None)
        with pytest.raises(cshelve.StorageError, match=PART):
            case.db["k"] = NEW
        (record,) = [record for record in caplog.records if record.name == "cshelve"]
        assert "may be left" in record.getMessage()
        abort_all(case, *case.uploads())

    def test_whose_upload_is_gone_leaves_no_parts_and_says_nothing_of_any(
        self, case: Case, caplog: pytest.LogCaptureFixture
    ) -> None:
        # As a server answers that completed it, when the answer to that was lost.
        case.inject(Answer(404, "NoSuchUpload"), COMPLETE)
        case.inject(AfterActing(Answer(404, "NoSuchUpload")), ABORT)
        with pytest.raises(cshelve.StorageError, match="NoSuchUpload"):
            case.db["k"] = NEW
        assert [record for record in caplog.records if record.name == "cshelve"] == []

    def test_ends_in_an_error_where_the_answer_is_none_of_s3s(self, case: Case) -> None:
        for operation in (CREATE, PART, COMPLETE):
            page = Answer(200, body=b"<html>Welcome</html>")
            with case.inject(page, operation, times=None), pytest.raises(cshelve.StorageError):
                case.db["k"] = NEW

    def test_under_an_absent_bucket_says_so(self, case: Case) -> None:
        db = case.open(bucket_name="no-such-bucket", check_bucket=False)
        with pytest.raises(cshelve.DBDoesNotExistsError):
            db["k"] = NEW

    def test_works_with_the_actions_that_the_docs_name(self, case: Case) -> None:
        prefix = {"key_prefix": "team-a/large"}
        with cshelve.open_from_dict(
            case.s3.config(case.s3.server.scoped, **{**OPTIONS, **prefix})
        ) as db:
            db["k"] = NEW
            assert db["k"] == NEW
            case.inject(Answer(500), COMPLETE, times=None)
            with pytest.raises(cshelve.StorageError):
                db["k"] = OLD
            uploads = case.s3.client.list_multipart_uploads(Bucket=case.bucket, Prefix="team-a/")
            assert uploads.get("Uploads", []) == []
            assert db["k"] == NEW
            db.clear()


class TestOver5GB:
    """With the limit of one request lowered."""

    @pytest.fixture(autouse=True)
    def _low_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(multipart, "LARGEST_PUT_BYTES", 2 * CHUNK)

    def test_a_value_goes_in_parts_whatever_the_threshold(self, case: Case) -> None:
        db = case.open(multipart_threshold_bytes=100 * MIB)
        assert case.operations(lambda: db.__setitem__("k", NEW)) == IN_3_PARTS
        assert case.stored("k") == NEW

    def test_a_condition_goes_with_the_last_request(self, case: Case) -> None:
        case.store("k", SMALL)
        with case.s3.proxy.counting() as seen:
            assert case.db.modify("k", lambda _: NEW) == NEW
            case.db.setdefault("x", NEW)
        assert seen.operations == [GET, *IN_3_PARTS, GET, *IN_3_PARTS]
        conditions = [
            (request.operation, "if-match" in request.headers, "if-none-match" in request.headers)
            for request in seen.requests
            if {"if-match", "if-none-match"}.intersection(request.headers)
        ]
        assert conditions == [(COMPLETE, True, False), (COMPLETE, False, True)]
        assert case.stored("k") == case.stored("x") == NEW

    def test_a_condition_below_the_limit_goes_with_one_put(self, case: Case) -> None:
        case.store("k", SMALL)
        value = NEW[: 2 * CHUNK]
        assert case.operations(lambda: case.db.modify("k", lambda _: value)) == [GET, PUT]

    def test_whoever_is_not_first_is_told_and_leaves_nothing(self, case: Case) -> None:
        case.store("k", SMALL)
        _, version = case.db.get_versioned("k")
        case.inject(Meanwhile(lambda: case.store("k", OLD)), COMPLETE)
        with pytest.raises(cshelve.ConflictError):
            case.db.replace("k", NEW, version)
        with pytest.raises(cshelve.ConflictError):
            case.db.replace("k", NEW, None)
        assert case.stored("k") == OLD
        assert case.uploads() == []

    def test_a_lost_answer_is_settled_by_the_token(self, case: Case) -> None:
        case.store("k", SMALL)
        case.inject(Reset(before=False), COMPLETE)
        calls = []
        case.db.modify("k", lambda value: calls.append(value) or NEW)
        assert calls == [SMALL]
        assert case.stored("k") == NEW

    def test_a_last_request_that_never_arrived_is_sent_again_with_its_parts(
        self, case: Case
    ) -> None:
        case.store("k", SMALL)
        case.inject(Reset(), COMPLETE)
        operations = case.operations(lambda: case.db.modify("k", lambda _: NEW))
        assert operations == [GET, *IN_3_PARTS, ABORT, HEAD, *IN_3_PARTS]
        assert case.stored("k") == NEW

    def test_a_conflict_of_uploads_begins_again(self, case: Case) -> None:
        case.store("k", SMALL)
        case.inject(Answer(409, "ConditionalRequestConflict"), COMPLETE)
        operations = case.operations(lambda: case.db.modify("k", lambda _: NEW))
        assert operations == [GET, *IN_3_PARTS, ABORT, *IN_3_PARTS]

    def test_an_answer_lost_while_others_write_is_known_to_be_unknown(self, case: Case) -> None:
        case.store("k", SMALL)
        overwritten = AfterActing(Meanwhile(lambda: case.store("k", OLD), Reset()))
        case.inject(overwritten, COMPLETE)
        with pytest.raises(cshelve.OutcomeUnknownError):
            case.db.modify("k", lambda _: NEW)
        assert case.stored("k") == OLD

    def test_a_part_that_fails_is_tried_by_boto3_alone(self, case: Case) -> None:
        case.store("k", SMALL)
        case.inject(Answer(500), PART, times=None)
        with case.s3.proxy.counting() as seen, pytest.raises(cshelve.StorageError, match=PART):
            case.db.modify("k", lambda _: NEW)
        assert seen.operations.count(CREATE) == 1
        assert seen.operations.count(PART) <= 3 * ATTEMPTS
        assert case.stored("k") == SMALL


class TestGet:
    @pytest.fixture(autouse=True)
    def _there(self, case: Case) -> None:
        case.store("k", OLD)

    def test_asks_for_the_rest_of_the_very_object(self, case: Case) -> None:
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == OLD
        first, *others = seen.requests
        assert "range" not in first.headers
        assert "if-match" not in first.headers
        version = provider(case.db).get("k").version
        assert {request.headers["if-match"] for request in others} == {version}
        assert sorted(request.headers["range"] for request in others) == [
            f"bytes={2 * CHUNK}-{2 * CHUNK}",
            f"bytes={CHUNK}-{2 * CHUNK - 1}",
        ]

    def test_uses_its_connections_again_but_for_the_first(self, case: Case) -> None:
        db = case.open()
        with case.s3.proxy.counting() as seen:
            for _ in range(4):
                assert db["k"] == OLD
        # Three at first, and one for each that was left in the middle of its answer.
        assert len({request.connection for request in seen.requests}) <= 3 + 4

    def test_of_a_value_that_is_replaced_meanwhile_gives_the_new_one(self, case: Case) -> None:
        case.inject(Meanwhile(lambda: case.store("k", NEW)), GET, after=1)
        assert case.db["k"] == NEW

    def test_of_a_value_that_becomes_small_meanwhile_gives_that(self, case: Case) -> None:
        case.inject(Meanwhile(lambda: case.store("k", SMALL)), GET, after=1)
        assert case.db["k"] == SMALL

    def test_of_a_value_that_is_replaced_each_time_never_gives_a_mix(self, case: Case) -> None:
        def replace() -> None:
            case.store("k", value_of(len(OLD)))

        case.inject(Meanwhile(replace), GET, times=None)
        with pytest.raises(cshelve.StorageError, match="replaced the value while it was read"):
            case.db["k"]

    def test_from_a_server_that_ignores_if_match_never_gives_a_mix(self, case: Case) -> None:
        other = value_of(len(OLD))

        def of_another(response: Response) -> Response:
            headers = [pair for pair in response.headers if pair[0].lower() != "etag"]
            return Response(206, "", [*headers, ("ETag", '"other"')], other[: len(response.body)])

        case.inject(EditResponse(of_another), GET, after=1)
        assert case.db["k"] == OLD

    def test_of_a_value_that_is_deleted_meanwhile_is_a_key_error(self, case: Case) -> None:
        def delete() -> None:
            case.s3.client.delete_object(Bucket=case.bucket, Key=case.name("k"))

        case.inject(Meanwhile(delete), GET, after=1)
        with pytest.raises(KeyError):
            case.db["k"]

    @pytest.mark.parametrize("after", [0, 1])
    @pytest.mark.parametrize("bytes_before", [0, 1, MIB + 1])
    def test_of_a_range_that_is_cut_short_once_asks_for_that_again(
        self, bytes_before: int, after: int, case: Case
    ) -> None:
        case.store("k", NEW)
        case.inject(CutBody(bytes_before), GET, after=after)
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == NEW
        assert seen.operations == [GET] * 4

    def test_of_ranges_that_are_cut_short_each_time_is_an_error(self, case: Case) -> None:
        case.inject(CutBody(1), GET, times=None)
        with pytest.raises(cshelve.StorageError, match="cut short on its way, twice") as caught:
            case.db["k"]
        assert isinstance(caught.value.__cause__, BotoCoreError)

    @pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), Answer(500), Reset()])
    def test_of_a_range_that_fails_once_is_not_noticed(self, fault: Fault, case: Case) -> None:
        case.inject(fault, GET, after=1)
        assert case.db["k"] == OLD

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Answer(503, "SlowDown"), cshelve.StorageError),
            (Answer(403, "AccessDenied"), cshelve.AuthError),
            (Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
        ],
    )
    def test_of_a_range_that_fails_is_told_as_of_a_whole(
        self, fault: Fault, error: type[cshelve.Error], case: Case
    ) -> None:
        case.inject(fault, GET, after=1, times=None)
        with pytest.raises(error, match="GetObject of 'k' in s3://") as caught:
            case.db["k"]
        assert isinstance(caught.value.__cause__, ClientError)

    def test_from_a_server_without_ranges_reads_the_whole(self, case: Case) -> None:
        def whole(exchange: Exchange) -> None:
            if "range" not in exchange.request.headers:
                pass_on(exchange)
                return
            headers = [("ETag", exchange.request.headers["if-match"])]
            exchange.send(made_response(200, headers, OLD))

        db = case.open()
        case.inject(whole, GET, times=None)
        assert db["k"] == OLD
        assert case.operations(lambda: db["k"]) == [GET]

    @pytest.mark.parametrize("etag", [None, 'W/"weak"'])
    def test_of_an_answer_without_a_strong_etag_reads_it_to_its_end(
        self, etag: str | None, case: Case
    ) -> None:
        def weakened(response: Response) -> Response:
            headers = [pair for pair in response.headers if pair[0].lower() != "etag"]
            of_etag = [] if etag is None else [("ETag", etag)]
            return Response(response.status, "", [*headers, *of_etag], response.body)

        case.inject(EditResponse(weakened), GET)
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == OLD
        assert seen.total == 1

    @pytest.mark.parametrize("times", [1, None])
    def test_finds_damage_where_the_server_gave_a_checksum_of_the_whole(
        self, times: int | None, case: Case
    ) -> None:
        def damaged(response: Response) -> Response:
            body = b"\0" + response.body[1:]
            return Response(response.status, response.reason, response.headers, body)

        last = f"bytes={CHUNK}-{2 * CHUNK - 1}"
        case.inject(only_range(last, EditResponse(damaged)), GET, times=times and 3)
        if times:
            assert case.db["k"] == OLD
            return
        with pytest.raises(cshelve.StorageError, match="damaged on its way, twice"):
            case.db["k"]

    def test_gives_what_is_there_where_no_checksum_is_wanted(self, case: Case) -> None:
        wrong = base64.b64encode(zlib.crc32(b"").to_bytes(4, "big")).decode()

        def with_a_wrong_one(response: Response) -> Response:
            headers = [p for p in response.headers if p[0].lower() != "x-amz-checksum-crc32"]
            headers.append(("x-amz-checksum-crc32", wrong))
            return Response(response.status, response.reason, headers, response.body)

        params = {"config.response_checksum_validation": "when_required"}
        config = {
            **case.config,
            "provider_params": {**case.config["provider_params"], **params},
        }
        case.inject(EditResponse(with_a_wrong_one), GET, times=None)
        with cshelve.open_from_dict(config) as db:
            assert db["k"] == OLD


class TestManyAtOnce:
    def test_never_send_more_requests_than_may_fly(self, case: Case) -> None:
        flying, most, lock = 0, 0, threading.Lock()

        def counted(exchange: Exchange) -> None:
            nonlocal flying, most
            with lock:
                flying += 1
                most = max(most, flying)
            response = exchange.forward()
            with lock:
                flying -= 1
            exchange.send(response)

        db = case.open(concurrency=4)
        case.s3.proxy.inject(counted, times=None)
        values = {f"k{number}": value_of(3 * CHUNK) for number in range(6)}
        db.update(values)
        assert dict(db.items()) == values
        assert 1 < most <= 4

    def test_work_with_a_single_permit(self, case: Case) -> None:
        db = case.open(concurrency=1)
        assert case.operations(lambda: db.__setitem__("k", NEW)) == IN_3_PARTS
        assert case.operations(lambda: db["k"]) == [GET]
        assert db["k"] == NEW

    def test_leave_permits_to_others(self, case: Case) -> None:
        db = case.open(concurrency=4)
        db["small"] = SMALL
        hanging = case.inject(Hang(), PART, times=None)
        writer = threading.Thread(target=lambda: write_unless_stopped(db), daemon=True)
        with hanging:
            writer.start()
            wait_until(lambda: hanging.hits == 3)
            assert db["small"] == SMALL
        writer.join(60)
        assert not writer.is_alive()

    def test_stop_with_the_operation_that_they_are_part_of(self, case: Case) -> None:
        # The first key's failure is about the shelf: the second is given up between two attempts,
        # and its parts are removed all the same.
        db = case.open(concurrency=4, total_max_attempts=50)
        is_refused = threading.Event()

        def refuse(exchange: Exchange) -> None:
            Answer(403, "InvalidAccessKeyId")(exchange)
            is_refused.set()

        def fail_after_that(exchange: Exchange) -> None:
            is_refused.wait(10)
            Answer(500)(exchange)

        case.s3.proxy.inject(fail_after_that, operation=PART, times=None)
        case.s3.proxy.inject(refuse, key=case.name("small"), operation=PUT)
        with case.s3.proxy.counting() as seen, pytest.raises(cshelve.AuthError):
            db.update([("large", NEW), ("small", SMALL)])
        assert seen.operations.count(PART) < 50
        assert seen.operations.count(ABORT) == 1
        assert case.uploads() == []


def test_beside_the_other_engine_the_same_sizes_go_in_parts(case: Case) -> None:
    db = case.open(engine="auto")
    db["small"] = SMALL
    assert case.operations(lambda: db.__setitem__("k", NEW)) == IN_3_PARTS
    assert case.operations(lambda: db["k"]) == [GET, GET, GET]
    assert db["k"] == NEW
    case.store("k", OLD)
    assert list(case.open(engine="auto").values()) == [OLD, SMALL]


WRITER = """
import atexit, json, signal, sys
import cshelve

# Where the tests run in the background of a shell, it is ignored in what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

config, when = json.loads(sys.argv[1]), sys.argv[2]
db = cshelve.open_from_dict(config)
value = bytes(12 * 2**20)

def write():
    db["k"] = value
    print("written", db["k"] == value, flush=True)

if when == "at exit":
    atexit.register(write)
else:
    print("ready", flush=True)
    write()
"""


def test_a_large_value_can_be_written_and_read_at_the_end_of_a_program(case: Case) -> None:
    command = [sys.executable, "-W", "error", "-c", WRITER, json.dumps(case.config), "at exit"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("written True\n", "")


def test_ctrl_c_ends_an_upload_with_the_attempts_under_way_and_leaves_no_parts(case: Case) -> None:
    default = {**case.config["default"], "read_timeout_seconds": 1, "total_max_attempts": 100}
    config = json.dumps({**case.config, "default": default})
    hanging = case.inject(Hang(), PART, times=None)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, config, "now"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with writer:
        try:
            wait_until(lambda: hanging.hits >= 3)
            writer.send_signal(signal.SIGINT)
            _, said = writer.communicate(timeout=60)
        finally:
            writer.kill()
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert case.uploads() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_that_is_forked_in_the_middle_of_an_upload_has_its_own(case: Case) -> None:
    db = case.open(concurrency=4)
    hanging = case.inject(Hang(), PART, times=3)
    writer = threading.Thread(target=lambda: write_unless_stopped(db), daemon=True)
    with hanging:
        writer.start()
        wait_until(lambda: hanging.hits == 3)
        assert in_child(lambda: (db.__setitem__("of child", OLD), db["of child"])[1] == OLD)
    writer.join(60)
    assert not writer.is_alive()
    assert case.stored("of child") == OLD
    assert case.stored("k") == NEW


MEASURED = f"""
import json, os, sys
import cshelve
{PEAK}
config, size = json.loads(sys.argv[1]), int(sys.argv[2])
with cshelve.open_from_dict(config) as db:
    provider = db._objects.records.provider
    # What the libraries take for themselves is taken once.
    provider.put("k", os.urandom(21 * 2**20))
    provider.get("k")
    value = os.urandom(size)
    before = peak()
    provider.put("k", value)
    written = peak()
    del value
    value = provider.get("k").data
    read = peak()
    assert len(value) == size
print(before, written, read)
"""


# With one connection a value is read to its end, and sent a part after the other.
@pytest.mark.parametrize("concurrency", [32, 1])
def test_a_large_value_is_in_memory_less_than_1_6_times_beside_itself(
    concurrency: int, case: Case
) -> None:
    # Straight to the server: the proxy holds messages as a whole, but in this process.
    size = 192 * MIB
    provider_params = {"endpoint_url": case.s3.server.endpoint_url}
    default = {**case.config["default"], "concurrency": concurrency}
    del default["multipart_threshold_bytes"], default["multipart_chunk_bytes"]
    config = json.dumps({"default": default, "provider_params": provider_params})
    command = [sys.executable, "-c", MEASURED, config, str(size)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    before, written, read = (int(kilobytes) * 1024 for kilobytes in ended.stdout.split())
    assert written - before < 1.6 * size
    assert read - before < 1.6 * size


def provider(db: cshelve.CloudShelf) -> Any:
    return db._objects.records.provider


def abort_all(case: Case, *keys: str) -> None:
    """Tidy up what nobody else can."""
    answer = case.s3.client.list_multipart_uploads(Bucket=case.bucket)
    for upload in answer.get("Uploads", ()):
        if upload["Key"] in keys:
            case.s3.client.abort_multipart_upload(
                Bucket=case.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )


def only_range(wanted: str, fault: Fault) -> Fault:
    """Have a fault act on requests for one range; the others are passed on."""

    def act(exchange: Exchange) -> None:
        is_wanted = exchange.request.headers.get("range") == wanted
        (fault if is_wanted else pass_on)(exchange)

    return act


def write_unless_stopped(db: cshelve.CloudShelf) -> None:
    with suppress(cshelve.StorageError):
        db["k"] = NEW
