"""Large values and processes: their end, Ctrl-C, forks and memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest

from testbed.faults import Hang
from tests.forks import forks, in_child
from tests.providers.aws_s3.large_values.rig import MIB, NEW, OLD, PART, Case, write_unless_stopped
from tests.rigs import wait_until
from tests.scripts import PEAK, result_of

pytestmark = [pytest.mark.s3, pytest.mark.once]

WRITER = """
import atexit, json, signal, sys
import cshelve

# Where the tests run in the background of a shell, it is ignored in what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

config, when = json.loads(sys.argv[1]), sys.argv[2]
db = cshelve.open_from_dict(config)
value = bytes(12 * 2**20)

def write():
    db["k"] = value
    print("written", db["k"] == value, flush=True)

if when == "at exit":
    atexit.register(write)
else:
    print("ready", flush=True)
    write()
"""


def test_a_large_value_can_be_written_and_read_at_the_end_of_a_program(case: Case) -> None:
    command = [sys.executable, "-W", "error", "-c", WRITER, json.dumps(case.config), "at exit"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("written True\n", "")


def test_ctrl_c_ends_an_upload_with_the_attempts_under_way_and_leaves_no_parts(case: Case) -> None:
    default = {**case.config["default"], "read_timeout_seconds": 1, "total_max_attempts": 100}
    config = json.dumps({**case.config, "default": default})
    hanging = case.inject(Hang(), PART, times=None)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, config, "now"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with writer:
        try:
            wait_until(lambda: hanging.hits >= 2)
            writer.send_signal(signal.SIGINT)
            _, said = writer.communicate(timeout=60)
        finally:
            writer.kill()
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert case.uploads() == []


@forks
def test_a_child_that_is_forked_in_the_middle_of_an_upload_has_its_own(case: Case) -> None:
    db = case.open(concurrency=4)
    hanging = case.inject(Hang(), PART, times=2)
    writer = threading.Thread(target=lambda: write_unless_stopped(db), daemon=True)

    def write_and_read() -> bool:
        db["of child"] = OLD
        return bool(db["of child"] == OLD)

    with hanging:
        writer.start()
        wait_until(lambda: hanging.hits == 2)
        assert in_child(write_and_read)
    writer.join(60)
    assert not writer.is_alive()
    assert case.stored("of child") == OLD
    assert case.stored("k") == NEW


MEASURED = f"""
import os
import cshelve
from tests.rigs import provider_of
{PEAK}
size = arguments
with cshelve.open_from_dict(config) as db:
    provider = provider_of(db)
    # What the libraries take for themselves is taken once.
    provider.put("k", os.urandom(21 * 2**20))
    provider.get("k")
    value = os.urandom(size)
    before = peak()
    provider.put("k", value)
    written = peak()
    del value
    value = provider.get("k").data
    read = peak()
    assert len(value) == size
print([before, written, read])
"""


# With one connection a value is read to its end, and sent a part after the other.
@pytest.mark.parametrize("concurrency", [32, 1])
def test_a_large_value_is_in_memory_less_than_1_6_times_beside_itself(
    concurrency: int, case: Case
) -> None:
    # Straight to the server: the proxy holds messages as a whole, but in this process.
    size = 64 * MIB
    provider_params = {"endpoint_url": case.s3.server.endpoint_url}
    default = {**case.config["default"], "concurrency": concurrency}
    del default["multipart_threshold_bytes"], default["multipart_chunk_bytes"]
    config = {"default": default, "provider_params": provider_params}
    before, written, read = result_of(MEASURED, config, arguments=size, seconds=120)
    assert written - before < 1.6 * size
    assert read - before < 1.6 * size
