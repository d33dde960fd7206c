"""What values may be, by serializer, and what each makes of what another wrote."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cshelve
from cshelve._values.serializers import JsonSerializer, MsgpackSerializer, PickleSerializer
from tests.rigs import Place, folder_config, memory_config

with_msgpack = pytest.mark.msgpack
NAMES = ["pickle", "bytes", "json", pytest.param("msgpack", marks=with_msgpack)]
LETTERED = ["json", pytest.param("msgpack", marks=with_msgpack)]

scalars = st.none() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    scalars | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
msgpack_scalars = scalars | st.integers(-(2**63), 2**64 - 1) | st.binary()
msgpack_values = st.recursive(
    msgpack_scalars,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(-(2**63), 2**64 - 1) | st.binary(), inner)
    ),
    max_leaves=20,
)


def config_of(name: str) -> dict[str, dict[str, Any]]:
    config = memory_config()
    config["default"]["serializer"] = name
    return config


def opened(name: str, config: dict[str, dict[str, Any]], **options: Any) -> cshelve.CloudShelf:
    """Open the same shelf with another serializer."""
    default = {**config["default"], "serializer": name}
    return cshelve.open_from_dict({**config, "default": default}, **options)


def reverse(value: Any, protocol: int) -> bytes:
    return bytes(reversed(pickle.dumps(value, protocol)))


def reverse_back(data: bytes) -> Any:
    assert type(data) is bytes
    return pickle.loads(bytes(reversed(data)))


FUNCTIONS: dict[str, Any] = {"serializer": reverse, "deserializer": reverse_back}


class TestPickle:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_writes_what_pickle_writes(self, protocol: int) -> None:
        for value in (None, {"a": [1, 2.5, "x" * 70_000]}, bytes(200_000), bytearray(99_999)):
            payload = b"".join(PickleSerializer(protocol).dumps(value))
            assert pickle.loads(payload) == value
            if protocol < 4:  # From there on frames may be cut otherwise.
                assert payload == pickle.dumps(value, protocol)

    def test_gives_large_bytes_away_as_they_are(self) -> None:
        value = bytes(1 << 20)
        assert any(piece is value for piece in PickleSerializer(5).dumps([value]))

    def test_keeps_no_reference_to_what_could_change(self) -> None:
        value = bytearray(1 << 20)
        payload = PickleSerializer(5).dumps(value)
        value[0] = 1
        assert pickle.loads(b"".join(payload)) == bytearray(1 << 20)

    @pytest.mark.parametrize("protocol", [-1, None])
    def test_has_the_protocols_of_shelve(self, protocol: int | None) -> None:
        with cshelve.open_from_dict(memory_config(), protocol=protocol) as db:
            db["k"] = 1
            assert db["k"] == 1

    def test_of_a_protocol_that_there_is_none_of_is_an_error(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="protocol"):
            cshelve.open_from_dict(memory_config(), protocol=99)


class TestJson:
    @settings(max_examples=40)
    @given(value=json_values)
    def test_gives_back_what_it_can_say(self, value: Any) -> None:
        serializer = JsonSerializer()
        assert serializer.loads(b"".join(serializer.dumps(value))) == value

    def test_is_utf_8_that_any_program_reads(self) -> None:
        assert b"".join(JsonSerializer().dumps({"ü": [1, None]})) == '{"ü":[1,null]}'.encode()

    @pytest.mark.parametrize(
        "value", [object(), {1, 2}, b"bytes", float("nan"), float("inf"), "\ud800", {(1, 2): 3}]
    )
    def test_refuses_what_it_cannot_say(self, value: object) -> None:
        with (
            cshelve.open_from_dict(config_of("json")) as db,
            pytest.raises(cshelve.ValueTypeError, match="serializer = json"),
        ):
            db["k"] = value

    def test_refuses_what_contains_itself_or_is_too_deep(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(cshelve.ValueTypeError, match="Circular"):
            JsonSerializer().dumps(circle)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        # Python says "recursion depth exceeded", and since 3.14 "Stack overflow".
        with pytest.raises(cshelve.ValueTypeError, match=r"recursion|Stack overflow"):
            JsonSerializer().dumps(deep)

    @pytest.mark.parametrize("payload", [b"", b"nul", b"\xff", b"[1] 2", b"[" * 100_000])
    def test_of_what_is_no_json_is_a_corrupt_record(self, payload: bytes) -> None:
        with pytest.raises(cshelve.CorruptRecordError, match="read as JSON"):
            JsonSerializer().loads(payload)


@with_msgpack
class TestMsgpack:
    @settings(max_examples=40)
    @given(value=msgpack_values)
    def test_gives_back_what_it_can_say(self, value: Any) -> None:
        serializer = MsgpackSerializer()
        assert serializer.loads(b"".join(serializer.dumps(value))) == value

    @pytest.mark.parametrize(
        "value", [object(), {1, 2}, 2**64, (1, 2), {(1, 2): 3}, "\ud800", type("D", (dict,), {})()]
    )
    def test_refuses_what_it_would_give_back_as_something_else(self, value: object) -> None:
        with (
            cshelve.open_from_dict(config_of("msgpack")) as db,
            pytest.raises(cshelve.ValueTypeError, match="serializer = msgpack"),
        ):
            db["k"] = value

    @pytest.mark.parametrize(
        "payload", [b"", b"\xc1", b"\x92\x01", b"\x01\x01", b"\x81\x90\x01", b"\x91" * 100_000]
    )
    def test_of_what_is_no_msgpack_is_a_corrupt_record(self, payload: bytes) -> None:
        with pytest.raises(cshelve.CorruptRecordError, match="read as MessagePack"):
            MsgpackSerializer().loads(payload)


def test_msgpack_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(cshelve.MissingDependencyError, match=r"cshelve\[msgpack\]"):
        cshelve.open_from_dict(config_of("msgpack"))


class TestFunctions:
    def test_take_the_place_of_pickle(self, place: Place) -> None:
        db = place.open(**FUNCTIONS)
        db.update({"a": 1, "b": {2, 3}})
        assert db["a"] == 1
        assert dict(place.open(**FUNCTIONS).items()) == {"a": 1, "b": {2, 3}}

    def test_get_the_protocol(self) -> None:
        protocols = []

        def serializer(value: Any, protocol: int) -> bytes:
            protocols.append(protocol)
            return pickle.dumps(value)

        for protocol in (2, None, -1):
            with cshelve.open_from_dict(
                memory_config(),
                protocol=protocol,
                serializer=serializer,
                deserializer=pickle.loads,
            ) as db:
                db["k"] = 1
        assert protocols == [2, pickle.DEFAULT_PROTOCOL, pickle.HIGHEST_PROTOCOL]

    def test_work_in_a_file_s_configuration(self, tmp_path: Path) -> None:
        ini = tmp_path / "shelf.ini"
        ini.write_text("[default]\nprovider = filesystem\nfolder_path = " + str(tmp_path / "shelf"))
        with cshelve.open(ini, **FUNCTIONS) as db:
            db["k"] = [1]
        with cshelve.open(ini, "r", **FUNCTIONS) as db:
            assert db["k"] == [1]

    def test_work_with_writeback(self) -> None:
        config = memory_config()
        with cshelve.open_from_dict(config, writeback=True, **FUNCTIONS) as db:
            db["k"] = [1]
            db["k"].append(2)
        with cshelve.open_from_dict(config, **FUNCTIONS) as db:
            assert db["k"] == [1, 2]
            assert db.modify("k", lambda value: [*value, 3]) == [1, 2, 3]

    @pytest.mark.parametrize("given", ["serializer", "deserializer"])
    def test_are_both_given_or_neither(self, given: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=f"gives a {given} and no"):
            cshelve.open_from_dict(memory_config(), **{given: FUNCTIONS[given]})

    @pytest.mark.parametrize("given", ["serializer", "deserializer"])
    def test_are_functions(self, given: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="have to be functions"):
            cshelve.open_from_dict(memory_config(), **{**FUNCTIONS, given: "json"})

    @pytest.mark.parametrize(
        "default", [{"serializer": "json"}, {"serializer": "pickle"}, {"use_pickle": "no"}]
    )
    def test_contradict_a_configuration_that_names_one(self, default: dict[str, str]) -> None:
        (option,) = default
        config = memory_config()
        config["default"] |= default
        with pytest.raises(cshelve.ConfigurationError, match=rf"\[default\] {option}: the call"):
            cshelve.open_from_dict(config, **FUNCTIONS)

    @pytest.mark.parametrize("given", ["serializer", "deserializer"])
    def test_are_no_part_of_a_local_shelf(self, given: str, tmp_path: Path) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=f"local shelf, which has no {given}"):
            cshelve.open(str(tmp_path / "local"), **{given: FUNCTIONS[given]})

    @pytest.mark.parametrize("returned", [None, "text", 1])
    def test_have_to_make_bytes(self, returned: Any) -> None:
        with (
            cshelve.open_from_dict(
                memory_config(), serializer=lambda *_: returned, deserializer=pickle.loads
            ) as db,
            pytest.raises(cshelve.ValueTypeError, match="has to return bytes"),
        ):
            db["k"] = 1

    @pytest.mark.parametrize("type_", [bytes, bytearray, memoryview])
    def test_may_make_any_bytes(self, type_: Any) -> None:
        def serializer(value: Any, protocol: int) -> Any:
            return type_(json.dumps(value).encode())

        with cshelve.open_from_dict(
            memory_config(), serializer=serializer, deserializer=json.loads
        ) as db:
            db["k"] = [1]
            assert db["k"] == [1]

    def test_that_fail_to_write_fail_the_write(self) -> None:
        def serializer(value: Any, protocol: int) -> bytes:
            raise LookupError("no")

        with cshelve.open_from_dict(
            memory_config(), serializer=serializer, deserializer=pickle.loads
        ) as db:
            with pytest.raises(LookupError) as caught:
                db["k"] = 1
            assert "'k'" in caught.value.__notes__[0]
            with pytest.raises(cshelve.BulkError) as bulk:
                db.update(k=1)
            assert isinstance(bulk.value.failures["k"], cshelve.ValueTypeError)

    @pytest.mark.parametrize("error", [KeyError("k"), ValueError("v"), RuntimeError("r")])
    def test_that_fail_to_read_are_a_corrupt_record(self, error: Exception) -> None:
        def deserializer(data: bytes) -> Any:
            raise error

        with cshelve.open_from_dict(
            memory_config(), serializer=reverse, deserializer=deserializer
        ) as db:
            db["k"] = 1
            with pytest.raises(cshelve.CorruptRecordError, match="'k' in memory") as caught:
                db.get("k", "absent")
            assert not isinstance(caught.value, KeyError)

    def test_are_pickled_by_name_with_a_shelf(self, tmp_path: Path) -> None:
        with cshelve.open_from_dict(folder_config(tmp_path / "shelf"), **FUNCTIONS) as db:
            db["k"] = {1}
            with pickle.loads(pickle.dumps(db)) as other:
                assert other["k"] == {1}

    def test_that_have_no_name_cannot_be_pickled(self, tmp_path: Path) -> None:
        with (
            cshelve.open_from_dict(
                folder_config(tmp_path / "shelf"),
                serializer=lambda value, protocol: b"",
                deserializer=lambda data: None,
            ) as db,
            pytest.raises((pickle.PicklingError, AttributeError), match="lambda"),
        ):
            pickle.dumps(db)


class TestTheConfiguration:
    @pytest.mark.parametrize("name", ["Json", "BYTES", "pickle"])
    def test_names_one_in_any_case(self, name: str) -> None:
        with cshelve.open_from_dict(config_of(name)) as db:
            db["k"] = b"1" if name == "BYTES" else 1
            assert db["k"] in (1, b"1")

    def test_names_one_that_there_is(self) -> None:
        with pytest.raises(
            cshelve.ConfigurationError, match=r"did you mean json\?.*pickle, bytes, json, msgpack"
        ):
            cshelve.open_from_dict(config_of("jsn"))

    @pytest.mark.parametrize("name", ["json", "pickle", "msgpack"])
    def test_does_not_say_bytes_and_something_else(self, name: str) -> None:
        config = config_of(name)
        config["default"]["use_pickle"] = False
        with pytest.raises(cshelve.ConfigurationError, match="use_pickle says bytes"):
            cshelve.open_from_dict(config)

    @pytest.mark.parametrize("name", ["json", "bytes", "msgpack"])
    def test_does_not_say_pickle_and_something_else(self, name: str) -> None:
        config = config_of(name)
        config["default"]["use_pickle"] = "yes"
        with pytest.raises(cshelve.ConfigurationError, match="use_pickle says pickle"):
            cshelve.open_from_dict(config)

    def test_may_say_bytes_in_both_ways(self) -> None:
        config = config_of("bytes")
        config["default"]["use_pickle"] = False
        with cshelve.open_from_dict(config) as db:
            db["k"] = b"value"
            assert db["k"] == b"value"

    @with_msgpack
    def test_needs_headers_for_what_has_a_letter(self) -> None:
        """JSON does not: what it may begin with tells it from a record with a header."""
        config = config_of("msgpack")
        config["default"]["use_versioning"] = False
        with pytest.raises(cshelve.ConfigurationError, match=r"serializer: .*header"):
            cshelve.open_from_dict(config)
        config["default"].pop("serializer")
        with pytest.raises(cshelve.ConfigurationError, match=r"serializer: .*header"):
            cshelve.open_from_dict(config, **FUNCTIONS)


class TestWhatAnotherWrote:
    @pytest.mark.parametrize("name", LETTERED)
    @pytest.mark.parametrize("reader", NAMES)
    def test_is_read_if_it_says_what_it_is(self, name: str, reader: str) -> None:
        config = memory_config()
        with opened(name, config) as db:
            db["k"] = {"a": [1, None]}
        with opened(reader, config) as db:
            assert db["k"] == {"a": [1, None]}
        with cshelve.open_from_dict(config, **FUNCTIONS) as db:
            assert db["k"] == {"a": [1, None]}

    def test_is_not_kept_by_writeback_if_it_could_not_be_written_again(self) -> None:
        config = memory_config()
        with opened("json", config) as db:
            db["k"] = {"a": 1}
        with opened("bytes", config, writeback=True) as db:
            with pytest.raises(cshelve.RecordError, match="as writeback requires"):
                db["k"]
            with pytest.raises(cshelve.RecordError, match="as writeback requires"):
                list(db.items())
        with opened("pickle", config, writeback=True) as db:
            db["k"]["a"] = 2
        with opened("pickle", config) as db:
            assert db["k"] == {"a": 2}

    @pytest.mark.parametrize("reader", LETTERED)
    @pytest.mark.parametrize("name", ["pickle", "bytes"])
    def test_is_not_guessed_at_if_it_does_not(self, name: str, reader: str) -> None:
        config = memory_config()
        with opened(name, config) as db:
            db["k"] = b'{"a": 1}'
        with opened(reader, config) as db, pytest.raises(cshelve.RecordError, match="not marked"):
            db["k"]

    @pytest.mark.parametrize("name", ["pickle", "bytes"])
    def test_is_not_given_to_functions_if_it_does_not(self, name: str) -> None:
        config = memory_config()
        with opened(name, config) as db:
            db["k"] = b"value"
        with (
            cshelve.open_from_dict(config, **FUNCTIONS) as db,
            pytest.raises(cshelve.RecordError, match="is not marked"),
        ):
            db["k"]

    @pytest.mark.parametrize("reader", NAMES)
    def test_by_its_own_functions_is_not_read_without_them(self, reader: str) -> None:
        config = memory_config()
        with cshelve.open_from_dict(config, **FUNCTIONS) as db:
            db["k"] = 1
        with (
            opened(reader, config) as db,
            pytest.raises(cshelve.DataProcessingSignatureError, match="own serializer"),
        ):
            db["k"]

    def test_is_what_the_configuration_says_among_pickle_and_bytes(self) -> None:
        config = memory_config()
        with opened("pickle", config) as db:
            db["k"] = [1]
        with opened("bytes", config) as db:
            assert pickle.loads(db["k"]) == [1]

    @with_msgpack
    def test_needs_what_reads_it_to_be_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = memory_config()
        with opened("msgpack", config) as db:
            db["k"] = [1]
        monkeypatch.setitem(sys.modules, "msgpack", None)
        with (
            opened("pickle", config) as db,
            pytest.raises(cshelve.DataProcessingSignatureError, match=r"cshelve\[msgpack\]"),
        ):
            db["k"]
