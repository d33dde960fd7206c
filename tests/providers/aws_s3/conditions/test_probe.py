"""The probe: made once before the first conditional write of its kind, and unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import cshelve
from cshelve.providers.aws_s3.bucket import PROBE
from testbed.faults import AfterActing
from tests.providers.aws_s3.conditions.rig import (
    BROKEN,
    DELETE,
    PROBE_ABSENT,
    PROBE_DELETE,
    PROBE_UNCHANGED,
    PROBES,
    PUT,
    kinds,
    names_in_bucket,
    probes,
    replace_it,
)
from tests.rigs import Place, S3Rig, object_of

pytestmark = pytest.mark.s3


class TestTheProbe:
    @pytest.mark.parametrize("operation", PROBES)
    def test_is_made_before_the_first_conditional_write_of_its_kind(
        self, operation: str, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        act, expected = PROBES[operation]
        with s3.proxy.counting() as seen:
            act(fresh)
        assert kinds(probes(seen)) == expected
        # The write that it is about comes behind it.
        assert seen.requests[-1] not in probes(seen)
        assert seen.requests[-1].operation in {PUT, DELETE}

    @pytest.mark.parametrize("operation", PROBES)
    def test_is_made_once(self, operation: str, s3: S3Rig, fresh: cshelve.CloudShelf) -> None:
        act, _ = PROBES[operation]
        act(fresh)
        fresh["k"] = "old"
        fresh.delete_many(["n"])
        with s3.proxy.counting() as seen:
            act(fresh.prefix(""))
            fresh["k"] = "old"
            fresh.modify("k", str.upper)
        assert probes(seen) == []

    def test_of_every_kind_is_seven_requests_in_all_for_a_new_shelf(
        self, s3: S3Rig, s3_place: Place
    ) -> None:
        with s3.proxy.counting() as seen:
            new = s3_place.open()
            new.setdefault("k", "old")
            replace_it(new)
            new.pop("k")
        assert kinds(probes(seen)) == PROBE_UNCHANGED + PROBE_ABSENT + PROBE_DELETE

    def test_is_made_by_nothing_that_has_no_condition(
        self, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            fresh.update(a=1, b=2)
            fresh.setdefault("k", "default")
            assert fresh.pop("absent", None) is None
            assert fresh.get_versioned("k")[0] == "old"
            del fresh["a"]
            assert dict(fresh.items()) == {"b": 2, "k": "old"}
            fresh.clear()
            with pytest.raises(KeyError):
                fresh.popitem()
        assert probes(seen) == []

    def test_uses_names_inside_the_prefix_that_are_no_keys(
        self, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            fresh.setdefault("n", 1)
            fresh.pop("n")
        used = {request.key for request in probes(seen)}
        assert len(used) == 3
        assert all(name.startswith(object_of(fresh, PROBE)) for name in used)

    def test_leaves_nothing_in_the_bucket(self, s3: S3Rig, fresh: cshelve.CloudShelf) -> None:
        fresh.setdefault("n", 1)
        fresh.pop("n")
        replace_it(fresh)
        assert names_in_bucket(s3, fresh) == ["k"]

    @pytest.mark.parametrize("operation", ["setdefault", "pop", "replace"])
    def test_is_one_for_many_threads_that_begin_at_once(
        self, operation: str, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        many = 8
        fresh.update({f"k{number}": number for number in range(many)})
        act: dict[str, Callable[[int], Any]] = {
            "setdefault": lambda number: fresh.setdefault(f"n{number}", number),
            "pop": lambda number: fresh.pop(f"k{number}"),
            "replace": lambda number: fresh.replace(
                f"k{number}", "new", fresh.get_versioned(f"k{number}")[1]
            ),
        }
        barrier = threading.Barrier(many)

        def run(number: int) -> None:
            barrier.wait(10)
            act[operation](number)

        with s3.proxy.counting() as seen, ThreadPoolExecutor(many) as pool:
            for _ in pool.map(run, range(many)):
                pass
        assert kinds(probes(seen)) == PROBES[operation][1]

    def test_that_boto3_repeats_takes_its_own_object_for_an_answer(
        self, s3: S3Rig, fresh: cshelve.CloudShelf
    ) -> None:
        # The first of the two puts that are made if nothing is there.
        s3.proxy.inject(AfterActing(BROKEN), operation=PUT, after=1)
        assert fresh.setdefault("n", 1) == 1
        assert names_in_bucket(s3, fresh) == ["k", "n"]


class TestNamesOfAProbe:
    """As a program leaves one behind that is killed while it probes."""

    @pytest.fixture
    def db(self, s3: S3Rig, fresh: cshelve.CloudShelf) -> Iterator[cshelve.CloudShelf]:
        name = object_of(fresh, f"{PROBE}0123456789abcdef")
        s3.client.put_object(Bucket=s3.bucket, Key=name, Body=b"")
        yield fresh
        s3.client.delete_object(Bucket=s3.bucket, Key=name)

    def test_are_in_no_listing(self, db: cshelve.CloudShelf) -> None:
        assert len(db) == 1
        assert list(db) == ["k"]
        assert list(db.keys()) == ["k"]
        assert list(db.items()) == [("k", "old")]
        assert list(db.values()) == ["old"]
        assert db == {"k": "old"}

    def test_do_not_make_a_shelf_true(self, db: cshelve.CloudShelf) -> None:
        del db["k"]
        assert not db

    def test_are_nothing_that_popitem_takes(self, db: cshelve.CloudShelf) -> None:
        assert db.popitem() == ("k", "old")
        with pytest.raises(KeyError):
            db.popitem()

    def test_do_not_keep_clear_from_its_work(self, db: cshelve.CloudShelf) -> None:
        db.clear()
        assert list(db) == []

    def test_are_not_copied_by_a_prefix_view(self, db: cshelve.CloudShelf) -> None:
        assert dict(db.prefix("").items()) == {"k": "old"}
        assert dict(db.prefix(".").items()) == {}


def test_a_name_of_the_probe_is_no_key(s3: S3Rig) -> None:
    db = Place(s3.config()).open()
    with pytest.raises(cshelve.KeyNotStorableError, match="the shelf's own"):
        db[".cshelve-probe-x"] = 1
    assert ".cshelve-probe-x" not in db
    assert db.get(".cshelve-probe-x") is None
