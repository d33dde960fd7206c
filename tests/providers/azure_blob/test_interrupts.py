"""Ctrl-C: whenever it strikes, the call ends, nothing stays taken, and the shelf can go on."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import cshelve
from tests.forks import forks, in_child
from tests.providers.azure_blob.rig import AzureRig
from tests.rigs import Place, provider_of, wait_until

pytestmark = [
    pytest.mark.azure,
    # The handler also strikes in finalizers, and while urllib3 opens a socket, which is then closed
    # by garbage collection.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers are of POSIX"),
]

# How often each operation is interrupted; more by hand: CSHELVE_TEST_INTERRUPTS=50.
RUNS = int(os.environ.get("CSHELVE_TEST_INTERRUPTS", "3"))
MANY = {f"n{number}": number for number in range(40)}
LARGE = bytes(400_000)
OPERATIONS: dict[str, Callable[[Any], object]] = {
    "update": lambda db: db.update(MANY),
    "get_many": lambda db: dict(db.get_many(MANY)),
    "one by one": lambda db: [db.get(key) for key in MANY],
    "large": lambda db: (db.__setitem__("large", LARGE), db["large"]),
    "modify": lambda db: [db.modify("m", lambda value: value + 1, default=0) for _ in range(15)],
    "list": lambda db: [list(db) for _ in range(10)],
}


class Interrupt(BaseException):
    """What the handler raises, as that of Ctrl-C raises KeyboardInterrupt."""


@pytest.fixture
def db(azure: AzureRig) -> Iterator[cshelve.CloudShelf]:
    config: dict[str, dict[str, Any]] = azure.config(concurrency=8)
    config["provider_params"] = {
        "max_single_put_size": 100_000,
        "max_block_size": 50_000,
        "max_single_get_size": 100_000,
        "max_chunk_get_size": 50_000,
    }
    place = Place(config)
    db = place.open()
    db["k"] = "value"
    yield db
    place.close()


@forks
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_shelf_goes_on_after_it(db: cshelve.CloudShelf, name: str) -> None:
    # In a child, since a thread may stay idle if the end of an operation is interrupted.
    assert in_child(lambda: interrupted(db, OPERATIONS[name]))


def interrupted(db: cshelve.CloudShelf, act: Callable[[Any], object]) -> int:
    """Interrupt an operation several times, use the shelf, and return the number of interrupts."""

    def ring(_: int, frame: FrameType | None) -> None:
        # Before Python 3.13, logging keeps its lock for ever if this strikes at the wrong moment.
        if frame is not None and frame.f_globals.get("__name__") == "logging":
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        else:
            raise Interrupt

    count = 0
    signal.signal(signal.SIGALRM, ring)
    for _ in range(RUNS):
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.001, 0.02))
            act(db)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupt:
            count += 1
    permits = provider_of(db)._requests._permits.get()
    wait_until(lambda: permits.taken == 0)
    assert db["k"] == "value"
    db.update(MANY)
    assert dict(db.get_many(MANY)) == MANY
    db["large"] = LARGE
    assert db["large"] == LARGE
    return count
