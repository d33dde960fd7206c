"""What each operation costs, counted at the wire: the table of `docs/azure.md`."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import cshelve
from tests.forks import forks, in_child
from tests.providers.azure_blob.rig import AzureRig
from tests.rigs import Place, unique_name

pytestmark = pytest.mark.azure

GET, HEAD, PUT, DELETE = "GetBlob", "GetBlobProperties", "PutBlob", "DeleteBlob"
LIST, BATCH, COPY = "ListBlobs", "BlobBatch", "CopyBlob"


@pytest.fixture
def db(azure: AzureRig) -> Iterator[cshelve.CloudShelf]:
    place = Place(azure.config())
    db = place.open()
    db["k"] = "value"
    yield db
    place.close()


def requests_of(azure: AzureRig, db: cshelve.CloudShelf, act: Callable[[], Any]) -> Counter[str]:
    """Count the requests of an operation, and see that the statistics have all that were sent."""
    with azure.proxy.counting() as seen, db.stats.measuring() as used, suppress(KeyError):
        act()
    assert seen.total == used.requests.total()
    assert used.bytes_sent == sum(request.bytes_received for request in seen.requests)
    assert used.bytes_received == sum(request.bytes_sent for request in seen.requests)
    return used.requests


MANY = {f"n{number}": number for number in range(5)}
OPERATIONS: dict[str, tuple[Callable[[Any], Any], dict[str, int]]] = {
    "getitem": (lambda db: db["k"], {GET: 1}),
    "getitem missing": (lambda db: db["x"], {GET: 1}),
    "get missing": (lambda db: db.get("x", 1), {GET: 1}),
    "set": (lambda db: db.__setitem__("k", 2), {PUT: 1}),
    "in": (lambda db: "k" in db, {GET: 1}),
    "in missing": (lambda db: "x" in db, {GET: 1}),
    "del": (lambda db: db.__delitem__("k"), {GET: 1, DELETE: 1}),
    "del missing": (lambda db: db.__delitem__("x"), {GET: 1}),
    "bool": (bool, {LIST: 1}),
    "len": (len, {LIST: 1}),
    "pop": (lambda db: db.pop("k"), {GET: 1, DELETE: 1}),
    "pop missing": (lambda db: db.pop("x"), {GET: 1}),
    "popitem": (lambda db: db.popitem(), {LIST: 1, GET: 1, DELETE: 1}),
    "setdefault present": (lambda db: db.setdefault("k", 1), {GET: 1}),
    "setdefault absent": (lambda db: db.setdefault("x", 1), {GET: 1, PUT: 1}),
    "modify": (lambda db: db.modify("k", lambda value: value + "!"), {GET: 1, PUT: 1}),
    "replace": (lambda db: db.replace("k", 1, db.get_versioned("k")[1]), {GET: 1, PUT: 1}),
    "clear": (lambda db: db.clear(), {LIST: 1, BATCH: 1}),
    "items": (lambda db: list(iter(db.items())), {LIST: 1, GET: 1}),
    "update": (lambda db: db.update(MANY), {PUT: 5}),
    "get_many": (lambda db: dict(db.get_many(["k", "x"])), {GET: 2}),
    "delete_many": (lambda db: db.delete_many(["k", "x"]), {BATCH: 1}),
    "copy": (lambda db: db.copy("k", "x"), {GET: 1, COPY: 1}),
    "move": (lambda db: db.move("k", "x"), {GET: 1, COPY: 1, DELETE: 1}),
    "info": (lambda db: db.info("k"), {GET: 1}),
    "entries": (lambda db: list(db.entries()), {LIST: 1}),
    "keys after": (lambda db: list(iter(db.keys(start_after="a"))), {LIST: 1}),
    "upload": (lambda db: db.provider.upload("u", _source()), {PUT: 1}),
    "expire": (lambda db: db.expire(), {LIST: 1, GET: 1}),
    "not storable": (lambda db: ("a." in db, db.get("a\\b")), {}),
}


def _source() -> Any:
    return cshelve.providers.Source(io.BytesIO(b"value"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_costs(name: str, azure: AzureRig, db: cshelve.CloudShelf) -> None:
    act, expected = OPERATIONS[name]
    assert requests_of(azure, db, lambda: act(db)) == expected


def test_opening_costs_a_listing_and_nothing_if_it_is_not_checked(azure: AzureRig) -> None:
    for flag in ("r", "w", "c"):
        with cshelve.open_from_dict(azure.config(), flag) as db:
            assert db.stats.requests == {LIST: 1}
        with cshelve.open_from_dict(azure.config(check_container=False), flag) as db:
            assert not db.stats.requests


def test_creating_the_container_costs_one_more(azure: AzureRig) -> None:
    name = unique_name()
    with cshelve.open_from_dict(azure.config(container_name=name)) as db:
        assert db.stats.requests == {LIST: 1, "CreateContainer": 1}
    with cshelve.open_from_dict(azure.config(container_name=name), "n") as db:
        assert db.stats.requests == {LIST: 1}
    azure.service.delete_container(name)


def test_an_empty_value_costs_another_request(azure: AzureRig) -> None:
    config = azure.config(use_versioning=False, serializer="bytes")
    with cshelve.open_from_dict(config) as db:
        db["k"] = b""
        for act in (lambda: db["k"], lambda: db.provider.inspect("k")):
            assert requests_of(azure, db, act) == {GET: 1, HEAD: 1}
        assert "k" in db
        assert db["k"] == b""


def test_a_delete_that_is_refused_for_its_version_costs_a_look(
    azure: AzureRig, db: cshelve.CloudShelf
) -> None:
    def refused() -> None:
        with pytest.raises(cshelve.ConflictError):
            db.delete("k", "0x1")

    assert requests_of(azure, db, refused) == {DELETE: 1, HEAD: 1}


def test_what_is_not_carried_out_counts_with_its_status(
    azure: AzureRig, db: cshelve.CloudShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int, str | None]] = []
    count = db.stats.count

    def tell(operation: str, **details: Any) -> None:
        assert details["seconds"] > 0
        told.append((operation, details["status"], details["key"]))
        count(operation, **details)

    monkeypatch.setattr(db.stats, "count", tell)
    db["k"] = 1
    assert db.get("x") is None
    prefix = db.provider.location.rpartition("/")[2]
    assert told == [(PUT, 201, f"{prefix}/k"), (GET, 404, f"{prefix}/x")]


@forks
def test_a_forked_child_has_connections_of_its_own(azure: AzureRig, db: cshelve.CloudShelf) -> None:
    with azure.proxy.counting() as seen:
        assert db["k"] == "value"
        assert in_child(lambda: db["k"]) == "value"
        assert db["k"] == "value"
    ours, theirs, again = (request.connection for request in seen.requests)
    assert ours == again != theirs
