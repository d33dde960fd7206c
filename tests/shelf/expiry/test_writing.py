"""What gives a value its time, and what replaces an expired one."""

from __future__ import annotations

import math
from typing import Any

import pytest

import cshelve
from tests.clocks import Clock
from tests.rigs import Place


def seconds_left(db: cshelve.CloudShelf, key: str, clock: Clock) -> float:
    """Return how long a value still lives, by the record in the store."""
    found = db.provider.expires_at(key)
    assert found is not None
    return round(found - clock.time, 3)


class TestTheConfiguredTime:
    def test_is_that_of_every_value(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief["a"] = 1
        brief.update(b=1)
        brief.set_many({"c": 1})
        brief.setdefault("d", 1)
        brief.modify("e", lambda n: n + 1, default=0)
        brief.replace("f", 1, None)
        brief.dict[b"g"] = b"payload"
        assert {seconds_left(brief, key, clock) for key in "abcdefg"} == {10}
        clock.move(10)
        assert list(brief.items()) == []
        assert not any(key in brief for key in "abcdefg")

    def test_starts_anew_when_a_value_is_set(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief["k"] = 1
        clock.move(7)
        brief["k"] = 2
        clock.move(7)
        assert brief["k"] == 2

    def test_starts_anew_when_a_version_is_replaced(
        self, brief: cshelve.CloudShelf, clock: Clock
    ) -> None:
        brief["k"] = 1
        clock.move(7)
        brief.replace("k", 2, brief.get_versioned("k")[1])
        assert seconds_left(brief, "k", clock) == 10

    def test_is_for_ever_without_the_option(self, place: Place, clock: Clock) -> None:
        db = place.open()
        db["k"] = 1
        assert db.provider.expires_at("k") == math.inf

    def test_is_kept_in_views(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief.prefix("users/")["ada"] = 1
        assert seconds_left(brief, "users/ada", clock) == 10


class TestSet:
    def test_gives_a_value_a_time_of_its_own(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief.set("k", 1, expire_after_seconds=99.5)
        assert seconds_left(brief, "k", clock) == 99.5

    def test_can_make_it_stay_for_ever(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief.set("k", 1, expire_after_seconds=math.inf)
        clock.move(1e9)
        assert brief["k"] == 1
        assert "k" in brief

    def test_without_a_duration_takes_the_configured_one(
        self, brief: cshelve.CloudShelf, clock: Clock
    ) -> None:
        brief.set("k", 1)
        assert seconds_left(brief, "k", clock) == 10

    def test_takes_a_duration_longer_than_any_life(
        self, brief: cshelve.CloudShelf, clock: Clock
    ) -> None:
        brief.set("k", 1, expire_after_seconds=1e300)
        assert "k" in brief
        assert brief["k"] == 1

    def test_takes_no_other_duration(self, brief: cshelve.CloudShelf) -> None:
        others: list[Any] = [0, -1, math.nan, -math.inf, True, "10", [10]]
        for seconds in others:
            with pytest.raises(
                cshelve.ConfigurationError, match=r"expire_after_seconds: .*above zero"
            ):
                brief.set("k", 1, expire_after_seconds=seconds)
        assert "k" not in brief

    def test_checks_the_key_and_the_flag(self, brief: cshelve.CloudShelf, place: Place) -> None:
        with pytest.raises(cshelve.KeyTypeError):
            brief.set(5, 1, expire_after_seconds=1)  # type: ignore[arg-type]  # the test
        with pytest.raises(cshelve.ReadOnlyError):
            place.open("r").set("k", 1, expire_after_seconds=1)


class TestTheTimeThatIsThere:
    def test_is_kept_by_modify(self, db: cshelve.CloudShelf, clock: Clock) -> None:
        db.set("k", 1, expire_after_seconds=10)
        clock.move(4)
        assert db.modify("k", lambda n: n + 1) == 2
        assert seconds_left(db, "k", clock) == 6
        clock.move(6)
        with pytest.raises(KeyError):
            db.modify("k", lambda n: n + 1)

    def test_is_not_added_by_modify(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief.set("k", 1, expire_after_seconds=math.inf)
        brief.modify("k", lambda n: n + 1)
        assert brief.provider.expires_at("k") == math.inf

    def test_is_kept_by_rewrite(self, place: Place, clock: Clock) -> None:
        value = "a value that compresses " * 20
        with place.open() as db:
            db.set("k", value, expire_after_seconds=10)
            db.set("over", value, expire_after_seconds=1)
            db["for ever"] = value
        clock.move(4)
        place.config["compression"] = {"algorithm": "zlib"}
        place.config["default"]["expire_after_seconds"] = 1000
        db = place.open()
        assert db.rewrite() == 3
        assert seconds_left(db, "k", clock) == 6
        assert seconds_left(db, "over", clock) == -3
        assert db.provider.expires_at("for ever") == math.inf
        assert db.rewrite() == 0
        assert dict(db.items()) == {"k": value, "for ever": value}

    def test_stays_readable_after_its_key_was_rotated_away(
        self, place: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = cshelve.generate_key(), cshelve.generate_key()
        monkeypatch.setenv("OLD_KEY", old)
        place.config["signing"] = {"algorithm": "hmac-sha256", "key": old}
        with place.open() as db:
            db.set("over", 1, expire_after_seconds=1)
        clock.move(1)
        place.config["signing"] = {
            "algorithm": "hmac-sha256",
            "key": new,
            "previous_environment_keys": "OLD_KEY",
        }
        with place.open() as db:
            assert db.rewrite() == 1
        place.config["signing"] = {"algorithm": "hmac-sha256", "key": new}
        assert place.open().get("over") is None


class TestAnExpiredKey:
    def test_is_replaced_by_setdefault(self, db: cshelve.CloudShelf) -> None:
        assert db.setdefault("over", "new") == "new"
        assert db["over"] == "new"
        assert db.setdefault("there", "new") == "value"

    def test_is_the_default_for_modify(self, db: cshelve.CloudShelf) -> None:
        assert db.modify("over", lambda text: text + "!", default="new") == "new!"
        assert db["over"] == "new!"

    def test_is_missing_for_modify_without_a_default(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyNotFoundError):
            db.modify("over", lambda text: text + "!")

    def test_can_be_deleted_by_modify(self, db: cshelve.CloudShelf) -> None:
        db.modify("over", lambda text: cshelve.DELETE, default="new")
        assert sorted(db) == ["there"]

    def test_is_replaced_where_it_has_to_be_missing(self, db: cshelve.CloudShelf) -> None:
        version = db.replace("over", "new", None)
        assert db.get_versioned("over") == ("new", version)
        for key in ("over", "there"):
            with pytest.raises(cshelve.ConflictError):
                db.replace(key, "newer", None)

    def test_is_replaced_by_what_is_set(self, db: cshelve.CloudShelf) -> None:
        db["over"] = "new"
        assert db["over"] == "new"
        assert "over" in db
