"""One shelf for all tests of large values, which leave nothing in its place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cshelve
from tests.providers.aws_s3.large_values.rig import OPTIONS, SMALL, Case
from tests.providers.aws_s3.rig import threads_left, warmed_up, without_pauses
from tests.rigs import S3Rig


@pytest.fixture(scope="package")
def _no_pauses() -> Iterator[None]:
    """Retry without pauses, and as often as is asked for."""
    with without_pauses():
        yield


@pytest.fixture(scope="package")
def shared(s3_rig: S3Rig, _no_pauses: None) -> Iterator[Case]:
    config = s3_rig.config(**OPTIONS)
    with cshelve.open_from_dict(config) as db:
        yield Case(s3_rig, config, warmed_up(db, SMALL))  # This builds its second client too.


@pytest.fixture
def case(shared: Case, s3: S3Rig) -> Iterator[Case]:
    case = Case(s3, shared.config, shared.db)
    yield case
    s3.proxy.clear()
    for shelf in case.opened:
        shelf.close()
    case.db.clear()
    assert case.uploads() == []
    assert threads_left() == []
