"""Somebody else writes to the store: what a protected shelf makes of that, and what it tells."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Provider
from tests.codec.making import EAX, EAX_KEY, GCM, HMAC, KEY
from tests.rigs import Place, S3Rig, folder_config, memory_config

PROTECTIONS: dict[str, dict[str, Any]] = {
    "aes256-gcm": {"encryption": GCM},
    "hmac-sha256": {"signing": HMAC},
    "aes256": {"encryption": EAX},
    "aes256 and hmac-sha256": {"encryption": EAX, "signing": HMAC},
}
BOUND = [name for name in PROTECTIONS if name != "aes256"]


def marked(names: list[str]) -> list[Any]:
    return [
        pytest.param(name, marks=() if name == "hmac-sha256" else pytest.mark.encryption)
        for name in names
    ]


every_protection = pytest.mark.parametrize("protection", marked(list(PROTECTIONS)))
every_bound_protection = pytest.mark.parametrize("protection", marked(BOUND))


class TouchesAFile:
    """What a stranger would plant: a value that runs code while it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (self.path, "w")


@pytest.fixture
def touched(tmp_path: Path) -> Path:
    return tmp_path / "touched"


def store_of(db: cshelve.CloudShelf) -> Provider:
    """The store as somebody else sees it: whole objects, and no codec."""
    return db._objects.records.provider


READS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "read": lambda db: db["k"],
    "get": lambda db: db.get("k"),
    "get_many": lambda db: list(db.get_many(["k"])),
    "items": lambda db: list(db.items()),
    "values": lambda db: list(db.values()),
    "setdefault": lambda db: db.setdefault("k", 1),
    "pop": lambda db: db.pop("k", None),
    "popitem": lambda db: db.popitem(),
    "modify": lambda db: db.modify("k", lambda value: value, default=1),
    "get_versioned": lambda db: db.get_versioned("k"),
    "compare": lambda db: db == {"k": 1},
    "rewrite": lambda db: db.rewrite(),
}


class TestAPlantedPickle:
    def test_is_what_we_think_it_is(self, touched: Path) -> None:
        """Without protection it does run: else the tests below would prove nothing."""
        with cshelve.open_from_dict(memory_config()) as db:
            store_of(db).put("k", pickle.dumps(TouchesAFile(touched)))
            db["k"].close()
        assert touched.exists()

    @every_protection
    @pytest.mark.parametrize("read", READS)
    @pytest.mark.parametrize("writeback", [False, True])
    def test_never_runs(self, protection: str, read: str, writeback: bool, touched: Path) -> None:
        config = memory_config() | PROTECTIONS[protection]
        planted = pickle.dumps(TouchesAFile(touched))
        with cshelve.open_from_dict(memory_config()) as plain:
            plain["k"] = TouchesAFile(touched)
            record = store_of(plain).get("k").data
        with cshelve.open_from_dict(config, writeback=writeback) as db:
            for data in (planted, record):
                store_of(db).put("k", data)
                with pytest.raises((cshelve.UntrustedRecordError, cshelve.BulkError)) as caught:
                    READS[read](db)
                error = getattr(caught.value, "failures", {"k": caught.value})["k"]
                assert isinstance(error, cshelve.UntrustedRecordError)
                assert "'k' in memory" in str(error)
                assert store_of(db).get("k").data == data
        assert not touched.exists()

    @every_protection
    def test_never_runs_in_any_store(self, protection: str, place: Place, touched: Path) -> None:
        place.config |= PROTECTIONS[protection]
        db = place.open()
        db["mine"] = [1, 2]
        store_of(db).put("k", pickle.dumps(TouchesAFile(touched)))
        pairs = iter(db.items())
        read = {}
        for _ in range(2):
            try:
                key, value = next(pairs)
            except cshelve.UntrustedRecordError:
                continue
            read[key] = value
        assert read == {"mine": [1, 2]}
        assert not touched.exists()

    @pytest.mark.parametrize(
        "serializer", ["json", pytest.param("msgpack", marks=pytest.mark.msgpack)]
    )
    def test_never_runs_where_values_are_no_pickles(self, serializer: str, touched: Path) -> None:
        config = memory_config()
        config["default"]["serializer"] = serializer
        with cshelve.open_from_dict(memory_config()) as plain:
            plain["k"] = TouchesAFile(touched)
            record = store_of(plain).get("k").data
        with cshelve.open_from_dict(config) as db:
            for data in (pickle.dumps(TouchesAFile(touched)), record):
                store_of(db).put("k", data)
                with pytest.raises(cshelve.RecordError, match="not guessed"):
                    db["k"]
        assert not touched.exists()

    @every_protection
    def test_runs_if_that_is_what_was_asked_for(self, protection: str, touched: Path) -> None:
        sections = {
            name: {**options, "accept_unprotected": "yes"}
            for name, options in PROTECTIONS[protection].items()
        }
        with pytest.warns(UserWarning, match="accept_unprotected: whoever can write") as caught:
            db = cshelve.open_from_dict(memory_config() | sections)
        assert {warning.filename for warning in caught} == {__file__}
        store_of(db).put("k", pickle.dumps(TouchesAFile(touched)))
        db["k"].close()
        db.close()
        assert touched.exists()


@every_bound_protection
class TestAnObject:
    @pytest.fixture
    def db(self, protection: str, place: Place) -> cshelve.CloudShelf:
        place.config |= PROTECTIONS[protection]
        db = place.open()
        db.update({"users/ada": "ada", "users/grace": "grace", "b": "b"})
        return db

    def test_that_was_copied_onto_another_key_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = store_of(db)
        store.put("users/grace", store.get("users/ada").data)
        with pytest.raises(cshelve.RecordError, match="another key of the shelf"):
            db["users/grace"]
        assert db["users/ada"] == "ada"

    def test_that_was_renamed_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = store_of(db)
        store.put("users/eve", store.get("users/ada").data)
        store.delete("users/ada")
        with pytest.raises(cshelve.RecordError, match="another key of the shelf"):
            db["users/eve"]
        with pytest.raises(KeyError):
            db["users/ada"]

    def test_that_changed_places_with_another_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = store_of(db)
        ada, grace = store.get("users/ada").data, store.get("users/grace").data
        store.put("users/ada", grace)
        store.put("users/grace", ada)
        for key in ("users/ada", "users/grace"):
            with pytest.raises(cshelve.RecordError, match=key):
                db[key]

    def test_that_was_cut_short_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = store_of(db)
        data = store.get("b").data
        for size in (0, 5, 11, len(data) - 1):
            store.put("b", data[:size])
            with pytest.raises(cshelve.RecordError):
                db["b"]

    def test_that_is_older_and_genuine_is_read(self, db: cshelve.CloudShelf) -> None:
        """A replay onto its own key: docs/security.md says that this is not promised."""
        old = store_of(db).get("b").data
        db["b"] = "newer"
        store_of(db).put("b", old)
        assert db["b"] == "b"

    def test_is_one_and_the_same_in_a_prefix_view(self, db: cshelve.CloudShelf) -> None:
        view = db.prefix("users/")
        assert dict(view.items()) == {"ada": "ada", "grace": "grace"}
        view["eve"] = "eve"
        view.prefix("e")["va"] = "eva"
        assert db["users/eve"] == "eve"
        assert db["users/eva"] == "eva"
        assert dict(db.get_many(["users/eve", "users/eva"])) == {
            "users/eve": "eve",
            "users/eva": "eva",
        }

    def test_is_read_where_another_process_wrote_it(
        self, db: cshelve.CloudShelf, place: Place
    ) -> None:
        assert dict(place.open("r").items()) == dict(db.items())

    def test_that_another_shelf_with_the_key_wrote_is_told_by_the_name(
        self, db: cshelve.CloudShelf, place: Place
    ) -> None:
        place.config["default"]["shelf_name"] = "theirs"
        theirs = place.open()
        with pytest.raises(cshelve.RecordError, match="another shelf_name"):
            theirs["b"]


@pytest.mark.s3
@every_bound_protection
def test_a_shelf_may_be_moved_to_another_prefix_as_a_whole(protection: str, s3: S3Rig) -> None:
    config = s3.config() | PROTECTIONS[protection]
    with cshelve.open_from_dict(config) as db:
        db["users/ada"] = "ada"
    old = config["default"]["key_prefix"]
    new = config["default"]["key_prefix"] = f"{old}-moved"
    s3.client.copy_object(
        Bucket=s3.bucket,
        Key=f"{new}/users/ada",
        CopySource={"Bucket": s3.bucket, "Key": f"{old}/users/ada"},
    )
    with cshelve.open_from_dict(config) as db:
        assert db["users/ada"] == "ada"


class TestWhatIsTold:
    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, dict[str, Any]]:
        return folder_config(tmp_path / "shelf")

    def messages(
        self, caplog: pytest.LogCaptureFixture, config: dict[str, dict[str, Any]]
    ) -> list[str]:
        with caplog.at_level(logging.INFO, "cshelve"), cshelve.open_from_dict(config) as db:
            db["k"] = [1]
            assert db["k"] == [1]
        return [record.getMessage() for record in caplog.records]

    def test_of_pickles_that_nothing_protects_is_told_once(
        self, config: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        (message,) = self.messages(caplog, config)
        assert message.startswith(config["default"]["folder_path"])
        assert "whoever can write there can run code" in message
        assert caplog.records[0].levelno == logging.INFO

    @every_protection
    def test_of_protected_pickles_nothing_is_told(
        self,
        protection: str,
        config: dict[str, dict[str, Any]],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert self.messages(caplog, config | PROTECTIONS[protection]) == []

    def test_of_a_migration_it_is_told(
        self, config: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        signing = {**HMAC, "accept_unprotected": True}
        with pytest.warns(UserWarning, match="accept_unprotected"):
            (message,) = self.messages(caplog, config | {"signing": signing})
        assert "whoever can write there can run code" in message

    def test_of_values_that_are_no_pickles_nothing_is_told(
        self, config: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        config["default"]["serializer"] = "json"
        assert self.messages(caplog, config) == []

    def test_of_a_shelf_in_memory_nothing_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.messages(caplog, memory_config()) == []


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
        store_of(db).put("k", db._objects.records.encode("k", (payload,)))
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


def test_what_pickle_says_of_a_class_that_is_gone_is_told() -> None:
    with cshelve.open_from_dict(memory_config()) as db:
        payload = b"\x80\x04\x8c\x0ftests.no_module\x8c\x01C\x93."
        store_of(db).put("k", db._objects.records.encode("k", (payload,)))
        with pytest.raises(cshelve.CorruptRecordError, match=r"No module named 'tests\.no_modul"):
            db["k"]


@every_bound_protection
class TestBytesThatLookLikeAPickle:
    """A shelf of bytes may hold what anybody has uploaded; another with its key has pickles."""

    def test_never_run_in_a_shelf_of_pickles(self, protection: str, touched: Path) -> None:
        config = memory_config() | PROTECTIONS[protection]
        uploads = {**config, "default": {**config["default"], "serializer": "bytes"}}
        planted = pickle.dumps(TouchesAFile(touched))
        with cshelve.open_from_dict(uploads) as db:
            db["k"] = planted
            assert db["k"] == planted
        with cshelve.open_from_dict(config) as db:
            assert db["k"] == planted  # As bytes, which is what they are.
        assert not touched.exists()
