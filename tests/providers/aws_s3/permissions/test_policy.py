"""The policy of a flag is enough for all that the flag allows, and nothing in it is too much."""

from __future__ import annotations

import logging
from itertools import islice

import pytest

from tests.providers.aws_s3.permissions.conftest import NOT_ASKED_FOR, Case, Server, cases
from tests.providers.aws_s3.permissions.operations import OF_FLAG

pytestmark = [pytest.mark.s3, pytest.mark.once]

COMPLETE = [case for case in cases() if not case.missing]
LACKING = [case for case in cases() if case.missing]


@pytest.fixture(autouse=True)
def _no_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "cshelve")


@pytest.mark.parametrize("case", COMPLETE, ids=lambda case: case.name)
def test_the_policy_is_enough(weed: Server, case: Case) -> None:
    assert dict(weed.refused(case)) == {}


@pytest.mark.parametrize("case", COMPLETE, ids=lambda case: case.name)
def test_it_is_enough_on_moto_too(moto_with_iam: Server, case: Case) -> None:
    assert dict(moto_with_iam.refused(case)) == {}


@pytest.mark.parametrize("case", LACKING, ids=lambda case: case.name)
def test_each_action_is_needed(weed: Server, moto_with_iam: Server, case: Case) -> None:
    is_abort = case.missing == NOT_ASKED_FOR
    server = moto_with_iam if is_abort else weed
    # That one operation fails is enough, but for this action, which only one needs.
    failed = dict(islice(server.refused(case), None if is_abort else 1))
    assert failed != {}
    assert not is_abort or failed.keys() == {"a failing upload"}


def test_a_larger_flag_does_what_a_smaller_one_does() -> None:
    """So what is needed for the smaller one needs no case of its own (`cases`)."""
    assert OF_FLAG["w"].items() <= OF_FLAG["c"].items() <= OF_FLAG["n"].items()


def test_a_policy_holds_for_its_prefix_only(weed: Server) -> None:
    failed = dict(weed.refused(Case("w"), key_prefix="another-shelf"))
    assert failed.keys() == OF_FLAG["w"].keys()
