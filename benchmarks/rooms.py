"""How many files and calls an operation passes through in cshelve, from the caller to the wire.

    python -m benchmarks.rooms

A file counts once however often it is entered; a call is one of a function that is written in
cshelve, each time that a generator goes on included; a move is a call from one of its files into
another. Threads of cshelve's own count too. Each operation was done before, so that what is
imported or found out once is not counted; `open` is the second one.
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
    """What an operation passed through."""

    files: frozenset[str]
    calls: int
    moves: int


def rooms_of(act: Callable[[], object]) -> Rooms:
    """Count what an operation passes through."""
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
    """Name the file of cshelve's that a call comes from; its own if it comes from outside."""
    caller = frame.f_back
    while caller is not None and not caller.f_code.co_filename.startswith(SOURCE):
        caller = caller.f_back
    return (caller or frame).f_code.co_filename


def operations(config: Config) -> dict[str, Rooms]:
    """Count each operation on a shelf of this configuration."""
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
