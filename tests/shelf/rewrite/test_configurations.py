"""`rewrite`: what is stored becomes as the configuration says now."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from cshelve.testing import CountingProvider
from tests.codec.making import EAX, EAX_KEY, GCM, HMAC, KEY, OTHER_KEY, ZLIB
from tests.rigs import Place, memory_config, provider_of
from tests.shelf.rewrite.rig import VALUES, Config, letters_of, opened


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
        with opened(config, CountingProvider, **sections) as db:
            store = provider_of(db)
            store.reset()
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
            assert provider_of(db).get("k0").data[0] == 0
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
            with pytest.raises(cshelve.BulkError, match="is not marked") as caught:
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
            with pytest.raises(cshelve.BulkError, match="would change if it was stored"):
                db.rewrite()
            assert db["k"] == value


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
