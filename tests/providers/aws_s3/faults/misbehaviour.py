"""Faults, what has to come of each at each request of an operation, and the check of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import cshelve
from cshelve.providers.aws_s3.errors import AnswerLostError, RefusalError
from testbed.faults import Answer, CutBody, EditResponse, Fault, Reset, error_response
from tests.providers.aws_s3.faults.operations import (
    BEFORE,
    DELETE_IF,
    GET,
    HEAD,
    LIST,
    PUT_IF,
    WRITES,
    Case,
    Operation,
    Request,
)
from tests.providers.aws_s3.rig import threads_left

# Nothing but a server that does not answer is waited for: pauses are patched to nothing.
QUICK_SECONDS = 4.0


def after_the_server_acted(answer: Answer) -> Fault:
    """Send this answer in place of the server's own."""
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


def each_request(
    operations: Mapping[str, Operation], misbehaviours: Mapping[str, Misbehaviour]
) -> list[Any]:
    """List every fault of every request of every operation."""
    return [
        pytest.param(
            *(operation, request, misbehaviour),
            id=f"{name}-{request}-{fault}",
            marks=pytest.mark.once if is_boto3s_with_both(operation, misbehaviour) else (),
        )
        for name, operation in operations.items()
        for fault, misbehaviour in misbehaviours.items()
        for request in operation.sends
        if request in misbehaviour.of
        and not (
            "cut" in fault and request is GET and "absent" in name
        )  # The answer that says so is no value: `test_answers`.
    ]


def is_boto3s_with_both(operation: Operation, misbehaviour: Misbehaviour) -> bool:
    """Return whether boto3 meets a fault and ends it, whichever engine the shelf has.

    The direct engine leaves to it the single request that goes on failing.
    """
    return misbehaviour.times is FOR_EVER and operation.flying == 1


def is_botos(error: BaseException | None) -> bool:
    """Return whether an error is boto3's, or the direct engine's in the form of boto3's."""
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
