"""A shelf in programs that gevent or eventlet has patched, at whichever time they do it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from testbed.seaweedfs import SeaweedFS
from testbed.tls_front import TlsFront, write_certificate
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
# `patch(moment)` does it if this is the moment. There is a shelf for each engine, and one by TLS.
PROGRAM = """
import time, warnings
warnings.simplefilter("ignore")
moment, statement, configs = arguments

def patch(now):
    if now == moment:
        exec(statement)

patch("first")
import cshelve
patch("imported")
shelves = {name: cshelve.open_from_dict(config) for name, config in configs.items()}
patch("opened")
for db in shelves.values():
    db["k"] = 1
    list(db.get_many(["k", "k"]))
patch("used")


def seconds_of_operations(db):
    took = {}

    def timed(name, act):
        begun = time.perf_counter()
        found = act()
        took[name] = time.perf_counter() - begun
        return found

    timed("set", lambda: db.__setitem__("k", 2))
    assert timed("get", lambda: db["k"]) == 2
    assert timed("in", lambda: ("k" in db, "absent" in db)) == (True, False)
    many = {f"n{number}": number for number in range(8)}
    timed("update", lambda: db.update(many))
    assert timed("get_many", lambda: dict(db.get_many(many))) == many
    assert timed("items", lambda: dict(db.items())) == {"k": 2, **many}
    if moment in ("first", "imported"):
        timed("modify", lambda: db.modify("k", lambda value: value + 1))
    timed("delete_many", lambda: db.delete_many(many))
    timed("get again", lambda: db["k"])
    timed("clear", db.clear)
    assert dict(db.items()) == {}
    return took


# Greenlets change places only where one of them waits: who never does ends before others begin.
def side_by_side(db):
    db.update({f"n{number}": number for number in range(4)}, k=1)
    steps = []

    def twenty(name):
        for _ in range(20):
            db["k"]
            steps.append(name)

    def in_bulk():
        for _ in range(3):
            assert len(list(db.get_many([f"n{number % 4}" for number in range(12)]))) == 12
            steps.append("many")

    def until_then():
        while steps.count("many") < 3:
            db["k"]
            steps.append("one")

    together(lambda: twenty("a"), lambda: twenty("b"))
    of_single, steps = steps, []
    together(in_bulk, until_then)
    return of_single, steps


found = {}
for name, db in shelves.items():
    with db:
        found[name] = db.provider.engine, seconds_of_operations(db), *side_by_side(db)
print(json.dumps(found))
"""

MOMENTS = ("first", "imported", "opened", "used")
# eventlet patches what gevent patches, so that only the extremes are tried.
each_library_and_moment = pytest.mark.parametrize(
    ("library", "moment"),
    [*(("gevent", moment) for moment in MOMENTS), ("eventlet", "first"), ("eventlet", "used")],
)


@pytest.fixture(scope="module")
def front(
    seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    pytest.importorskip("cryptography")
    certificate = tmp_path_factory.mktemp("tls") / "certificate.pem"
    write_certificate(certificate)
    with TlsFront(seaweedfs.endpoint_url, certificate) as running:
        yield running.endpoint_url, certificate


@each_library_and_moment
def test_operations_take_milliseconds_and_greenlets_run_side_by_side(
    library: str, moment: str, front: tuple[str, Path], seaweedfs: SeaweedFS
) -> None:
    # Not imported here: eventlet changes what a fork does in the whole process.
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")
    url, certificate = front
    is_late = moment in {"opened", "used"}
    config = partial(s3_config, seaweedfs.admin, concurrency=4)
    configs = {
        "direct": config(seaweedfs.endpoint_url, engine="direct"),
        "direct, TLS": config(url, engine="direct"),
    }
    # eventlet takes select.poll away, which urllib3's open connections need.
    if library == "gevent" or not is_late:
        configs["boto3"] = config(seaweedfs.endpoint_url, engine="boto3")
    found = result_of(
        RUN[library] + PROGRAM,
        arguments=[moment, PATCH[library], configs],
        environ={"AWS_CA_BUNDLE": str(certificate)},
        seconds=120,
    )
    for name in configs:
        engine, took, singles, mixed = found[name]
        assert name.startswith(engine)
        assert max(took.values()) < SECONDS, (name, took)
        assert sorted(singles) == ["a"] * 20 + ["b"] * 20
        assert mixed.count("many") == 3
        # What was opened before blocks all greenlets, for the moment that an answer takes. And over
        # TLS one of the two may be done before the other has its connection.
        if not is_late and "TLS" not in name:
            assert changes(singles) > 10, name
            assert changes(mixed) > 2, name


def changes(steps: list[str]) -> int:
    """Count how often another one went on."""
    return sum(one != other for one, other in pairwise(steps))
