"""The pages of a folder: each row once, whatever the order of the store, and few requests."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cshelve
from cshelve.cli.browse import listing
from cshelve.cli.browse.listing import page_of
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over
from tests.rigs import S3Rig, small_pages

KEYS = st.sets(st.text("a-/0\U0010ffff", min_size=1, max_size=5), max_size=40)


def pages(db: cshelve.CloudShelf, prefix: str = "", rows: int = 200) -> list[list[str]]:
    """Return the names of the rows of all pages."""
    found, after = [], ""
    while True:
        page = page_of(db, prefix, after, rows)
        found.append([row.name for row in page.rows])
        if page.next_after is None:
            return found
        after = page.next_after


def names(db: cshelve.CloudShelf, prefix: str = "", rows: int = 200) -> list[str]:
    return [name for page in pages(db, prefix, rows) for name in page]


def expected(keys: set[str], prefix: str) -> set[str]:
    """Return the rows of a folder: S3's keys and common prefixes, with the delimiter `/`."""
    rests = {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}
    return {prefix + (rest.partition("/")[0] + "/" if "/" in rest else rest) for rest in rests}


@given(KEYS, st.text("a-/", max_size=3), st.integers(1, 5), st.integers(1, 4))
def test_each_row_is_on_one_page(keys: set[str], prefix: str, rows: int, before_skip: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "KEYS_BEFORE_SKIP", before_skip)
        patch.setattr(listing, "MOST_KEYS", 6000)
        with shelf_over(InMemory(exists=True)) as db:
            db.update(dict.fromkeys(keys))
            found = names(db, prefix, rows)
            assert sorted(found) == sorted(expected(keys, prefix))
            assert found == sorted(found)


# Files beside folders of the same name, whose names sort before a slash.
BESIDE = {"a", "a-1", "a-2", "a.txt", "a/1", "a/2", "a/3", "a/b/1", "a0", "b/1", "b-1", "b-/1", "z"}


@pytest.mark.s3
@pytest.mark.once
def test_the_order_of_seaweedfs_loses_nothing(s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lists the tree of its folders, and omits a folder behind the key of the same name."""
    prefixes = ("", "a", "a/", "b", "b-", "a/b/", "nosuch")
    with cshelve.open_from_dict(s3.config_past_the_proxy()) as db:
        for key in sorted(BESIDE):  # At the same time, it may lose the folder or the file `a`.
            db[key] = None
        for before_skip, rows, prefix in product([1, 2, 1000], [1, 2, 3, 200], prefixes):
            monkeypatch.setattr(listing, "KEYS_BEFORE_SKIP", before_skip)
            assert sorted(names(db, prefix, rows)) == sorted(expected(BESIDE, prefix))


@pytest.mark.s3
@pytest.mark.once
def test_a_large_folder_costs_few_requests(s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch, 100)
    monkeypatch.setattr(listing, "KEYS_BEFORE_SKIP", 100)
    with cshelve.open_from_dict(s3.config()) as db:
        db.update({f"logs/{number:05}": None for number in range(320)} | {"zebra": None})
        with db.stats.measuring() as used:
            assert pages(db) == [["logs/", "zebra"]]
    # One page of the folder, and two ways behind it; without skipping, these are four pages.
    assert sum(used.requests.values()) <= 3


def test_a_page_ends_early_if_it_costs_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_KEYS", 100)
    with shelf_over(InMemory(exists=True)) as db:
        db.update(dict.fromkeys(f"{a:02}/{b:02}" for a in range(20) for b in range(30)))
        found = pages(db)
    assert len(found) > 4
    assert all(found)
    assert [name for page in found for name in page] == [f"{a:02}/" for a in range(20)]


def test_a_page_has_two_hundred_rows() -> None:
    with shelf_over(InMemory(exists=True)) as db:
        db.update(dict.fromkeys(map(str, range(450))))
        assert [len(page) for page in pages(db)][:2] == [200, 200]
