"""A server that accepts and never answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import cshelve
from testbed.faults import Hang
from tests.providers.aws_s3.faults.misbehaviour import (
    FOR_EVER,
    QUICK_SECONDS,
    UNKNOWN,
    Misbehaviour,
    assert_has_cause,
    assert_numbers,
    check,
    each_request,
)
from tests.providers.aws_s3.faults.operations import (
    BEFORE,
    GET,
    OPENINGS,
    OPERATIONS,
    PATIENT,
    PUT,
    WRITES,
    Case,
    Operation,
    Request,
    shared_case,
)
from tests.providers.aws_s3.rig import engine_of, threads_left
from tests.rigs import S3Rig

pytestmark = pytest.mark.s3

# For servers that do not answer: no more than all attempts of one request after the other.
ATTEMPTS = 2
READ_SECONDS = 0.1
HASTY: dict[str, Any] = {
    **PATIENT,
    "total_max_attempts": ATTEMPTS,
    "read_timeout_seconds": READ_SECONDS,
}
HANGING_SECONDS = ATTEMPTS * READ_SECONDS + QUICK_SECONDS

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


@pytest.fixture(scope="module")
def hasty(s3_rig: S3Rig, _no_pauses: None) -> Case:
    return shared_case(s3_rig, s3_rig.config(**HASTY))


@pytest.fixture
def hasty_case(s3: S3Rig, hasty: Case) -> Iterator[Case]:
    case = replace(hasty, opened=[])
    case.reset()
    yield case
    s3.proxy.clear()
    case.close()


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
