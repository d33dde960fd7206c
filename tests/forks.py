"""What tests need that fork: a child that is called, and a mark for what has no fork."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

T = TypeVar("T", bound=Callable[..., Any])

# Where processes come from: a process that has imported what they need forks them, which takes a
# tenth of the time that they would need to start.
if sys.platform == "win32":
    FORKS = multiprocessing.get_context("spawn")
else:
    FORKS = multiprocessing.get_context("forkserver")
    FORKS.set_forkserver_preload(
        ["cshelve.cli.program", "rich.table", "tests.cli.rig", "tests.warm_boto3"]
    )

CHILD_SECONDS = 20.0
MARKS = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    # Of newer Pythons: that is what tests of forks are about.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def forks(test: T) -> T:
    """Mark a test that forks."""
    for mark in MARKS:
        test = mark(test)
    return test


def in_child(function: Callable[[], Any], then: Callable[[], Any] = lambda: None) -> Any:
    """Fork, call the function in the child, and give what it returned; kill it if it hangs.

    What comes `then` is done here, once the child is there.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        answer: tuple[bool, Any]
        try:
            answer = True, function()
        except BaseException:  # noqa: BLE001  # for the parent to tell
            answer = False, traceback.format_exc()
        try:
            os.write(writing, pickle.dumps(answer))
        finally:
            # Not the end of the test run, of which this is a copy.
            os._exit(0)
    os.close(writing)
    then()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        try:
            answered = _read_all(pipe.fileno(), time.monotonic() + CHILD_SECONDS)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    if answered is None:
        pytest.fail(f"the child did not end within {CHILD_SECONDS:g} seconds")
    succeeded, result = pickle.loads(answered)
    if not succeeded:
        pytest.fail(f"in the child: {result}")
    return result


def _read_all(pipe: int, until: float) -> bytes | None:
    """Read what the child writes until it closes its end; None if that takes too long."""
    parts: list[bytes] = []
    while select.select([pipe], [], [], max(0, until - time.monotonic()))[0]:
        part = os.read(pipe, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None
