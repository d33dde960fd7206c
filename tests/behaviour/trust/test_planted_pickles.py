"""A pickle that somebody else wrote to the store never runs in a protected shelf."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.behaviour.trust.rig import PROTECTIONS, every_bound_protection, every_protection
from tests.rigs import Place, memory_config, provider_of


class TouchesAFile:
    """What a stranger would plant: a value that runs code while it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (self.path, "w")


@pytest.fixture
def touched(tmp_path: Path) -> Path:
    return tmp_path / "touched"


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
        """Without protection it does run: else the other tests would prove nothing."""
        with cshelve.open_from_dict(memory_config()) as db:
            provider_of(db).put("k", pickle.dumps(TouchesAFile(touched)))
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
            record = provider_of(plain).get("k").data
        with cshelve.open_from_dict(config, writeback=writeback) as db:
            for data in (planted, record):
                provider_of(db).put("k", data)
                with pytest.raises((cshelve.UntrustedRecordError, cshelve.BulkError)) as caught:
                    READS[read](db)
                error = getattr(caught.value, "failures", {"k": caught.value})["k"]
                assert isinstance(error, cshelve.UntrustedRecordError)
                assert "'k' in memory" in str(error)
                assert provider_of(db).get("k").data == data
        assert not touched.exists()

    @pytest.mark.parametrize("read", READS)
    @pytest.mark.parametrize("writeback", [False, True])
    def test_never_runs_where_its_class_is_not_listed(
        self, read: str, writeback: bool, touched: Path
    ) -> None:
        config = memory_config()
        config["default"]["unpickle_only"] = "basic, datetime, numpy, pandas"
        with cshelve.open_from_dict(memory_config()) as plain:
            plain["k"] = TouchesAFile(touched)
            record = provider_of(plain).get("k").data
        with cshelve.open_from_dict(config, writeback=writeback) as db:
            for data in (pickle.dumps(TouchesAFile(touched)), record):
                provider_of(db).put("k", data)
                if read == "rewrite":  # That takes a pickle as it is, and unpickles nothing.
                    READS[read](db)
                else:
                    with pytest.raises(cshelve.UntrustedRecordError, match=r"\.open is not in"):
                        READS[read](db)
        assert not touched.exists()

    @every_protection
    def test_never_runs_in_any_store(self, protection: str, place: Place, touched: Path) -> None:
        place.config |= PROTECTIONS[protection]
        db = place.open()
        db["mine"] = [1, 2]
        provider_of(db).put("k", pickle.dumps(TouchesAFile(touched)))
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
            record = provider_of(plain).get("k").data
        with cshelve.open_from_dict(config) as db:
            for data in (pickle.dumps(TouchesAFile(touched)), record):
                provider_of(db).put("k", data)
                with pytest.raises(cshelve.RecordError, match="is not marked"):
                    db["k"]
        assert not touched.exists()

    @every_protection
    def test_runs_if_that_is_what_was_asked_for(self, protection: str, touched: Path) -> None:
        sections = {
            name: {**options, "accept_unprotected": "yes"}
            for name, options in PROTECTIONS[protection].items()
        }
        with pytest.warns(UserWarning, match="accept_unprotected: anyone who can write") as caught:
            db = cshelve.open_from_dict(memory_config() | sections)
        assert {warning.filename for warning in caught} == {__file__}
        provider_of(db).put("k", pickle.dumps(TouchesAFile(touched)))
        db["k"].close()
        db.close()
        assert touched.exists()


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
