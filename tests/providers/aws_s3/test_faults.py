"""When the store misbehaves: every operation, at each of its requests, under every fault.

For each: the right value, or an error of ours with boto3's as its cause; within a stated time;
nothing lost and nothing half-written. What the store has is read by plain boto3, round the proxy.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import cshelve
from cshelve.providers.aws_s3.errors import AnswerLostError, RefusalError
from testbed.exchange import Exchange
from testbed.fault_proxy import FaultProxy
from testbed.faults import (
    Answer,
    CutBody,
    EditResponse,
    Fault,
    Hang,
    Reset,
    error_response,
    fail_keys_in_delete_result,
)
from testbed.http_messages import made_response
from tests.rigs import Place, S3Rig, engine_of, rely_again_on_its_engine

pytestmark = pytest.mark.s3

ATTEMPTS = 3
CONCURRENCY = 3
# Nothing but a server that does not answer is waited for: pauses are patched to nothing.
QUICK_SECONDS = 4.0
PATIENT = {"total_max_attempts": ATTEMPTS, "read_timeout_seconds": 5, "concurrency": CONCURRENCY}
# For servers that do not answer: no more than all attempts of one request after the other.
READ_SECONDS = 0.15
HASTY = {**PATIENT, "read_timeout_seconds": READ_SECONDS}
HANGING_SECONDS = ATTEMPTS * READ_SECONDS + QUICK_SECONDS

BEFORE: dict[str, Any] = {"a": "one", "b": ["two"], "k": 7}
MANY: dict[str, Any] = {"b": ["three"], "k": 8, **{f"n{number}": number for number in range(6)}}


@dataclass(frozen=True)
class Request:
    """A kind of request; one with a condition is sent once, and settled if its answer is lost."""

    operation: str
    is_conditional: bool = False

    def __str__(self) -> str:
        return f"{self.operation}-if" if self.is_conditional else self.operation


GET, HEAD, PUT, DELETE = map(Request, ["GetObject", "HeadObject", "PutObject", "DeleteObject"])
LIST, DELETES = map(Request, ["ListObjectsV2", "DeleteObjects"])
PUT_IF, DELETE_IF = replace(PUT, is_conditional=True), replace(DELETE, is_conditional=True)
WRITES = (PUT, DELETE, DELETES, PUT_IF, DELETE_IF)


@dataclass
class Case:
    """A shelf with `BEFORE` in it, and the way round everything to what the store has."""

    s3: S3Rig
    config: dict[str, dict[str, Any]]
    shelf: cshelve.CloudShelf
    """The one that all tests share."""
    opened: list[cshelve.CloudShelf] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)
    """The values of the ETags that were read."""

    @property
    def db(self) -> cshelve.CloudShelf:
        return self.opened[-1] if self.opened else self.shelf

    def open(self, flag: str, **options: Any) -> cshelve.CloudShelf:
        """Open a shelf in the same place, which is closed after the test."""
        self.opened.append(cshelve.open_from_dict(self.config, flag, **options))
        return self.opened[-1]

    def open_quietly(self, flag: str, **options: Any) -> cshelve.CloudShelf:
        """Open a shelf without a request."""
        config = {**self.config, "default": {**self.config["default"], "check_bucket": False}}
        self.opened.append(cshelve.open_from_dict(config, flag, **options))
        return self.opened[-1]

    def name(self, key: str) -> str:
        """Name the object of a key."""
        return f"{self.config['default']['key_prefix']}/{key}"

    @property
    def version(self) -> str:
        """What a HEAD round the proxy says of `k`."""
        return self.s3.client.head_object(**self._object("k"))["ETag"]

    def stored(self) -> dict[str, Any]:
        """Read everything that is in the store; a value that is not whole is an error."""
        return {key: self._value(key, etag) for key, etag in self._listed().items()}

    def reset(self) -> None:
        """Put `BEFORE` there, and nothing else, and let the shelf forget its failures."""
        rely_again_on_its_engine(self.shelf)
        objects = self.shelf._objects
        listed = self._listed()
        for key in listed:
            if key not in BEFORE:
                self.s3.client.delete_object(**self._object(key))
        for key, value in BEFORE.items():
            if key not in listed or self._value(key, listed[key]) != value:
                record = objects.records.encode(key, objects.dumps(key, value))
                self.s3.client.put_object(**self._object(key), Body=record)

    def close(self) -> None:
        for shelf in self.opened:
            shelf.cache.clear()
            shelf.close()

    def _listed(self) -> dict[str, str]:
        """Give keys and ETags."""
        prefix = self.name("")
        listed = self.s3.client.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        return {
            found["Key"].removeprefix(prefix): found["ETag"] for found in listed.get("Contents", ())
        }

    def _value(self, key: str, etag: str) -> Any:
        """Read and decode an object, once for each ETag, which is that of its bytes."""
        if etag not in self.known:
            objects = self.shelf._objects
            data = self.s3.client.get_object(**self._object(key))["Body"].read()
            self.known[etag] = objects.loads(key, objects.records.decode(key, data))
        return self.known[etag]

    def _object(self, key: str) -> Any:
        return {"Bucket": self._bucket, "Key": self.name(key)}

    @property
    def _bucket(self) -> str:
        return self.config["default"]["bucket_name"]


def nothing(case: Case) -> Any:
    """Prepare nothing."""


def changed_in_cache(case: Case) -> None:
    """Have values in the cache that the store does not have."""
    shelf = case.open_quietly("w", writeback=True)
    for key, value in MANY.items():
        shelf.cache[key] = value


@dataclass(frozen=True)
class Operation:
    """What a program does, what it gets, and what the store has afterwards."""

    run: Callable[[cshelve.CloudShelf, Any], Any]
    sends: tuple[Request, ...]
    value: Any = None
    after: Mapping[str, Any] = field(default_factory=lambda: BEFORE)
    prepare: Callable[[Case], Any] = nothing
    """Before the fault; what it returns is given to `run`."""
    keys: int | None = None
    """How many keys it writes or deletes, if it is one of many keys."""
    flying: int = 1
    """How many requests for one key each fly at once."""
    is_uncounted: bool = False
    """Whether nobody knows beforehand how many these are."""


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in BEFORE.items() if key not in keys}


def version_of_k(case: Case) -> str:
    return case.version


OPERATIONS: dict[str, Operation] = {
    "getitem": Operation(lambda db, _: db["k"], (GET,), 7),
    "get": Operation(lambda db, _: db.get("k", "default"), (GET,), 7),
    "get absent": Operation(lambda db, _: db.get("x", "default"), (GET,), "default"),
    "in": Operation(lambda db, _: "k" in db, (HEAD,), True),
    "setitem": Operation(lambda db, _: db.__setitem__("k", 8), (PUT,), None, BEFORE | {"k": 8}),
    "del": Operation(lambda db, _: db.__delitem__("k"), (HEAD, DELETE), None, without("k")),
    "pop": Operation(lambda db, _: db.pop("k", "default"), (GET, DELETE_IF), 7, without("k")),
    "popitem": Operation(
        lambda db, _: db.popitem(), (LIST, GET, DELETE_IF), ("a", "one"), without("a")
    ),
    "setdefault present": Operation(lambda db, _: db.setdefault("k", "new"), (GET,), 7),
    "setdefault absent": Operation(
        lambda db, _: db.setdefault("x", "new"), (GET, PUT_IF), "new", BEFORE | {"x": "new"}
    ),
    "update": Operation(
        lambda db, _: db.update(MANY),
        (PUT,),
        None,
        BEFORE | MANY,
        keys=len(MANY),
        flying=CONCURRENCY,
    ),
    "set_many": Operation(
        lambda db, _: db.set_many(MANY),
        (PUT,),
        None,
        BEFORE | MANY,
        keys=len(MANY),
        flying=CONCURRENCY,
    ),
    "get_many": Operation(
        lambda db, _: list(db.get_many(["k", "b", "a"])),
        (GET,),
        [("k", 7), ("b", ["two"]), ("a", "one")],
        flying=CONCURRENCY,
    ),
    "items": Operation(
        lambda db, _: dict(iter(db.items())), (LIST, GET), BEFORE, flying=CONCURRENCY
    ),
    "values": Operation(
        lambda db, _: [value for value in db.values()],  # noqa: C416  # list() asks for len too
        (LIST, GET),
        list(BEFORE.values()),
        flying=CONCURRENCY,
    ),
    "eq": Operation(lambda db, _: db == BEFORE, (LIST, GET), True, flying=CONCURRENCY),
    "delete_many": Operation(
        lambda db, _: db.delete_many(["a", "k", "x"]), (DELETES,), None, without("a", "k"), keys=3
    ),
    "clear": Operation(
        lambda db, _: db.clear(), (LIST, DELETES), None, {}, keys=len(BEFORE), is_uncounted=True
    ),
    "len": Operation(lambda db, _: len(db), (LIST,), len(BEFORE)),
    "bool": Operation(lambda db, _: bool(db), (LIST,), True),
    "iter": Operation(lambda db, _: [key for key in db], (LIST,), list(BEFORE)),  # noqa: C416
    "modify": Operation(
        lambda db, _: db.modify("k", lambda n: n + 1), (GET, PUT_IF), 8, BEFORE | {"k": 8}
    ),
    "modify absent": Operation(
        lambda db, _: db.modify("x", lambda n: n + 1, default=0),
        (GET, PUT_IF),
        1,
        BEFORE | {"x": 1},
    ),
    "modify to DELETE": Operation(
        lambda db, _: db.modify("k", lambda _: cshelve.DELETE),
        (GET, DELETE_IF),
        cshelve.DELETE,
        without("k"),
    ),
    "get_versioned": Operation(lambda db, _: db.get_versioned("k")[0], (GET,), 7),
    "replace": Operation(
        lambda db, version: db.replace("k", 8, version) != version,
        (PUT_IF,),
        True,
        BEFORE | {"k": 8},
        version_of_k,
    ),
    "replace None": Operation(
        lambda db, _: isinstance(db.replace("x", 1, None), str),
        (PUT_IF,),
        True,
        BEFORE | {"x": 1},
    ),
    "delete with a version": Operation(
        lambda db, version: db.delete("k", version), (DELETE_IF,), None, without("k"), version_of_k
    ),
    "sync": Operation(
        lambda db, _: db.sync(),
        (PUT,),
        None,
        BEFORE | MANY,
        changed_in_cache,
        len(MANY),
        CONCURRENCY,
        is_uncounted=True,
    ),
    "close": Operation(
        lambda db, _: db.close(),
        (PUT,),
        None,
        BEFORE | MANY,
        changed_in_cache,
        len(MANY),
        CONCURRENCY,
        is_uncounted=True,
    ),
}


def opening(flag: str) -> Callable[[Any, Case], None]:
    def run(_: Any, case: Case) -> None:
        case.open(flag)

    return run


def itself(case: Case) -> Case:
    return case


OPENINGS: dict[str, Operation] = {
    "open r": Operation(opening("r"), (LIST,), prepare=itself),
    "open w": Operation(opening("w"), (LIST,), prepare=itself),
    "open c": Operation(opening("c"), (LIST,), prepare=itself),
    "open n": Operation(
        opening("n"), (LIST, DELETES), None, {}, itself, len(BEFORE), is_uncounted=True
    ),
}  # fmt: skip


def after_the_server_acted(answer: Answer) -> Fault:
    """Give this answer in place of the server's own."""
    return EditResponse(
        lambda _: error_response(answer.status, answer.code or "", answer.message)
    )  # fmt: skip


@dataclass(frozen=True)
class Misbehaviour:
    """A fault, how often, and what has to come of it: without an error the operation succeeds."""

    fault: Fault
    times: int | None
    error: type[cshelve.Error] | None = None
    of_conditional_put: type[cshelve.Error] | None = None
    of_conditional_delete: type[cshelve.Error] | None = None
    is_about_shelf: bool = False
    of: tuple[Request, ...] = (GET, HEAD, LIST, *WRITES)
    """The requests that it can happen to."""

    def error_of(self, operation: Operation, request: Request) -> type[cshelve.Error] | None:
        if request is PUT_IF:
            return self.of_conditional_put or self.error
        if request is DELETE_IF:
            return self.of_conditional_delete or self.error
        if operation.keys and request in WRITES and self.error and not self.is_about_shelf:
            return cshelve.BulkError
        return self.error


UNKNOWN = cshelve.OutcomeUnknownError
REFUSED = Answer(403, "AccessDenied", "Access Denied")
SLOW_DOWN = Answer(503, "SlowDown", "Please reduce your request rate.")
BROKEN = Answer(500, "InternalError", "We encountered an internal error.")
EXPIRED = Answer(400, "ExpiredToken", "The provided token has expired.")
NO_BUCKET = Answer(404, "NoSuchBucket", "The specified bucket does not exist")
FOR_EVER = None

MISBEHAVIOURS: dict[str, Misbehaviour] = {
    "refused": Misbehaviour(REFUSED, FOR_EVER, cshelve.AuthError),
    "throttled twice": Misbehaviour(SLOW_DOWN, 2),
    "throttled for ever": Misbehaviour(
        SLOW_DOWN, FOR_EVER, cshelve.StorageError, is_about_shelf=True
    ),
    "500 once": Misbehaviour(BROKEN, 1),
    # That an object is gone does not show who deleted it.
    "500 once, but done": Misbehaviour(
        after_the_server_acted(BROKEN), 1, of_conditional_delete=UNKNOWN
    ),
    "500 for ever": Misbehaviour(
        BROKEN,
        FOR_EVER,
        cshelve.StorageError,
        of_conditional_put=UNKNOWN,
        of_conditional_delete=UNKNOWN,
    ),
    "reset before": Misbehaviour(Reset(), 1),
    "reset after": Misbehaviour(Reset(before=False), 1, of_conditional_delete=UNKNOWN),
    "reset for ever": Misbehaviour(
        Reset(),
        FOR_EVER,
        cshelve.StorageError,
        of_conditional_put=UNKNOWN,
        of_conditional_delete=UNKNOWN,
        is_about_shelf=True,
    ),
    "cut short once": Misbehaviour(CutBody(12), 1, of=(GET, LIST)),
    "cut short for ever": Misbehaviour(
        CutBody(12), FOR_EVER, cshelve.StorageError, of=(GET, LIST)
    ),
    # Not HEAD, the answer to which has no body to say it in.
    "an expired token": Misbehaviour(
        EXPIRED, FOR_EVER, cshelve.AuthError, is_about_shelf=True, of=(GET, LIST, *WRITES)
    ),
    "no bucket": Misbehaviour(
        NO_BUCKET,
        FOR_EVER,
        cshelve.DBDoesNotExistsError,
        is_about_shelf=True,
        of=(GET, LIST, *WRITES),
    ),
}  # fmt: skip
HANGING = Misbehaviour(
    Hang(),
    FOR_EVER,
    cshelve.StorageError,
    of_conditional_put=UNKNOWN,
    of_conditional_delete=UNKNOWN,
    is_about_shelf=True,
)
HANGING_AFTER_IT_ACTED = Misbehaviour(
    Hang(forward_first=True), 1, of_conditional_delete=UNKNOWN, of=WRITES
)


def each_request(
    operations: Mapping[str, Operation], misbehaviours: Mapping[str, Misbehaviour]
) -> list[Any]:
    """List every fault of every request of every operation."""
    return [
        pytest.param(operation, request, misbehaviour, id=f"{name}-{request}-{fault}")
        for name, operation in operations.items()
        for fault, misbehaviour in misbehaviours.items()
        for request in operation.sends
        if request in misbehaviour.of
        and not (
            "cut" in fault and request is GET and "absent" in name
        )  # The answer that says so is no value: see the end.
    ]


@pytest.fixture(scope="module", autouse=True)
def _no_pauses(boto3s_data: None) -> Iterator[None]:
    """Take what is only waiting out of the attempts, and never run out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.001)
        patch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda *_: True)
        patch.setattr("cshelve.providers.aws_s3.conditional._pause", lambda *_: None)
        yield


def shared_case(s3_rig: S3Rig, config: dict[str, dict[str, Any]]) -> Case:
    shelf = Place(config).open()
    # Let it find out whether the server honours conditions, which is asked once.
    shelf.setdefault("warm-up", None)
    shelf.pop("warm-up")
    return Case(s3_rig, config, shelf)


@pytest.fixture(scope="module")
def patient(s3_rig: S3Rig, _no_pauses: None) -> Case:
    """One shelf for all tests, since building a boto3 client is what takes longest."""
    return shared_case(s3_rig, s3_rig.config(**PATIENT))


@pytest.fixture(scope="module")
def hasty(s3_rig: S3Rig, _no_pauses: None) -> Case:
    return shared_case(s3_rig, s3_rig.config(**HASTY))


@pytest.fixture
def case(s3: S3Rig, patient: Case) -> Iterator[Case]:
    case = replace(patient, opened=[])
    case.reset()
    yield case
    s3.proxy.clear()
    case.close()


@pytest.fixture
def hasty_case(s3: S3Rig, hasty: Case) -> Iterator[Case]:
    case = replace(hasty, opened=[])
    case.reset()
    yield case
    s3.proxy.clear()
    case.close()


def is_botos(error: BaseException | None) -> bool:
    """Tell whether an error is boto3's, or the direct engine's in the form of boto3's."""
    of_engine = RefusalError, AnswerLostError
    return isinstance(error, (ClientError, BotoCoreError, *of_engine))


def assert_has_cause(error: cshelve.Error) -> None:
    """Check that boto3's own error is the cause, or that of each key's error."""
    if isinstance(error, cshelve.BulkError):
        assert error.__cause__ in error.failures.values()
        assert error.failures
        assert all(is_botos(failure.__cause__) for failure in error.failures.values())
    else:
        assert is_botos(error.__cause__)


def assert_whole(stored: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Check that each key has its old value or its new one, or is where it was or will be."""
    for key in {*BEFORE, *after, *stored}:
        assert stored.get(key, "absent") in [
            BEFORE.get(key, "absent"),
            after.get(key, "absent"),
        ], key


def assert_numbers(error: cshelve.Error, operation: Operation, case: Case) -> None:
    """Check that the keys stored, failed and not attempted are all keys that there were."""
    assert error.about_shelf
    assert error.stored is not None
    assert error.failed
    if error.not_attempted is None:
        assert operation.is_uncounted
    elif operation.keys is not None:
        assert error.stored + error.failed + error.not_attempted == operation.keys
    stored = case.stored()
    changed = [key for key in {*BEFORE, *stored} if stored.get(key) != BEFORE.get(key)]
    assert len(changed) == error.stored


def threads_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("cshelve")]


def check(
    case: Case,
    operation: Operation,
    request: Request,
    misbehaviour: Misbehaviour,
    within_seconds: float,
) -> None:
    """Run an operation under a fault, look at what came of it, and run it again without."""
    error = misbehaviour.error_of(operation, request)
    prepared = operation.prepare(case)
    began = time.monotonic()
    rule = case.s3.proxy.inject(
        misbehaviour.fault, operation=request.operation, times=misbehaviour.times
    )
    if error is None:
        value = operation.run(case.db, prepared)
        assert value == operation.value
        assert case.stored() == operation.after
    else:
        with pytest.raises(cshelve.Error) as caught:
            operation.run(case.db, prepared)
        # An AuthError that was meant to be another one, a KeyError: nothing but this.
        assert type(caught.value) is error
        assert_has_cause(caught.value)
        assert_whole(case.stored(), operation.after)
    assert time.monotonic() - began < within_seconds
    assert rule.hits
    assert threads_left() == []
    rule.remove()
    if error is None:
        return
    if error is UNKNOWN and case.stored() == operation.after:
        return  # Nobody knows, and it was done: once.
    if operation.keys and request in WRITES and misbehaviour.is_about_shelf:
        assert_numbers(caught.value, operation, case)
    assert operation.run(case.db, prepared) == operation.value
    assert case.stored() == operation.after


class TestEveryOperation:
    @pytest.mark.parametrize(
        ("operation", "request_", "misbehaviour"), each_request(OPERATIONS, MISBEHAVIOURS)
    )
    def test_gives_the_right_value_or_an_error_with_its_cause(
        self, operation: Operation, request_: Request, misbehaviour: Misbehaviour, case: Case
    ) -> None:
        check(case, operation, request_, misbehaviour, QUICK_SECONDS)

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_sends_the_requests_that_the_table_says(self, name: str, case: Case) -> None:
        operation = OPERATIONS[name]
        prepared = operation.prepare(case)
        with case.s3.proxy.counting() as seen:
            assert operation.run(case.db, prepared) == operation.value
        expected = [request.operation for request in operation.sends]
        assert list(dict.fromkeys(seen.operations)) == expected
        assert case.stored() == operation.after


class TestOpening:
    @pytest.mark.parametrize(
        ("operation", "request_", "misbehaviour"),
        each_request(
            OPENINGS, {name: each for name, each in MISBEHAVIOURS.items() if name != "no bucket"}
        ),
    )
    def test_succeeds_or_fails_with_its_cause_and_nothing_lost(
        self, operation: Operation, request_: Request, misbehaviour: Misbehaviour, case: Case
    ) -> None:
        check(case, operation, request_, misbehaviour, QUICK_SECONDS)

    @pytest.mark.parametrize("flag", ["c", "n"])
    @pytest.mark.parametrize("name", ["throttled twice", "500 once", "500 once, but done"])
    def test_creates_the_bucket_whatever_passes(self, name: str, flag: str, s3: S3Rig) -> None:
        bucket = "made-in-spite"
        place = Place(s3.config(bucket_name=bucket, **PATIENT))
        misbehaviour = MISBEHAVIOURS[name]
        s3.proxy.inject(
            misbehaviour.fault, operation="CreateBucket", times=misbehaviour.times
        )  # fmt: skip
        place.open(flag).close()
        s3.client.delete_bucket(Bucket=bucket)

    @pytest.mark.parametrize("flag", ["c", "n"])
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (REFUSED, cshelve.CanNotCreateDBError),
            (SLOW_DOWN, cshelve.CanNotCreateDBError),
            (BROKEN, cshelve.CanNotCreateDBError),
            (Reset(), cshelve.CanNotCreateDBError),
        ],
        ids=["refused", "throttled", "500", "reset"],
    )
    def test_that_cannot_create_the_bucket_says_so(
        self, fault: Fault, error: type[cshelve.Error], flag: str, s3: S3Rig
    ) -> None:
        place = Place(s3.config(bucket_name="never-made", **PATIENT))
        with (
            s3.proxy.inject(fault, operation="CreateBucket", times=None),
            pytest.raises(error) as caught,
        ):
            place.open(flag)
        assert is_botos(caught.value.__cause__)


class TestAServerThatNeverAnswers:
    """It accepts, and that is all."""

    @pytest.mark.parametrize(
        ("operation", "request_", "misbehaviour"),
        each_request(OPERATIONS | OPENINGS, {"hanging": HANGING}),
    )
    def test_is_waited_for_no_longer_than_all_attempts_take(
        self, operation: Operation, request_: Request, misbehaviour: Misbehaviour, hasty_case: Case
    ) -> None:
        check_hanging(hasty_case, operation, request_, misbehaviour)

    @pytest.mark.parametrize(
        ("operation", "request_", "misbehaviour"),
        each_request(OPERATIONS, {"done and not answered": HANGING_AFTER_IT_ACTED}),
    )
    def test_once_is_not_noticed_or_known_to_be_unknown(
        self, operation: Operation, request_: Request, misbehaviour: Misbehaviour, hasty_case: Case
    ) -> None:
        check(hasty_case, operation, request_, misbehaviour, HANGING_SECONDS)


def check_hanging(
    case: Case, operation: Operation, request: Request, misbehaviour: Misbehaviour
) -> None:
    """Run an operation against a server that does not answer, and count its attempts too."""
    prepared = operation.prepare(case)
    began = time.monotonic()
    with (
        case.s3.proxy.inject(Hang(), operation=request.operation, times=None) as rule,
        pytest.raises(cshelve.Error) as caught,
    ):
        operation.run(case.db, prepared)
    assert time.monotonic() - began < HANGING_SECONDS
    assert type(caught.value) is misbehaviour.error_of(operation, request)
    assert_has_cause(caught.value)
    # What flies ends with the first one that failed; the direct engine has sent each once before.
    attempts = ATTEMPTS + (engine_of(case.db) == "direct")
    most = attempts * (operation.flying if request in (GET, PUT) else 1)
    assert ATTEMPTS <= rule.hits <= most
    assert threads_left() == []
    assert case.stored() == BEFORE
    if operation.keys and request in WRITES:
        assert_numbers(caught.value, operation, case)


@pytest.fixture(scope="module")
def deserted(s3_rig: S3Rig, _no_pauses: None) -> Case:
    """A shelf whose server went away after it was opened."""
    config = s3_rig.config(**PATIENT)
    with FaultProxy(s3_rig.server.endpoint_url) as proxy:
        config["provider_params"]["endpoint_url"] = proxy.endpoint_url
        case = shared_case(s3_rig, config)
        case.reset()
    return case


class TestNoConnection:
    @pytest.mark.parametrize("name", {**OPERATIONS, **OPENINGS})
    def test_is_an_error_about_the_shelf(self, name: str, deserted: Case) -> None:
        operation = {**OPERATIONS, **OPENINGS}[name]
        case = replace(deserted, opened=[])
        prepared = operation.prepare(case)
        began = time.monotonic()
        with pytest.raises(cshelve.StorageError) as caught:
            operation.run(case.db, prepared)
        assert time.monotonic() - began < QUICK_SECONDS
        assert type(caught.value) is cshelve.StorageError
        assert caught.value.about_shelf
        assert_has_cause(caught.value)
        if operation.keys and operation.sends[0] in WRITES:
            assert_numbers(caught.value, operation, case)
        assert case.stored() == BEFORE
        case.close()


@pytest.fixture(scope="module")
def gone(s3_rig: S3Rig, _no_pauses: None) -> Case:
    """A shelf that was opened and used, and whose bucket is there no longer."""
    config = s3_rig.config(bucket_name="deleted-meanwhile", **PATIENT)
    case = shared_case(s3_rig, config)
    s3_rig.client.delete_bucket(Bucket="deleted-meanwhile")
    return case


class TestABucketDeletedMeanwhile:
    # Not `in` and `del`, of which a HEAD has to tell; nor `replace`, as SeaweedFS looks at its
    # condition before the bucket (what AWS answers is among the faults of TestEveryOperation).
    @pytest.mark.parametrize(
        "name",
        [
            name
            for name, operation in OPERATIONS.items()
            if HEAD not in operation.sends and name != "replace"
        ],
    )
    def test_is_told_by_every_operation(self, name: str, gone: Case) -> None:
        operation = OPERATIONS[name]
        case = replace(gone, opened=[])
        if operation.prepare is version_of_k:
            prepared: Any = '"0123456789abcdef0123456789abcdef"'
        else:
            prepared = operation.prepare(case)
        with pytest.raises(cshelve.DBDoesNotExistsError, match="s3://deleted-meanwhile") as caught:
            operation.run(case.db, prepared)
        assert caught.value.about_shelf
        assert_has_cause(caught.value)
        if operation.keys and operation.sends[0] in WRITES:
            assert caught.value.stored == 0
            assert caught.value.failed
        case.close()

    @pytest.mark.parametrize("flag", ["r", "w"])
    def test_is_not_opened_again(self, flag: str, gone: Case) -> None:
        with pytest.raises(cshelve.DBDoesNotExistsError, match="s3://deleted-meanwhile"):
            cshelve.open_from_dict(gone.config, flag)

    def test_looks_to_in_like_an_absent_key(self, gone: Case) -> None:
        assert "k" not in gone.shelf


ALL_KEYS = [f"k{number:02}" for number in range(20)]
NUMBERED: dict[str, Callable[[cshelve.CloudShelf], Any]] = {
    "update": lambda db: db.update(dict.fromkeys(ALL_KEYS, 1)),
    "set_many": lambda db: db.set_many(dict.fromkeys(ALL_KEYS, 1)),
}
ABOUT_THE_SHELF: dict[str, tuple[Fault, type[cshelve.Error]]] = {
    "throttled": (SLOW_DOWN, cshelve.StorageError),
    "an expired token": (EXPIRED, cshelve.AuthError),
    "a wrong secret": (Answer(403, "SignatureDoesNotMatch"), cshelve.AuthError),
    "an unknown key id": (Answer(403, "InvalidAccessKeyId"), cshelve.AuthError),
    "reset": (Reset(), cshelve.StorageError),
    "no bucket": (NO_BUCKET, cshelve.DBDoesNotExistsError),
}


class TestManyKeys:
    @pytest.mark.parametrize("name", NUMBERED)
    @pytest.mark.parametrize("fault", ABOUT_THE_SHELF)
    def test_what_is_about_the_shelf_stops_a_write_with_the_numbers(
        self, fault: str, name: str, case: Case
    ) -> None:
        injected, error = ABOUT_THE_SHELF[fault]
        case.s3.proxy.inject(injected, operation="PutObject", times=None, after=7)
        with pytest.raises(cshelve.StorageError) as caught:
            NUMBERED[name](case.db)
        failure = caught.value
        assert type(failure) is error
        assert is_botos(failure.__cause__)
        assert failure.stored == 7 == len(case.stored()) - len(BEFORE)
        assert failure.failed is not None
        assert failure.not_attempted is not None
        assert 1 <= failure.failed <= CONCURRENCY
        assert failure.stored + failure.failed + failure.not_attempted == len(ALL_KEYS)

    @pytest.mark.parametrize("fault", ABOUT_THE_SHELF)
    def test_what_is_about_the_shelf_stops_a_delete_with_the_numbers(
        self, fault: str, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cshelve.providers.aws_s3.bulk_delete.KEYS_PER_REQUEST", 4)
        case.db.update(dict.fromkeys(ALL_KEYS, 1))
        injected, error = ABOUT_THE_SHELF[fault]
        case.s3.proxy.inject(injected, operation="DeleteObjects", times=None, after=2)
        with pytest.raises(error) as caught:
            case.db.delete_many(ALL_KEYS)
        failure = caught.value
        assert (failure.stored, failure.failed, failure.not_attempted) == (8, 4, 8)
        assert is_botos(failure.__cause__)
        assert case.stored() == BEFORE | dict.fromkeys(ALL_KEYS[8:], 1)

    @pytest.mark.parametrize("name", NUMBERED)
    def test_a_refusal_of_one_key_is_its_own(self, name: str, case: Case) -> None:
        case.s3.proxy.inject(REFUSED, key=case.name("k05"), times=None)
        with pytest.raises(cshelve.BulkError, match="'k05'") as caught:
            NUMBERED[name](case.db)
        assert list(caught.value.failures) == ["k05"]
        assert type(caught.value.failures["k05"]) is cshelve.AuthError
        assert_has_cause(caught.value)
        expected = dict.fromkeys(ALL_KEYS, 1)
        del expected["k05"]
        assert case.stored() == BEFORE | expected

    def test_a_refusal_of_one_key_stops_reading_and_names_it(self, case: Case) -> None:
        case.s3.proxy.inject(REFUSED, key=case.name("b"), times=None)
        pairs = case.db.get_many(["a", "b", "k"])
        assert next(pairs) == ("a", "one")
        with pytest.raises(cshelve.AuthError, match="'b'"):
            next(pairs)
        assert list(pairs) == []

    @pytest.mark.parametrize("operation", ["delete_many", "clear"])
    def test_a_refusal_of_one_key_inside_the_answer_to_a_delete(
        self, operation: str, case: Case
    ) -> None:
        case.s3.proxy.inject(
            fail_keys_in_delete_result("AccessDenied", [case.name("b")]),
            operation="DeleteObjects",
            times=None,
        )
        arguments = [["a", "b"]] if operation == "delete_many" else []
        with pytest.raises(cshelve.BulkError, match="'b'") as caught:
            getattr(case.db, operation)(*arguments)
        assert list(caught.value.failures) == ["b"]
        assert type(caught.value.failures["b"]) is cshelve.AuthError

    @pytest.mark.parametrize("ending", ["sync", "close"])
    def test_what_could_not_be_written_stays_in_the_cache_for_the_next_time(
        self, ending: str, case: Case
    ) -> None:
        shelf = case.open("w", writeback=True)
        shelf["b"].append("more")
        rule = case.s3.proxy.inject(SLOW_DOWN, operation="PutObject", times=None)
        with pytest.raises(cshelve.StorageError):
            getattr(shelf, ending)()
        assert shelf["b"] == ["two", "more"]
        assert case.stored() == BEFORE
        rule.remove()
        getattr(shelf, ending)()
        assert case.stored() == BEFORE | {"b": ["two", "more"]}


class TestALostAnswer:
    @pytest.mark.parametrize(
        "fault", [Reset(before=False), after_the_server_acted(BROKEN)], ids=["reset", "500"]
    )
    def test_to_modify_applies_the_function_once(self, fault: Fault, case: Case) -> None:
        calls = []

        def add_one(number: int) -> int:
            calls.append(number)
            return number + 1

        case.s3.proxy.inject(fault, operation="PutObject")
        with case.s3.proxy.counting() as seen:
            assert case.db.modify("k", add_one) == 8
        assert calls == [7]
        assert seen.operations == ["GetObject", "PutObject", "HeadObject"]
        assert case.stored() == BEFORE | {"k": 8}

    def test_in_every_write_of_a_count_still_counts_right(self, case: Case) -> None:
        for _ in range(5):
            case.s3.proxy.inject(Reset(before=False), operation="PutObject")
            case.db.modify("k", lambda number: number + 1)
        assert case.stored() == BEFORE | {"k": 12}


@dataclass
class Wallet:
    """A program that gives out credentials, as `credential_process` wants it."""

    folder: Path

    @property
    def times_asked(self) -> int:
        asked = self.folder / "asked"
        return len(asked.read_text().splitlines()) if asked.exists() else 0

    def hold(self, key_id: str, secret: str, *, good_for: timedelta) -> None:
        document = {
            "Version": 1,
            "AccessKeyId": key_id,
            "SecretAccessKey": secret,
            "Expiration": (datetime.now(UTC) + good_for).isoformat(),
        }
        self.give(f"cat <<'END'\n{json.dumps(document)}\nEND\n")

    def give(self, script: str) -> None:
        """Have the program do this from now on."""
        text = f"echo once >> {self.folder / 'asked'}\n{script}"
        written = self.folder / "new"
        written.write_text(text)
        written.replace(self.folder / "program.sh")


class WithAWallet:
    @pytest.fixture
    def wallet(self, s3: S3Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wallet:
        wallet = Wallet(tmp_path)
        program = tmp_path / "program.sh"
        config = tmp_path / "config"
        config.write_text(f"[profile short]\ncredential_process = sh {program}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        admin = s3.server.admin
        # boto3 renews them when less than ten minutes are left: before each request.
        wallet.hold(admin.access_key, admin.secret_key, good_for=timedelta(minutes=2))
        return wallet

    @pytest.fixture
    def expiring(self, case: Case, wallet: Wallet) -> cshelve.CloudShelf:
        config = {**case.config, "default": {**case.config["default"], "auth_type": "profile"}}
        del config["default"]["key_id"], config["default"]["key_secret"]
        config["default"]["profile_name"] = "short"
        case.opened.append(cshelve.open_from_dict(config))
        return case.opened[0]


class TestCredentialsThatExpire(WithAWallet):
    def test_and_are_renewed_are_not_noticed_by_any_operation(
        self, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        asked = wallet.times_asked
        for name, operation in OPERATIONS.items():
            if operation.prepare is changed_in_cache:
                continue
            case.reset()
            value = operation.run(expiring, operation.prepare(case))
            assert (name, value) == (name, operation.value)
            assert (name, case.stored()) == (name, operation.after)
            assert wallet.times_asked > asked
            asked = wallet.times_asked

    def test_are_replaced_by_the_new_ones(
        self, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        reader, admin = case.s3.server.reader, case.s3.server.admin
        wallet.hold(reader.access_key, reader.secret_key, good_for=timedelta(minutes=2))
        with pytest.raises(cshelve.AuthError, match="s3:PutObject"):
            expiring["k"] = 8
        wallet.hold(admin.access_key, admin.secret_key, good_for=timedelta(minutes=2))
        expiring["k"] = 8
        assert case.stored() == BEFORE | {"k": 8}

    @pytest.mark.parametrize(
        "name", [name for name, each in OPERATIONS.items() if each.prepare is not changed_in_cache]
    )
    def test_and_cannot_be_renewed_are_an_auth_error_about_the_shelf(
        self, name: str, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        operation = OPERATIONS[name]
        prepared = operation.prepare(case)
        wallet.give("echo the door is shut >&2; exit 1\n")
        with pytest.raises(cshelve.AuthError, match="the door is shut") as caught:
            operation.run(expiring, prepared)
        assert caught.value.about_shelf
        assert is_botos(caught.value.__cause__)
        if operation.keys and operation.sends[0] in WRITES:
            assert_numbers(caught.value, operation, case)
        assert case.stored() == BEFORE


KILLED_KEYS = 3000
BIG = 20_000
WRITER = """
import json, sys
import cshelve

config, count, size = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def pairs():
    for number in range(count):
        if number == 100:
            print("in the middle", flush=True)
        yield f"k{number:04}", ("new", number, "x" * size)

with cshelve.open_from_dict(config, "w") as db:
    db.update(pairs())
print("done", flush=True)
"""


class TestAProcessKilledInTheMiddleOfUpdate:
    def test_leaves_whole_values_only(self, s3: S3Rig) -> None:
        config = s3.config(concurrency=8)
        shelf = Place(config).open()
        shelf.update({f"k{number:04}": ("old", number) for number in range(0, KILLED_KEYS, 20)})
        old = len(shelf)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, json.dumps(config), str(KILLED_KEYS), str(BIG)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        with writer, writer.stdout as said:
            assert said.readline() == "in the middle\n"
            writer.kill()
            assert said.read() == ""
        assert writer.returncode == -signal.SIGKILL
        found = dict(iter(shelf.items()))
        for key, value in found.items():
            number = int(key[1:])
            assert value in [("old", number), ("new", number, "x" * BIG)]
        new = [value for value in found.values() if value[0] == "new"]
        assert 80 < len(new) < KILLED_KEYS
        assert len(found) > old
        shelf.close()


def cut_to_nothing(exchange: Exchange) -> None:
    """Let the server act, and send the head of its answer alone."""
    exchange.send_cut(exchange.forward(), 0)


def refuse_deletion_and_cut_to_nothing(exchange: Exchange) -> None:
    """Answer a DeleteObjects that no key is deleted, and lose that on the way."""
    answer = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    response = made_response(200, [("Content-Type", "application/xml")], answer)
    exchange.send_cut(response, 0)


class TestAnswersThatAreNoValues:
    def test_a_lost_refusal_to_delete_is_no_success(self, case: Case) -> None:
        case.s3.proxy.inject(
            refuse_deletion_and_cut_to_nothing, operation="DeleteObjects", times=None
        )
        with pytest.raises(cshelve.StorageError):
            case.db.delete_many(["k"])
        assert case.stored() == BEFORE

    @pytest.mark.parametrize("name", ["len", "bool", "iter", "items", "popitem", "clear"])
    def test_a_listing_cut_to_nothing_once_is_asked_for_again(self, name: str, case: Case) -> None:
        operation = OPERATIONS[name]
        case.s3.proxy.inject(cut_to_nothing, operation="ListObjectsV2")
        assert operation.run(case.db, None) == operation.value
        assert case.stored() == operation.after

    @pytest.mark.parametrize("name", ["get absent", "setdefault absent", "modify absent"])
    def test_an_answer_that_a_key_is_absent_cut_short_once_is_asked_for_again(
        self, name: str, case: Case
    ) -> None:
        operation = OPERATIONS[name]
        case.s3.proxy.inject(CutBody(12), operation="GetObject")
        assert operation.run(case.db, None) == operation.value
        assert case.stored() == operation.after

    def test_a_refusal_inside_the_answer_to_a_delete_is_the_cause(self, case: Case) -> None:
        case.s3.proxy.inject(
            fail_keys_in_delete_result("AccessDenied", [case.name("b")]), operation="DeleteObjects"
        )
        with pytest.raises(cshelve.BulkError) as caught:
            case.db.delete_many(["a", "b"])
        assert_has_cause(caught.value)


class TestTheNumbers:
    @pytest.mark.parametrize("ending", ["sync", "close"])
    def test_of_a_failed_sync_add_up_to_what_was_changed(self, ending: str, case: Case) -> None:
        changed_in_cache(case)
        case.s3.proxy.inject(SLOW_DOWN, operation="PutObject", times=None)
        with pytest.raises(cshelve.StorageError) as caught:
            getattr(case.db, ending)()
        failure = caught.value
        numbers = [failure.stored, failure.failed, failure.not_attempted]
        assert sum(number or 0 for number in numbers) == len(MANY)

    def test_of_a_clear_are_told_when_a_later_page_of_the_listing_fails(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cshelve.providers.aws_s3.bulk_delete.KEYS_PER_REQUEST", 2)
        more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>2</NextContinuationToken>"
        case.s3.proxy.inject(
            EditResponse(
                lambda answer: replace(
                    answer, body=answer.body.replace(b"<IsTruncated>false</IsTruncated>", more)
                )
            ),
            operation="ListObjectsV2",
        )
        case.s3.proxy.inject(SLOW_DOWN, operation="ListObjectsV2", times=None)
        with pytest.raises(cshelve.StorageError) as caught:
            case.db.clear()
        assert caught.value.about_shelf
        assert caught.value.stored == len(BEFORE) - len(case.stored())


class TestAProgramThatGivesNoCredentials(WithAWallet):
    @pytest.mark.parametrize("script", ["echo hello\n", "exec /no/such/program\n"])
    def test_is_an_auth_error(
        self, script: str, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        wallet.give(script)
        with pytest.raises(cshelve.AuthError) as caught:
            expiring["k"]
        assert caught.value.__cause__ is not None
        assert caught.value.about_shelf

    def test_that_are_still_good_is_an_auth_error(
        self, case: Case, wallet: Wallet, expiring: cshelve.CloudShelf
    ) -> None:
        admin = case.s3.server.admin
        wallet.hold(admin.access_key, admin.secret_key, good_for=-timedelta(minutes=2))
        with pytest.raises(cshelve.AuthError) as caught:
            expiring["k"]
        assert caught.value.__cause__ is not None
        assert caught.value.about_shelf
