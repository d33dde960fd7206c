"""Requests in flight at once, forks, and Ctrl-C."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

import pytest

import cshelve
from testbed.fault_proxy import Count
from testbed.faults import Delay, Hang
from tests.forks import forks, in_child
from tests.rigs import GcsRig, Place, provider_of
from tests.scripts import result_of
from tests.shelf.many_keys.rig import numbered
from tests.shelf.many_keys.test_connections import Gauge

pytestmark = pytest.mark.gcs

INTERRUPTED = """
import os, signal, threading, time
import cshelve
from tests.rigs import provider_of

signal.signal(signal.SIGINT, signal.default_int_handler)
MANY = {f"n{number}": number for number in range(300)}
LARGE = bytes(40 * 2**20)
OPERATIONS = {
    "update": lambda db: db.update(MANY),
    "get_many": lambda db: sum(1 for _ in db.get_many(MANY)),
    "delete_many": lambda db: db.delete_many(MANY),
    "write of a large value": lambda db: db.__setitem__("large", LARGE),
    "set and get": lambda db: [(db.__setitem__("k", 1), db["k"]) for _ in range(100)],
}
outcomes = {}
with cshelve.open_from_dict(config) as db:
    for what, act in OPERATIONS.items():
        main = threading.main_thread().ident
        timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
        timer.start()
        begun = time.monotonic()
        try:
            while True:
                act(db)
        except KeyboardInterrupt:
            outcomes[what] = "interrupted"
        timer.join()
        permits = provider_of(db)._requests._permits.get()
        # Python lists a thread, without an identifier, even if it was only about to start it.
        begun_threads = [each for each in threading.enumerate() if each.ident is not None]
        left = [each.name for each in begun_threads if each.name.startswith("cshelve")]
        if time.monotonic() - begun > 10 or permits.taken or left:
            outcomes[what] = [time.monotonic() - begun, permits.taken, left]
        db["after"] = what
        assert db["after"] == what
print(json.dumps(outcomes))
"""


ALARMED = """
import signal
import cshelve

class Late(TimeoutError):  # As an OSError, it looks like a failure of the connection.
    pass

def ring(*_):
    raise Late("from the program's alarm")

signal.signal(signal.SIGALRM, ring)
with cshelve.open_from_dict(config) as db:
    db["k"] = 1
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        db["hangs"]
        outcome = "no error"
    except Exception as error:
        outcome = type(error).__name__
    print(json.dumps([outcome, db["k"]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGALRM")
def test_an_exception_of_the_programs_alarm_reaches_the_program(gcs: GcsRig) -> None:
    config = gcs.config()
    key = f"v1/b/{gcs.bucket}/o/{config['default']['key_prefix']}/hangs"
    gcs.proxy.inject(Hang(), key=f"storage/{key}", times=None)
    assert result_of(ALARMED, config) == ["Late", 1]


@pytest.mark.skipif(os.name == "nt", reason="signals to oneself are of POSIX")
def test_ctrl_c_ends_any_operation_and_the_shelf_goes_on(gcs: GcsRig) -> None:
    outcomes = result_of(INTERRUPTED, gcs.config())
    assert set(outcomes.values()) == {"interrupted"}
    assert len(outcomes) == 5


def test_as_many_requests_are_in_flight_as_concurrency_says(gcs: GcsRig) -> None:
    with cshelve.open_from_dict(gcs.config(concurrency=12)) as db:
        acts: dict[str, Callable[[], object]] = {
            "POST": lambda: db.update(numbered(60)),
            "GET": lambda: list(db.get_many(numbered(60))),
            "DELETE": db.clear,
        }
        for method, act in acts.items():
            gauge = Gauge(12)
            rule = gcs.proxy.inject(gauge, method=method, times=None)
            with rule, gcs.proxy.counting() as seen:
                act()
            assert gauge.most == 12
            # The session keeps its connections.
            assert len({request.connection for request in seen.requests}) <= 12


def test_many_keys_are_eight_times_as_fast_as_a_loop(gcs: GcsRig) -> None:
    with cshelve.open_from_dict(gcs.config()) as db:
        db.update(numbered(64))
        with gcs.proxy.inject(Delay(0.1), times=None):
            begun = time.monotonic()
            assert len(list(db.get_many(numbered(64)))) == 64
            seconds = time.monotonic() - begun
        # One after the other, the delays alone would take 6.4 seconds.
        assert seconds < 64 * 0.1 / 8


def used_and_closed(db: cshelve.CloudShelf) -> object:
    with db:
        return dict(db.items()), db.modify("a", lambda n: n + 1)


def connections(seen: Count) -> set[int]:
    return {request.connection for request in seen.requests}


@forks
def test_a_forked_child_has_connections_of_its_own(gcs: GcsRig) -> None:
    place = Place(gcs.config())
    db = place.open()
    db.update(a=1, b=2)
    with gcs.proxy.counting() as before:
        assert db["a"] == 1
    with gcs.proxy.counting() as during:
        child = in_child(lambda: used_and_closed(db))
    assert child == ({"a": 1, "b": 2}, 2)
    with gcs.proxy.counting() as after:
        assert db["a"] == 2

    assert connections(after) == connections(before)
    assert not connections(during) & connections(before)
    place.close()


def test_closing_leaves_no_connection_open(gcs: GcsRig) -> None:
    db = cshelve.open_from_dict(gcs.config())
    db.update(numbered(20))
    provider = provider_of(db)
    db.close()
    del db
    gc.collect()  # A socket that is left open is a warning, and so an error.
    assert provider._requests._connections.made() is None
