"""`serializer = json` with `use_versioning = false`: plain JSON, for any program that reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import Wrapper
from cshelve.providers.in_memory import InMemory
from tests.codec.making import EAX, GCM, HMAC, ZLIB
from tests.rigs import Place, S3Rig, folder_config, memory_config

VALUES: list[Any] = [None, True, 1.5, "ä\u2028", [], [1, {"a": "b"}], {"ä": [None]}, 0, ""]


def opened(
    config: dict[str, dict[str, Any]], flag: str = "c", **default: Any
) -> cshelve.CloudShelf:
    plain = {"serializer": "json", "use_versioning": False}
    return cshelve.open_from_dict(config | {"default": config["default"] | plain | default}, flag)


@pytest.fixture
def config() -> dict[str, dict[str, Any]]:
    return memory_config()


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_stored_is_json(value: Any, config: dict[str, dict[str, Any]]) -> None:
    with opened(config) as db:
        db["k"] = value
        assert json.loads(db.provider.get("k").data) == value
        assert db["k"] == value


def test_files_in_a_folder_are_json(tmp_path: Path) -> None:
    with opened(folder_config(tmp_path)) as db:
        db.update(ada={"born": 1815}, grace={"born": 1906})
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    found = {path.name: json.loads(path.read_text("utf-8")) for path in files}
    assert found == {"ada": {"born": 1815}, "grace": {"born": 1906}}


@pytest.mark.parametrize(
    "text",
    [b'{"a": 1}', b' {\n\t"a" :1 }\n', b'\xef\xbb\xbf{"a": 1}', b'{"\\u0061": 1.0}'],
    ids=repr,
)
def test_json_of_others_is_read(text: bytes, config: dict[str, dict[str, Any]]) -> None:
    with opened(config) as db:
        db.provider.put("k", text)
        assert db["k"] == {"a": 1}
        assert dict(db.items()) == {"k": {"a": 1}}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\x80\x04N.", b"\x00", b"\xff\xfe{\x00}\x00", b"\x00" * 9]
)
def test_what_is_no_json_is_a_record_error(data: bytes, config: dict[str, dict[str, Any]]) -> None:
    with opened(config) as db:
        db.provider.put("k", data)
        with pytest.raises(cshelve.RecordError, match="'k' in memory"):
            db["k"]


class TestRecordsWithAHeader:
    """The shelf had them before `use_versioning` was turned off."""

    @pytest.fixture
    def db(self, config: dict[str, dict[str, Any]]) -> Iterator[cshelve.CloudShelf]:
        for key, sections in (
            ("plain", {}),
            ("compressed", {"compression": ZLIB}),
            ("checked", {"default": {"checksum": True}}),
        ):
            written = {**config, **sections}
            written["default"] = config["default"] | sections.get("default", {})
            with opened(written, use_versioning=True) as versioned:
                versioned[key] = [key] * 50
        with opened(config) as db:
            db["without"] = ["without"] * 50
            yield db

    def test_are_read(self, db: cshelve.CloudShelf) -> None:
        assert len(db) == 4
        for key, value in db.items():
            assert value == [key] * 50

    def test_lose_it_when_they_are_rewritten(self, db: cshelve.CloudShelf) -> None:
        assert db.rewrite() == 3
        assert all(json.loads(db.provider.get(key).data) == [key] * 50 for key in db)
        assert db.rewrite() == 0

    def test_that_are_pickles_are_refused(
        self, db: cshelve.CloudShelf, config: dict[str, dict[str, Any]]
    ) -> None:
        with opened(config, serializer="pickle", use_versioning=True) as pickles:
            pickles["k"] = [1]
        with pytest.raises(cshelve.RecordError, match="is not marked"):
            db["k"]


@pytest.mark.parametrize(
    ("option", "sections"),
    [
        (r"\[compression\] algorithm", {"compression": ZLIB}),
        (r"\[signing\] algorithm", {"signing": HMAC}),
        pytest.param(
            r"\[encryption\] algorithm", {"encryption": GCM}, marks=pytest.mark.encryption
        ),
        pytest.param(
            r"\[encryption\] algorithm", {"encryption": EAX}, marks=pytest.mark.encryption
        ),
        (r"\[default\] checksum", {"default": {"checksum": True}}),
    ],
)
def test_what_would_make_something_else_of_it_is_refused(
    option: str, sections: dict[str, Any], config: dict[str, dict[str, Any]]
) -> None:
    sections = {**sections, "default": config["default"] | sections.get("default", {})}
    with pytest.raises(cshelve.ConfigurationError, match=rf"{option}: .*stores plain JSON"):
        opened(sections)


def test_no_other_serializer_with_a_letter_can_do_without_a_header(
    config: dict[str, dict[str, Any]],
) -> None:
    with pytest.raises(cshelve.ConfigurationError, match=r"serializer: .*record's header"):
        cshelve.open_from_dict(
            {"default": config["default"] | {"use_versioning": False}},
            serializer=lambda value, protocol: b"",
            deserializer=lambda data: None,
        )


def test_compatibility_with_1x_is_still_an_error(config: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(cshelve.ConfigurationError, match=r"1\.x cannot read"):
        opened(config, compatibility="1.x")


def test_bytes_are_stored_as_they_are(config: dict[str, dict[str, Any]]) -> None:
    with opened(config, serializer="bytes") as db:
        db["k"] = b"\x00\x01anything"
        assert db.provider.get("k").data == b"\x00\x01anything"
        assert db["k"] == b"\x00\x01anything"


class TestTheContentType:
    def test_is_told_to_the_provider(self, config: dict[str, dict[str, Any]]) -> None:
        with opened(config) as db:
            assert db.provider.content_type == "application/json"
        for others in ({"serializer": "bytes"}, {"serializer": "pickle"}, {"use_versioning": True}):
            with opened(memory_config(), **others) as db:
                assert db.provider.content_type is None

    def test_reaches_the_provider_in_a_wrapper(self) -> None:
        inner = InMemory()
        config = {"default": {"serializer": "json", "use_versioning": False}}
        with cshelve.open_provider(Wrapper(inner), config=config) as db:
            assert db.provider.content_type == "application/json"
        assert inner.content_type == "application/json"

    @pytest.mark.s3
    @pytest.mark.parametrize("engine", ["auto", "boto3"])
    def test_is_that_of_every_object_in_s3(self, engine: str, s3: S3Rig) -> None:
        config = s3.config(engine=engine, multipart_threshold_bytes=6 << 20)
        prefix = config["default"]["key_prefix"]
        with opened(config) as db:
            db["set"] = 1
            db.update({"updated/1": 1, "updated/2": 2})
            db.setdefault("default", 1)
            db.modify("modified", lambda value: value + 1, default=1)
            db["large"] = "x" * (7 << 20)
            assert dict(db.items())["modified"] == 2
            keys = list(db)
        assert len(keys) == 6
        for key in keys:
            head = s3.client.head_object(Bucket=s3.bucket, Key=f"{prefix}/{key}")
            assert (key, head["ContentType"]) == (key, "application/json")

    @pytest.mark.s3
    @pytest.mark.parametrize("engine", ["auto", "boto3"])
    def test_of_put_params_wins(self, engine: str, s3: S3Rig) -> None:
        config = s3.config(engine=engine) | {"put_params": {"ContentType": "application/ld+json"}}
        with opened(config) as db:
            db["set"] = 1
            db.update({"updated": 1})
            db.setdefault("default", 1)
        for key in ("set", "updated", "default"):
            name = f"{config['default']['key_prefix']}/{key}"
            head = s3.client.head_object(Bucket=s3.bucket, Key=name)
            assert head["ContentType"] == "application/ld+json"

    @pytest.mark.s3
    @pytest.mark.parametrize("engine", ["auto", "boto3"])
    def test_is_sent_with_other_put_params(self, engine: str, s3: S3Rig) -> None:
        config = s3.config(engine=engine) | {"put_params": {"CacheControl": "no-cache"}}
        with opened(config) as db:
            db["set"] = 1
        name = f"{config['default']['key_prefix']}/set"
        head = s3.client.head_object(Bucket=s3.bucket, Key=name)
        assert (head["ContentType"], head["CacheControl"]) == ("application/json", "no-cache")


def test_every_way_of_writing_and_reading_works(place: Place) -> None:
    with opened(place.config) as db:
        db.update(a=1, b=[2])
        db["c"] = {"x": None}
        assert db.modify("a", lambda value: value + 1) == 2
        assert db.setdefault("d", "e") == "e"
        assert db.pop("b") == [2]
        assert dict(db.items()) == {"a": 2, "c": {"x": None}, "d": "e"}
        assert db.get_versioned("a")[0] == 2
