"""What each operation costs, counted at the wire: the table of `docs/s3.md`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from tests.providers.aws_s3.rig import warmed_up
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig, provider_of

pytestmark = pytest.mark.s3

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"
LIST, DELETES = "ListObjectsV2", "DeleteObjects"


@pytest.fixture(scope="module")
def shared(s3_rig: S3Rig) -> cshelve.CloudShelf:
    return warmed_up(Place(s3_rig.config()).open())


@pytest.fixture
def db(shared: cshelve.CloudShelf) -> cshelve.CloudShelf:
    shared.clear()
    shared["k"] = "value"
    return shared


def requests_of(s3: S3Rig, operation: Callable[[], Any]) -> list[str]:
    with s3.proxy.counting() as seen:
        operation()
    return seen.operations


def error_of(operation: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        with pytest.raises(KeyError):
            operation()

    return run


SINGLE_KEYS: dict[str, tuple[Callable[[cshelve.CloudShelf], Any], list[str]]] = {
    "getitem": (lambda db: db["k"], [GET]),
    "getitem missing": (lambda db: db.get("x"), [GET]),
    "get": (lambda db: db.get("k", 1), [GET]),
    "get missing": (lambda db: db.get("x", 1), [GET]),
    "set": (lambda db: db.__setitem__("k", 2), [PUT]),
    "in": (lambda db: "k" in db, [HEAD]),
    "in missing": (lambda db: "x" in db, [HEAD]),
    "not storable in": (lambda db: "" in db, []),
    "not storable get": (lambda db: db.get("x" * 1025), []),
    "del": (lambda db: db.__delitem__("k"), [HEAD, DELETE]),
    "bool": (bool, [LIST]),
    "len": (len, [LIST]),
    "pop": (lambda db: db.pop("k"), [GET, DELETE]),
    "pop missing": (lambda db: db.pop("x", None), [GET]),
    "popitem": (lambda db: db.popitem(), [LIST, GET, DELETE]),
    "setdefault present": (lambda db: db.setdefault("k", 1), [GET]),
    "setdefault absent": (lambda db: db.setdefault("x", 1), [GET, PUT]),
    "clear": (lambda db: db.clear(), [LIST, DELETES]),
    "keys": (lambda db: [key for key in db], [LIST]),  # noqa: C416  # list() asks for len too
    "list": (list, [LIST, LIST]),
    "items": (lambda db: [pair for pair in db.items()], [LIST, GET]),  # noqa: C416
    "values": (lambda db: [value for value in db.values()], [LIST, GET]),  # noqa: C416
    "item in items": (lambda db: ("k", "value") in db.items(), [GET]),
    "update": (lambda db: db.update(a=1), [PUT]),
}


@pytest.mark.parametrize("name", SINGLE_KEYS)
def test_operation_costs(name: str, s3: S3Rig, db: cshelve.CloudShelf) -> None:
    operation, expected = SINGLE_KEYS[name]
    assert requests_of(s3, lambda: operation(db)) == expected


def test_del_of_a_missing_key_costs_one_request(s3: S3Rig, db: cshelve.CloudShelf) -> None:
    assert requests_of(s3, error_of(lambda: db.__delitem__("x"))) == [HEAD]


def test_pop_of_a_missing_key_costs_one_request(s3: S3Rig, db: cshelve.CloudShelf) -> None:
    assert requests_of(s3, error_of(lambda: db.pop("x"))) == [GET]


@pytest.mark.parametrize("flag", ["r", "w", "c"])
def test_opening_an_existing_bucket_costs_one_listing_of_one_key(
    flag: str, s3: S3Rig, s3_place: Place
) -> None:
    with s3.proxy.counting() as seen:
        s3_place.open(flag)
    (request,) = seen.requests
    assert request.operation == LIST
    assert "max-keys=1&" in f"{request.query}&"
    assert f"prefix={s3_place.config['default']['key_prefix']}%2F" in request.query


@pytest.mark.parametrize("flag", ["r", "w", "c"])
def test_opening_without_check_bucket_costs_nothing(flag: str, s3: S3Rig) -> None:
    place = Place(s3.config(check_bucket=False))
    assert requests_of(s3, lambda: place.open(flag).close()) == []


def test_missing_on_forbidden_implies_no_check(s3: S3Rig) -> None:
    place = Place(s3.config(missing_on_forbidden=True))
    assert requests_of(s3, lambda: place.open("r").close()) == []


def test_creating_the_bucket_costs_one_more(s3: S3Rig) -> None:
    place = Place(s3.config(bucket_name="made-by-c"))
    asked = [LIST] * SENT_IF_REFUSED
    assert requests_of(s3, lambda: place.open("c").close()) == [*asked, "CreateBucket"]
    s3.client.delete_bucket(Bucket="made-by-c")


@pytest.fixture(scope="module")
def home(s3_rig: S3Rig) -> Place:
    return Place(s3_rig.config())


class TestManyKeys:
    """1,050 keys, which are two pages; written round the proxy, to be quick."""

    @pytest.fixture
    def many(self, s3: S3Rig, home: Place) -> cshelve.CloudShelf:
        # By the engine that is fast, and round the proxy, which is not.
        quick = {
            "default": {**home.config["default"], "engine": "direct"},
            "provider_params": {"endpoint_url": s3.server.endpoint_url},
        }
        with cshelve.open_from_dict(quick) as shelf:
            missing = {f"k{number:04}" for number in range(1050)}.difference(shelf)
            shelf.update(dict.fromkeys(missing, 1))
        return warmed_up(home.open())

    def test_listings_cost_a_request_a_page(self, s3: S3Rig, many: cshelve.CloudShelf) -> None:
        assert requests_of(s3, lambda: len(many)) == [LIST] * 2
        assert requests_of(s3, lambda: bool(many)) == [LIST]
        assert requests_of(s3, many.popitem) == [LIST, GET, DELETE]

    def test_iterating_asks_for_a_page_only_when_it_is_needed(
        self, s3: S3Rig, many: cshelve.CloudShelf
    ) -> None:
        keys = iter(many)
        assert requests_of(s3, lambda: [next(keys) for _ in range(1000)]) == [LIST]
        assert requests_of(s3, lambda: next(keys)) == [LIST]

    def test_every_key_can_be_deleted_while_going_through_them(
        self, many: cshelve.CloudShelf
    ) -> None:
        for number, key in enumerate(many):
            if number % 10 == 0:
                del many[key]
        assert len(many) == 945

    def test_clear_costs_a_delete_a_thousand_and_reads_no_value(
        self, s3: S3Rig, many: cshelve.CloudShelf
    ) -> None:
        # A page is deleted while the next one is listed.
        assert sorted(requests_of(s3, many.clear)) == sorted([LIST, DELETES, LIST, DELETES])
        assert not many


def test_flag_n_costs_what_clear_costs(s3: S3Rig, s3_place: Place) -> None:
    s3_place.open().update(a=1, b=2, c=3)
    assert requests_of(s3, lambda: s3_place.open("n")) == [LIST, DELETES]
    assert not s3_place.open("r")


def test_a_value_is_never_downloaded_to_be_looked_for(s3: S3Rig, db: cshelve.CloudShelf) -> None:
    db["big"] = bytes(2**20)
    before = s3.proxy.requests
    assert "big" in db
    (request,) = s3.proxy.requests[len(before) :]
    assert request.method == "HEAD"


def test_stats_count_every_request(db: cshelve.CloudShelf) -> None:
    stats = provider_of(db).stats
    before = stats.requests.copy()
    db["k"] = "new"
    assert db["k"] == "new"
    assert stats.requests - before == {PUT: 1, GET: 1}
