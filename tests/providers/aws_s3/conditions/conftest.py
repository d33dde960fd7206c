"""Shelves for conditional requests: one client for all, and no pauses between attempts."""

from __future__ import annotations

import pytest

import cshelve
from tests.providers.aws_s3.conditions.rig import ATTEMPTS
from tests.providers.aws_s3.rig import forget_conditions, warmed_up
from tests.rigs import Place, S3Rig, prefix_of, unique_name


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Leave out the pauses between attempts, ours and boto3's; ours are counted."""
    made: list[int] = []
    monkeypatch.setattr(
        "cshelve.providers.aws_s3.conditional._pause", lambda number, _: made.append(number)
    )
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    return made


@pytest.fixture(scope="package")
def home(s3_rig: S3Rig) -> Place:
    return Place(s3_rig.config(total_max_attempts=ATTEMPTS))


@pytest.fixture(scope="package")
def shared(home: Place) -> cshelve.CloudShelf:
    """A shelf that knows its server already; one for all, as building clients takes longest."""
    return warmed_up(home.open())


@pytest.fixture
def db(s3: S3Rig, shared: cshelve.CloudShelf) -> cshelve.CloudShelf:
    """A view that has no keys of other tests, so that nothing has to be deleted."""
    view = shared.prefix(f"{unique_name()}/")
    view["k"] = "old"
    return view


@pytest.fixture(scope="package")
def shared_other(s3_rig: S3Rig, home: Place) -> cshelve.CloudShelf:
    direct = {"provider_params": {"endpoint_url": s3_rig.server.endpoint_url}}
    return warmed_up(Place({**home.config, **direct}).open())


@pytest.fixture
def other(db: cshelve.CloudShelf, shared_other: cshelve.CloudShelf) -> cshelve.CloudShelf:
    """Another program's shelf in the same place, round the proxy."""
    return shared_other.prefix(prefix_of(db))


@pytest.fixture(scope="package")
def shared_forgetful(s3_rig: S3Rig) -> cshelve.CloudShelf:
    return Place(s3_rig.config(total_max_attempts=2)).open()


@pytest.fixture
def fresh(s3: S3Rig, shared_forgetful: cshelve.CloudShelf) -> cshelve.CloudShelf:
    """A shelf that has not found out anything; one for all, as building clients takes longest."""
    shared_forgetful.clear()
    shared_forgetful["k"] = "old"
    forget_conditions(shared_forgetful)
    return shared_forgetful
