"""Every operation, at each of its requests, under every fault.

For each: the right value, or an error of ours with boto3's as its cause; within a stated time;
nothing lost and nothing half-written. What the store has is read by plain boto3, round the proxy.
"""

from __future__ import annotations

import pytest

from tests.providers.aws_s3.faults.misbehaviour import (
    MISBEHAVIOURS,
    QUICK_SECONDS,
    Misbehaviour,
    check,
    each_request,
)
from tests.providers.aws_s3.faults.operations import OPERATIONS, Case, Operation, Request

pytestmark = pytest.mark.s3

# What sends the same requests as another operation, by the same code: one failure that passes, one
# that does not, and a refusal show what it makes of them.
ALIKE = {
    *("get", "setdefault present", "get_versioned", "values", "eq", "bool"),
    *("set_many", "modify absent", "close"),
}
ALL_FAULTS = each_request(
    {name: each for name, each in OPERATIONS.items() if name not in ALIKE}, MISBEHAVIOURS
)
FEW_FAULTS = each_request(
    {name: OPERATIONS[name] for name in sorted(ALIKE)},
    {name: MISBEHAVIOURS[name] for name in ("reset after", "500 for ever", "refused")},
)


class TestEveryOperation:
    @pytest.mark.parametrize(("operation", "request_", "misbehaviour"), [*ALL_FAULTS, *FEW_FAULTS])
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
