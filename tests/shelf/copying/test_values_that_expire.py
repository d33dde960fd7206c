"""Copies of values that expire: the time stays, and an expired key is missing."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from testbed.faults import Answer
from tests.clocks import Clock
from tests.providers.aws_s3.rig import each_engine, without_pauses
from tests.rigs import Place, S3Rig, memory_config, object_of

KEY = cshelve.generate_key()
OTHERS: dict[str, Any] = {
    "alike": {},
    "compressed": {"compression": {"algorithm": "zlib"}},
    "signed": {"signing": {"algorithm": "hmac-sha256", "key": KEY}},
    "sealed": {"encryption": {"algorithm": "aes256-gcm", "key": KEY}},
    "json": {"default": {"serializer": "json"}},
}
REFUSING: dict[str, Any] = {
    "compatibility": {"compatibility": "1.x"},
    "no header": {"use_versioning": False, "serializer": "json"},
}
EXPIRES = "cshelve-expires"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.rule(monkeypatch)
    return clock


def another(sections: dict[str, Any]) -> cshelve.CloudShelf:
    config: dict[str, dict[str, Any]] = memory_config()
    for name, options in sections.items():
        config.setdefault(name, {}).update(options)
    return cshelve.open_from_dict(config)


@pytest.mark.encryption
@pytest.mark.parametrize("form", OTHERS)
class TestToAnotherShelf:
    def test_keeps_the_time(self, form: str, clock: Clock) -> None:
        with another({}) as source, another(OTHERS[form]) as target:
            source.set("brief", 1, expire_after_seconds=10)
            source["plain"] = 2
            clock.move(9)
            assert cshelve.copy(source, target) == 2
            assert dict(target.items()) == {"brief": 1, "plain": 2}
            clock.move(1)
            assert dict(target.items()) == {"plain": 2}

    @pytest.mark.parametrize("verify", [False, True])
    def test_leaves_alone_what_an_expired_value_would_overwrite(
        self, form: str, verify: bool, clock: Clock
    ) -> None:
        with another({}) as source, another(OTHERS[form]) as target:
            source.set("k", "expired", expire_after_seconds=10)
            target["k"] = "there"
            clock.move(10)
            assert cshelve.copy(source, target, verify=verify) == 0
            assert dict(target.items()) == {"k": "there"}


@pytest.mark.parametrize("form", REFUSING)
def test_a_target_that_has_no_room_for_the_time_refuses_those_keys_alone(
    form: str, clock: Clock
) -> None:
    with another({"default": {"serializer": "json"}} if form != "compatibility" else {}) as source:
        source.set("brief", 1, expire_after_seconds=10)
        source["plain"] = 2
        with another({"default": REFUSING[form]}) as target:
            with pytest.raises(cshelve.BulkError, match="'brief'") as caught:
                cshelve.copy(source, target)
            assert "expire_after_seconds" in str(caught.value.failures["brief"])
            assert dict(target.items()) == {"plain": 2}


def test_one_in_the_cache_keeps_its_time_and_its_changes(clock: Clock) -> None:
    config = memory_config()
    with cshelve.open_from_dict(config, writeback=True) as db:
        db.set("a", [], expire_after_seconds=10)
        db["a"].append(1)
        db.copy("a", "b")
        db.set("c", [], expire_after_seconds=10)
        db["c"].append(1)
        db.move("c", "d")
        assert (db["b"], db["d"], "c" in db) == ([1], [1], False)
        db["b"].append(2)
        clock.move(10)
        for key in "abcd":
            with pytest.raises(cshelve.KeyNotFoundError):
                db.copy(key, "e")
    with cshelve.open_from_dict(config) as db:
        assert dict(db.items()) == {}


@pytest.mark.s3
@each_engine
class TestInS3:
    def test_an_expired_value_overwrites_nothing(
        self, engine: str, s3: S3Rig, clock: Clock
    ) -> None:
        """A bug: the server copied the expired record over the value that was there."""
        source, target = (Place(s3.config(engine=engine)).open() for _ in range(2))
        with source, target:
            source.set("k", "expired", expire_after_seconds=10)
            source.set("other", 1, expire_after_seconds=20)
            target["k"] = "there"
            clock.move(10)
            assert cshelve.copy(source, target) == 1
            assert dict(target.items()) == {"k": "there", "other": 1}

    @pytest.mark.parametrize("server_copies", [True, False])
    def test_the_time_in_the_metadata_stays(
        self, server_copies: bool, engine: str, s3: S3Rig, clock: Clock
    ) -> None:
        source, target = (Place(s3.config(engine=engine)).open() for _ in range(2))
        with without_pauses(), source, target:
            source.set("a", 1, expire_after_seconds=10)
            if not server_copies:
                s3.proxy.inject(Answer(501, "NotImplemented"), operation="CopyObject", times=None)
            source.copy("a", "b")
            source.move("b", "c")
            cshelve.copy(source, target)
            times = {
                s3.client.head_object(Bucket=s3.bucket, Key=object_of(shelf, key))["Metadata"][
                    EXPIRES
                ]
                for shelf, key in ((source, "a"), (source, "c"), (target, "a"), (target, "c"))
            }
            assert len(times) == 1
            clock.move(10)
            assert [key for key in source if key in source] == []
            assert [key for key in target if key in target] == []
