"""Opening a shelf when the store misbehaves."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import Fault, Reset
from tests.providers.aws_s3.faults.misbehaviour import (
    BROKEN,
    MISBEHAVIOURS,
    QUICK_SECONDS,
    REFUSED,
    SLOW_DOWN,
    Misbehaviour,
    check,
    each_request,
    is_botos,
)
from tests.providers.aws_s3.faults.operations import OPENINGS, PATIENT, Case, Operation, Request
from tests.rigs import Place, S3Rig

pytestmark = pytest.mark.s3


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
