"""Compare a local shelf with `shelve`, on each backend of `dbm` that this Python has.

    python -m benchmarks.local

Both do the same operations in turn, in rounds, and the table has the medians in microseconds. The
files are in the folder for temporary files. If that is on a disk, writes of `dbm.sqlite3` wait for
the disk.
"""

from __future__ import annotations

import dbm
import importlib
import os
import shelve
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import cshelve
from benchmarks.machine import described
from benchmarks.rounds import medians

__all__ = ["main"]

BACKENDS = ("dbm.sqlite3", "dbm.gnu", "dbm.ndbm", "dbm.dumb")
KEYS = 200
ROUNDS = 25
# A small, ordinary value: pickling a larger one would hide the time that the shelf takes.
VALUE = {"name": "Ada", "tags": ["maths", "poetry"], "born": 1815}
NAMES = [f"users/{number}" for number in range(KEYS)]

Shelf = shelve.Shelf[Any]
Open = Callable[..., Shelf]


def get(db: Shelf) -> None:
    for name in NAMES:
        db[name]


def set_(db: Shelf) -> None:
    for name in NAMES:
        db[name] = VALUE


def contains(db: Shelf) -> None:
    for name in NAMES:
        assert name in db


def items(db: Shelf) -> None:
    for _ in db.items():
        pass


# Each act, the number of its operations, and whether it uses writeback.
ACTS: dict[str, tuple[Callable[[Shelf], None], bool]] = {
    "get": (get, False),
    "set": (set_, False),
    "in": (contains, False),
    "items, a key": (items, False),
    "get, kept by writeback": (get, True),
    "set, with writeback": (set_, True),
}


def main() -> None:
    print(described())
    print(f"\n| backend | what | shelve, µs | cshelve, µs | ratio |\n|{'---|' * 5}")
    for backend in BACKENDS:
        try:
            module = importlib.import_module(backend)
        except ImportError:
            continue
        with tempfile.TemporaryDirectory() as folder, _chosen(module):
            for what, (act, writeback) in ACTS.items():
                theirs, ours = _compared(folder, act, writeback)
                print(f"| {backend} | {what} | {theirs:.2f} | {ours:.2f} | {ours / theirs:.2f} |")
            theirs, ours = _opened(folder)
            print(
                f"| {backend} | open and close | {theirs:.0f} | {ours:.0f} | {ours / theirs:.2f} |"
            )


@contextmanager
def _chosen(module: object) -> Iterator[None]:
    """Make `dbm` create new files with this backend."""
    backends: Any = dbm
    with tempfile.TemporaryDirectory() as folder:  # It looks for backends when it opens one.
        dbm.open(os.path.join(folder, "first"), "n").close()
    default, backends._defaultmod = backends._defaultmod, module
    try:
        yield
    finally:
        backends._defaultmod = default


def _compared(folder: str, act: Callable[[Shelf], None], writeback: bool) -> tuple[float, float]:
    """Return the time that an act takes for each key, with `shelve` and with cshelve."""
    openers: dict[str, Open] = {"shelve": shelve.open, "cshelve": cshelve.open}
    shelves = {
        name: open_one(os.path.join(folder, name), "n", 5, writeback)
        for name, open_one in openers.items()
    }
    try:
        for db in shelves.values():
            set_(db)
        acts = {name: partial(act, db) for name, db in shelves.items()}
        taken = medians(acts, ROUNDS)
    finally:
        for db in shelves.values():
            db.close()
    theirs, ours = (taken[name].seconds / KEYS * 1e6 for name in openers)
    return theirs, ours


def _opened(folder: str) -> tuple[float, float]:
    """Return the time to open and close a shelf, once modules are imported."""
    acts = {
        "shelve": lambda: shelve.open(os.path.join(folder, "shelve")).close(),
        "cshelve": lambda: cshelve.open(os.path.join(folder, "cshelve")).close(),
    }
    taken = medians(acts, ROUNDS)
    return taken["shelve"].seconds * 1e6, taken["cshelve"].seconds * 1e6


if __name__ == "__main__":
    main()
