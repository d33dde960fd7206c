"""Try everything that a shelf asks of a server, and print what works.

Run it as ``python try_server.py shelf.ini``. It writes under the prefix of the configuration and
deletes everything there, so use an empty one.
"""

import io
import random
import sys
import urllib.request
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import contextmanager

import cshelve

LARGE = random.Random(0).randbytes(20 << 20)
ODD_KEYS = ["ünï/cödé", "a b+c%20&d=e", "x" * 200, "a/b", "a/b/c", "UPPER", "?#[]@!$'()*,;"]


@contextmanager
def refused(*errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except errors:
        return
    raise AssertionError("the server accepted it")


def values(db: cshelve.CloudShelf[bytes]) -> None:
    db["k"] = b"v"
    assert db["k"] == b"v"
    assert "k" in db
    with refused(KeyError):
        db["absent"]
    del db["k"]
    assert "k" not in db


def large_values(db: cshelve.CloudShelf[bytes]) -> None:
    db["large"] = LARGE
    assert db["large"] == LARGE


def many_keys(db: cshelve.CloudShelf[bytes]) -> None:
    numbers = {f"{number:05}": b"%d" % number for number in range(1200)}
    db.update(numbers)
    assert list(db) == sorted(numbers)
    assert dict(db.items()) == numbers
    db.delete_many(numbers)
    assert not db


def odd_keys(db: cshelve.CloudShelf[bytes]) -> None:
    for key in ODD_KEYS:
        db[key] = key.encode()
    assert {key: value.decode() for key, value in db.items()} == {key: key for key in ODD_KEYS}


def changes_by_many(db: cshelve.CloudShelf[bytes]) -> None:
    db["n"] = b"1"
    _, version = db.get_versioned("n")
    db["n"] = b"2"
    with refused(cshelve.ConflictError):
        db.replace("n", b"3", version)
    assert db.modify("n", lambda n: n + b"!") == b"2!"


def keys_created_once(db: cshelve.CloudShelf[bytes]) -> None:
    db.replace("new", b"1", None)
    with refused(cshelve.ConflictError):
        db.replace("new", b"2", None)


def deletes_of_a_version(db: cshelve.CloudShelf[bytes]) -> None:
    version = db.replace("taken", b"1", None)
    db["taken"] = b"2"
    with refused(cshelve.ConflictError):
        db.delete("taken", version)


def copies(db: cshelve.CloudShelf[bytes]) -> None:
    db["source"] = b"v"
    db.copy("source", "target")
    assert db["target"] == b"v"


def files(db: cshelve.CloudShelf[bytes]) -> None:
    db.upload("file", io.BytesIO(LARGE))
    target = io.BytesIO()
    db.download("file", target)
    assert target.getvalue() == LARGE


def links(db: cshelve.CloudShelf[bytes]) -> None:
    db["linked"] = b"v"
    with urllib.request.urlopen(db.presigned_url("linked"), timeout=20) as answer:
        assert answer.read() == b"v"


TRIALS: list[Callable[[cshelve.CloudShelf[bytes]], None]] = [
    *(values, large_values, many_keys, odd_keys, changes_by_many),
    *(keys_created_once, deletes_of_a_version, copies, files, links),
]


def main(configuration: str) -> int:
    options = ConfigParser(interpolation=None)
    options.optionxform = str  # type: ignore[assignment,method-assign]  # Their case matters.
    with open(configuration, encoding="utf-8") as file:
        options.read_file(file)
    # Plain objects, which can be streamed and linked to.
    options["default"].update(serializer="bytes", use_versioning="false")
    failures = 0
    with cshelve.open_from_dict(options) as db:
        if db:
            sys.exit("something is under this prefix already")
        for trial in TRIALS:
            try:
                trial(db)
                said = "yes"
            except (cshelve.Error, AssertionError, OSError) as error:
                said, failures = f"no: {type(error).__name__}: {error}", failures + 1
            print(f"{trial.__name__.replace('_', ' '):22} {said}", flush=True)
            db.clear()
        print(f"engine: {db.stats.engine}, requests: {db.stats.requests.total()}")
    return failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) > 0)
