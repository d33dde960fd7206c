"""A server, or a bucket, that went away after the shelf was opened."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

import cshelve
from testbed.fault_proxy import FaultProxy
from tests.providers.aws_s3.faults.misbehaviour import (
    QUICK_SECONDS,
    assert_has_cause,
    assert_numbers,
)
from tests.providers.aws_s3.faults.operations import (
    BEFORE,
    HEAD,
    OPENINGS,
    OPERATIONS,
    PATIENT,
    WRITES,
    Case,
    shared_case,
    version_of_k,
)
from tests.rigs import S3Rig

pytestmark = pytest.mark.s3


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
    @pytest.mark.parametrize("name", OPERATIONS | OPENINGS)
    def test_is_an_error_about_the_shelf(self, name: str, deserted: Case) -> None:
        operation = (OPERATIONS | OPENINGS)[name]
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
