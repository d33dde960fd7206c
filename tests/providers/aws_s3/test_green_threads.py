"""A shelf in programs that gevent or eventlet has patched, at whichever time they do it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testbed.seaweedfs import SeaweedFS
from testbed.tls_front import TlsFront, write_certificate
from tests.providers.aws_s3.rig import each_engine
from tests.rigs import s3_config
from tests.scripts import result_of

pytestmark = [
    pytest.mark.s3,
    pytest.mark.once,
    pytest.mark.skipif(
        sys.implementation.name != "cpython", reason="gevent and eventlet are for CPython"
    ),
]

# Each operation takes a hundredth of this; one that waits for a time-out takes twenty.
SECONDS = 3.0
PATCH = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
RUN = {
    "gevent": """
def together(*functions):
    import gevent
    begun = [gevent.spawn(function) for function in functions]
    gevent.joinall(begun, raise_error=True)
""",
    "eventlet": """
def together(*functions):
    import eventlet
    for begun in [eventlet.spawn(function) for function in functions]:
        begun.wait()
""",
}
# `patch(moment)` does it if this is the moment.
OPENING = """
import time, warnings
warnings.simplefilter("ignore")
moment, statement = arguments

def patch(now):
    if now == moment:
        exec(statement)

patch("first")
import cshelve
patch("imported")
db = cshelve.open_from_dict(config)
patch("opened")
db["k"] = 1
list(db.get_many(["k", "k"]))
patch("used")
"""
OPERATIONS = """
took = {}

def timed(name, act):
    begun = time.perf_counter()
    found = act()
    took[name] = time.perf_counter() - begun
    return found

timed("set", lambda: db.__setitem__("k", 2))
assert timed("get", lambda: db["k"]) == 2
assert timed("in", lambda: ("k" in db, "absent" in db)) == (True, False)
many = {f"n{number}": number for number in range(50)}
timed("update", lambda: db.update(many))
assert timed("get_many", lambda: dict(db.get_many(many))) == many
assert timed("items", lambda: dict(db.items())) == {"k": 2, **many}
if arguments[0] in ("first", "imported"):
    timed("modify", lambda: db.modify("k", lambda value: value + 1))
timed("delete_many", lambda: db.delete_many(many))
timed("get again", lambda: db["k"])
timed("clear", db.clear)
assert dict(db.items()) == {}
from tests.rigs import provider_of
engine = provider_of(db).engine
db.close()
print(json.dumps([engine, took]))
"""
# Greenlets change places only where one of them waits: who never does ends before others begin.
SIDE_BY_SIDE = """
db.update({f"n{number}": number for number in range(10)})
steps = []

def fifty(name):
    for _ in range(50):
        db["k"]
        steps.append(name)

def in_bulk():
    for _ in range(5):
        assert len(list(db.get_many([f"n{number % 10}" for number in range(50)]))) == 50
        steps.append("many")

def until_then():
    while steps.count("many") < 5:
        db["k"]
        steps.append("one")

together(lambda: fifty("a"), lambda: fifty("b"))
of_single, steps = steps, []
together(in_bulk, until_then)
db.close()
print(json.dumps([of_single, steps]))
"""

each_library = pytest.mark.parametrize("library", ["gevent", "eventlet"])
each_moment = pytest.mark.parametrize("moment", ["first", "imported", "opened", "used"])


def run(
    library: str, moment: str, program: str, config: dict[str, dict[str, Any]], **options: Any
) -> Any:
    # Not imported here: eventlet changes what a fork does in the whole process.
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")
    is_late = moment in {"opened", "used"}
    if library == "eventlet" and is_late and config["default"]["engine"] == "boto3":
        pytest.skip("eventlet takes select.poll away, which urllib3's open connections need")
    program = RUN[library] + OPENING + program
    return result_of(program, config, arguments=[moment, PATCH[library]], **options)


@each_library
@each_moment
@each_engine
def test_each_operation_takes_milliseconds(
    library: str, moment: str, engine: str, seaweedfs: SeaweedFS
) -> None:
    config = s3_config(seaweedfs.admin, seaweedfs.endpoint_url, engine=engine)
    used, took = run(library, moment, OPERATIONS, config)
    assert used == engine
    assert max(took.values()) < SECONDS, took


@each_library
@each_moment
@each_engine
def test_greenlets_run_side_by_side(
    library: str, moment: str, engine: str, seaweedfs: SeaweedFS
) -> None:
    config = s3_config(seaweedfs.admin, seaweedfs.endpoint_url, engine=engine)
    singles, mixed = run(library, moment, SIDE_BY_SIDE, config)
    assert sorted(singles) == ["a"] * 50 + ["b"] * 50
    assert mixed.count("many") == 5
    # What was opened before blocks all greenlets, for the moment that an answer takes.
    if moment in {"first", "imported"}:
        assert changes(singles) > 10
        assert changes(mixed) > 4


def changes(steps: list[str]) -> int:
    """Count how often another one went on."""
    return sum(one != other for one, other in pairwise(steps))


class TestWithTls:
    @pytest.fixture
    def front(self, seaweedfs: SeaweedFS, tmp_path: Path) -> Iterator[tuple[str, Path]]:
        pytest.importorskip("cryptography")
        certificate = tmp_path / "certificate.pem"
        write_certificate(certificate)
        with TlsFront(seaweedfs.endpoint_url, certificate) as running:
            yield running.endpoint_url, certificate

    @each_library
    @each_moment
    def test_each_operation_takes_milliseconds(
        self, library: str, moment: str, front: tuple[str, Path], seaweedfs: SeaweedFS
    ) -> None:
        url, certificate = front
        config = s3_config(seaweedfs.admin, url, engine="direct")
        environ = {"AWS_CA_BUNDLE": str(certificate)}
        used, took = run(library, moment, OPERATIONS, config, environ=environ)
        assert used == "direct"
        assert max(took.values()) < SECONDS, took
