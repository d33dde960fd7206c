"""Count the files and calls that an operation passes through in cshelve.

    python -m benchmarks.rooms

A file counts once, however often it is entered. Each call of a function in cshelve counts, and so
does each continuation of a generator. A move is a call from one file of cshelve into another.
cshelve's own threads count, too. Each operation runs once before it is counted, so that imports and
one-time checks do not count.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import cshelve

__all__ = ["MEMORY", "Config", "Rooms", "operations", "rooms_of"]

SOURCE = os.path.dirname(cshelve.__file__) + os.sep
MEMORY = {"default": {"provider": "in-memory", "persist-key": "rooms"}}

Config = dict[str, dict[str, Any]]


class Rooms(NamedTuple):
    """The files, calls and moves of an operation."""

    files: frozenset[str]
    calls: int
    moves: int


def rooms_of(act: Callable[[], object]) -> Rooms:
    """Return the files, calls and moves of an operation."""
    with _followed() as (files, calls):
        act()
    moves = sum(here != there for here, there in calls)
    return Rooms(frozenset(files), len(calls), moves)


@contextmanager
def _followed() -> Iterator[tuple[set[str], list[tuple[str, str]]]]:
    files: set[str] = set()
    calls: list[tuple[str, str]] = []

    def follow(frame: FrameType, event: str, argument: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(SOURCE):
            files.add(file.removeprefix(SOURCE))
            calls.append((_file_of_caller(frame), file))

    threading.setprofile(follow)
    sys.setprofile(follow)
    try:
        yield files, calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _file_of_caller(frame: FrameType) -> str:
    """Return the file of cshelve that a call comes from; the called file if it is from outside."""
    caller = frame.f_back
    while caller is not None and not caller.f_code.co_filename.startswith(SOURCE):
        caller = caller.f_back
    return (caller or frame).f_code.co_filename


def operations(config: Config) -> dict[str, Rooms]:
    """Return the counts of each operation on a shelf with this configuration."""
    counted: dict[str, Rooms] = {}
    with cshelve.open_from_dict(config) as db:

        def put() -> None:
            db["key"] = "value"

        acts: dict[str, Callable[[], object]] = {
            "`db[k] = v`": put,
            "`db[k]`": lambda: db["key"],
            "`set_many` of one": lambda: db.set_many({"key": "value"}),
            "`get_many` of one": lambda: list(db.get_many(["key"])),
            "`open`": lambda: cshelve.open_from_dict(config).close(),
        }
        for name, act in acts.items():
            act()
            counted[name] = rooms_of(act)
    return counted


def main() -> None:
    # What counts a shelf in memory needs no boto3.
    from benchmarks.bucket import config_in, server_with_bucket

    with server_with_bucket() as server:
        stores = {
            "in memory": MEMORY,
            "boto3": config_in(server, engine="boto3"),
            "direct": config_in(server, engine="direct"),
        }
        rows = {store: operations(config) for store, config in stores.items()}
    print("Files / calls / moves between files\n")
    print(f"| | {' | '.join(rows)} |")
    print("|---|" + "---|" * len(rows))
    for name in rows["in memory"]:
        cells = (counted[name] for counted in rows.values())
        told = (f"{len(each.files)} / {each.calls} / {each.moves}" for each in cells)
        print(f"| {name} | {' | '.join(told)} |")
    lines = {path: len(path.read_text().splitlines()) for path in Path(SOURCE).rglob("*.py")}
    print(f"\n{sum(lines.values()):,} lines in {len(lines)} files")


if __name__ == "__main__":
    main()
