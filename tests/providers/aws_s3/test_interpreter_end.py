"""A shelf that is used while the interpreter ends, by whatever is used then."""

from __future__ import annotations

import time

import pytest

from testbed.seaweedfs import SeaweedFS
from tests.rigs import s3_config
from tests.scripts import run_script

pytestmark = [pytest.mark.s3, pytest.mark.once]

# The end of the interpreter alone takes a tenth of a second.
SECONDS = 3.0
BEGINNING = """
import atexit, os, sys, threading, time
import cshelve

def tell(text):
    print(text, flush=True)


db = cshelve.open_from_dict(config)
MANY = {f"n{number}": number for number in range(16)}
db.update(MANY)


class AtTheEnd:
    def __del__(self):
        act(db)


def uses(db):
    db["k"] = 1
    assert db["k"] == 1 and "k" in db
    db.update(a=1, b=2)
    assert dict(db.get_many(["a", "b"])) == {"a": 1, "b": 2}
    assert len(db) >= 3
    tell("used")
"""
PROGRAMS = {
    "an object of a module": """
act = uses
it = AtTheEnd()
""",
    "an object in a cycle": """
act = uses
it = AtTheEnd()
it.self = it
del it
""",
    "a handler of the end": """
atexit.register(lambda: uses(db))
""",
    "a handler that closes": """
atexit.register(lambda: (uses(db), db.close()))
""",
    "a shelf that is closed by nobody": """
uses(db)
""",
    "an iteration that is left": """
pairs = iter(db.get_many(MANY))
next(pairs)
keys = iter(db)
next(keys)
tell("used")
""",
    "a daemon that reads many": """
def read():
    while True:
        for _ in db.get_many(MANY):
            pass
threading.Thread(target=read, daemon=True).start()
time.sleep(0.2)
tell("used")
""",
    "a daemon that writes many": """
def write():
    while True:
        db.update(MANY)
threading.Thread(target=write, daemon=True).start()
time.sleep(0.2)
tell("used")
""",
    "a daemon that reads one by one": """
def read():
    while True:
        db["n1"]
threading.Thread(target=read, daemon=True).start()
time.sleep(0.2)
tell("used")
""",
    "a thread that goes on for a while": """
def write():
    for number in range(20):
        db[f"late {number}"] = number
        time.sleep(0.01)
    tell("used")
threading.Thread(target=write).start()
""",
}
# How long the end took is told by nobody but a process that lives longer.
ENDING = """
tell(f"over {time.time()}")
"""


# What boto3 has at the end differs only by who uses it: its clients have no threads of their own.
OF_BOTO3 = (
    *("a handler of the end", "a handler that closes"),
    *("an iteration that is left", "a daemon that reads many"),
)


@pytest.mark.parametrize(
    ("name", "engine"),
    [*((name, "direct") for name in PROGRAMS), *((name, "boto3") for name in OF_BOTO3)],
)
def test_the_process_ends_promptly_and_in_silence(
    name: str, engine: str, seaweedfs: SeaweedFS
) -> None:
    config = s3_config(seaweedfs.admin, seaweedfs.endpoint_url, engine=engine)
    program = BEGINNING + PROGRAMS[name] + ENDING
    ended = run_script(program, config)
    ended_at = time.time()
    lines = ended.stdout.splitlines()
    over = next(float(line.split()[1]) for line in lines if line.startswith("over"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "used" in lines
    assert ended_at - over < SECONDS
