"""The counters of a provider, a measured part of them, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import Stats
from tests.rigs import folder_config, local_config, memory_config
from tests.threads import in_threads

LARGE = 2**30


def of_s3(**requests: int) -> Stats:
    stats = Stats()
    stats.engine = "direct"
    stats.requests.update(requests)
    return stats


class TestMeasuring:
    def test_only_what_ends_in_the_block_counts(self) -> None:
        stats = Stats()
        stats.count("get", received=1)
        with stats.measuring() as used:
            stats.count("get", received=2, seconds=0.5)
            stats.count("put", sent=3, seconds=0.25, attempt=2)
        stats.count("get", received=4)
        assert used.requests == {"get": 1, "put": 1}
        assert (used.bytes_sent, used.bytes_received, used.retries) == (3, 2, 1)
        assert used.waited_seconds == 0.75

    def test_blocks_may_be_nested(self) -> None:
        stats = Stats()
        with stats.measuring() as outer:
            stats.count("get")
            with stats.measuring() as inner:
                stats.count("get")
        assert (outer.requests, inner.requests) == ({"get": 2}, {"get": 1})

    def test_it_is_filled_if_the_block_fails(self) -> None:
        stats = Stats()
        with pytest.raises(TypeError), stats.measuring() as used:
            stats.count("get", received="many")  # type: ignore[arg-type]  # which fails
        assert used.requests == {"get": 1}


@pytest.mark.parametrize("store", ["memory", "folder", "local"])
def test_every_store_counts_operations_and_bytes_and_costs_nothing(
    store: str, tmp_path: Path
) -> None:
    configs: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
        "memory": memory_config,
        "folder": lambda: folder_config(tmp_path / "shelf"),
        "local": lambda: local_config(tmp_path / "shelf"),
    }
    with cshelve.open_from_dict(configs[store]()) as db:
        with db.stats.measuring() as used:
            db["k"] = "value"
            assert db["k"] == "value"
        assert used.requests == {"put": 1, "get": 1}
        assert used.bytes_sent == used.bytes_received > len("value")
        assert used.engine is None
        assert used.cost().total == 0


def test_many_threads_may_count() -> None:
    stats = Stats()

    def count(_: int) -> None:
        for _ in range(1000):
            stats.count("get", received=2)

    in_threads(8, count)
    assert (stats.requests, stats.bytes_received) == ({"get": 8000}, 16000)


class TestCost:
    def test_by_the_list_prices(self) -> None:
        assert of_s3(PutObject=1000).cost() == (0.005, 0)
        assert of_s3(ListObjectsV2=1000).cost() == (0.005, 0)
        assert of_s3(GetObject=500, HeadObject=500).cost() == (0.0004, 0)
        assert of_s3(DeleteObject=1000, AbortMultipartUpload=1).cost() == (0, 0)

    def test_received_bytes_cost_something_and_sent_ones_nothing(self) -> None:
        stats = of_s3()
        stats.count("GetObject", sent=LARGE, received=LARGE)
        assert stats.cost().received == 0.09
        assert stats.cost().total == pytest.approx(0.09 + 0.0000004)

    def test_by_other_prices(self) -> None:
        prices = cshelve.Prices(per_1000_puts=1, per_1000_gets=2, per_gb_received=0)
        stats = of_s3(PutObject=1000, GetObject=1000)
        stats.bytes_received = LARGE
        assert stats.cost(prices).total == 3

    def test_of_a_part(self) -> None:
        stats = of_s3(PutObject=1000)
        with stats.measuring() as used:
            stats.count("PutObject")
        assert used.cost().total == 0.000005


def test_the_repr_says_it_all() -> None:
    stats = of_s3(GetObject=1)
    assert repr(stats) == (
        "Stats(requests={'GetObject': 1}, bytes_sent=0, bytes_received=0, retries=0, "
        "waited_seconds=0.000, engine='direct')"
    )
