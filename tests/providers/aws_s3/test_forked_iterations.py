"""Forks in the middle of an iteration: parent and child go on, and neither disturbs the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.fault_proxy import FaultProxy
from testbed.faults import Delay
from testbed.seaweedfs import SeaweedFS
from testbed.tls_front import TlsFront, write_certificate
from tests.forks import MARKS
from tests.rigs import s3_config
from tests.scripts import result_of

pytestmark = [pytest.mark.s3, pytest.mark.once, *MARKS]

# The child ends as `how` says: at once, or like any program, with all that is tidied up then.
# Each fork has a shelf of its own, opened after the child of the one before has ended.
PROGRAM = """
import gc, logging, os, sys, time, warnings
import cshelve

warnings.simplefilter("ignore", DeprecationWarning)
MANY = {f"n{number:03}": number for number in range(10)}
notes = []


class Notes(logging.Handler):
    def emit(self, record):
        if ", attempt " not in record.getMessage():  # Not about what became of a request.
            notes.append(record.getMessage())


logging.getLogger("cshelve").addHandler(Notes())
logging.getLogger("cshelve").setLevel(logging.DEBUG)


def forked(number, how, kind):
    db = cshelve.open_from_dict(config)
    db.update(MANY)
    db["k"] = 1
    pairs = {
        "get_many": lambda: iter(db.get_many(MANY)),
        "items": lambda: iter(db.items()),
        "keys": lambda: ((key, None) for key in db),
    }[kind]()
    # Near the end, there are connections that wait for nothing.
    found = [next(pairs) for _ in range(9 if how == "at once" else 3)]
    db[f"before {number}"] = 1
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        said = []
        try:
            next(pairs)
        except cshelve.StorageError as error:
            said.append("fork" in str(error))
        except Exception as error:
            said.append(repr(error))
        else:
            said.append("went on")
        del pairs
        gc.collect()
        assert db["k"] == 1
        db[f"of child {number}"] = 1
        said.append(dict(db.get_many(MANY)) == MANY)
        said.append(len(list(db.items())) >= len(MANY) + 2)
        os.write(writing, json.dumps(said).encode())
        if how == "close":
            db.close()
        if how == "at once":
            os._exit(0)
        sys.exit(0)
    os.close(writing)
    if how == "together":
        for _ in range(20):
            assert db["k"] == 1
    said = os.read(reading, 1000)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    db[f"after {number}"] = 1
    found += pairs
    del notes[:]
    for _ in range(8):
        assert db["k"] == 1
    assert dict(db.get_many(MANY)) == MANY
    assert db[f"of child {number}"] == 1
    db[f"end {number}"] = 1
    db.close()
    keys = [key for key, _ in found if key in MANY]
    return status, json.loads(said), keys == sorted(MANY), list(notes)


print(json.dumps([forked(number, *each) for number, each in enumerate(arguments)]))
"""
FORKS = [(how, "get_many") for how in ("at once", "in the end", "close", "together")]
# What is iterated over makes no difference to a connection, nor to its TLS.
OF_EACH = {
    "direct-http": [*FORKS, *(("in the end", kind) for kind in ("items", "keys"))],
    "direct-https": FORKS,
    "boto3-http": [*FORKS[1:], ("in the end", "keys")],
}


@pytest.fixture
def endpoint(
    request: pytest.FixtureRequest, seaweedfs: SeaweedFS, tmp_path: Path
) -> Iterator[tuple[str, dict[str, str], FaultProxy]]:
    with FaultProxy(seaweedfs.endpoint_url) as proxy:
        if request.param == "http":
            yield proxy.endpoint_url, {}, proxy
            return
        pytest.importorskip("cryptography")
        certificate = tmp_path / "certificate.pem"
        write_certificate(certificate)
        with TlsFront(proxy.endpoint_url, certificate) as front:
            yield front.endpoint_url, {"AWS_CA_BUNDLE": str(certificate)}, proxy


@pytest.mark.parametrize(
    ("engine", "endpoint"),
    # boto3's TLS is urllib3's, which knows nothing of iterations.
    [("direct", "http"), ("direct", "https"), ("boto3", "http")],
    indirect=["endpoint"],
)
def test_both_go_on(
    request: pytest.FixtureRequest,
    engine: str,
    endpoint: tuple[str, dict[str, str], FaultProxy],
    seaweedfs: SeaweedFS,
) -> None:
    url, environ, proxy = endpoint
    config = s3_config(seaweedfs.admin, url, engine=engine, concurrency=4)
    forks = OF_EACH[request.node.callspec.id]
    # So that the first writes fly together, and every connection is there before a fork.
    proxy.inject(Delay(0.02), operation="PutObject", times=None)
    came_of = result_of(PROGRAM, config, arguments=forks, environ=environ, seconds=120)
    seen = proxy.requests
    keys = [request.key.rpartition("/")[2] for request in seen]
    for number, fork in enumerate(forks):
        status, child, is_complete, notes = came_of[number]
        assert status == 0, fork
        # A listing has its pages, and needs no connection to give what is on them.
        went_on = "went on" if fork[1] == "keys" else True
        assert child in ([True, True, True], [went_on, True, True]), fork
        assert is_complete, fork
        # Nothing of the parent's was closed or garbled: it goes on by the connections it had.
        assert notes == [], fork
        before, after, end = (keys.index(f"{when} {number}") for when in ("before", "after", "end"))
        had = {request.connection for request in seen[: before + 1]}
        assert {request.connection for request in seen[after : end + 1]} <= had, fork
        assert seen[keys.index(f"of child {number}")].connection not in had, fork
