"""Every operation on the emulator, with a network and a server that fail once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from cshelve.providers.streams import Source, Target
from testbed.fault_proxy import Rule
from testbed.faults import AfterActing, Answer, CutBody, Fault, Reset
from tests.rigs import GcsRig, Place

pytestmark = [pytest.mark.gcs, pytest.mark.usefixtures("no_pauses")]

FAULTS: dict[str, Fault] = {
    "reset before": Reset(),
    "reset after": Reset(before=False),
    "503": Answer(503),
    "503 after": AfterActing(Answer(503)),
    "429": Answer(429, body=b"slow down"),
    "cut": CutBody(1),
}
PAIRS = {f"n{number}": number for number in range(40)}


@pytest.fixture
def db(gcs: GcsRig) -> Iterator[cshelve.CloudShelf]:
    place = Place(gcs.config(serializer="json"))
    db = place.open()
    db["k"] = 1
    yield db
    place.close()


def stored(db: cshelve.CloudShelf) -> Any:
    db["k"] = 2
    return db["k"]


def modified(db: cshelve.CloudShelf) -> Any:
    db.modify("k", lambda value: value + 1)
    return db["k"]


def set_by_default(db: cshelve.CloudShelf) -> Any:
    return db.setdefault("x", 5), db["x"]


def created(db: cshelve.CloudShelf) -> Any:
    db.replace("x", 5, None)
    return db["x"]


def deleted(db: cshelve.CloudShelf) -> Any:
    db.delete_many(["k"])
    return list(db)


def copied(db: cshelve.CloudShelf) -> Any:
    db.copy("k", "x")
    return db["x"]


def updated(db: cshelve.CloudShelf) -> Any:
    db.update(PAIRS)
    return dict(db.items())


def transferred(db: cshelve.CloudShelf) -> Any:
    db.provider.upload("file", Source(io.BytesIO(b"data")))
    file = io.BytesIO()
    db.provider.download("file", Target(file))
    return file.getvalue()


OPERATIONS: dict[str, tuple[Callable[[cshelve.CloudShelf], Any], Any]] = {
    "get": (lambda db: db["k"], 1),
    "get missing": (lambda db: db.get("x"), None),
    "in": (lambda db: ("k" in db, "x" in db), (True, False)),
    "keys": (list, ["k"]),
    "info": (lambda db: db.info("k").key, "k"),
    "set": (stored, 2),
    "modify": (modified, 2),
    "setdefault": (set_by_default, (5, 5)),
    "replace": (created, 5),
    "delete_many": (deleted, []),
    "copy": (copied, 1),
    "update": (updated, {**PAIRS, "k": 1}),
    "upload and download": (transferred, b"data"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_fails_once_succeeds(
    name: str, fault: str, gcs: GcsRig, db: cshelve.CloudShelf
) -> None:
    act, expected = OPERATIONS[name]
    rules = _once_for_each_method(gcs, FAULTS[fault])
    assert act(db) == expected
    assert sum(rule.hits for rule in rules) >= 1


def _once_for_each_method(gcs: GcsRig, fault: Fault) -> list[Rule]:
    return [gcs.proxy.inject(fault, method=method) for method in ("GET", "POST", "PUT", "DELETE")]


@pytest.mark.parametrize("fault", ["reset after", "503 after"])
def test_a_conditional_write_whose_response_is_lost_is_no_conflict(
    fault: str, gcs: GcsRig, db: cshelve.CloudShelf
) -> None:
    version = db.get_versioned("k")[1]
    with gcs.proxy.inject(FAULTS[fault], method="POST") as rule:
        db.replace("k", 2, version)
    assert rule.hits == 1
    assert db["k"] == 2


@pytest.mark.parametrize("fault", ["reset after", "503 after"])
def test_a_pop_whose_response_is_lost_does_not_pretend(
    fault: str, gcs: GcsRig, db: cshelve.CloudShelf
) -> None:
    gcs.proxy.inject(FAULTS[fault], method="DELETE")
    with pytest.raises(cshelve.OutcomeUnknownError):
        db.pop("k")
    assert "k" not in db


def test_a_large_value_survives_a_network_that_fails(gcs: GcsRig) -> None:
    data = bytes(range(256)) * (20 << 12)
    with cshelve.open_from_dict(gcs.config(use_versioning=False, serializer="bytes")) as db:
        # The emulator stores what has arrived when it is asked how much that is (see
        # `test_requests` for that), so the upload fails where it begins.
        gcs.proxy.inject(Reset(), method="POST")
        db.upload("k", io.BytesIO(data))
        gcs.proxy.inject(CutBody(3 << 20), method="GET")
        file = io.BytesIO()
        db.download("k", file)
        assert file.getvalue() == data
        gcs.proxy.inject(CutBody(3 << 20), method="GET")
        assert db["k"] == data


def test_many_keys_end_early_when_the_server_is_gone(gcs: GcsRig, db: cshelve.CloudShelf) -> None:
    gcs.proxy.inject(Reset(), times=None)
    with pytest.raises(cshelve.StorageError) as caught:
        db.update(PAIRS)
    assert caught.value.about_shelf
    assert caught.value.stored == 0
