"""One shelf for all tests of faults, with its place emptied before each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.providers.aws_s3.faults.operations import PATIENT, Case, shared_case
from tests.providers.aws_s3.rig import without_pauses
from tests.rigs import S3Rig


@pytest.fixture(scope="package", autouse=True)
def _no_pauses(quick_clients: None) -> Iterator[None]:
    """Retry without pauses, and as often as is asked for."""
    with without_pauses():
        yield


@pytest.fixture(scope="package")
def patient(s3_rig: S3Rig, _no_pauses: None) -> Case:
    """One shelf for all tests, since building a boto3 client is what takes longest."""
    return shared_case(s3_rig, s3_rig.config(**PATIENT))


@pytest.fixture
def case(s3: S3Rig, patient: Case) -> Iterator[Case]:
    case = replace(patient, opened=[])
    case.reset()
    yield case
    s3.proxy.clear()
    case.close()
