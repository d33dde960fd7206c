"""A shelf that soon gives up; one for all, since building a boto3 client is what takes longest."""

from __future__ import annotations

import pytest

import cshelve
from tests.providers.aws_s3.errors.rig import IMPATIENT
from tests.rigs import Place, S3Rig


@pytest.fixture(scope="package")
def shared(s3_rig: S3Rig) -> cshelve.CloudShelf:
    """One shelf for all tests here, since building a boto3 client is what takes longest."""
    return Place(s3_rig.config(**IMPATIENT)).open()


@pytest.fixture
def db(s3: S3Rig, shared: cshelve.CloudShelf) -> cshelve.CloudShelf:
    shared.clear()
    shared["k"] = "value"
    return shared
