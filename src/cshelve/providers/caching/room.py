"""Keeps the files of a cache within a limit, by removing those that were not used for longest.

Nobody knows the size of the folder but by looking at each file. So processes count together what
they write, by the length of a file to which each of them appends a byte for a 256th of the limit,
and whoever appends the sixteenth looks at all files once. That costs each write the same, whatever
the limit is. A smaller entry appends a byte with the probability that makes the sum right, since a
process that writes only one could not carry over what is left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

__all__ = ["TEMPORARY", "Room"]

TEMPORARY = "tmp"
WRITTEN = "written"
# What is written until all files are looked at, and what is left then: parts of the limit.
UNITS = 256
UNITS_A_SWEEP = 16
KEPT = 0.875
# A temporary file of a process that still runs, or in another container, is being written.
LONGEST_WRITE_SECONDS = 3600


class _File(NamedTuple):
    used_at: float
    size_bytes: int
    path: str


class Room:
    """Counts what is written to a folder, and makes room in it. Safe in many threads."""

    def __init__(self, base: str, max_bytes: int) -> None:
        self._base = base
        self._max_bytes = max_bytes
        self._unit_bytes = max(1, max_bytes // UNITS)

    def taken(self, size_bytes: int) -> None:
        """Count an entry that was written, and make room if it is time to."""
        units, rest = divmod(size_bytes, self._unit_bytes)
        units += rest * 2**32 > int.from_bytes(os.urandom(4), "big") * self._unit_bytes
        if units and self._count(units) >= UNITS_A_SWEEP:
            self._sweep()

    def clear(self, path: str) -> None:
        """Remove all files below a directory."""
        for file in _files_in(path):
            _remove(file.path)

    def _count(self, units: int) -> int:
        """Add to what all processes have written since the last sweep, and return the sum."""
        units = min(units, UNITS_A_SWEEP)
        path = f"{self._base}/{WRITTEN}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b"." * units)
            total = os.fstat(descriptor).st_size
            if total >= UNITS_A_SWEEP:
                os.ftruncate(descriptor, 0)
            return total
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        self.remove_temporary()
        files = [
            file
            for scope in _directories_in(self._base)
            if os.path.basename(scope) != TEMPORARY
            for file in _files_in(scope)
        ]
        total = sum(file.size_bytes for file in files)
        if total <= self._max_bytes * (1 - UNITS_A_SWEEP / UNITS):
            return
        for file in sorted(files):
            if total <= self._max_bytes * KEPT:
                return
            _remove(file.path)
            total -= file.size_bytes

    def remove_temporary(self) -> None:
        """Remove the temporary files of processes that were killed."""
        with os.scandir(f"{self._base}/{TEMPORARY}") as found:
            for each in found:
                process = each.name.partition("-")[0]
                with suppress(FileNotFoundError):
                    age = time.time() - each.stat(follow_symlinks=False).st_ctime
                    if age > LONGEST_WRITE_SECONDS or not _is_running(process):
                        os.unlink(each.path)


def _is_running(process: str) -> bool:
    if os.name == "nt" or not process.isdigit():
        return process.isdigit()
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _directories_in(path: str) -> list[str]:
    try:
        with os.scandir(path) as found:
            return [each.path for each in found if each.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _files_in(scope: str) -> Iterator[_File]:
    for directory in _directories_in(scope):
        with os.scandir(directory) as found:
            for each in found:
                with suppress(FileNotFoundError):
                    status = each.stat(follow_symlinks=False)
                    yield _File(status.st_atime, status.st_size, each.path)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
