"""An exception of a signal handler, whenever it strikes, leaves no lock held and no file open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.scripts import result_of

# How often each operation is interrupted. Of all strikes, one in four used to leave a file open,
# and one in forty a lock held.
STRIKES = int(os.environ.get("CSHELVE_TEST_INTERRUPTS", "300"))
PROGRAM = """
import fcntl, os, random, signal
from cshelve.providers.filesystem.provider import Filesystem

folder, act, strikes = arguments


class Alarm(Exception):
    pass


def ring(*_):
    raise Alarm


def open_files():
    numbers = os.listdir("/proc/self/fd")
    return {each for each in numbers if os.path.exists(f"/proc/self/fd/{each}")}


def is_held(lock):
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


signal.signal(signal.SIGALRM, ring)
store = Filesystem(folder)
store.create()
acts = {
    "put": lambda: store.put("k", b"value"),
    "put and delete": lambda: (store.put("k", b"value"), store.delete("k")),
    "get": lambda: store.get("k"),
}
store.put("k", b"value")
before = open_files()
locks = [os.path.join(folder, "%tmp/locks", each) for each in os.listdir(folder + "/%tmp/locks")]
struck = 0
for _ in range(strikes):
    try:
        # Again in a second: Python swallows what strikes while it collects garbage.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 5e-4), 1)
        while True:
            acts[act]()
    except Alarm:
        struck += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert not any(map(is_held, locks)), struck
    assert open_files() == before, struck
print(json.dumps([struck, len(locks)]))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="only Linux lists open files there")
@pytest.mark.parametrize("act", ["put", "put and delete", "get"])
def test_an_alarm_leaves_no_lock_held_and_no_file_open(act: str, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "folder"), act, STRIKES]
    assert result_of(PROGRAM, arguments=arguments) == [STRIKES, 1]
