"""Contestant: the standard library's `shelve`, with a file on this machine; it uses no server."""

from __future__ import annotations

import dbm
import platform
import shelve
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contestants.mapping import mapping_acts
from benchmarks.contestants.turns import PROTOCOL, Turns


def main() -> None:
    turns = Turns()
    with TemporaryDirectory() as folder:
        name = str(Path(folder) / "shelf")
        with shelve.open(name, protocol=PROTOCOL) as db:
            db["key"] = None
            db.sync()
            backend = dbm.whichdb(name)
            del db["key"]
            turns.take(mapping_acts(db), f"Python {platform.python_version()}, {backend}")


if __name__ == "__main__":
    main()
