"""The parts of a large shelf are about equally large, and few pages are listed to find them."""

from __future__ import annotations

import pytest

from tests.shelf.partitions.rig import (
    DISTRIBUTIONS,
    MANY,
    Bucket,
    distributed,
    folders_first,
    keys_of,
    over,
)


@pytest.mark.parametrize("n", [3, 12])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_largest_part_is_at_most_three_times_the_smallest(name: str, n: int) -> None:
    keys = distributed(name)
    with over(Bucket(keys)) as db:
        parts = db.partitions(n)
        sizes = [len(part) for part in parts]
    assert len(parts) == n
    assert sum(sizes) == len(set(keys))
    assert max(sizes) <= 3 * min(sizes)


def test_few_pages_of_a_large_shelf_are_listed() -> None:
    bucket = Bucket([f"{number * 7919 % 10**8:08x}" for number in range(300_000)])
    with over(bucket) as db:
        bucket.pages = 0
        db.partitions(4)
    assert bucket.pages < 90


@pytest.mark.parametrize("n", [3, 40])
def test_a_shelf_of_few_pages_is_split_exactly(n: int) -> None:
    bucket = Bucket(distributed("nested by date")[:9000])
    with over(bucket) as db:
        bucket.pages = 0
        parts = db.partitions(n)
        assert bucket.pages == 9
        sizes = [len(part) for part in parts]
    assert len(parts) == n
    assert max(sizes) - min(sizes) <= 1


def test_a_part_can_be_divided_further() -> None:
    with over(Bucket(keys := distributed("skewed"))) as db:
        part = db.partitions(3)[1]
        smaller = part.partitions(5)
        assert keys_of(smaller) == list(part.keys())
        sizes = [len(each) for each in smaller]
    assert len(smaller) == 5
    assert max(sizes) <= 3 * min(sizes)
    assert sum(sizes) < len(keys)


@pytest.mark.parametrize("names", ["a page", "a boundary"])
def test_a_server_with_another_order_is_listed_as_a_whole(names: str) -> None:
    # `my/…` is listed before all others, and not behind any of them.
    keys = [f"my-{number:08}" for number in range(MANY // 2)]
    keys += ["my/x", "my/y"] if names == "a page" else [f"my/{n:05}" for n in range(11_000)]
    with over(Bucket(keys, folders_first)) as db:
        parts = db.partitions(4)
        found = keys_of(parts)
        sizes = [len(part) for part in parts]
    assert sorted(found) == sorted(keys)
    assert max(sizes) - min(sizes) <= 1


def test_a_folder_beside_its_files_is_no_other_order() -> None:
    keys = [f"my-{number:08}" for number in range(MANY // 2)] + ["my/x", "my/y"]
    bucket = Bucket(keys)
    with over(bucket) as db:
        parts = db.partitions(4)
        bucket.pages = 0
        assert len(parts[0]) < len(keys) // 2
        assert bucket.pages < len(keys) // 2 // 1000  # It began where the part does.
        assert sorted(keys_of(parts)) == sorted(keys)
