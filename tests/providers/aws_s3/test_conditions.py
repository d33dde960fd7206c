"""Conditional writes and deletes at the wire: lost answers, busy and ignorant servers, the probe.

SeaweedFS honours conditions. For a server that does not, there is moto, which checks no signatures,
behind a proxy that leaves their headers out.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import cshelve
from cshelve.providers.aws_s3.bucket import PROBE
from cshelve.providers.aws_s3.errors import AnswerLostError, RefusalError
from cshelve.providers.aws_s3.probe import Condition
from testbed.fault_proxy import Count, FaultProxy, Seen
from testbed.faults import (
    AfterActing,
    Answer,
    EditResponse,
    Fault,
    Hang,
    Late,
    Meanwhile,
    Reset,
    WithHeaders,
    WithoutHeaders,
)
from testbed.http_messages import Response
from testbed.moto import Moto
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig, unique_name

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.s3

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"
LIST = "ListObjectsV2"
TOKEN = "x-amz-meta-cshelve-token"
ATTEMPTS = 3

BROKEN = Answer(500, "InternalError", "sorry")
BEFORE: dict[str, Fault] = {"reset": Reset(), "500": BROKEN}
AFTER = {name: AfterActing(fault) for name, fault in BEFORE.items()}
BUSY = {
    "conflict": Answer(409, "ConditionalRequestConflict"),
    "429": Answer(429, "TooManyRequests"),
    "slow down": Answer(503, "SlowDown"),
}

Write = Callable[[cshelve.CloudShelf], Any]


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Leave out the pauses between attempts, ours and boto3's; ours are counted."""
    made: list[int] = []
    monkeypatch.setattr(
        "cshelve.providers.aws_s3.conditional._pause", lambda number, _: made.append(number)
    )
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    return made


@pytest.fixture(scope="module")
def home(s3_rig: S3Rig) -> Place:
    return Place(s3_rig.config(total_max_attempts=ATTEMPTS))


@pytest.fixture(scope="module")
def shared(home: Place) -> cshelve.CloudShelf:
    """A shelf that knows its server already; one for all, as building clients takes longest."""
    shelf = home.open()
    shelf.setdefault("warm-up", None)
    shelf.pop("warm-up")
    return shelf


@pytest.fixture
def db(s3: S3Rig, shared: cshelve.CloudShelf) -> cshelve.CloudShelf:
    """A view that has no keys of other tests, so that nothing has to be deleted."""
    view = shared.prefix(f"{unique_name()}/")
    view["k"] = "old"
    return view


@pytest.fixture(scope="module")
def shared_other(s3_rig: S3Rig, home: Place) -> cshelve.CloudShelf:
    direct = {"provider_params": {"endpoint_url": s3_rig.server.endpoint_url}}
    shelf = Place({**home.config, **direct}).open()
    shelf.setdefault("warm-up", None)
    shelf.pop("warm-up")
    return shelf


@pytest.fixture
def other(db: cshelve.CloudShelf, shared_other: cshelve.CloudShelf) -> cshelve.CloudShelf:
    """Another program's shelf in the same place, round the proxy."""
    return shared_other.prefix(db._objects.records.prefix)


def full(db: cshelve.CloudShelf, key: str = "k") -> str:
    """Name the object of a key, prefix and all."""
    records = db._objects.records
    _, _, prefix = records.provider.location.removeprefix("s3://").partition("/")
    return f"{prefix}/{records.name(key)}"


def etag(s3: S3Rig, db: cshelve.CloudShelf, key: str = "k") -> str:
    """Ask round the code under test which version lies there."""
    return s3.client.head_object(Bucket=s3.bucket, Key=full(db, key))["ETag"]


def tokens(seen: Count) -> list[str | None]:
    """Give the tokens of the puts, in their order."""
    return [request.headers.get(TOKEN) for request in seen.requests if request.operation == PUT]


def names_in_bucket(s3: S3Rig, db: cshelve.CloudShelf) -> list[str]:
    listed = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=full(db, ""))
    return [found["Key"].removeprefix(full(db, "")) for found in listed.get("Contents", ())]


def replace_it(db: cshelve.CloudShelf) -> str:
    return db.replace("k", "new", db.get_versioned("k")[1])


def add_it(db: cshelve.CloudShelf) -> str:
    return db.replace("n", "new", None)


def delete_it(db: cshelve.CloudShelf) -> None:
    db.delete("k", db.get_versioned("k")[1])


# Conditional puts: what does it, and to which key.
PUTS: dict[str, tuple[Callable[[cshelve.CloudShelf], str], str]] = {
    "if unchanged": (replace_it, "k"),
    "if absent": (add_it, "n"),
}


def of_fault(fault: Fault) -> str:
    """Name a fault in a test's name."""
    return fault.code or str(fault.status) if isinstance(fault, Answer) else type(fault).__name__


def unread(operations: list[str]) -> list[str]:
    """Leave out the GET by which a test learns a version."""
    return operations[1:] if operations[0] == GET else operations


class TestTheToken:
    @pytest.mark.parametrize(
        "write",
        [
            replace_it,
            add_it,
            lambda db: db.setdefault("n", "new"),
            lambda db: db.modify("k", str.upper),
            lambda db: db.modify("n", str.upper, default="new"),
            lambda db: db.prefix("k").modify("", str.upper),
        ],
        ids=["replace", "replace None", "setdefault", "modify", "modify default", "view"],
    )
    def test_is_carried_by_every_put_with_a_condition(
        self, write: Write, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            write(db)
        (token,) = tokens(seen)
        assert token is not None
        assert re.fullmatch("[0-9a-f]{32}", token)

    @pytest.mark.parametrize(
        "write",
        [
            lambda db: db.__setitem__("k", "new"),
            lambda db: db.update(k="new"),
            lambda db: db.set_many({"k": "new"}),
        ],
        ids=["set", "update", "set_many"],
    )
    def test_is_carried_by_no_plain_put(
        self, write: Write, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        replace_it(db)
        with s3.proxy.counting() as seen:
            write(db)
        assert tokens(seen) == [None]

    def test_is_another_one_for_each_put(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as seen:
            for _ in range(5):
                replace_it(db)
        assert len(set(tokens(seen))) == 5

    def test_goes_beside_the_users_metadata(self, s3: S3Rig) -> None:
        place = Place({**s3.config(), "put_params": {"Metadata.origin": "mine"}})
        db = place.open()
        db["plain"] = 1
        db.replace("n", 1, None)
        db["plain again"] = 1
        metadata = {
            key: s3.client.head_object(Bucket=s3.bucket, Key=full(db, key))["Metadata"]
            for key in ("plain", "n", "plain again")
        }
        token = metadata["n"].pop("cshelve-token")
        assert token
        assert metadata == {key: {"origin": "mine"} for key in metadata}
        place.close()


@pytest.mark.parametrize("condition", PUTS)
class TestAPutOfWhichTheAnswerIsLost:
    @pytest.mark.parametrize("fault", AFTER)
    def test_is_done_if_the_token_is_there(
        self, condition: str, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(AFTER[fault], operation=PUT, key=full(db, key))
        with s3.proxy.counting() as seen:
            version = write(db)
        assert unread(seen.operations) == [PUT, HEAD]
        assert version == etag(s3, db, key)
        assert db[key] == "new"

    @pytest.mark.parametrize("fault", BEFORE)
    def test_is_sent_again_as_it_was_if_the_old_version_is_there(
        self, condition: str, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(BEFORE[fault], operation=PUT, key=full(db, key))
        with s3.proxy.counting() as seen:
            version = write(db)
        assert unread(seen.operations) == [PUT, HEAD, PUT]
        first, second = (request for request in seen.requests if request.operation == PUT)
        assert conditions_of(first) == conditions_of(second)
        assert first.body == second.body
        assert version == etag(s3, db, key)
        assert db[key] == "new"

    def test_is_ours_if_it_arrives_late_and_refuses_the_second(
        self, condition: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(Late(), operation=PUT, key=full(db, key), times=2)
        with s3.proxy.counting() as seen:
            version = write(db)
        assert unread(seen.operations) == [PUT, HEAD, PUT, HEAD]
        assert [r.status for r in seen.requests if r.operation == PUT] == [None, 412]
        assert version == etag(s3, db, key)
        assert db[key] == "new"

    @pytest.mark.parametrize("busy", BUSY)
    def test_is_done_by_a_second_sending_that_waits_for_a_busy_server(
        self, condition: str, busy: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(Reset(), operation=PUT, key=full(db, key))
        s3.proxy.inject(BUSY[busy], operation=PUT, key=full(db, key))
        with s3.proxy.counting() as seen:
            write(db)
        assert unread(seen.operations) == [PUT, HEAD, PUT, PUT]
        assert len(set(tokens(seen))) == 1

    @pytest.mark.parametrize("fault", [Reset(), AfterActing(Reset())], ids=["before", "after"])
    def test_is_unknown_if_others_have_written_since(
        self,
        condition: str,
        fault: Fault,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        write, key = PUTS[condition]
        theirs = Meanwhile(lambda: other.__setitem__(key, "theirs"), Reset())
        fault = AfterActing(theirs) if isinstance(fault, AfterActing) else theirs
        s3.proxy.inject(fault, operation=PUT, key=full(db, key))
        with s3.proxy.counting() as seen:
            error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)
        assert unread(seen.operations) == [PUT, HEAD]
        assert db[key] == "theirs"

    @pytest.mark.parametrize(
        ("acts", "guarded"),
        [(False, False), (True, False), (True, True)],
        ids=["before, plainly", "after, plainly", "after, with a token"],
    )
    def test_is_unknown_if_another_has_written_the_same_bytes(
        self,
        condition: str,
        acts: bool,
        guarded: bool,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        write, key = PUTS[condition]

        def write_the_same() -> None:
            if guarded:
                other.modify(key, lambda _: "new", default="")
            else:
                other[key] = "new"

        theirs = Meanwhile(write_the_same, Reset())
        s3.proxy.inject(AfterActing(theirs) if acts else theirs, operation=PUT, key=full(db, key))
        unknown(lambda: write(db))

    def test_is_unknown_if_another_writes_before_the_second_sending(
        self, condition: str, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(Reset(), operation=PUT, key=full(db, key))
        theirs = Meanwhile(lambda: other.__setitem__(key, "theirs"))
        s3.proxy.inject(theirs, operation=PUT, key=full(db, key))
        with s3.proxy.counting() as seen:
            error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)
        assert unread(seen.operations) == [PUT, HEAD, PUT, HEAD]
        assert db[key] == "theirs"

    @pytest.mark.parametrize("fault", [Answer(403, "AccessDenied"), BROKEN, Reset()], ids=of_fault)
    def test_is_unknown_if_the_head_fails_too(
        self, condition: str, fault: Fault, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=full(db, key))
        s3.proxy.inject(fault, operation=HEAD, key=full(db, key), times=None)
        error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)

    @pytest.mark.parametrize("fault", [BROKEN, Reset()], ids=of_fault)
    def test_is_done_if_the_head_fails_once(
        self, condition: str, fault: Fault, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=full(db, key))
        s3.proxy.inject(fault, operation=HEAD, key=full(db, key))
        assert write(db) == etag(s3, db, key)

    @pytest.mark.parametrize("fault", BEFORE)
    def test_is_unknown_if_it_is_lost_in_every_attempt(
        self, condition: str, fault: str, s3: S3Rig, db: cshelve.CloudShelf, pauses: list[int]
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(BEFORE[fault], operation=PUT, key=full(db, key), times=None)
        with s3.proxy.counting() as seen:
            error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)
        assert unread(seen.operations) == [PUT, HEAD] * ATTEMPTS
        assert len(set(tokens(seen))) == 1
        assert pauses == list(range(ATTEMPTS - 1))
        assert db.get(key) == ("old" if key == "k" else None)


@pytest.fixture(scope="module")
def shared_hasty(s3_rig: S3Rig, home: Place, shared: cshelve.CloudShelf) -> cshelve.CloudShelf:
    default = {**home.config["default"], "read_timeout_seconds": 0.5}
    shelf = Place({**home.config, "default": default}).open()
    shelf.setdefault("warm-up", None)
    shelf.pop("warm-up")
    return shelf


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_answer_of_a_gateway_is_a_lost_one(
    status: int, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    s3.proxy.inject(AfterActing(Answer(status)), operation=PUT, key=full(db))
    with s3.proxy.counting() as seen:
        version = replace_it(db)
    assert seen.operations == [GET, PUT, HEAD]
    assert version == etag(s3, db)


class TestAnAnswerThatDoesNotComeInTime:
    @pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
    def test_is_settled_as_a_lost_one(
        self, acts: bool, s3: S3Rig, db: cshelve.CloudShelf, shared_hasty: cshelve.CloudShelf
    ) -> None:
        hasty = shared_hasty.prefix(db._objects.records.prefix)
        version = db.get_versioned("k")[1]
        s3.proxy.inject(Hang(forward_first=acts), operation=PUT, key=full(db))
        with s3.proxy.counting() as seen:
            hasty.replace("k", "new", version)
        assert seen.operations == ([PUT, HEAD] if acts else [PUT, HEAD, PUT])
        assert db["k"] == "new"


class TestADeleteOfWhichTheAnswerIsLost:
    @pytest.mark.parametrize("fault", BEFORE)
    def test_is_sent_again_if_the_old_version_is_there(
        self, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(BEFORE[fault], operation=DELETE, key=full(db))
        with s3.proxy.counting() as seen:
            delete_it(db)
        assert seen.operations == [GET, DELETE, HEAD, DELETE]
        first, second = (request for request in seen.requests if request.operation == DELETE)
        assert conditions_of(first) == conditions_of(second)
        assert names_in_bucket(s3, db) == []

    @pytest.mark.parametrize("fault", AFTER)
    def test_is_unknown_if_nothing_is_there(
        self, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AFTER[fault], operation=DELETE, key=full(db))
        with s3.proxy.counting() as seen:
            error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert seen.operations == [GET, DELETE, HEAD]
        assert "k" not in db

    @pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
    def test_is_unknown_if_another_has_written_since(
        self, acts: bool, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        theirs = Meanwhile(lambda: other.__setitem__("k", "theirs"), Reset())
        s3.proxy.inject(AfterActing(theirs) if acts else theirs, operation=DELETE, key=full(db))
        error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert db["k"] == "theirs"

    def test_is_unknown_if_another_writes_before_the_second_sending(
        self, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=full(db))
        theirs = Meanwhile(lambda: other.__setitem__("k", "theirs"))
        s3.proxy.inject(theirs, operation=DELETE, key=full(db))
        unknown(lambda: delete_it(db))
        assert db["k"] == "theirs"

    def test_is_unknown_if_it_arrives_late_and_refuses_the_second(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Late(), operation=DELETE, key=full(db), times=2)
        unknown(lambda: delete_it(db))
        assert "k" not in db

    def test_is_unknown_if_the_head_fails_too(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=full(db))
        s3.proxy.inject(Answer(403, "AccessDenied"), operation=HEAD, key=full(db), times=None)
        error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert db["k"] == "old"

    def test_is_unknown_if_it_is_lost_in_every_attempt(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=full(db), times=None)
        with s3.proxy.counting() as seen:
            error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert seen.operations == [GET, *[DELETE, HEAD] * ATTEMPTS]
        assert db["k"] == "old"


# Each kind of conditional request: what sends it, its operation, and its key.
ALL: dict[str, tuple[Write, str, str]] = {
    "put if unchanged": (replace_it, PUT, "k"),
    "put if absent": (add_it, PUT, "n"),
    "delete": (delete_it, DELETE, "k"),
}


@pytest.mark.parametrize("request_", ALL)
class TestABusyServer:
    @pytest.mark.parametrize("busy", BUSY)
    def test_is_asked_again(
        self,
        request_: str,
        busy: str,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        pauses: list[int],
    ) -> None:
        write, operation, key = ALL[request_]
        times = ATTEMPTS - 1
        s3.proxy.inject(BUSY[busy], operation=operation, key=full(db, key), times=times)
        with s3.proxy.counting() as seen:
            write(db)
        assert unread(seen.operations) == [operation] * (times + 1)
        assert len({conditions_of(r) for r in seen.requests if r.operation == operation}) == 1
        assert pauses == list(range(times))
        assert db.get(key) == (None if operation == DELETE else "new")

    @pytest.mark.parametrize("busy", BUSY)
    def test_for_ever_is_an_error_that_leaves_the_value(
        self, request_: str, busy: str, s3: S3Rig, db: cshelve.CloudShelf, pauses: list[int]
    ) -> None:
        write, operation, key = ALL[request_]
        s3.proxy.inject(BUSY[busy], operation=operation, key=full(db, key), times=None)
        with s3.proxy.counting() as seen, pytest.raises(cshelve.StorageError) as caught:
            write(db)
        is_conflict = busy == "conflict"
        assert type(caught.value) is (
            cshelve.ConflictError if is_conflict else cshelve.StorageError
        )
        assert isinstance(caught.value.__cause__, ClientError | RefusalError)
        assert unread(seen.operations) == [operation] * ATTEMPTS
        assert pauses == list(range(ATTEMPTS - 1))
        assert names_in_bucket(s3, db) == ["k"]
        assert db["k"] == "old"


@pytest.mark.parametrize("request_", ALL)
class TestARefusal:
    """An answer like this is one: the request is sent once, and nothing is looked for."""

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (Answer(412, "PreconditionFailed"), cshelve.ConflictError),
            (Answer(404, "NoSuchKey"), cshelve.ConflictError),
            (Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
            (Answer(403, "AccessDenied"), cshelve.AuthError),
            (Answer(400, "ExpiredToken"), cshelve.AuthError),
            (Answer(501, "NotImplemented"), cshelve.ConditionsNotSupportedError),
            (Answer(400, "InvalidArgument"), cshelve.ConditionsNotSupportedError),
        ],
        ids=lambda value: of_fault(value) if isinstance(value, Answer) else None,
    )
    def test_is_an_error_of_its_own_kind_at_once(
        self,
        request_: str,
        answer: Answer,
        error: type[Exception],
        s3: S3Rig,
        db: cshelve.CloudShelf,
    ) -> None:
        write, operation, key = ALL[request_]
        s3.proxy.inject(answer, operation=operation, key=full(db, key), times=None)
        with s3.proxy.counting() as seen, pytest.raises(error) as caught:
            write(db)
        assert type(caught.value) is error
        assert isinstance(caught.value.__cause__, ClientError | RefusalError)
        assert unread(seen.operations) == [operation]
        assert db.get("k") == "old"


class TestAConflict:
    """As SeaweedFS says it, not the proxy."""

    @pytest.mark.parametrize(
        "write",
        [
            lambda db, version: db.replace("k", "new", version),
            lambda db, _: db.replace("k", "new", None),
            lambda db, version: db.delete("k", version),
        ],
        ids=["replace", "replace None", "delete"],
    )
    def test_is_one_request_and_leaves_what_another_wrote(
        self,
        write: Callable[[cshelve.CloudShelf, str], Any],
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        version = db.get_versioned("k")[1]
        other["k"] = "theirs"
        with s3.proxy.counting() as seen, pytest.raises(cshelve.ConflictError) as caught:
            write(db, version)
        assert seen.total == 1
        assert caught.value.__cause__ is not None
        assert db["k"] == "theirs"

    @pytest.mark.parametrize(
        "write",
        [
            lambda db, version: db.replace("k", "new", version),
            lambda db, version: db.delete("k", version),
        ],
        ids=["replace", "delete"],
    )
    def test_is_what_a_version_of_an_absent_key_is(
        self,
        write: Callable[[cshelve.CloudShelf, str], Any],
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        version = db.get_versioned("k")[1]
        del other["k"]
        with s3.proxy.counting() as seen, pytest.raises(cshelve.ConflictError):
            write(db, version)
        assert seen.total == 1
        assert "k" not in db


class TestOperationsOfWhichAnAnswerIsLost:
    def test_setdefault_gives_what_others_wrote(
        self, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        theirs = Meanwhile(lambda: other.__setitem__("n", "theirs"), Reset())
        s3.proxy.inject(theirs, operation=PUT, key=full(db, "n"))
        with s3.proxy.counting() as seen:
            assert db.setdefault("n", "mine") == "theirs"
        assert seen.operations == [GET, PUT, HEAD, GET]
        assert db["n"] == "theirs"

    def test_setdefault_that_was_done_gives_its_default(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=full(db, "n"))
        with s3.proxy.counting() as seen:
            assert db.setdefault("n", "mine") == "mine"
        assert seen.operations == [GET, PUT, HEAD]
        assert db["n"] == "mine"

    def test_setdefault_of_what_stays_absent_is_unknown(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=PUT, key=full(db, "n"), times=None)
        error = unknown(lambda: db.setdefault("n", "mine"))
        assert is_lost_answer(error.__cause__)

    @pytest.mark.parametrize(
        "take",
        [lambda db: db.pop("k"), lambda db: db.pop("k", "default"), lambda db: db.popitem()],
        ids=["pop", "pop with default", "popitem"],
    )
    def test_a_value_is_given_to_nobody_rather_than_to_two(
        self, take: Write, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AfterActing(Reset()), operation=DELETE, key=full(db))
        error = unknown(lambda: take(db))
        assert is_lost_answer(error.__cause__)
        with pytest.raises(KeyError):
            take(other) if other.get("k") else other.pop("k")

    def test_pop_that_was_not_done_is_done_by_the_second_sending(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=full(db))
        assert db.pop("k") == "old"
        assert "k" not in db

    def test_modify_counts_once_if_it_was_done(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        db["n"] = 1
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=full(db, "n"))
        assert db.modify("n", lambda n: n + 1) == 2
        assert db["n"] == 2

    @pytest.mark.parametrize("to", ["theirs", "mine"])
    def test_modify_passes_the_unknown_on(
        self, to: str, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        calls: list[str] = []

        def change(value: str) -> str:
            calls.append(value)
            return "mine"

        theirs = Meanwhile(lambda: other.__setitem__("k", to), Reset())
        s3.proxy.inject(AfterActing(theirs), operation=PUT, key=full(db))
        error = unknown(lambda: db.modify("k", change))
        assert is_lost_answer(error.__cause__)
        assert calls == ["old"]

    def test_modify_that_deletes_passes_the_unknown_on(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AfterActing(Reset()), operation=DELETE, key=full(db))
        error = unknown(lambda: db.modify("k", lambda _: cshelve.DELETE))
        assert is_lost_answer(error.__cause__)


def unknown(operation: Callable[[], object]) -> cshelve.OutcomeUnknownError:
    """Expect that nobody can know, and give the error."""
    with pytest.raises(cshelve.OutcomeUnknownError) as caught:
        operation()
    return caught.value


def is_lost_answer(cause: BaseException | None) -> bool:
    """Tell whether it is what is raised for a broken connection or a server's failure."""
    if isinstance(cause, ClientError | RefusalError):
        return int(cause.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500
    return isinstance(cause, BotoCoreError | AnswerLostError)


def conditions_of(request: Seen) -> tuple[str | None, ...]:
    """Give what the outcome of a request hangs on, and its token."""
    headers = ("If-Match", "If-None-Match", TOKEN)
    return tuple(request.headers.get(header) for header in headers)


def probes(seen: Count) -> list[Seen]:
    return [r for r in seen.requests if r.key.rpartition("/")[2].startswith(PROBE)]


def kinds(requests: list[Seen]) -> list[str]:
    """Write requests down with their conditions."""
    return [
        " ".join(
            [r.operation, *(h for h in ("If-Match", "If-None-Match") if h in r.headers)],
        )
        for r in requests
    ]


PROBE_UNCHANGED = ["PutObject If-Match"]
PROBE_ABSENT = ["PutObject If-None-Match"] * 2 + ["DeleteObject"]
PROBE_DELETE = ["PutObject", "DeleteObject If-Match", "DeleteObject"]
PROBES: dict[str, tuple[Write, list[str]]] = {
    "modify": (lambda db: db.modify("k", str.upper), PROBE_UNCHANGED),
    "replace": (replace_it, PROBE_UNCHANGED),
    "replace None": (add_it, PROBE_UNCHANGED + PROBE_ABSENT),
    "setdefault": (lambda db: db.setdefault("n", 1), PROBE_UNCHANGED + PROBE_ABSENT),
    "pop": (lambda db: db.pop("k"), PROBE_UNCHANGED + PROBE_DELETE),
    "popitem": (lambda db: db.popitem(), PROBE_UNCHANGED + PROBE_DELETE),
    "delete": (delete_it, PROBE_UNCHANGED + PROBE_DELETE),
}


@pytest.fixture(scope="module")
def shared_forgetful(s3_rig: S3Rig) -> cshelve.CloudShelf:
    return Place(s3_rig.config(total_max_attempts=2)).open()


@pytest.fixture
def fresh(s3: S3Rig, shared_forgetful: cshelve.CloudShelf) -> cshelve.CloudShelf:
    """A shelf that has not found out anything; one for all, as building clients takes longest."""
    shared_forgetful.clear()
    shared_forgetful["k"] = "old"
    shared_forgetful._objects.records.provider._probe._is_honoured.clear()
    return shared_forgetful


class TestTheProbe:
    @pytest.mark.parametrize("operation", PROBES)
    def test_is_made_before_the_first_conditional_write_of_its_kind(
        self, operation: str, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        act, expected = PROBES[operation]
        with s3.proxy.counting() as seen:
            act(fresh)
        assert kinds(probes(seen)) == expected
        # The write that it is about comes behind it.
        assert seen.requests[-1] not in probes(seen)
        assert seen.requests[-1].operation in {PUT, DELETE}

    @pytest.mark.parametrize("operation", PROBES)
    def test_is_made_once(self, operation: str, s3: S3Rig, fresh: cshelve.CloudShelf) -> None:
        act, _ = PROBES[operation]
        act(fresh)
        fresh["k"] = "old"
        fresh.delete_many(["n"])
        with s3.proxy.counting() as seen:
            act(fresh.prefix(""))
            fresh["k"] = "old"
            fresh.modify("k", str.upper)
        assert probes(seen) == []

    def test_of_every_kind_is_seven_requests_in_all_for_a_new_shelf(
        self, s3: S3Rig, s3_place: Place
    ) -> None:
        with s3.proxy.counting() as seen:
            new = s3_place.open()
            new.setdefault("k", "old")
            replace_it(new)
            new.pop("k")
        assert kinds(probes(seen)) == PROBE_UNCHANGED + PROBE_ABSENT + PROBE_DELETE

    def test_is_made_by_nothing_that_has_no_condition(
        self, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            fresh.update(a=1, b=2)
            fresh.setdefault("k", "default")
            assert fresh.pop("absent", None) is None
            assert fresh.get_versioned("k")[0] == "old"
            del fresh["a"]
            assert dict(fresh.items()) == {"b": 2, "k": "old"}
            fresh.clear()
            with pytest.raises(KeyError):
                fresh.popitem()
        assert probes(seen) == []

    def test_uses_names_inside_the_prefix_that_are_no_keys(
        self, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            fresh.setdefault("n", 1)
            fresh.pop("n")
        used = {request.key for request in probes(seen)}
        assert len(used) == 3
        assert all(name.startswith(full(fresh, PROBE)) for name in used)

    def test_leaves_nothing_in_the_bucket(self, s3: S3Rig, fresh: cshelve.CloudShelf) -> None:
        fresh.setdefault("n", 1)
        fresh.pop("n")
        replace_it(fresh)
        assert names_in_bucket(s3, fresh) == ["k"]

    @pytest.mark.parametrize("operation", ["setdefault", "pop", "replace"])
    def test_is_one_for_many_threads_that_begin_at_once(
        self, operation: str, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        many = 8
        fresh.update({f"k{number}": number for number in range(many)})
        act: dict[str, Callable[[int], Any]] = {
            "setdefault": lambda number: fresh.setdefault(f"n{number}", number),
            "pop": lambda number: fresh.pop(f"k{number}"),
            "replace": lambda number: fresh.replace(
                f"k{number}", "new", fresh.get_versioned(f"k{number}")[1]
            ),
        }
        barrier = threading.Barrier(many)

        def run(number: int) -> None:
            barrier.wait(10)
            act[operation](number)

        with s3.proxy.counting() as seen, ThreadPoolExecutor(many) as pool:
            for _ in pool.map(run, range(many)):
                pass
        assert kinds(probes(seen)) == PROBES[operation][1]

    def test_that_boto3_repeats_takes_its_own_object_for_an_answer(
        self, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        # The first of the two puts that are made if nothing is there.
        s3.proxy.inject(AfterActing(BROKEN), operation=PUT, after=1)
        assert fresh.setdefault("n", 1) == 1
        assert names_in_bucket(s3, fresh) == ["k", "n"]


class TestNamesOfAProbe:
    """As a program leaves one behind that is killed while it probes."""

    @pytest.fixture
    def db(self, s3: S3Rig, fresh: cshelve.CloudShelf) -> Iterator[cshelve.CloudShelf]:
        name = full(fresh, f"{PROBE}0123456789abcdef")
        s3.client.put_object(Bucket=s3.bucket, Key=name, Body=b"")
        yield fresh
        s3.client.delete_object(Bucket=s3.bucket, Key=name)

    def test_are_in_no_listing(self, db: cshelve.CloudShelf) -> None:
        assert len(db) == 1
        assert list(db) == ["k"]
        assert list(db.keys()) == ["k"]
        assert list(db.items()) == [("k", "old")]
        assert list(db.values()) == ["old"]
        assert db == {"k": "old"}

    def test_do_not_make_a_shelf_true(self, db: cshelve.CloudShelf) -> None:
        del db["k"]
        assert not db

    def test_are_nothing_that_popitem_takes(self, db: cshelve.CloudShelf) -> None:
        assert db.popitem() == ("k", "old")
        with pytest.raises(KeyError):
            db.popitem()

    def test_do_not_keep_clear_from_its_work(self, db: cshelve.CloudShelf) -> None:
        db.clear()
        assert list(db) == []

    def test_are_not_copied_by_a_prefix_view(self, db: cshelve.CloudShelf) -> None:
        assert dict(db.prefix("").items()) == {"k": "old"}
        assert dict(db.prefix(".").items()) == {}


# Which of a probe's requests, counted from 0 among those of its operation.
STEPS: dict[str, tuple[str, str, int]] = {
    "the put if unchanged": ("replace", PUT, 0),
    "the first put if absent": ("setdefault", PUT, 1),
    "the second put if absent": ("setdefault", PUT, 2),
    "the put of what is to be deleted": ("pop", PUT, 1),
    "the delete if unchanged": ("pop", DELETE, 0),
}


REFUSED = Answer(403, "AccessDenied")
FAULTS_OF_A_PROBE: list[tuple[str, Fault, type[Exception]]] = [
    *((step, REFUSED, cshelve.AuthError) for step in STEPS),
    *((step, BROKEN, cshelve.StorageError) for step in STEPS),
    ("the put if unchanged", Answer(400, "ExpiredToken"), cshelve.AuthError),
    ("the put if unchanged", Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
    ("the put if unchanged", Answer(503, "SlowDown"), cshelve.StorageError),
    ("the put if unchanged", Reset(), cshelve.StorageError),
]


class TestAFaultDuringTheProbe:
    @pytest.mark.parametrize(
        ("step", "fault", "error"),
        FAULTS_OF_A_PROBE,
        ids=[f"{of_fault(fault)} for {step}" for step, fault, _ in FAULTS_OF_A_PROBE],
    )
    def test_is_an_error_of_its_own_kind_and_the_next_operation_probes_again(
        self,
        step: str,
        fault: Fault,
        error: type[Exception],
        s3: S3Rig,
        fresh: cshelve.CloudShelf,
    ) -> None:
        operation, kind, number = STEPS[step]
        act, expected = PROBES[operation]
        # A refusal is not repeated; the rest is, by boto3, once. What the direct engine does not
        # settle itself, it has sent before.
        times = 2 if error is cshelve.StorageError else 1
        is_settled = (
            error is not cshelve.StorageError and step != "the put of what is to be deleted"
        )
        times += 0 if is_settled else SENT_IF_REFUSED - 1
        s3.proxy.inject(fault, operation=kind, after=number, times=times)
        with pytest.raises(error) as caught:
            act(fresh)
        assert type(caught.value) is error
        assert caught.value.__cause__ is not None
        assert names_in_bucket(s3, fresh) == ["k"]
        assert fresh["k"] == "old"
        with s3.proxy.counting() as seen:
            act(fresh)
        # What the first put told is known by then.
        is_first = step == "the put if unchanged"
        assert kinds(probes(seen)) == (expected if is_first else expected[1:])

    def test_keeps_setdefault_from_going_on_unguarded(
        self, s3: S3Rig, fresh: cshelve.CloudShelf, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.proxy.inject(REFUSED, operation=PUT)
        with pytest.raises(cshelve.AuthError):
            fresh.setdefault("n", 1)
        assert warnings_of(caplog) == []
        assert names_in_bucket(s3, fresh) == ["k"]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("cshelve") and record.levelname == "WARNING"
    ]


class TestWhichEndpointsAreSuspected:
    """Building a client sends nothing, and whatever else was sent would be refused here."""

    @staticmethod
    def is_probed(
        s3: S3Rig, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, **default: Any
    ) -> bool:
        config = s3.config(check_bucket=False, **{"region_name": "eu-west-1", **default})
        config["provider_params"] = {} if endpoint is None else {"endpoint_url": endpoint}
        probed: list[Condition] = []

        def find_out(probe: Any, condition: Condition) -> None:
            probed.append(condition)
            probe._is_honoured[condition] = True

        monkeypatch.setattr("cshelve.providers.aws_s3.probe.Probe._find_out", find_out)
        with cshelve.open_from_dict(config) as shelf:
            for condition in Condition:
                shelf._objects.records.provider._probe.require(condition)
        assert len(probed) in {0, len(Condition)}
        return bool(probed)

    @pytest.mark.parametrize(
        ("endpoint", "region"),
        [
            (None, "eu-west-1"),
            (None, "us-east-1"),
            (None, "cn-north-1"),
            (None, "us-gov-west-1"),
            (None, "eusc-de-east-1"),
            (None, "us-iso-east-1"),
            ("https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
            ("https://S3.EU-WEST-1.AMAZONAWS.COM:443/", "eu-west-1"),
            ("https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
            ("https://bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
            ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ],
    )
    def test_none_of_awss(
        self,
        endpoint: str | None,
        region: str,
        s3: S3Rig,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert not self.is_probed(s3, monkeypatch, endpoint, region_name=region)

    @pytest.mark.parametrize(
        "endpoint",
        [
            "http://127.0.0.1:9000",
            "https://minio.example.org",
            "https://s3.amazonaws.com.example.org",
            "https://not-amazonaws.com",
            "https://example.org/s3.amazonaws.com",
            "https://example.org?x=.amazonaws.com",
        ],
    )
    def test_every_other(self, endpoint: str, s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.is_probed(s3, monkeypatch, endpoint)

    def test_one_that_the_environment_names(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://minio.example.org")
        assert self.is_probed(s3, monkeypatch, None)


IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"
NO_ANSWER = Answer(501, "NotImplemented", "A header you provided implies functionality")
BAD_REQUEST = Answer(400, "InvalidArgument", "Unexpected header")

# What the servers do, as arguments of `inject`.
IGNORES_ALL = [{"fault": WithoutHeaders([IF_MATCH, IF_NONE_MATCH])}]
IGNORANT: dict[str, list[dict[str, Any]]] = {
    "ignores all": IGNORES_ALL,
    "answers 501": [
        {"fault": WithHeaders([IF_MATCH, IF_NONE_MATCH], NO_ANSWER)},
    ],
    "answers 400": [
        {"fault": WithHeaders([IF_MATCH, IF_NONE_MATCH], BAD_REQUEST)},
    ],
}
IGNORANT_OF_ABSENT: dict[str, list[dict[str, Any]]] = {
    "ignores": [{"fault": WithoutHeaders([IF_NONE_MATCH])}],
    "answers 501": [{"fault": WithHeaders([IF_NONE_MATCH], NO_ANSWER)}],
}
IGNORANT_OF_DELETE: dict[str, list[dict[str, Any]]] = {
    "ignores": [{"fault": WithoutHeaders([IF_MATCH]), "operation": DELETE}],
    "answers 400": [{"fault": WithHeaders([IF_MATCH], BAD_REQUEST), "operation": DELETE}],
}


@pytest.fixture(scope="module")
def moto_rig(moto: Moto, boto3s_data: None) -> Iterator[tuple[FaultProxy, S3Client]]:
    """A proxy before moto, and plain boto3 round it."""
    client = moto.client()
    with FaultProxy(moto.endpoint_url) as proxy:
        yield proxy, client
    client.close()


class Ignorant:
    """A shelf on a server that does not honour all conditions."""

    BUCKET = "ignorant"

    def __init__(self, moto: Moto, proxy: FaultProxy, client: S3Client) -> None:
        self.proxy = proxy
        self._client = client
        self.place = Place(
            {
                "default": {
                    "provider": "aws-s3",
                    "bucket_name": self.BUCKET,
                    "auth_type": "access_key",
                    "key_id": moto.admin.access_key,
                    "key_secret": moto.admin.secret_key,
                    "key_prefix": unique_name(),
                    "total_max_attempts": 2,
                },
                "provider_params": {"endpoint_url": proxy.endpoint_url},
            }
        )
        self.db = self.place.open()
        self.db["k"] = "old"

    def names(self) -> list[str]:
        """List round the code under test what is in the bucket."""
        prefix = full(self.db, "")
        listed = self._client.list_objects_v2(Bucket=self.BUCKET, Prefix=prefix)
        return [found["Key"].removeprefix(prefix) for found in listed.get("Contents", ())]

    def refuses(self, operation: Callable[[], object], condition: str) -> None:
        """Expect that it says what the server lacks, and that nothing has changed."""
        names, value = self.names(), self.db["k"]
        with pytest.raises(cshelve.ConditionsNotSupportedError, match=condition):
            operation()
        assert self.db["k"] == value
        assert self.names() == names


@pytest.fixture
def ignorant(
    request: pytest.FixtureRequest, moto: Moto, moto_rig: tuple[FaultProxy, S3Client]
) -> Iterator[Ignorant]:
    proxy, client = moto_rig
    made = Ignorant(moto, proxy, client)
    for fault in request.param:
        proxy.inject(times=None, **fault)
    yield made
    proxy.clear()
    made.place.close()


def of(servers: dict[str, list[dict[str, Any]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("ignorant", servers.values(), ids=servers.keys(), indirect=True)


@of(IGNORANT)
class TestAServerWithoutConditions:
    def test_gets_no_write_that_would_need_one(self, ignorant: Ignorant) -> None:
        db = ignorant.db
        version = db.get_versioned("k")[1]
        ignorant.refuses(lambda: db.modify("k", str.upper), IF_MATCH)
        ignorant.refuses(lambda: db.modify("n", str.upper, default="new"), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.modify("k", lambda _: cshelve.DELETE), IF_MATCH)
        ignorant.refuses(lambda: db.replace("k", "new", version), IF_MATCH)
        ignorant.refuses(lambda: db.replace("n", "new", None), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.delete("k", version), IF_MATCH)

    def test_is_found_out_by_one_put_that_leaves_nothing(self, ignorant: Ignorant) -> None:
        with ignorant.proxy.counting() as seen:
            ignorant.refuses(lambda: ignorant.db.modify("k", str.upper), IF_MATCH)
            ignorant.db.setdefault("n", 1)
            ignorant.db.pop("n")
        found_out = kinds(probes(seen))
        assert found_out[0] == "PutObject If-Match"
        # What a 400 is for, a put without a condition shows.
        without = ["PutObject", "DeleteObject", "DeleteObject"]
        assert found_out[1:] in ([], ["DeleteObject"], without)
        assert ignorant.names() == ["k"]

    def test_lets_setdefault_and_pop_and_popitem_work_with_one_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        assert db.setdefault("n", "new") == "new"
        assert db.setdefault("n", "newer") == "new"
        assert db.pop("n") == "new"
        assert db.pop("n", "default") == "default"
        assert db.prefix("k").pop("") == "old"
        assert db.prefix("p").setdefault("", 1) == 1
        assert db.popitem() == ("p", 1)
        assert db.setdefault("m", 1) == 1
        with pytest.raises(KeyError):
            db.pop("n")
        assert ignorant.names() == ["m"]
        (warning,) = warnings_of(caplog)
        assert db._objects.records.location in warning

    def test_does_everything_else_without_a_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        db["a"] = 1
        db.update(b=2, c=3)
        del db["a"]
        assert db.setdefault("b", 7) == 2
        assert dict(db.items()) == {"b": 2, "c": 3, "k": "old"}
        db.clear()
        assert not db
        assert warnings_of(caplog) == []


@of(IGNORANT_OF_ABSENT)
class TestAServerWithoutIfNoneMatch:
    def test_creates_nothing_under_that_condition(self, ignorant: Ignorant) -> None:
        db = ignorant.db
        ignorant.refuses(lambda: db.replace("n", "new", None), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.replace("k", "new", None), IF_NONE_MATCH)
        ignorant.refuses(lambda: db.modify("n", str.upper, default="new"), IF_NONE_MATCH)

    def test_replaces_and_deletes_what_is_there(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        assert db.modify("k", str.upper) == "OLD"
        stale = db.get_versioned("k")[1]
        db.delete("k", db.replace("k", "new", stale))
        db["k"] = "newer"
        with pytest.raises(cshelve.ConflictError):
            db.replace("k", "newest", stale)
        assert db.pop("k") == "newer"
        assert warnings_of(caplog) == []

    def test_lets_setdefault_work_with_one_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert ignorant.db.setdefault("n", 1) == 1
        assert ignorant.db.setdefault("m", 2) == 2
        assert ignorant.db.setdefault("n", 3) == 1
        assert ignorant.names() == ["k", "m", "n"]
        assert len(warnings_of(caplog)) == 1


@of(IGNORANT_OF_DELETE)
class TestAServerWithoutTheConditionalDelete:
    def test_deletes_nothing_under_that_condition(self, ignorant: Ignorant) -> None:
        db = ignorant.db
        version = db.get_versioned("k")[1]
        ignorant.refuses(lambda: db.delete("k", version), f"{IF_MATCH} with {DELETE}")
        ignorant.refuses(lambda: db.modify("k", lambda _: cshelve.DELETE), IF_MATCH)

    def test_creates_and_replaces(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = ignorant.db
        assert db.setdefault("n", 1) == 1
        assert db.modify("k", str.upper) == "OLD"
        with pytest.raises(cshelve.ConflictError):
            db.replace("k", "new", None)
        db.replace("k", "new", db.get_versioned("k")[1])
        assert dict(db.items()) == {"k": "new", "n": 1}
        assert warnings_of(caplog) == []

    def test_lets_pop_and_popitem_work_with_one_warning(
        self, ignorant: Ignorant, caplog: pytest.LogCaptureFixture
    ) -> None:
        ignorant.db["n"] = 1
        assert ignorant.db.pop("k") == "old"
        assert ignorant.db.popitem() == ("n", 1)
        assert ignorant.names() == []
        assert len(warnings_of(caplog)) == 1


# What no object's version is, and what the header may mean something else by: `{}` is the true one.
NO_VERSIONS = [
    "*",
    '"*"',
    " * ",
    "W/*",
    '"a", "b"',
    '"a", {}',
    "{}, *",
    "{} ",
    "{}\n",
    "{}\r\nx-odd: 1",
    "",
    " ",
    '""',
    "x",
    "\n",
    '"a',
    '"\xe9"',
    '"' + "a" * 10_000 + '"',
]


@pytest.mark.parametrize("version", NO_VERSIONS, ids=lambda value: repr(value)[:20])
class TestAVersionThatIsNone:
    def test_replaces_nothing(self, version: str, db: cshelve.CloudShelf) -> None:
        true = db.get_versioned("k")[1]
        with pytest.raises(cshelve.Error):
            db.replace("k", "new", version.replace("{}", true))
        assert db["k"] == "old"

    def test_deletes_nothing(self, version: str, db: cshelve.CloudShelf) -> None:
        true = db.get_versioned("k")[1]
        with pytest.raises(cshelve.Error):
            db.delete("k", version.replace("{}", true))
        assert db["k"] == "old"


@pytest.mark.parametrize("version", [7, b'"x"', True, ["*"], None], ids=repr)
@pytest.mark.parametrize("operation", ["replace", "delete"])
def test_a_version_that_is_no_text_is_an_error(
    version: Any, operation: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    with s3.proxy.counting() as seen, pytest.raises(cshelve.Error):
        db.replace("k", "new", version) if operation == "replace" else db.delete("k", version)
    assert db["k"] == "old"
    assert seen.total == (1 if (operation, version) == ("replace", None) else 0)


def test_a_server_may_write_the_tokens_name_in_capitals(s3: S3Rig, db: cshelve.CloudShelf) -> None:
    """As those written in Go do; the names of headers have no case."""

    def edit(answer: Response) -> Response:
        headers = [(n.title() if n.lower() == TOKEN else n, v) for n, v in answer.headers]
        return replace(answer, headers=headers)

    s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=full(db))
    s3.proxy.inject(EditResponse(edit), operation=HEAD, key=full(db))
    assert replace_it(db) == etag(s3, db)


def test_a_name_of_the_probe_is_no_key(s3: S3Rig) -> None:
    db = Place(s3.config()).open()
    with pytest.raises(cshelve.KeyNotStorableError, match="the shelf's own"):
        db[".cshelve-probe-x"] = 1
    assert ".cshelve-probe-x" not in db
    assert db.get(".cshelve-probe-x") is None


@pytest.mark.parametrize("name", ["cshelve-token", "Cshelve-Token"])
def test_the_users_metadata_may_not_have_the_tokens_name(name: str, s3: S3Rig) -> None:
    config = s3.config()
    config["put_params"] = {f"Metadata.{name}": "mine"}
    with pytest.raises(cshelve.ConfigurationError, match="set by the shelf itself"):
        cshelve.open_from_dict(config)


def test_what_the_probe_cannot_remove_is_left_behind_unseen(s3: S3Rig) -> None:
    db = Place(s3.config()).open()
    refused = Answer(403, "AccessDenied", "Access Denied")
    with s3.proxy.inject(refused, operation="DeleteObject", times=None):
        assert db.setdefault("k", 1) == 1
    assert list(db) == ["k"]


def test_a_400_for_another_reason_is_told_and_not_remembered(s3: S3Rig) -> None:
    db = Place(s3.config()).open()
    refused = Answer(400, "InvalidStorageClass", "no such class")
    with s3.proxy.inject(refused, operation="PutObject", times=None):
        for _ in range(2):
            with pytest.raises(cshelve.StorageError, match="InvalidStorageClass") as caught:
                db.replace("k", 1, None)
            assert not isinstance(caught.value, cshelve.ConditionsNotSupportedError)
    db.replace("k", 1, None)
    assert db["k"] == 1
