"""Large shelves are counted and listed in parts, in order, and small ones as before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from cshelve._shelf import parallel_listing
from tests.shelf.partitions.rig import DISTRIBUTIONS, Bucket, distributed, folders_first, over


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_all_keys_are_listed_in_order_and_counted(name: str) -> None:
    expected = sorted(set(distributed(name)))
    with over(Bucket(expected)) as db:
        assert list(iter(db)) == expected
        assert len(db) == len(expected)


def test_part_of_a_large_shelf_is_a_view_with_its_own_keys() -> None:
    names = [f"{folder}/{number:06}" for folder in "ab" for number in range(30_000)]
    with over(Bucket(names)) as db:
        assert len(db.prefix("b/")) == 30_000


def test_large_parts_are_divided_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_listing, "KEYS_IN_A_ROW", 1500)
    monkeypatch.setattr(parallel_listing, "MOST_KEYS_OF_PART", 1500)
    keys = sorted(distributed("skewed"))
    with over(Bucket(keys)) as db:
        assert list(iter(db)) == sorted(set(keys))


@pytest.mark.parametrize("many", [0, 1, 999, 19_999])
def test_a_small_shelf_costs_no_page_more(many: int) -> None:
    bucket = Bucket([f"{number:06}" for number in range(many)])
    with over(bucket) as db:
        bucket.pages = 0
        assert len(db) == many
    assert bucket.pages <= max(1, -(-many // 1000))


def test_the_first_keys_cost_one_page() -> None:
    bucket = Bucket([f"{number:06}" for number in range(50_000)])
    with over(bucket) as db:
        bucket.pages = 0
        assert len(list(islice(db, 5))) == 5
        assert bucket.pages == 1


def test_a_server_with_another_order_is_listed_page_by_page() -> None:
    keys = [f"my/{number:08}" for number in range(25_000)] + [f"my-{n:05}" for n in range(25_000)]
    with over(bucket := Bucket(keys, folders_first)) as db:
        assert list(iter(db)) == bucket.listed
        assert len(db) == len(keys)


def test_pages_are_listed_at_the_same_time() -> None:
    class Meeting(Bucket):
        """It answers a page from a key on only once there are others, at least once."""

        barrier = threading.Barrier(4)

        def names(self, *arguments: str, **options: object) -> Iterator[str]:
            if options.get("start_after") and not met.is_set() and options.get("limit") is None:
                self.barrier.wait(10)
                met.set()
            return super().names(*arguments, **options)  # type: ignore[arg-type]

    met = threading.Event()
    with over(Meeting([f"{number:06}" for number in range(100_000)])) as db:
        assert len(db) == 100_000
    assert met.is_set()
