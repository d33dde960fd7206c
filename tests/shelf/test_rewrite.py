"""`rewrite`: what is stored becomes as the configuration says now, with the shelf in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.codec.record import unframe
from cshelve.providers.base import Capabilities, Item, Provider
from cshelve.testing import CountingProvider, FailingProvider
from cshelve.testing.wrappers import _Wrapper
from tests.codec.making import EAX, EAX_KEY, GCM, HMAC, KEY, OTHER_KEY, ZLIB
from tests.rigs import Place, S3Rig, folder_config, memory_config

VALUES = {f"k{number}": ["a value that compresses " * 20, number] for number in range(8)}
Config = dict[str, dict[str, Any]]


def opened(config: Config, **sections: dict[str, Any]) -> cshelve.CloudShelf:
    """Open the same shelf with other sections."""
    merged = {**config, **sections}
    merged["default"] = {**config["default"], **sections.get("default", {})}
    return cshelve.open_from_dict(merged)


def letters_of(db: cshelve.CloudShelf) -> set[bytes]:
    store = db._objects.records.provider
    return {unframe(store.get(name).data).letters.signature for name in store.names()}


def put_before(db: cshelve.CloudShelf, wrap: Callable[[Provider], Provider]) -> Any:
    """Put a wrapper between a shelf and its store."""
    records = db._objects.records
    records.provider = wrap(records.provider)
    return records.provider


@pytest.fixture
def config() -> Config:
    config = memory_config()
    with opened(config) as db:
        db.update(VALUES)
    return config


class TestTurningSomethingOn:
    @pytest.mark.parametrize(
        ("letters", "sections"),
        [
            (b"c", {"compression": ZLIB}),
            (b"r", {"default": {"checksum": True}}),
            pytest.param(
                b"rZ", {"compression": {"algorithm": "zstd"}}, marks=pytest.mark.compression
            ),
        ],
    )
    def test_rewrites_each_value_once(
        self, config: Config, letters: bytes, sections: dict[str, Any]
    ) -> None:
        with opened(config, **sections) as db:
            store = put_before(db, CountingProvider)
            assert db.rewrite() == len(VALUES)
            assert store.counts == {"names": 1, "get": len(VALUES), "put": len(VALUES)}
            assert letters_of(db) == {letters}
            assert dict(db.items()) == VALUES
            store.reset()
            assert db.rewrite() == 0
            assert store.counts == {"names": 1, "get": len(VALUES)}

    def test_works_in_every_store(self, place: Place) -> None:
        place.open().update(VALUES)
        place.config["compression"] = ZLIB
        db = place.open("w")
        assert db.rewrite() == len(VALUES)
        assert letters_of(db) == {b"c"}
        assert dict(db.items()) == VALUES
        assert db.rewrite() == 0

    @pytest.mark.parametrize(
        ("letter", "section", "options"),
        [
            pytest.param(b"G", "encryption", GCM, marks=pytest.mark.encryption),
            pytest.param(b"e", "encryption", EAX, marks=pytest.mark.encryption),
            (b"H", "signing", HMAC),
        ],
    )
    def test_protects_what_was_not_protected(
        self, config: Config, letter: bytes, section: str, options: dict[str, Any]
    ) -> None:
        with opened(config, **{section: options}) as db:
            with pytest.raises(cshelve.BulkError, match="rewritten") as caught:
                db.rewrite()
            assert set(caught.value.failures) == set(VALUES)
            failures = caught.value.failures.values()
            assert all(isinstance(error, cshelve.UntrustedRecordError) for error in failures)
        with pytest.warns(UserWarning, match="accept_unprotected"):
            migrating = opened(config, **{section: {**options, "accept_unprotected": True}})
        with migrating as db:
            assert db.rewrite() == len(VALUES)
            assert db.rewrite() == 0
        with opened(config, **{section: options}) as db:
            assert letters_of(db) == {letter}
            assert dict(db.items()) == VALUES


class TestTurningSomethingOff:
    def test_takes_off_what_is_no_longer_configured(self, config: Config) -> None:
        with opened(config, compression=ZLIB) as db:
            db.rewrite()
        with opened(config) as db:
            assert db.rewrite() == len(VALUES)
            assert letters_of(db) == {b""}
            assert dict(db.items()) == VALUES

    def test_gives_a_bare_pickle_a_header(self, config: Config) -> None:
        with opened(config, default={"use_versioning": False}) as db:
            db["k0"] = "bare"
        with opened(config) as db:
            assert db.rewrite() == 1
            assert db._objects.records.provider.get("k0").data[0] == 0
            assert db["k0"] == "bare"

    def test_leaves_alone_what_would_not_become_smaller(self, config: Config) -> None:
        with opened(config) as db:
            db["k0"] = 1
        with opened(config, compression=ZLIB) as db:
            assert db.rewrite() == len(VALUES) - 1
            assert db.rewrite() == 0
        with opened(config, compression={**ZLIB, "min_size_bytes": 10_000}) as db:
            assert db.rewrite() == 0


class TestKeys:
    @pytest.mark.parametrize(
        ("section", "options", "variables"),
        [
            pytest.param("encryption", GCM, (KEY, OTHER_KEY), marks=pytest.mark.encryption),
            pytest.param("encryption", EAX, (EAX_KEY, "n" * 32), marks=pytest.mark.encryption),
            ("signing", HMAC, (KEY, OTHER_KEY)),
        ],
    )
    def test_rotate(
        self,
        section: str,
        options: dict[str, Any],
        variables: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        config = memory_config()
        monkeypatch.setenv("OLD_KEY", variables[0])
        monkeypatch.setenv("NEW_KEY", variables[1])
        algorithm = options["algorithm"]
        with opened(config, **{section: {**options, "key": variables[0]}}) as db:
            db.update(VALUES)
        both = {
            "algorithm": algorithm,
            "environment_key": "NEW_KEY",
            "previous_environment_keys": "OLD_KEY",
        }
        with opened(config, **{section: both}) as db:
            assert dict(db.items()) == VALUES
            db["k0"] = VALUES["k0"]
            assert db.rewrite() == len(VALUES) - 1
            assert db.rewrite() == 0
        with opened(config, **{section: {**options, "key": variables[1]}}) as db:
            assert dict(db.items()) == VALUES

    @pytest.mark.encryption
    def test_of_1x_become_one_of_aes256_gcm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = memory_config()
        monkeypatch.setenv("KEY_OF_1X", EAX_KEY)
        with opened(config, encryption=EAX) as db:
            db.update(VALUES)
        migrating = {
            **GCM,
            "previous_environment_keys": "KEY_OF_1X",
            "accept_unprotected": True,
        }
        with pytest.warns(UserWarning, match="accept_unprotected"):
            db = opened(config, encryption=migrating)
        with db:
            assert db.rewrite() == len(VALUES)
        with opened(config, encryption=GCM) as db:
            assert dict(db.items()) == VALUES
            assert db.rewrite() == 0

    @pytest.mark.encryption
    def test_of_records_without_headers_rotate_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = memory_config()
        config["default"]["use_versioning"] = False
        monkeypatch.setenv("OLD_KEY", EAX_KEY)
        with opened(config, encryption=EAX) as db:
            db.update(VALUES)
        both = {**EAX, "key": "n" * 32, "previous_environment_keys": "OLD_KEY"}
        with opened(config, encryption=both) as db:
            assert db.rewrite() == len(VALUES)
            assert db.rewrite() == 0
        with opened(config, encryption={**EAX, "key": "n" * 32}) as db:
            assert dict(db.items()) == VALUES


class TestSerializers:
    def test_are_changed_where_the_record_says_what_it_is(self, config: Config) -> None:
        with opened(config, default={"serializer": "json"}) as db:
            db.update(VALUES)
        with opened(config) as db:
            assert db.rewrite() == len(VALUES)
            assert letters_of(db) == {b""}
            assert dict(db.items()) == VALUES

    def test_are_not_changed_where_it_would_have_to_be_guessed(self, config: Config) -> None:
        with opened(config, default={"serializer": "json"}) as db:
            with pytest.raises(cshelve.BulkError, match="guessed") as caught:
                db.rewrite()
            assert set(caught.value.failures) == set(VALUES)
        with opened(config) as db:
            assert dict(db.items()) == VALUES

    @pytest.mark.msgpack
    def test_that_cannot_have_a_value_fail_for_its_key_alone(self, config: Config) -> None:
        with opened(config, default={"serializer": "msgpack"}) as db:
            db.clear()
            db.update(good=1, bad=b"json has no bytes")
        with opened(config, default={"serializer": "json"}) as db:
            with pytest.raises(cshelve.BulkError) as caught:
                db.rewrite()
            assert isinstance(caught.value.failures["bad"], cshelve.ValueTypeError)
            assert set(caught.value.failures) == {"bad"}
            assert letters_of(db) == {b"rj", b"rM"}
            assert db["bad"] == b"json has no bytes"

    @pytest.mark.msgpack
    @pytest.mark.parametrize("value", [{1: "x"}, {1: "x", "1": "y"}, {"a": [{1: 2}]}])
    def test_that_would_give_back_something_else_fail_for_its_key(
        self, config: Config, value: object
    ) -> None:
        with opened(config, default={"serializer": "msgpack"}) as db:
            db.clear()
            db["k"] = value
        with opened(config, default={"serializer": "json"}) as db:
            with pytest.raises(cshelve.BulkError, match="as something else"):
                db.rewrite()
            assert db["k"] == value


class WritesInBetween(_Wrapper):
    """A store in which, each time a value has been read, somebody else has written it."""

    def __init__(self, inner: Provider, other: cshelve.CloudShelf, times: int) -> None:
        super().__init__(inner)
        self.other = other
        self.times = times

    def get(self, name: str) -> Item:
        item = super().get(name)
        if name == "k3" and self.times:
            self.times -= 1
            self.other[name] = f"newer, {self.times} to come"
        return item


class TestOtherWriters:
    @pytest.mark.parametrize("times", [1, 3])
    def test_are_not_overwritten(self, config: Config, times: int) -> None:
        with opened(config) as other, opened(config, default={"checksum": True}) as db:
            put_before(db, lambda inner: WritesInBetween(inner, other, times))
            assert db.rewrite() == len(VALUES)
            assert other["k3"] == "newer, 0 to come"
            assert letters_of(db) == {b"r"}

    def test_that_never_stop_are_a_conflict_of_their_key(self, config: Config) -> None:
        with (
            opened(config) as other,
            opened(
                config,
                default={"modify_timeout_seconds": 0.05, "checksum": True},
            ) as db,
        ):
            put_before(db, lambda inner: WritesInBetween(inner, other, 10_000))
            with pytest.raises(cshelve.BulkError) as caught:
                db.rewrite()
            assert set(caught.value.failures) == {"k3"}
            assert isinstance(caught.value.failures["k3"], cshelve.ConflictError)

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_may_delete(self, config: Config, exclusive: bool) -> None:
        class DeletesBefore(_Wrapper):
            def get(self, name: str) -> Item:
                if name == "k3":
                    self.inner.delete(name)
                return super().get(name)

        class DeletesBehind(_Wrapper):
            def get(self, name: str) -> Item:
                item = super().get(name)
                if name == "k4":
                    self.inner.delete(name)
                return item

        with opened(config, compression=ZLIB) as db:
            put_before(db, lambda inner: DeletesBehind(DeletesBefore(inner)))
            assert db.rewrite(exclusive=exclusive) == len(VALUES) - 2
            assert sorted(db) == sorted(set(VALUES) - {"k3", "k4"})

    def test_lose_nothing_while_it_runs(self, tmp_path: Path) -> None:
        config = folder_config(tmp_path / "shelf")
        with opened(config) as db:
            db["n"] = 0
        ended = threading.Event()

        def count() -> None:
            with opened(config) as db:
                for _ in range(200):
                    db.modify("n", lambda n: n + 1)
            ended.set()

        thread = threading.Thread(target=count)
        thread.start()
        rewrites = 0
        with opened(config, default={"checksum": True}) as db:
            while not ended.is_set():
                rewrites += db.rewrite()
            thread.join()
            assert rewrites
            assert db["n"] == 200

    def test_of_whose_put_the_answer_is_lost_are_looked_at_again(self, config: Config) -> None:
        with opened(config, compression=ZLIB) as db:
            store = put_before(db, FailingProvider)
            store.fail("put", cshelve.OutcomeUnknownError("lost"), name="k3", before=False)
            store.fail("put", cshelve.OutcomeUnknownError("lost"), name="k4", before=True)
            assert db.rewrite() == len(VALUES)
            assert letters_of(db) == {b"c"}


class TestAStoreWithoutConditions:
    @pytest.fixture
    def db(self, config: Config) -> Any:
        with opened(config, compression=ZLIB) as db:
            store = put_before(db, CountingProvider)
            store.capabilities = Capabilities(
                conditional_put=False, conditional_delete=False, delete_reports=True
            )
            yield db

    def test_is_refused_before_anything_is_asked(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="exclusive=True"):
            db.rewrite()
        assert db._objects.records.provider.counts == {}  # type: ignore[attr-defined]

    def test_is_rewritten_if_nobody_else_writes(self, db: cshelve.CloudShelf) -> None:
        assert db.rewrite(exclusive=True) == len(VALUES)
        assert letters_of(db) == {b"c"}
        assert dict(db.items()) == VALUES

    def test_is_rewritten_so_if_it_says_so_only_then(self, config: Config) -> None:
        class Refuses(_Wrapper):
            def put(self, name: str, data: bytes, **conditions: Any) -> str:
                if conditions.get("if_version") is not None:
                    raise cshelve.ConditionsNotSupportedError("it ignores them")
                return super().put(name, data, **conditions)

        with opened(config, compression=ZLIB) as db:
            put_before(db, Refuses)
            with pytest.raises(cshelve.ConditionsNotSupportedError):
                db.rewrite()
            assert db.rewrite(exclusive=True) == len(VALUES)
            assert letters_of(db) == {b"c"}

    def test_that_turns_out_to_be_one_ends_it(self, config: Config) -> None:
        with opened(config, compression=ZLIB) as db:
            store = put_before(db, FailingProvider)
            error = cshelve.ConditionsNotSupportedError("it ignores them")
            store.fail("put", error, times=None)
            with pytest.raises(
                cshelve.ConditionsNotSupportedError, match=r"ignores them.*exclusive=True"
            ) as caught:
                db.rewrite()
            assert caught.value.stored == 0
            assert letters_of(db) == {b""}


class TestFailures:
    def test_of_a_key_are_its_own(self, config: Config) -> None:
        with opened(config, compression=ZLIB) as db:
            db._objects.records.provider.put("k3", b"\0 no record")
            store = put_before(db, FailingProvider)
            store.fail("put", cshelve.StorageError("it did not"), name="k5")
            with pytest.raises(cshelve.BulkError, match="2 keys could not be rewritten") as caught:
                db.rewrite()
            assert isinstance(caught.value.failures["k3"], cshelve.CorruptRecordError)
            assert set(caught.value.failures) == {"k3", "k5"}
            del db["k3"]
            assert db.rewrite() == 1

    def test_is_ended_by_ctrl_c_however_long_others_contend(self, config: Config) -> None:
        with opened(config) as other, opened(config, default={"checksum": True}) as db:
            store = put_before(db, lambda inner: WritesInBetween(inner, other, 10_000))
            store.concurrency = 4

            def interrupt(progress: cshelve.Progress) -> None:
                raise KeyboardInterrupt

            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                db.rewrite(progress=interrupt)
            assert time.monotonic() - began < 10  # Of the 30 seconds for which it contends.

    def test_of_the_shelf_end_it_and_it_may_be_repeated(self, config: Config) -> None:
        gone = cshelve.StorageError("gone")
        gone.about_shelf = True
        with opened(config, compression=ZLIB) as db:
            store = put_before(db, FailingProvider)
            store.fail("get", gone, after=3)
            with pytest.raises(cshelve.StorageError, match="gone") as caught:
                db.rewrite()
            assert (caught.value.stored, caught.value.failed) == (3, 1)
            assert db.rewrite() == len(VALUES) - 3

    def test_of_what_would_be_too_large_are_its_key_s_own(self, config: Config) -> None:
        sections: Any = {"default": {"max_value_bytes": 300}, "compression": ZLIB}
        with opened(config, **sections) as db:
            db.clear()
            with pytest.raises(cshelve.ValueTooLargeError, match=r"'k' in memory.*max_value_bytes"):
                db["k"] = bytes(400)
            with pytest.raises(cshelve.BulkError) as caught:
                db.update(a=bytes(400), b=1)
            assert isinstance(caught.value.failures["a"], cshelve.ValueTooLargeError)
            assert list(db) == ["b"]
        with opened(config, default={"serializer": "bytes"}) as plain:
            plain["a"] = bytes(400)
        with opened(config, **sections) as db:
            with pytest.raises(cshelve.BulkError) as caught:
                db.rewrite()
            assert isinstance(caught.value.failures["a"], cshelve.ValueTooLargeError)


class TestTheRest:
    def test_of_a_prefix_is_not_rewritten(self, config: Config) -> None:
        with opened(config, compression=ZLIB) as db:
            db.prefix("k1").rewrite()
            assert letters_of(db) == {b"", b"c"}
            assert db.rewrite() == len(VALUES) - 1

    def test_is_told_as_it_goes(self, config: Config) -> None:
        told: list[cshelve.Progress] = []
        with opened(config, compression=ZLIB) as db:
            db.rewrite(progress=told.append)
        assert [each.done for each in told] == list(range(1, len(VALUES) + 1))
        assert told[-1].total is None
        assert told[-1].bytes > 0

    def test_needs_a_shelf_for_writing(self, config: Config) -> None:
        with (
            cshelve.open_from_dict(config | {"compression": ZLIB}, "r") as db,
            pytest.raises(cshelve.ReadOnlyError, match="rewrite"),
        ):
            db.rewrite()

    def test_needs_an_open_shelf(self, config: Config) -> None:
        db = opened(config)
        db.close()
        with pytest.raises(ValueError, match="closed shelf"):
            db.rewrite()

    def test_leaves_the_writeback_cache_alone(self, config: Config) -> None:
        with cshelve.open_from_dict(config | {"compression": ZLIB}, writeback=True) as db:
            value = db["k0"]
            value.append("more")
            db.rewrite()
            assert db["k0"] is value
        with opened(config) as db:
            assert db["k0"] == [*VALUES["k0"], "more"]


@pytest.mark.s3
class TestInABucket:
    def test_costs_a_listing_a_get_a_key_and_a_put_for_each_that_is_written(
        self, s3: S3Rig
    ) -> None:
        config = s3.config()
        with opened(config) as db:
            db.update(VALUES)
            db.modify("k0", lambda value: value)
        with opened(config, compression=ZLIB) as db:
            db.modify("k0", lambda value: value)  # From here on the server's conditions are known.
            provider = db._objects.records.provider
            provider.stats.requests.clear()
            assert db.rewrite() == len(VALUES) - 1
            sent = provider.stats.requests
            assert sent["ListObjectsV2"] == 1
            assert sent["GetObject"] == len(VALUES)
            assert sent["PutObject"] == len(VALUES) - 1
            assert set(sent) <= {"ListObjectsV2", "GetObject", "PutObject"}

    @pytest.mark.encryption
    def test_rotates_keys_with_a_writer_beside_it(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OLD_KEY", KEY)
        config = s3.config()
        new = {**GCM, "key": OTHER_KEY, "previous_environment_keys": "OLD_KEY"}
        with opened(config, encryption=GCM) as db:
            db.update(VALUES)
        with opened(config, encryption=new) as db, opened(config, encryption=new) as other:
            db["n"] = 0
            thread = threading.Thread(
                target=lambda: [other.modify("n", lambda n: n + 1) for _ in range(20)]
            )
            thread.start()
            db.rewrite()
            thread.join()
            assert db.rewrite() == 0
        with opened(config, encryption={**GCM, "key": OTHER_KEY}) as db:
            assert dict(db.items()) == {**VALUES, "n": 20}
