"""`expire`: deletes what is over, and nothing else."""

from __future__ import annotations

import pytest

import cshelve
from cshelve.providers.base import Capabilities
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over
from tests.clocks import Clock
from tests.rigs import Place, provider_of


class TestExpire:
    def test_deletes_what_is_over_and_counts_it(self, db: cshelve.CloudShelf, clock: Clock) -> None:
        db["for ever"] = 1
        db.set_many({f"more {number}": number for number in range(5)})
        for number in range(12):
            db.set(f"brief {number}", number, expire_after_seconds=1)
        clock.move(1)
        assert db.expire() == 13
        assert sorted(db) == ["for ever", *(f"more {number}" for number in range(5)), "there"]
        assert db.expire() == 0

    def test_leaves_what_is_no_record(self, db: cshelve.CloudShelf) -> None:
        provider_of(db).put("marker", b"")
        provider_of(db).put("junk", b"\0\2rx")
        assert db.expire() == 1
        assert sorted(db) == ["junk", "marker", "there"]

    def test_in_a_view_deletes_only_there(self, db: cshelve.CloudShelf, clock: Clock) -> None:
        db.set("users/ada", 1, expire_after_seconds=1)
        clock.move(1)
        assert db.prefix("users/").expire() == 1
        assert sorted(db) == ["over", "there"]

    def test_shows_progress(self, db: cshelve.CloudShelf) -> None:
        seen: list[cshelve.Progress] = []
        assert db.expire(progress=seen.append) == 1
        assert [each.done for each in seen] == [1, 2]

    def test_is_refused_by_a_shelf_that_only_reads(
        self, db: cshelve.CloudShelf, place: Place
    ) -> None:
        with pytest.raises(cshelve.ReadOnlyError, match="expire"):
            place.open("r").expire()
        assert len(db) == 2

    def test_deletes_from_a_sealed_shelf_too(self, place: Place, clock: Clock) -> None:
        key = cshelve.generate_key()
        place.config["signing"] = {"algorithm": "hmac-sha256", "key": key}
        db = place.open()
        db.set("over", "old", expire_after_seconds=10)
        db["there"] = 1
        clock.move(10)
        assert (db.get("over"), "over" in db) == (None, False)
        assert db.expire() == 1
        assert list(db.items()) == [("there", 1)]


def without_conditions(clock: Clock) -> InMemory:
    memory = InMemory(exists=True)
    memory.capabilities = Capabilities(
        conditional_put=False, conditional_delete=False, delete_reports=True
    )
    with shelf_over(memory) as db:
        db.set("over", 1, expire_after_seconds=1)
    clock.move(1)
    return memory


class TestAStoreWithoutConditions:
    def test_needs_the_promise_that_nobody_else_writes(self, clock: Clock) -> None:
        db = shelf_over(without_conditions(clock))
        with pytest.raises(
            cshelve.ConditionsNotSupportedError, match=r"call expire\(exclusive=True\)"
        ):
            db.expire()
        assert len(db) == 1
        assert db.expire(exclusive=True) == 1

    def test_that_turns_out_to_have_none_ends_it(self, clock: Clock) -> None:
        memory = InMemory(exists=True)
        with shelf_over(memory) as db:
            for key in "abc":
                db.set(key, 1, expire_after_seconds=1)
        clock.move(1)
        store = FailingProvider(memory)
        store.fail("delete", cshelve.ConditionsNotSupportedError("it cannot"), times=None)
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="exclusive") as caught:
            shelf_over(store).expire()
        assert caught.value.failed == 1


def test_a_failure_of_one_key_is_its_own(clock: Clock) -> None:
    memory = InMemory(exists=True)
    with shelf_over(memory) as db:
        for key in "abc":
            db.set(key, 1, expire_after_seconds=1)
    clock.move(1)
    store = FailingProvider(memory)
    store.fail("delete", cshelve.StorageError("it did not"), name="b")
    with pytest.raises(cshelve.BulkError, match="1 key could not be expired"):
        shelf_over(store).expire()
    assert list(shelf_over(memory)) == ["b"]
