"""What each operation costs, and which permissions it needs: the tables of `docs/gcs.md`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer
from tests.providers.gcs.rig import (
    CHUNK,
    CREATE,
    DATA,
    DELETE,
    GET,
    INSERT,
    LIST,
    REWRITE,
    requests_of,
)
from tests.rigs import GcsRig, Place, unique_name

pytestmark = pytest.mark.gcs


@pytest.fixture
def place(gcs: GcsRig) -> Iterator[Place]:
    place = Place(gcs.config())
    yield place
    place.close()


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    db = place.open()
    db["k"] = "value"
    return db


COSTS: dict[str, tuple[Callable[[cshelve.CloudShelf], Any], list[str]]] = {
    "getitem": (lambda db: db["k"], [DATA]),
    "get missing": (lambda db: db.get("x", 1), [DATA]),
    "set": (lambda db: db.__setitem__("k", 2), [INSERT]),
    "in": (lambda db: "k" in db, [DATA]),
    "in missing": (lambda db: "x" in db, [DATA]),
    "not storable in": (lambda db: "" in db, []),
    "not storable get": (lambda db: db.get("x" * 1025), []),
    "del": (lambda db: db.__delitem__("k"), [DATA, DELETE]),
    "bool": (bool, [LIST]),
    "len": (len, [LIST]),
    "keys": (lambda db: [key for key in db], [LIST]),  # noqa: C416  # list() asks for len too
    "items": (lambda db: [pair for pair in db.items()], [LIST, DATA]),  # noqa: C416
    "pop": (lambda db: db.pop("k"), [DATA, DELETE]),
    "pop missing": (lambda db: db.pop("x", None), [DATA]),
    "popitem": (lambda db: db.popitem(), [LIST, DATA, DELETE]),
    "setdefault present": (lambda db: db.setdefault("k", 1), [DATA]),
    "setdefault absent": (lambda db: db.setdefault("x", 1), [DATA, INSERT]),
    "modify": (lambda db: db.modify("k", lambda value: value + "!"), [DATA, INSERT]),
    "get_versioned": (lambda db: db.get_versioned("k"), [DATA]),
    "replace": (lambda db: db.replace("x", 1, None), [INSERT]),
    "copy": (lambda db: db.copy("k", "x"), [DATA, REWRITE]),
    "move": (lambda db: db.move("k", "x"), [DATA, REWRITE, DELETE]),
    "info": (lambda db: db.info("k"), [DATA]),
    "entries": (lambda db: list(db.entries()), [LIST]),
    "set_many": (lambda db: db.set_many({"k": 1}), [INSERT]),
    "delete_many": (lambda db: db.delete_many(["k"]), [DELETE]),
    "get_many": (lambda db: list(db.get_many(["k", "x"])), [DATA, DATA]),
    "clear": (lambda db: db.clear(), [LIST, DELETE]),
    "expire": (lambda db: db.expire(), [LIST, DATA]),
}


@pytest.mark.parametrize("name", COSTS)
def test_operation_costs(name: str, gcs: GcsRig, db: cshelve.CloudShelf) -> None:
    act, expected = COSTS[name]
    assert requests_of(gcs, lambda: act(db)) == expected


def test_a_large_value_costs_a_request_for_each_8_mib_and_one(gcs: GcsRig) -> None:
    place = Place(gcs.config(use_versioning=False, serializer="bytes"))
    db, data = place.open(), bytes(17 << 20)
    assert requests_of(gcs, lambda: db.__setitem__("k", data)) == [INSERT, CHUNK, CHUNK, CHUNK]
    assert requests_of(gcs, lambda: db["k"]) == [DATA]
    assert db["k"] == data
    assert requests_of(gcs, lambda: db.upload("k", io.BytesIO(data))) == [INSERT] + [CHUNK] * 3
    assert requests_of(gcs, lambda: db.download("k", io.BytesIO())) == [DATA]
    assert requests_of(gcs, lambda: db.upload("k", io.BytesIO(b"small"))) == [INSERT]
    place.close()


@pytest.mark.parametrize("flag", ["r", "w", "c"])
def test_opening_an_existing_bucket_costs_one_listing(flag: str, gcs: GcsRig, place: Place) -> None:
    with gcs.proxy.counting() as seen:
        place.open(flag)
    [request] = seen.requests
    assert "maxResults=2&" in request.query
    assert f"prefix={place.config['default']['key_prefix']}%2F" in request.query


def test_creating_the_bucket_costs_one_more(gcs: GcsRig) -> None:
    name = f"{unique_name()}-new"
    place = Place(gcs.config(bucket_name=name))
    assert requests_of(gcs, lambda: place.open("c").close()) == [LIST, CREATE]
    assert requests_of(gcs, lambda: place.open("c").close()) == [LIST]


def test_flag_n_costs_what_clear_costs(gcs: GcsRig, place: Place, db: cshelve.CloudShelf) -> None:
    assert requests_of(gcs, lambda: place.open("n")) == [LIST, DELETE]


def test_an_empty_object_costs_a_second_request_to_inspect(gcs: GcsRig) -> None:
    with cshelve.open_from_dict(gcs.config(use_versioning=False, serializer="bytes")) as db:
        db["k"] = b""
        assert requests_of(gcs, lambda: db.info("k")) == [DATA, GET]


class TestPermissions:
    """The server refuses all that a flag does not need."""

    READING: tuple[Callable[[cshelve.CloudShelf], Any], ...] = (
        lambda db: db["k"],
        lambda db: "k" in db,
        list,
        lambda db: db.info("k"),
        lambda db: dict(db.items()),
    )

    def test_of_flag_r_are_to_list_and_to_get(
        self, gcs: GcsRig, place: Place, db: cshelve.CloudShelf
    ) -> None:
        for method in ("POST", "PUT", "DELETE"):
            gcs.proxy.inject(Answer(403, body=b"{}"), method=method, times=None)
        reader = place.open("r")
        for act in self.READING:
            act(reader)
        with pytest.raises(cshelve.AuthError):
            place.open("w")["k"] = 1

    def test_of_flag_w_are_not_to_create_buckets(self, gcs: GcsRig, place: Place) -> None:
        gcs.proxy.inject(Answer(403, body=b"{}"), method="POST", key="v1/b", times=None)
        writer = place.open("w")
        writer["k"] = 1
        writer.modify("k", lambda value: value + 1)
        writer.update({"a": 1})
        writer.copy("k", "b")
        writer.clear()
        with pytest.raises(cshelve.CreateRefusedError, match=r"storage\.buckets\.create"):
            Place(gcs.config(bucket_name=f"{unique_name()}-new")).open("c")


def test_emptying_a_whole_bucket_logs_a_warning(
    gcs: GcsRig, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{unique_name()}-whole"
    place = Place(gcs.config(bucket_name=name, key_prefix=None))
    db = place.open()
    assert f"gs://{name}: the bucket did not exist, and was created" in caplog.text
    db.update(a=1, b=2)
    db.clear()
    assert "the shelf is the whole bucket, and 2 objects were deleted from it" in caplog.text
    place.close()
