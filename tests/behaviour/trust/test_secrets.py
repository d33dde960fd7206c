"""Secrets, and values that fail, are in no message of ours."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.behaviour.trust.rig import PROTECTIONS, every_protection
from tests.codec.making import EAX, EAX_KEY, KEY, codec, encode
from tests.rigs import folder_config, memory_config, provider_of


class Secretive:
    """A value whose reading fails with its content in the message."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __setstate__(self, state: dict[str, str]) -> None:
        raise ValueError(f"this is {state['text']}")


@every_protection
class TestASecret:
    TEXT = "the plaintext of a value"

    def test_is_in_no_message_of_ours(
        self, protection: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = folder_config(tmp_path / "shelf") | PROTECTIONS[protection]
        with caplog.at_level(logging.DEBUG), cshelve.open_from_dict(config) as db:
            db["k"] = Secretive(self.TEXT)
            with pytest.raises(cshelve.CorruptRecordError) as caught:
                db["k"]
            texts = [str(caught.value), repr(caught.value), repr(db), repr(vars(db))]
        texts += [record.getMessage() for record in caplog.records]
        for secret in (self.TEXT, KEY, EAX_KEY):
            assert not any(secret in text for text in texts)

    def test_is_in_no_pickle_of_a_shelf(
        self, protection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHELF_KEY", KEY)
        monkeypatch.setenv("SHELF_EAX_KEY", EAX_KEY)
        config = folder_config(tmp_path / "shelf")
        for section, options in PROTECTIONS[protection].items():
            literal = config | {section: options}
            with (
                cshelve.open_from_dict(literal) as db,
                pytest.raises(cshelve.NotPicklableError, match=rf"\[{section}\] key"),
            ):
                pickle.dumps(db)
            variable = "SHELF_EAX_KEY" if options is EAX else "SHELF_KEY"
            config[section] = {"algorithm": options["algorithm"], "environment_key": variable}
        with cshelve.open_from_dict(config) as db:
            db["k"] = self.TEXT
            pickled = pickle.dumps(db)
            with pickle.loads(pickled) as other:
                assert other["k"] == self.TEXT
        for secret in (KEY, EAX_KEY, self.TEXT):
            assert secret.encode() not in pickled


def everything_said_by(error: BaseException) -> str:
    """All that an error and those behind it carry, chained or not."""
    told: list[str] = []
    errors: list[BaseException | None] = [error]
    while errors:
        if (each := errors.pop()) is not None:
            told += [str(each), repr(each), repr(vars(each)), repr(each.args)]
            told += [repr(getattr(each, name, "")) for name in ("doc", "object", "unpacked")]
            errors += [each.__cause__, each.__context__]
    return "\n".join(told)


@pytest.mark.parametrize(
    ("serializer", "payload"),
    [
        ("json", b'{"secret": hunter2}'),
        ("json", b'"hunter2\xff"'),
        pytest.param("msgpack", b"\xa7hunter2\xa7hunter2", marks=pytest.mark.msgpack),
        pytest.param("msgpack", b"\xafhunter2", marks=pytest.mark.msgpack),
    ],
)
def test_a_value_that_cannot_be_read_is_nowhere_in_the_error(
    serializer: str, payload: bytes
) -> None:
    config = memory_config()
    config["default"]["serializer"] = serializer
    with cshelve.open_from_dict(config) as db:
        letter = {"json": b"j", "msgpack": b"M"}[serializer]
        provider_of(db).put("k", encode(codec(letter), payload, "k"))
        with pytest.raises(cshelve.CorruptRecordError) as caught:
            db["k"]
    assert "hunter2" not in everything_said_by(caught.value)


@pytest.mark.parametrize(
    "content", [b"[default]\nhunter2\n", b"[default]\nkey = hunter2 \xff\n", b"hunter2 = 1"]
)
def test_a_configuration_that_cannot_be_read_is_nowhere_in_the_error(
    content: bytes, tmp_path: Path
) -> None:
    ini = tmp_path / "shelf.ini"
    ini.write_bytes(content)
    with pytest.raises(cshelve.ConfigurationError) as caught:
        cshelve.open(ini)
    assert "hunter2" not in everything_said_by(caught.value)


@pytest.mark.parametrize("serializer", ["json", pytest.param("msgpack", marks=pytest.mark.msgpack)])
@pytest.mark.parametrize("value", ["hunter2 \ud800", ["hunter2", object()], {"hunter2": {1}}])
def test_a_value_that_cannot_be_written_is_nowhere_in_the_error(
    serializer: str, value: object
) -> None:
    config = memory_config()
    config["default"]["serializer"] = serializer
    with cshelve.open_from_dict(config) as db:
        with pytest.raises(cshelve.ValueTypeError) as caught:
            db["k"] = value
        assert "hunter2" not in everything_said_by(caught.value)


class Unwritable:
    """A value whose writing, or reading, fails with its content in the message."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error("hunter2")


@pytest.mark.parametrize("error", [ValueError, pickle.PicklingError, AttributeError])
def test_what_a_value_s_class_says_is_in_no_message_of_ours(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    config = memory_config()
    config["default"]["writeback_limit"] = 1
    with cshelve.open_from_dict(config, writeback=True) as db:
        with pytest.raises(cshelve.BulkError) as caught:
            db.update(k=Unwritable(error))
        assert "hunter2" not in str(caught.value) + str(caught.value.failures["k"])
        db["a"] = [1]
        db["a"].append(Unwritable(error))
        db["b"] = 1
        assert "over its limit" in caplog.text
        assert "hunter2" not in caplog.text
        db.cache.clear()


@pytest.mark.parametrize("error", [ImportError, AttributeError, EOFError, pickle.UnpicklingError])
def test_what_a_value_s_class_says_when_it_is_read_is_in_no_message_of_ours(
    error: type[Exception],
) -> None:
    with cshelve.open_from_dict(memory_config()) as db:
        db["k"] = Unreadable(error)
        with pytest.raises(cshelve.CorruptRecordError, match=error.__name__) as caught:
            db["k"]
    assert "hunter2" not in str(caught.value)


class Unreadable(Unwritable):
    def __reduce__(self) -> Any:
        return _raise, (self.error,)


def _raise(error: type[Exception]) -> None:
    raise error("hunter2")


def test_a_class_that_is_gone_is_told() -> None:
    with cshelve.open_from_dict(memory_config()) as db:
        payload = b"\x80\x04\x8c\x0ftests.no_module\x8c\x01C\x93."
        provider_of(db).put("k", encode(codec(), payload, "k"))
        with pytest.raises(cshelve.ClassNotFoundError, match=r"no module 'tests\.no_module'"):
            db["k"]
