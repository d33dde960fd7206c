"""`expire_after_seconds`: where it may be, and where values cannot expire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Provider
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider
from tests.clocks import Clock
from tests.rigs import local_config, memory_config, unique_name


def opened(**default: Any) -> cshelve.CloudShelf:
    config = memory_config()
    config["default"] |= default
    return cshelve.open_from_dict(config)


class TestTheOption:
    @pytest.mark.parametrize("written", [60, "60", "0.5", 1e9])
    def test_is_a_number_above_zero(self, written: Any, clock: Clock) -> None:
        with opened(expire_after_seconds=written) as db:
            db["k"] = 1
            assert db.provider.expires_at("k") == clock.time + float(written)

    @pytest.mark.parametrize("written", [0, -1, "inf", "nan", "an hour", True])
    def test_is_nothing_else(self, written: Any) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"\[default\] expire_after_seconds"):
            opened(expire_after_seconds=written)

    def test_may_be_in_a_url(self, clock: Clock) -> None:
        with cshelve.open(f"memory://{unique_name()}?expire_after_seconds=60") as db:
            db["k"] = 1
            assert db.provider.expires_at("k") == clock.time + 60

    def test_may_be_in_a_file(self, clock: Clock, tmp_path: Path) -> None:
        file = tmp_path / "memory.ini"
        file.write_text("[default]\nprovider = in-memory\nexpire_after_seconds = 60\n")
        with cshelve.open(file) as db:
            db["k"] = 1
            assert db.provider.expires_at("k") == clock.time + 60

    def test_may_go_with_a_provider_of_the_callers(self, clock: Clock) -> None:
        config = {"default": {"expire_after_seconds": 60}}
        with cshelve.open_provider(InMemory(), config=config) as db:
            db["k"] = 1
            assert db.provider.expires_at("k") == clock.time + 60


REFUSING = [
    ({"use_versioning": False}, "header"),
    ({"use_versionning": "false"}, "header"),
    ({"compatibility": "1.x"}, "1.x cannot read"),
    ({"use_versioning": False, "serializer": "json"}, "json"),
]


class TestWhereNothingCanExpire:
    @pytest.mark.parametrize(("default", "why"), REFUSING)
    def test_the_option_is_refused_with_the_reason(self, default: Any, why: str) -> None:
        with pytest.raises(
            cshelve.ConfigurationError, match=rf"\[default\] expire_after_seconds: .*{why}"
        ):
            opened(expire_after_seconds=60, **default)

    @pytest.mark.parametrize(("default", "why"), REFUSING)
    def test_set_refuses_a_duration(self, default: Any, why: str) -> None:
        reason = why if why != "json" else "header"
        with opened(**default) as db:
            with pytest.raises(cshelve.ConfigurationError, match=f"expire_after_seconds.*{reason}"):
                db.set("k", 1, expire_after_seconds=60)
            assert "k" not in db
            db.set("k", 1)
            db.set("k", 2, expire_after_seconds=float("inf"))
            assert db["k"] == 2

    def test_a_local_shelf_refuses_both(self, tmp_path: Path) -> None:
        config = local_config(tmp_path / "shelf")
        with cshelve.open_from_dict(config) as db:
            with pytest.raises(cshelve.ConfigurationError, match="a local shelf has only pickles"):
                db.set("k", 1, expire_after_seconds=60)
            db.set("k", 1)
            assert db["k"] == 1
            assert db.expire() == 0
        config["default"]["expire_after_seconds"] = 60
        with pytest.raises(cshelve.ConfigurationError, match="expire_after_seconds: a local shelf"):
            cshelve.open_from_dict(config)

    def test_a_value_that_looks_like_an_expired_record_is_just_a_value(self, clock: Clock) -> None:
        with opened() as db:
            db.set("k", 1, expire_after_seconds=1)
            record = db.provider.get("k").data
        clock.move(2)
        with opened(use_versioning=False, serializer="bytes") as db:
            db["backup"] = record
            assert db.expire() == 0
            db.copy("backup", "copy")
            with pytest.raises(cshelve.ConflictError):
                db.replace("backup", b"new", None)
            assert dict(db.items()) == {"backup": record, "copy": record}

    def test_a_record_that_can_is_missing_once_it_has(self, clock: Clock) -> None:
        memory = InMemory(exists=True)
        with cshelve.open_provider(memory, config={"default": {"serializer": "json"}}) as db:
            db.set("k", 1, expire_after_seconds=60)
        plain = {"default": {"serializer": "json", "use_versioning": False}}
        with cshelve.open_provider(memory, config=plain) as db:
            assert (db["k"], "k" in db) == (1, True)
            clock.move(60)
            assert (db.get("k"), "k" in db) == (None, False)


def test_each_record_has_its_letter_and_no_other_has(clock: Clock) -> None:
    with opened() as db:
        db["a"] = 1
        db.set("b", 1, expire_after_seconds=60)
        plain, brief = (db.provider.get(key).data for key in "ab")
    assert plain[1] == 0
    assert brief[10:12] == b"rx"


class OfAnotherPackage(InMemory):
    """A provider that was written before values could expire."""

    def expires_at(self, name: str) -> float | None:
        return Provider.expires_at(self, name)


def test_a_provider_that_knows_nothing_of_it_is_read_from(clock: Clock) -> None:
    store = CountingProvider(OfAnotherPackage())
    with cshelve.open_provider(store) as db:
        db.set("k", 1, expire_after_seconds=60)
        assert "k" in db
        assert "absent" not in db
        clock.move(60)
        assert "k" not in db
        assert db.setdefault("k", 2) == 2
        db.set("k", 1, expire_after_seconds=60)
        clock.move(60)
        assert db.expire() == 1


def test_a_duration_above_all_floats_is_for_set_alone(clock: Clock) -> None:
    with pytest.raises(cshelve.ConfigurationError, match="must be finite, not inf"):
        opened(expire_after_seconds=10**400)
    with opened() as db:
        db.set("k", 1, expire_after_seconds=10**400)
        assert db["k"] == 1


@pytest.mark.parametrize("seconds", [2.0**64, 1e306, 2**64])
def test_a_duration_that_no_clock_reaches_is_one(seconds: float, clock: Clock) -> None:
    with opened(expire_after_seconds=seconds) as db:
        db["a"] = 1
        db.set("b", 2, expire_after_seconds=seconds)
        clock.move(2**50)
        assert dict(db.items()) == {"a": 1, "b": 2}
        assert "a" in db
        assert db.expire() == 0
