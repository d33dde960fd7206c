"""When the store is asked, in each mode."""

from __future__ import annotations

import pytest

import cshelve
from tests import clocks
from tests.providers.caching.rig import Caches, Clock


class TestRevalidate:
    def test_each_read_asks_whether_the_copy_is_up_to_date(self, revalidating: Caches) -> None:
        with revalidating.shelf() as db:
            db["k"] = "value"
            assert revalidating.asked == ["put"]
            assert [db["k"], db["k"]] == ["value", "value"]
            assert revalidating.asked == ["get_if_changed", "get_if_changed"]

    def test_a_value_that_others_wrote_is_seen_at_once(self, revalidating: Caches) -> None:
        with revalidating.shelf() as db, cshelve.open_provider(revalidating.store) as other:
            db["k"] = "value"
            other["k"] = "theirs"
            assert db["k"] == "theirs"
            del other["k"]
            with pytest.raises(KeyError):
                db["k"]

    def test_many_are_revalidated_by_one_operation(self, revalidating: Caches) -> None:
        with revalidating.shelf() as db, cshelve.open_provider(revalidating.store) as other:
            for key in "abc":
                db[key] = key
            other["b"] = "theirs"
            other["d"] = "theirs"
            del other["c"]
            revalidating.store.reset()
            found = list(db.get_many(["c", "b", "x", "a", "d", "b"]))
            assert found == [("b", "theirs"), ("a", "a"), ("d", "theirs"), ("b", "theirs")]
            assert revalidating.asked == ["get_many_if_changed"]

    def test_a_failure_of_the_store_is_raised(self, revalidating: Caches) -> None:
        with revalidating.shelf() as db:
            db["k"] = "value"
            revalidating.store.inner._store.exists = False  # type: ignore[attr-defined]
            with pytest.raises(cshelve.DBDoesNotExistsError):
                db["k"]


class TestTtl:
    def test_a_copy_is_used_until_the_time_is_over(self, with_ttl: Caches, clock: Clock) -> None:
        with with_ttl.shelf() as db, cshelve.open_provider(with_ttl.store) as other:
            db["k"] = "value"
            other["k"] = "theirs"
            with_ttl.store.reset()
            clock.now += 59.9
            assert db["k"] == "value"
            assert with_ttl.asked == []
            clock.now += 0.2
            assert db["k"] == "theirs"
            assert with_ttl.asked == ["get_if_changed"]

    def test_an_answer_that_it_is_up_to_date_begins_the_time_anew(
        self, with_ttl: Caches, clock: Clock
    ) -> None:
        with with_ttl.shelf() as db:
            db["k"] = "value"
            clock.now += 61
            assert db["k"] == "value"
            assert with_ttl.asked == ["put", "get_if_changed"]
            clock.now += 59
            assert db["k"] == "value"
            assert with_ttl.asked == []

    def test_using_a_copy_makes_it_neither_older_nor_newer(
        self, with_ttl: Caches, clock: Clock
    ) -> None:
        clock.now += 0.0004
        with with_ttl.shelf() as db:
            db["k"] = "value"
            with_ttl.store.reset()
            clock.now += 59.9
            for _ in range(300):
                assert db["k"] == "value"
            assert with_ttl.asked == []
            clock.now += 0.2
            assert db["k"] == "value"
            assert with_ttl.asked == ["get_if_changed"]

    def test_a_copy_of_the_future_is_not_used(self, with_ttl: Caches, clock: Clock) -> None:
        with with_ttl.shelf() as db:
            db["k"] = "value"
            clock.now -= 3600  # The clock was set back.
            assert db["k"] == "value"
            assert with_ttl.asked == ["put", "get_if_changed"]

    def test_many_are_read_without_a_request(self, with_ttl: Caches, clock: Clock) -> None:
        with with_ttl.shelf() as db:
            for number in range(100):
                db[str(number)] = number
            with_ttl.store.reset()
            assert len(list(db.get_many(map(str, range(100))))) == 100
            assert with_ttl.asked == []


class TestImmutable:
    def test_a_value_is_read_once(self, immutable: Caches) -> None:
        with cshelve.open_provider(immutable.store) as other:
            other["k"] = "value"
            with immutable.shelf() as db:
                assert [db["k"], db["k"]] == ["value", "value"]
                assert immutable.asked == ["get"]
                other["k"] = "theirs"
                immutable.store.reset()
                assert db["k"] == "value"
                assert immutable.asked == []

    def test_hits_and_misses_stay_in_order(self, immutable: Caches) -> None:
        keys = [str(number) for number in range(60)]
        with immutable.shelf() as db:
            for key in keys:
                db[key] = key
            db.delete_many(keys)
            for key in keys[::3] + keys[:20]:
                db[key] = key
            db.set_many((key, key) for key in keys[1::3])
            there = [key for key in keys if key in db]
            immutable.store.reset()
            assert list(db.get_many(keys)) == [(key, key) for key in there]
            asked = {name for call in immutable.store.calls for name in call.names}
            # `set_many` only drops what it writes.
            assert not asked & ({*keys[::3], *keys[:20]} - {*keys[1::3]})

    def test_an_absent_key_is_looked_for_again(self, immutable: Caches) -> None:
        with immutable.shelf() as db, cshelve.open_provider(immutable.store) as other:
            assert db.get("k") is None
            other["k"] = "theirs"
            assert db["k"] == "theirs"


@pytest.mark.parametrize("mode", ["revalidate", "ttl", "immutable"])
def test_values_expire_as_in_the_store(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    caches, of_values = Caches(None, mode), clocks.Clock()
    of_values.rule(monkeypatch)
    with caches.shelf() as db:
        db.set("k", "value", expire_after_seconds=60)
        assert db["k"] == "value"
        of_values.move(61)
        assert db.get("k") is None
        assert "k" not in db
