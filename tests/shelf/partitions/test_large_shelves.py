"""Large shelves are counted and listed in parts, in order, and small ones as before."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from itertools import islice

import pytest

import cshelve
from cshelve._shelf import parallel_listing
from cshelve.providers import Outcome
from tests.rigs import S3Rig
from tests.shelf.partitions.rig import DISTRIBUTIONS, Bucket, distributed, folders_first, over


@pytest.fixture(autouse=True)
def _slow_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every store be as slow as one that is far away."""
    monkeypatch.setattr(parallel_listing, "SLOW_PAGE_SECONDS", 0)


def test_a_store_nearby_is_listed_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_listing, "SLOW_PAGE_SECONDS", 1)
    keys = [f"{number:06}" for number in range(50_000)]
    with over(bucket := Bucket(keys)) as db:
        bucket.pages = 0
        assert list(iter(db)) == keys
        assert bucket.pages == 50


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


def test_a_large_shelf_is_cleared_in_parts() -> None:
    class Emptied(Bucket):
        """It notes which names are deleted, and in which order."""

        def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
            for name in names:
                deleted.append(name)
                yield Outcome(name)

    deleted: list[str] = []
    keys = [f"{number:06}" for number in range(60_000)]
    with over(bucket := Emptied(keys)) as db:
        bucket.pages = 0
        db.clear()
        assert deleted == keys
        # Each page is counted once, and each listing from a key on once more.
        assert bucket.pages > 60 + 3
        deleted.clear()
        db.prefix("03").clear()
    assert deleted == keys[30_000:40_000]


@pytest.mark.s3
@pytest.mark.once
@pytest.mark.parametrize("prefix", ["", "my/"])
def test_a_bucket_is_cleared_in_parts_and_what_is_beside_them_stays(
    prefix: str, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_listing, "KEYS_IN_A_ROW", 10)
    keys = [f"my-{number:03}" for number in range(20)] + [f"my/{number}" for number in range(80)]
    config = s3.config()
    beside = {"default": {**config["default"], "key_prefix": s3.config()["default"]["key_prefix"]}}
    with (
        cshelve.open_from_dict(config) as db,
        cshelve.open_from_dict({**config, **beside}) as neighbour,
    ):
        neighbour["k"] = "stays"
        db.update(dict.fromkeys(keys, 0))
        with s3.proxy.counting() as seen:
            db.prefix(prefix).clear() if prefix else db.clear()
        assert sum("start-after" in request.query for request in seen.requests) > 3
        assert sorted(db) == ([key for key in keys if not key.startswith("my/")] if prefix else [])
        assert neighbour["k"] == "stays"
