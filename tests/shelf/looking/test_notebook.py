"""What a notebook shows of a shelf: one listing, everything escaped, never an error."""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path

import pytest

import cshelve
from cshelve.providers import InMemory
from cshelve.testing import CountingProvider, FailingProvider, shelf_over
from tests.rigs import Place, S3Rig, local_config

HOSTILE = "<script>alert('x')</script>"


def html(db: cshelve.CloudShelf) -> str:
    return db._repr_html_()


def test_it_shows_the_first_keys_with_sizes_and_dates(place: Place) -> None:
    db = place.open()
    db.update({f"key-{number:02}": "x" * 2000 for number in range(20)})
    shown = html(db)
    assert escape(db.provider.location) in shown
    assert all(f"<code>key-{number:02}</code>" in shown for number in range(20))
    assert shown.count("2.0 kB") == 20
    assert f"{datetime.now():%Y-}" in shown
    assert "there are more" not in shown
    db["key-20"] = 1
    assert html(db).count("<code>") == 20
    assert "there are more" in html(db)


def test_it_shows_a_view_by_its_own_keys(place: Place) -> None:
    db = place.open()
    db.update({"a/<b>": 1, "other": 2})
    shown = html(db.prefix("a/"))
    assert "<code>&lt;b&gt;</code>" in shown
    assert "other" not in shown
    assert "&#x27;a/&#x27;" in shown


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (HOSTILE, "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;"),
        ("a\nb\u202ec", r"a\nb\u202ec"),
        ("clé", "clé"),
        ("x" * 900, "x" * 80 + "…"),
    ],
)
def test_a_key_is_escaped(key: str, expected: str) -> None:
    with shelf_over(InMemory(exists=True)) as db:
        db[key] = 1
        assert f"<code>{expected}</code>" in html(db)


def test_it_is_one_listing_and_reads_no_value() -> None:
    store = CountingProvider(InMemory(exists=True))
    with shelf_over(store) as db:
        db.update(a=1, b=2)
        store.reset()
        html(db)
        assert store.counts == {"entries": 1}
        store.reset()
        assert db._ipython_key_completions_() == ["a", "b"]
        assert store.counts == {"names": 1}


@pytest.mark.s3
def test_it_is_one_request_of_s3(s3: S3Rig, s3_place: Place) -> None:
    db = s3_place.open()
    db.update({f"{number:02}": number for number in range(25)})
    with s3.proxy.counting() as seen:
        shown = html(db)
    assert seen.operations == ["ListObjectsV2"]
    assert "max-keys=21" in seen.requests[0].query
    assert "(engine " in shown
    with s3.proxy.counting() as seen:
        assert len(db._ipython_key_completions_()) == 25
    assert seen.operations == ["ListObjectsV2"]


def test_an_empty_shelf_says_so(place: Place) -> None:
    assert "It is empty" in html(place.open())


def test_a_closed_shelf_says_so(place: Place) -> None:
    db = place.open()
    db.close()
    assert "closed" in html(db)
    assert db._ipython_key_completions_() == []


@pytest.mark.parametrize("error", [cshelve.StorageError(HOSTILE), RuntimeError(HOSTILE)])
def test_a_failing_store_is_shown_and_not_raised(error: Exception) -> None:
    store = FailingProvider(InMemory(exists=True))
    store.fail("entries", error, times=None)
    store.fail("names", error, times=None)
    with shelf_over(store) as db:
        shown = html(db)
        assert f"{type(error).__name__}: &lt;script&gt;" in shown
        assert HOSTILE not in shown
        assert db._ipython_key_completions_() == []


def test_a_local_shelf_is_shown_without_reading_values(tmp_path: Path) -> None:
    db = Place(local_config(tmp_path / "shelf")).open()
    db["k"] = 1
    gets = db.provider.stats.requests["get"]
    assert "<code>k</code>" in html(db)
    assert db.provider.stats.requests["get"] == gets
    db.close()
