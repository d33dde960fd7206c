"""Ctrl-C, and exceptions of alarm handlers: whenever they strike, the call ends, and nothing stays.

What is tested afterwards is that the same process can go on with the same shelf.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

import cshelve
from cshelve._concurrency.permits import Permits
from cshelve.providers.aws_s3.direct import exchange
from testbed.seaweedfs import SeaweedFS
from tests.providers.aws_s3.rig import each_engine, engine_of, permits_taken, threads_left
from tests.rigs import Place, S3Rig, s3_config
from tests.scripts import result_of

pytestmark = [
    pytest.mark.s3,
    pytest.mark.once,
    pytest.mark.skipif(os.name == "nt", reason="signals to oneself are of POSIX"),
]

# How often each operation is interrupted; more by hand: CSHELVE_TEST_INTERRUPTS=50.
RUNS = int(os.environ.get("CSHELVE_TEST_INTERRUPTS", "3"))
SECONDS = 5.0
# All runs in one process: an interrupted shelf is the next run's, and each operation has a new one.
PROGRAM = """
import os, random, signal, threading, time
import cshelve

operations, how, runs, most_seconds = arguments
random.seed(int.from_bytes(os.urandom(4), "big"))


# botocore takes any Exception for a failure of the request, and tries again.
class Alarm(Exception if config["default"]["engine"] == "direct" else BaseException):
    pass


# Before Python 3.13, logging keeps its lock for ever if an exception strikes at the wrong moment.
def ring(number, frame):
    if frame.f_globals.get("__name__") == "logging":
        signal.setitimer(signal.ITIMER_REAL, 0.001, 3)
    else:
        raise KeyboardInterrupt if how == "Ctrl-C" else Alarm


signal.signal(signal.SIGALRM, ring)
signal.signal(signal.SIGINT, ring)
MANY = {f"n{number}": number for number in range(50)}
LARGE = bytes(6 * 2**20)
OPERATIONS = {
    "update": lambda db: db.update(MANY),
    "get_many": lambda db: sum(1 for _ in db.get_many(MANY)),
    "items": lambda db: sum(1 for _ in db.items()),
    "delete_many": lambda db: db.delete_many(MANY),
    "clear": lambda db: db.clear(),
    "write of a large value": lambda db: db.__setitem__("large", LARGE),
    "read of a large value": lambda db: len(db["large"]),
    "modify": lambda db: [db.modify("k", lambda value: value + 1) for _ in range(30)],
    "set and get": lambda db: [(db.__setitem__("k", 1), db["k"]) for _ in range(100)],
}


# Again every three seconds: Python swallows what strikes in a callback of a weakref.
def strike(seconds, has_ended):
    while not has_ended.wait(seconds):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        seconds = 3


def interrupted(what, db):
    act, requests = OPERATIONS[what], db.provider._requests
    db.update(MANY)
    db["k"] = 0
    db.modify("k", lambda value: value)
    if "read" in what:
        db["large"] = LARGE
    outcomes, slowest = [], 0.0

    # Not in the loop below: from Python 3.14 on, the end of this `if` would be outside the try.
    def once():
        act(db)
        if what in ("delete_many", "clear"):
            db.update(MANY)

    for run in range(runs):
        if what in ("delete_many", "clear"):
            db.update(MANY)
        # The others have begun anew several times by then.
        seconds = random.random() * (most_seconds if "large" in what else most_seconds / 3)
        has_ended = threading.Event()
        begun = time.monotonic()
        try:
            if how == "alarm":
                signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.0001), 3)
            else:
                threading.Thread(target=strike, args=(seconds, has_ended)).start()
            while True:
                once()
        except (KeyboardInterrupt, Alarm):
            outcomes.append("interrupted")
        except BaseException as error:
            outcomes.append(f"{type(error).__name__}: {error}")
        has_ended.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, time.monotonic() - begun - seconds)
        error = None
        assert requests.permits.taken == 0, (what, requests.permits._holders)
        # One that was being started may have begun after all, and is about to end.
        until = time.monotonic() + 1
        while left := [
            each
            for each in threading.enumerate()
            # Without an identifier, it has not begun: Python lists it if it was about to start it.
            if each.name.startswith("cshelve") and each.ident is not None
        ]:
            assert time.monotonic() < until, (what, left)
            time.sleep(0.01)
        db["after"] = run
        assert db["after"] == run
    return sorted(set(outcomes)), slowest


came_of = {}
for what in operations:
    with cshelve.open_from_dict(config) as db:
        came_of[what] = interrupted(what, db)
print(json.dumps(came_of))
"""
OPERATIONS = (
    *("update", "get_many", "items", "delete_many", "clear", "modify", "set and get"),
    *("write of a large value", "read of a large value"),
)


@each_engine
@pytest.mark.parametrize(
    ("how", "operations"),
    [("Ctrl-C", OPERATIONS), ("alarm", ("update", "get_many", "write of a large value"))],
    ids=["Ctrl-C", "alarm"],
)
def test_whenever_it_strikes(
    how: str, operations: tuple[str, ...], engine: str, seaweedfs: SeaweedFS
) -> None:
    parts = {"multipart_threshold_bytes": 5 << 20, "multipart_chunk_bytes": 5 << 20}
    config = s3_config(seaweedfs.admin, seaweedfs.endpoint_url, engine=engine, **parts)
    most = 0.2
    seconds = 60 + len(operations) * RUNS * (most + SECONDS)
    came_of = result_of(PROGRAM, config, arguments=[operations, how, RUNS, most], seconds=seconds)
    assert list(came_of) == list(operations)
    for what, (outcomes, slowest) in came_of.items():
        assert outcomes == ["interrupted"], what
        assert slowest < SECONDS, what


class TestAtAGivenPlace:
    @pytest.fixture(params=["direct", "boto3"])
    def db(self, request: pytest.FixtureRequest, s3: S3Rig) -> Iterator[cshelve.CloudShelf]:
        place = Place(s3.config(engine=request.param, concurrency=3))
        db = place.open()
        db.update(dict.fromkeys("abcdef", 0))
        yield db
        place.close()

    def refuses_nothing(self, db: cshelve.CloudShelf) -> None:
        if permits_taken(db):
            gc.collect()  # A traceback may be in a cycle, and has frames that hold permits.
        assert permits_taken(db) == 0
        assert threads_left() == []
        db["after"] = 1
        assert db["after"] == 1
        assert dict(db.get_many([*"abc"])) == dict.fromkeys("abc", 0)

    def test_behind_the_start_of_a_thread(self, db: cshelve.CloudShelf, s3: S3Rig) -> None:
        """Where the thread runs already, and its starter has not heard of it."""
        start = threading.Thread.start

        def start_and_stop(thread: threading.Thread) -> None:
            start(thread)
            if thread.name.startswith("cshelve"):
                raise KeyboardInterrupt

        with (
            mock.patch.object(threading.Thread, "start", start_and_stop),
            # The direct engine has threads for what it leaves to boto3.
            mock.patch("cshelve.providers.aws_s3.requests.interception", return_value="a test"),
        ):
            with pytest.raises(KeyboardInterrupt):
                list(db.get_many([*"abcdef"]))
            with pytest.raises(KeyboardInterrupt):
                db.update(dict.fromkeys("abcdef", 0))
        self.refuses_nothing(db)

    def test_where_a_permit_is_given_back(self, db: cshelve.CloudShelf) -> None:
        release = Permits.release
        strikes = iter([True])

        def stop_and_release(permits: Permits, holder: object) -> None:
            if next(strikes, False):
                raise KeyboardInterrupt
            release(permits, holder)

        for act in (
            lambda: db["a"],
            lambda: db.__setitem__("a", 0),
            lambda: list(db.get_many([*"abcdef"])),
            lambda: db.update(dict.fromkeys("abcdef", 0)),
            lambda: list(db),
        ):
            strikes = iter([True])
            with (
                mock.patch.object(Permits, "release", stop_and_release),
                pytest.raises(KeyboardInterrupt),
            ):
                act()
            self.refuses_nothing(db)

    def test_behind_the_receipt_of_an_answer(self, db: cshelve.CloudShelf) -> None:
        """Nobody waits for an answer that has arrived already, and is lost: that takes 20 s."""
        if engine_of(db) != "direct":
            pytest.skip("the direct engine's")

        receive: Any = vars(exchange)["receive"]
        strikes: Iterator[bool] = iter(())

        def receive_and_stop(connection: Any, reader: Any) -> None:
            receive(connection, reader)
            if next(strikes, False):
                raise KeyboardInterrupt

        begun = time.monotonic()
        for act in (lambda: db.update(dict.fromkeys("abcdef", 0)), lambda: dict(db.items())):
            strikes = iter([True])
            with (
                mock.patch.object(exchange, "receive", receive_and_stop),
                pytest.raises(KeyboardInterrupt),
            ):
                act()
            self.refuses_nothing(db)
        assert time.monotonic() - begun < SECONDS

    @pytest.mark.parametrize(
        "where", ["engine.receive", "exchange.receive", "templates.Template.request"]
    )
    def test_an_exception_of_the_programs_own(self, where: str, db: cshelve.CloudShelf) -> None:
        """As the handler of an alarm raises one: it is no failure of the engine's."""

        class AlarmError(Exception):
            pass

        if engine_of(db) != "direct":
            pytest.skip("botocore takes all exceptions for failures, and tries again")
        is_of_many = where != "engine.receive"
        is_of_single = where != "exchange.receive"
        acts: list[tuple[bool, Callable[[], object]]] = [
            (is_of_single, lambda: db["a"]),
            (is_of_single, lambda: db.__setitem__("a", 0)),
            (is_of_single, lambda: "a" in db),
            (is_of_single, lambda: db.setdefault("b", 0)),
            (is_of_single, lambda: list(db)),
            (is_of_many, lambda: dict(db.get_many([*"abcdef"]))),
            (is_of_many, lambda: db.update(dict.fromkeys("abcdef", 0))),
        ]
        for is_concerned, act in acts:
            if is_concerned:
                with (
                    mock.patch(f"cshelve.providers.aws_s3.direct.{where}", side_effect=AlarmError),
                    pytest.raises(AlarmError),
                ):
                    act()
                self.refuses_nothing(db)
