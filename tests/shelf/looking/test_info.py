"""What `info` tells of a key, by one request that reads no value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import InMemory
from cshelve.testing import CountingProvider, shelf_over
from tests.rigs import Place, local_config, memory_config, provider_of

LARGE = "text " * 1000


def info_in(value: Any, default: dict[str, Any] | None = None, **sections: Any) -> cshelve.Info:
    """Store a value in a shelf of this configuration, and return what is known of it."""
    config = memory_config()
    config["default"].update(default or {})
    with cshelve.open_from_dict({**config, **sections}) as db:
        db["k"] = value
        return db.info("k")


def how(info: cshelve.Info) -> tuple[object, ...]:
    return info.serializer, info.compression, info.encryption, info.signature, info.checksum


def test_it_tells_what_an_entry_does(place: Place) -> None:
    db = place.open()
    db["k"] = [1, 2, 3]
    info = db.info("k")
    assert type(info) is cshelve.Info
    (entry,) = db.entries()
    assert info[:2] + info[3:4] == entry[:2] + entry[3:]
    assert abs(info.modified - entry.modified) < timedelta(seconds=2)
    assert info.is_record
    assert how(info) == ("pickle", None, None, None, False)
    assert (info.key_id, info.expires, dict(info.metadata)) == (None, None, {})


def test_a_missing_key_is_a_key_error(place: Place) -> None:
    db = place.open()
    db["view/k"] = 1
    for shelf, key in ((db, "absent"), (db.prefix("view/"), "absent")):
        with pytest.raises(cshelve.KeyNotFoundError) as caught:
            shelf.info(key)
        assert caught.value.args == ("absent",)
    with pytest.raises(cshelve.KeyNotFoundError):
        db.info("\ud800")


def test_a_view_knows_it_by_its_own_key(place: Place) -> None:
    db = place.open()
    db["view/k"] = 1
    info = db.prefix("view/").info("k")
    assert (info.key, info[1:]) == ("k", db.info("view/k")[1:])


@pytest.mark.parametrize("name", ["pickle", "bytes", "json"])
def test_it_names_the_serializer(name: str) -> None:
    assert info_in(b"1" if name == "bytes" else "1", {"serializer": name}).serializer == name


@pytest.mark.msgpack
def test_it_names_msgpack() -> None:
    assert info_in(1, {"serializer": "msgpack"}).serializer == "msgpack"


def test_functions_of_the_program_are_no_name() -> None:
    with cshelve.open_from_dict(
        memory_config(), serializer=lambda value, _: value, deserializer=bytes
    ) as db:
        db["k"] = b"1"
        assert db.info("k").serializer == "functions"


def test_it_names_the_compression() -> None:
    info = info_in(LARGE, compression={"algorithm": "zlib"})
    assert how(info) == ("pickle", "zlib", None, None, False)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("zstd", marks=pytest.mark.compression),
        pytest.param("lz4", marks=pytest.mark.lz4),
    ],
)
def test_it_names_the_other_compressions(name: str) -> None:
    info = info_in(LARGE, compression={"algorithm": name})
    assert how(info) == ("pickle", name, None, None, True)


def test_it_names_the_signature_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    hmac, key = {"algorithm": "hmac-sha256"}, cshelve.generate_key()
    monkeypatch.setenv("SIGNING", key)
    first = info_in(1, signing={**hmac, "environment_key": "SIGNING"})
    assert how(first) == ("pickle", None, None, "hmac-sha256", False)
    assert first.key_id is not None
    assert len(first.key_id) == 16
    again = info_in(LARGE, compression={"algorithm": "zlib"}, signing={**hmac, "key": key})
    assert (again.compression, again.key_id) == ("zlib", first.key_id)
    assert info_in(1, signing={**hmac, "key": cshelve.generate_key()}).key_id != first.key_id


@pytest.mark.encryption
def test_the_key_id_is_the_one_that_an_error_names() -> None:
    config = memory_config()
    sealed = {"encryption": {"algorithm": "aes256-gcm", "key": cshelve.generate_key()}}
    with cshelve.open_from_dict({**config, **sealed}) as db:
        db["k"] = 1
        db.set("brief", 2, expire_after_seconds=100)
        info, brief = db.info("k"), db.info("brief")
    assert how(info) == ("pickle", None, "aes256-gcm", None, False)
    assert info.key_id == brief.key_id
    other = {"encryption": {"algorithm": "aes256-gcm", "key": cshelve.generate_key()}}
    with cshelve.open_from_dict({**config, **other}) as db:
        with pytest.raises(cshelve.EncryptedDataCorruptionError, match=str(info.key_id)):
            db["k"]
        assert db.info("k") == info  # It needs no key.


@pytest.mark.encryption
def test_it_names_the_encryption_of_1x() -> None:
    info = info_in(1, encryption={"algorithm": "aes256", "key": "k" * 32})
    assert (info.encryption, info.key_id) == ("aes256", None)


def test_it_tells_when_a_value_expires(place: Place) -> None:
    db = place.open()
    before = datetime.now(UTC)
    db.set("k", 1, expire_after_seconds=1000)
    expires = db.info("k").expires
    assert expires is not None
    assert abs(expires - before - timedelta(seconds=1000)) < timedelta(seconds=100)
    assert db.info("k").checksum
    assert dict(db.info("k").metadata) == {}  # What cshelve keeps there is not the user's.


def test_of_a_value_without_a_record_little_is_known(place: Place) -> None:
    place.config["default"].update(use_versioning=False, serializer="json")
    db = place.open()
    db["k"] = [1]
    info = db.info("k")
    assert (info.size_bytes, info.is_record) == (3, False)
    assert how(info) == (None, None, None, None, False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0" * 100,
        b"\x89PNG" * 10,
        b"\0\x01\x02\0\0\0\0\0\0\0?ab",
        b"\0\x01\x03" + b"\0" * 8,
    ],
)
def test_an_object_of_another_program_is_no_record(data: bytes, place: Place) -> None:
    db = place.open()
    provider_of(db).put("k", data)
    info = db.info("k")
    assert (info.size_bytes, info.is_record) == (len(data), False)
    assert how(info) == (None, None, None, None, False)


def test_a_record_without_a_serializer_is_a_pickle_or_bytes() -> None:
    config = memory_config()
    with cshelve.open_from_dict(config) as db:
        db["k"] = 1
    config["default"]["serializer"] = "json"
    with cshelve.open_from_dict(config) as db:
        info = db.info("k")
        assert (info.is_record, info.serializer) == (True, None)


def test_a_local_shelf_knows_size_and_version(tmp_path: Path) -> None:
    db = Place(local_config(tmp_path / "shelf")).open()
    db["k"] = [1]
    info = db.info("k")
    assert not info.is_record
    assert info.version == db.get_versioned("k")[1]
    assert how(info) == (None, None, None, None, False)
    db.close()


def test_it_asks_the_store_once() -> None:
    store = CountingProvider(InMemory(exists=True))
    with shelf_over(store) as db:
        db["k"] = 1
        store.reset()
        db.info("k")
        assert store.counts == {"inspect": 1}
        db.close()
        with pytest.raises(ValueError, match="closed"):
            db.info("k")
