"""What a part of a shelf is, in every store."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve._shelf import partitions, sampling
from tests.rigs import GcsRig, Place, S3Rig
from tests.shelf.partitions.rig import Bucket, keys_of, over

NESTED = {f"{a}/{b}-{c:02}": c for a in "xyz" for b in ("é", "b") for c in range(12)}


def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shelf of some keys be a large one."""
    monkeypatch.setattr(sampling, "KEYS_PER_PAGE", 8)
    monkeypatch.setattr(partitions, "KEYS_PER_PAGE", 8)
    monkeypatch.setattr(partitions, "PAGES_TO_SAMPLE", 3)


def test_every_pair_is_in_exactly_one_part(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    db = place.open()
    db.update(NESTED)
    for n in (1, 7, 200):
        parts = db.partitions(n)
        assert 1 <= len(parts) <= n
        pairs = [pair for part in parts for pair in part]
        assert len(pairs) == len(NESTED)
        assert dict(pairs) == NESTED
        assert [part.after for part in parts[1:]] == [part.until for part in parts[:-1]]
        assert (parts[0].after, parts[-1].until) == (None, None)


def test_what_a_part_has(place: Place) -> None:
    db = place.open()
    db.update({"a": 1, "b": 2, "c": 3, "d": 4})
    first, second = db.partitions(2)
    assert (list(first.keys()), list(second.keys())) == (["a", "b"], ["c", "d"])
    assert (len(first), len(second)) == (2, 2)
    assert list(first) == list(first.items()) == [("a", 1), ("b", 2)]


def test_a_key_that_is_written_later_is_in_one_part(place: Place) -> None:
    db = place.open()
    db.update({"a": 1, "b": 2, "c": 3, "d": 4})
    parts = db.partitions(3)
    db.update({"!": 0, "a0": 0, "zz": 0, "\U0001f511": 0})
    assert sorted(keys_of(parts)) == sorted(db)


def test_an_empty_shelf_has_one_part(place: Place) -> None:
    (part,) = place.open().partitions(5)
    assert list(part) == []
    assert len(part) == 0


def test_a_view_has_parts_of_its_own_keys(place: Place) -> None:
    db = place.open()
    db.update(NESTED)
    view = db.prefix("y/")
    parts = view.partitions(3)
    assert len(parts) == 3
    assert sorted(keys_of(parts)) == sorted(view)


def test_a_bad_record_is_left_out_as_elsewhere() -> None:
    bucket = Bucket(["bad", "k"])
    with over(bucket) as db:
        db["k"] = 1
        bucket.put("bad", b"\x00cshelve no record")
        (part,) = db.partitions(1)
        assert [key for key, _ in part.items(on_error="skip")] == ["k"]
        with pytest.raises(cshelve.RecordError):
            list(part)


@pytest.mark.parametrize("n", [0, -1, 1.5, None])
def test_a_number_that_is_none_is_refused(n: Any) -> None:
    with over(Bucket([])) as db, pytest.raises(cshelve.ConfigurationError, match="1 or more"):
        db.partitions(n)


def test_a_closed_shelf_has_no_parts() -> None:
    with over(Bucket(["a", "b"])) as db:
        part = db.partitions(2)[0]
    for use in (lambda: db.partitions(2), lambda: len(part)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_part_of_a_folder_can_be_sent_to_another_process(tmp_path: Any) -> None:
    config = {"default": {"provider": "filesystem", "folder_path": str(tmp_path / "shelf")}}
    with cshelve.open_from_dict(config) as db:
        db.update(NESTED)
        parts = db.prefix("y/").partitions(3)
        expected = [list(part) for part in parts]
        pickled = [pickle.dumps(part) for part in parts]
    assert max(map(len, pickled)) < 2000
    for data, pairs in zip(pickled, expected, strict=True):
        part = pickle.loads(data)
        with part.shelf:
            assert list(part) == pairs


def test_another_process_opens_the_shelf_of_a_part_once_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSHELVE_TEST_FOLDER", str(tmp_path / "shelf"))
    config = {"default": {"provider": "filesystem", "folder_path": "$CSHELVE_TEST_FOLDER"}}
    with cshelve.open_from_dict(config) as db:
        db.update(NESTED)
        part = db.prefix("y/").partitions(3)[1]
        pickled = pickle.dumps(part)
        pairs = list(part)
    monkeypatch.delenv("CSHELVE_TEST_FOLDER")
    other = pickle.loads(pickled)
    assert str(tmp_path / "shelf") in repr(other)
    assert other.__dask_tokenize__() == part.__dask_tokenize__()
    another = pickle.loads(pickle.dumps(other))
    with pytest.raises(cshelve.ConfigurationError, match="CSHELVE_TEST_FOLDER"):
        list(other)
    monkeypatch.setenv("CSHELVE_TEST_FOLDER", str(tmp_path / "shelf"))
    for each in (other, another):
        with each.shelf:
            assert list(each) == pairs


@pytest.mark.s3
@pytest.mark.once
def test_a_real_server_with_another_order_loses_no_key(
    s3: S3Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    keys = [f"my-{number:03}" for number in range(40)] + [f"my/{number}" for number in range(27)]
    keys += [f"other/{number:03}" for number in range(30)]
    with cshelve.open_from_dict(s3.config()) as db:
        db.update(dict.fromkeys(keys, 0))
        for n in (2, 5):
            parts = db.partitions(n)
            assert sorted(keys_of(parts)) == sorted(keys)


@pytest.mark.parametrize(
    "store",
    [
        pytest.param("s3", marks=[pytest.mark.s3, pytest.mark.once]),
        pytest.param("gcs", marks=pytest.mark.gcs),
    ],
)
def test_a_bucket_is_listed_from_the_beginning_of_a_part(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    small_pages(monkeypatch)
    rig: S3Rig | GcsRig = request.getfixturevalue(store)
    with cshelve.open_from_dict(rig.config()) as db:
        db.update({f"{number:04}": number for number in range(120)})
        parts = db.partitions(4)
        sizes = [len(part) for part in parts]
        assert sum(sizes) == 120
        assert max(sizes) <= 3 * min(sizes)
        assert all(part._is_sought for part in parts)
        for one, other in pairwise(parts):
            assert max(one.keys()) < min(other.keys())
        assert dict(pair for part in parts for pair in part) == dict(db.items())
