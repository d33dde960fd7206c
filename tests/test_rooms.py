"""How many files an operation passes through, at most: a budget that a change may lower."""

from __future__ import annotations

import sys

import pytest

from benchmarks.rooms import MEMORY, Config, operations
from tests.rigs import S3Rig

# At most so many files: (in memory, boto3, direct). `python -m benchmarks.rooms` prints what they
# are, with the calls and the moves between files beside them.
MOST_FILES = {
    "`db[k] = v`": (9, 15, 15),
    "`db[k]`": (8, 14, 14),
    "`set_many` of one": (13, 17, 20),
    "`get_many` of one": (13, 17, 20),
    "`open`": (21, 34, 35),
}
STORES = ("in memory", "boto3", "direct")


@pytest.fixture(autouse=True)
def _no_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count as in a program without OpenTelemetry, which another test may have imported."""
    monkeypatch.delitem(sys.modules, "opentelemetry", raising=False)


def assert_within_budget(store: str, config: Config) -> None:
    files = {name: len(rooms.files) for name, rooms in operations(config).items()}
    assert files.keys() == MOST_FILES.keys()
    most = {name: numbers[STORES.index(store)] for name, numbers in MOST_FILES.items()}
    assert {name: number for name, number in files.items() if number > most[name]} == {}


def test_a_shelf_in_memory_passes_through_few_files() -> None:
    assert_within_budget("in memory", MEMORY)


@pytest.mark.s3
@pytest.mark.once
@pytest.mark.parametrize("engine", ["boto3", "direct"])
def test_a_shelf_in_a_bucket_passes_through_few_files(s3: S3Rig, engine: str) -> None:
    assert_within_budget(engine, s3.config(engine=engine))
