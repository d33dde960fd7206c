"""Functions that other processes import: each tells in a file that it was called."""

from __future__ import annotations

import os
import time
from typing import Any

import cshelve
from cshelve.recipes import Memoized, memoize


def told(path: str, what: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{what}\n".encode())
    os.close(descriptor)


def slow_square(
    db: cshelve.CloudShelf[Any], path: str, seconds: float, claim_seconds: float = 15
) -> Memoized[[int], int]:
    """Return a memoized function that takes its time, in a shelf."""

    @memoize(db, claim_seconds=claim_seconds)
    def square(number: int) -> int:
        told(path, f"began {number}")
        time.sleep(seconds)  # Other processes wait meanwhile.
        told(path, f"ended {number}")
        return number * number

    return square
