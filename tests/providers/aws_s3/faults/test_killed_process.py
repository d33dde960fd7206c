"""A process that is killed in the middle of `update`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.rigs import Place, S3Rig

pytestmark = pytest.mark.s3

KILLED_KEYS = 3000
BIG = 20_000
WRITER = """
import json, sys
import cshelve

config, count, size = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def pairs():
    for number in range(count):
        if number == 100:
            print("in the middle", flush=True)
        yield f"k{number:04}", ("new", number, "x" * size)

with cshelve.open_from_dict(config, "w") as db:
    db.update(pairs())
print("done", flush=True)
"""


class TestAProcessKilledInTheMiddleOfUpdate:
    def test_leaves_whole_values_only(self, s3: S3Rig) -> None:
        config = s3.config(concurrency=8)
        shelf = Place(config).open()
        shelf.update({f"k{number:04}": ("old", number) for number in range(0, KILLED_KEYS, 20)})
        old = len(shelf)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, json.dumps(config), str(KILLED_KEYS), str(BIG)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        with writer, writer.stdout as said:
            assert said.readline() == "in the middle\n"
            writer.kill()
            assert said.read() == ""
        assert writer.returncode == -signal.SIGKILL
        found = dict(iter(shelf.items()))
        for key, value in found.items():
            number = int(key[1:])
            assert value in [("old", number), ("new", number, "x" * BIG)]
        new = [value for value in found.values() if value[0] == "new"]
        assert 80 < len(new) < KILLED_KEYS
        assert len(found) > old
        shelf.close()
