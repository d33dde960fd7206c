"""Values stream: a shelf of many holds few of them at a time."""

from __future__ import annotations

import pytest

import cshelve
from tests.rigs import S3Rig
from tests.scripts import PEAK, result_of

VALUE_BYTES = 1_000_000

STREAM_FROM_MEMORY = f"""
{PEAK}
from cshelve.providers.base import Item
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over

way, MANY = arguments

class MadeWhenAsked(InMemory):
    def names(self, prefix="", *, start_after=None, limit=None):
        return (str(number) for number in range(MANY))

    def get(self, name):
        return Item(bytes(memoryview(RECORD)), "1")

store = MadeWhenAsked(exists=True)
store.concurrency = 32
with shelf_over(store) as db:
    db["0"] = bytes({VALUE_BYTES})
    RECORD = InMemory.get(store, "0").data
    pairs = db.items() if way == "items" else db.get_many(map(str, range(MANY)))
    count = sum(len(value) for _, value in pairs) // {VALUE_BYTES}
    assert count == MANY, count
print(peak())
"""

STREAM_THROUGH_S3 = f"""
import os
import cshelve
{PEAK}
MANY = arguments
with cshelve.open_from_dict(config) as db:
    for way in range(2):
        # What the libraries take for themselves is taken once.
        db.set_many((str(number), os.urandom({VALUE_BYTES})) for number in range(8))
        assert len(list(db.get_many(map(str, range(8))))) == 8
    before = peak()
    db.set_many((f"{{number:03}}", os.urandom({VALUE_BYTES})) for number in range(MANY))
    written = peak()
    count = sum(len(value) for _, value in db.items()) // {VALUE_BYTES}
    assert count == MANY + 8, count
    read = peak()
print([before, written, read])
"""


@pytest.mark.parametrize("way", ["items", "get_many"])
def test_hundreds_of_values_of_a_megabyte_stream_through_little_memory(way: str) -> None:
    most = result_of(STREAM_FROM_MEMORY, arguments=[way, 300], seconds=120)
    assert most < 200 * VALUE_BYTES


@pytest.mark.s3
def test_values_stream_to_and_from_a_server_through_little_memory(s3: S3Rig) -> None:
    many = 30
    config = s3.config(concurrency=8)
    config["provider_params"]["endpoint_url"] = s3.server.endpoint_url
    try:
        before, written, read = result_of(STREAM_THROUGH_S3, config, arguments=many, seconds=120)
    finally:
        cshelve.open_from_dict(config, "n").close()
    assert written - before < many / 2 * VALUE_BYTES
    assert read - before < many / 2 * VALUE_BYTES
