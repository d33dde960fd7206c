"""Broken connections, busy servers and lost responses: what is retried, and what is settled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

import cshelve
from cshelve.exceptions import OutcomeUnknownError
from testbed.faults import AfterActing, Answer, CutBody, Delay, Fault, Hang, Meanwhile, Reset
from tests.providers.azure_blob.rig import AzureRig, azure_config, without_pauses
from tests.rigs import Place, unique_name, wait_until

pytestmark = pytest.mark.azure

BUSY = Answer(503, headers={"x-ms-error-code": "ServerBusy"})
BROKEN = Answer(500, headers={"x-ms-error-code": "InternalError"})
# What a request without a condition survives.
SURVIVED = {
    "reset before": Reset(),
    "reset after": Reset(before=False),
    "busy": BUSY,
    "broken after": AfterActing(BROKEN),
    "gateway": Answer(502, body=b"<html>Bad Gateway</html>"),
}


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with without_pauses():
        yield


@pytest.fixture
def db(azure: AzureRig) -> Iterator[cshelve.CloudShelf]:
    place = Place(azure.config())
    db = place.open()
    db["k"] = "before"
    yield db
    place.close()


def name_of(db: cshelve.CloudShelf, key: str = "k") -> str:
    """Return the path of a blob, as the proxy sees it."""
    _, _, place = db.provider.location.partition("devstoreaccount1/")
    return f"{place}/{key}"


OPERATIONS: dict[str, tuple[str, Callable[[cshelve.CloudShelf], object], object]] = {
    "get": ("GET", lambda db: db["k"], "before"),
    "contains": ("HEAD", lambda db: db.provider.contains("k"), True),
    "list": ("GET", lambda db: list(db), ["k"]),
    "put": ("PUT", lambda db: db.__setitem__("k", "after"), None),
    "delete_many": ("POST", lambda db: db.delete_many(["k"]), None),
    "copy": ("PUT", lambda db: db.copy("k", "l"), None),
    "set_many": ("PUT", lambda db: db.set_many({"k": 1, "l": 2}), None),
    "get_many": ("GET", lambda db: dict(db.get_many(["k"])), {"k": "before"}),
    "inspect": ("GET", lambda db: db.info("k").key, "k"),
}


@pytest.mark.parametrize("fault", SURVIVED.values(), ids=SURVIVED)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_request_without_a_condition_is_sent_again(
    azure: AzureRig,
    db: cshelve.CloudShelf,
    fault: Fault,
    operation: tuple[str, Callable[[cshelve.CloudShelf], object], object],
) -> None:
    method, act, expected = operation
    with azure.proxy.inject(fault, method=method) as rule:
        assert act(db) == expected
    assert rule.hits == 1
    assert db.stats.retries == 1


@pytest.mark.parametrize("fault", SURVIVED.values(), ids=SURVIVED)
def test_opening_tries_again_too(azure: AzureRig, fault: Fault) -> None:
    config = azure.config(container_name=unique_name())
    for method in ("GET", "PUT"):
        with azure.proxy.inject(fault, method=method) as rule:
            with cshelve.open_from_dict(config) as db:
                db["k"] = 1
            assert rule.hits == 1
    azure.service.delete_container(config["default"]["container_name"])


@pytest.mark.parametrize(
    "fault", [Reset(), BUSY, BROKEN, Hang()], ids=["reset", "busy", "500", "-"]
)
def test_after_the_last_attempt_it_is_an_error_about_the_shelf(
    azure: AzureRig, fault: Fault
) -> None:
    config = azure.config(total_max_attempts=2)
    config["provider_params"] = {"read_timeout": "0.2"}
    with cshelve.open_from_dict(config) as db, azure.proxy.inject(fault, times=None) as rule:
        with pytest.raises(
            cshelve.StorageError, match=r"total_max_attempts|responded with 500"
        ) as e:
            db["k"]
        assert type(e.value) is cshelve.StorageError
        assert e.value.about_shelf or fault is BROKEN
        assert rule.hits == 2
        with pytest.raises(cshelve.StorageError):
            assert "k" in db
        with pytest.raises(cshelve.StorageError):
            db.setdefault("k", 1)


def test_a_server_that_is_gone_is_named(azure: AzureRig) -> None:
    config = azure_config("http://127.0.0.1:9/account", total_max_attempts=2)
    with pytest.raises(cshelve.StorageError, match=r"no connection.*account_url"):
        cshelve.open_from_dict(config)


def test_a_body_that_is_cut_off_is_read_again(azure: AzureRig, db: cshelve.CloudShelf) -> None:
    db["k"] = "x" * 10_000
    with azure.proxy.inject(CutBody(100), method="GET", times=2) as rule:
        assert db["k"] == "x" * 10_000
    assert rule.hits == 2
    assert db.stats.retries == 2
    with (
        azure.proxy.inject(CutBody(100), method="GET", times=None),
        pytest.raises(cshelve.StorageError, match="the connection broke"),
    ):
        db["k"]


class TestConditionalRequests:
    """Their own first success never looks like another writer's."""

    CONDITIONAL: ClassVar[dict[str, tuple[str, Callable[[Any], object]]]] = {
        "replace": ("PUT", lambda db: db.replace("k", "after", db.get_versioned("k")[1])),
        "create": ("PUT", lambda db: db.replace("new", "after", None)),
        "modify": ("PUT", lambda db: db.modify("k", lambda _: "after")),
        "setdefault": ("PUT", lambda db: db.setdefault("new", "after")),
    }

    @pytest.mark.parametrize(
        "fault",
        [Reset(), Reset(before=False), BUSY, BROKEN, AfterActing(BROKEN)],
        ids=["reset before", "reset after", "busy", "500", "500 after"],
    )
    @pytest.mark.parametrize("operation", CONDITIONAL.values(), ids=CONDITIONAL)
    def test_succeed_in_spite_of_a_lost_response(
        self,
        azure: AzureRig,
        db: cshelve.CloudShelf,
        fault: Fault,
        operation: tuple[str, Callable[[Any], object]],
    ) -> None:
        method, act = operation
        with azure.proxy.inject(fault, method=method) as rule:
            act(db)
        assert rule.hits == 1
        assert "after" in dict(db).values()

    def test_of_a_late_writer_are_a_conflict(self, azure: AzureRig, db: cshelve.CloudShelf) -> None:
        version = db.get_versioned("k")[1]
        db["k"] = "theirs"
        with pytest.raises(cshelve.ConflictError):
            db.replace("k", "ours", version)
        with pytest.raises(cshelve.ConflictError):
            db.delete("k", version)
        with pytest.raises(cshelve.ConflictError):
            db.replace("k", "ours", None)
        assert db["k"] == "theirs"

    def test_whose_outcome_others_have_hidden_are_unknown(
        self, azure: AzureRig, db: cshelve.CloudShelf
    ) -> None:
        version = db.get_versioned("k")[1]
        blob = azure.container.get_blob_client(name_of(db).partition("/")[2])

        def overwrite() -> None:
            blob.upload_blob(b"theirs", overwrite=True)

        fault = AfterActing(Meanwhile(overwrite, Reset()))
        with azure.proxy.inject(fault, method="PUT"), pytest.raises(OutcomeUnknownError):
            db.replace("k", "ours", version)

    def test_that_delete_may_stay_unknown(self, azure: AzureRig, db: cshelve.CloudShelf) -> None:
        version = db.get_versioned("k")[1]
        fault = Reset(before=False)
        with azure.proxy.inject(fault, method="DELETE"), pytest.raises(OutcomeUnknownError):
            db.delete("k", version)
        db["k"] = "again"
        version = db.get_versioned("k")[1]
        with azure.proxy.inject(Reset(), method="DELETE"):
            db.delete("k", version)
        assert "k" not in db


def test_a_delete_whose_response_was_lost_is_no_missing_key(
    azure: AzureRig, db: cshelve.CloudShelf
) -> None:
    with azure.proxy.inject(Reset(before=False), method="DELETE") as rule:
        del db["k"]
    assert rule.hits == 1
    assert db.provider.delete("k") is False
    with pytest.raises(KeyError):
        del db["k"]


def test_a_refused_part_of_a_batch_is_deleted_by_itself(
    azure: AzureRig, db: cshelve.CloudShelf
) -> None:
    db.update({"a": 1, "b": 2})
    with azure.proxy.inject(Answer(501, headers={"x-ms-error-code": "NotImplemented"})):
        db.delete_many(["a", "b", "c"])
    assert set(db) == {"k"}
    assert db.stats.requests["DeleteBlob"] == 3


def test_a_container_that_vanishes_is_no_missing_key(azure: AzureRig) -> None:
    config = azure.config(container_name="vanishing")
    with cshelve.open_from_dict(config) as db:
        db["k"] = 1
        azure.service.delete_container("vanishing")
        for act in (
            lambda: db["k"],
            lambda: "k" in db,
            lambda: list(db),
            lambda: db.set_many({"k": 1}),
            lambda: db.delete_many(["k"]),
        ):
            with pytest.raises(cshelve.DBDoesNotExistsError, match="no such container"):
                act()


def test_no_more_requests_are_in_flight_than_allowed(azure: AzureRig) -> None:
    with cshelve.open_from_dict(azure.config(concurrency=12)) as db:
        keys = [f"k{number}" for number in range(60)]
        in_flight = most = 0
        lock, are_eight = threading.Lock(), threading.Event()

        def watch(exchange: Any) -> None:
            nonlocal in_flight, most
            with lock:
                in_flight += 1
                most = max(most, in_flight)
                if most == 8:
                    are_eight.set()
            are_eight.wait(2)
            exchange.wait(0.02)
            with lock:
                in_flight -= 1
            exchange.send(exchange.forward())

        with azure.proxy.inject(watch, times=None):
            db.set_many(dict.fromkeys(keys, 1))
            assert dict(db.get_many(keys)) == dict.fromkeys(keys, 1)
        # At least eight times as fast as a loop, if requests take much longer than the client.
        assert 8 <= most <= 12
        db.clear()


def test_ctrl_c_ends_many_requests_and_the_shelf_goes_on(
    azure: AzureRig, db: cshelve.CloudShelf
) -> None:
    taken = db.provider._requests._permits.get()  # type: ignore[attr-defined]

    class Stop(BaseException):
        pass

    def items() -> Iterator[tuple[str, int]]:
        yield from ((f"k{number}", number) for number in range(20))
        raise Stop

    with azure.proxy.inject(Delay(0.05), times=None), pytest.raises(Stop):
        db.set_many(items())
    wait_until(lambda: taken.taken == 0)
    assert db["k"] == "before"
