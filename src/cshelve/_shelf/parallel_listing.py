"""List a large shelf in parts, several at the same time, but in order.

The first keys are listed page by page, so that a small shelf costs no request more. If the caller
had to wait for them, the rest is divided as by `db.partitions`, and the same is done with a part
that turns out large. A server nearby responds so fast that its processor is the limit: to divide
the shelf would only give it more to do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from cshelve._concurrency.parallel import map_in_order
from cshelve._shelf.partitions import Partition, divided
from cshelve._shelf.sampling import KEYS_PER_PAGE

__all__ = ["ordered_keys"]

# So many keys are listed page by page before the rest is divided.
KEYS_IN_A_ROW = 20 * KEYS_PER_PAGE
# Dividing takes longer than it saves if the caller waits less than this for a page.
SLOW_PAGE_SECONDS = 0.015
# The parts are shorter than that, unless there would be very many of them.
KEYS_PER_PART = 10 * KEYS_PER_PAGE
LEAST_PARTS = 12
# A part that turns out longer than that is divided again.
MOST_KEYS_OF_PART = 40 * KEYS_PER_PAGE
PARTS_AT_ONCE = 32


def ordered_keys(part: Partition[Any]) -> Iterator[str]:
    """Yield the keys of a part in the store's order; behind the first ones, list ahead."""
    keys = part.keys()
    last, waited_seconds = "", 0.0
    for _ in range(KEYS_IN_A_ROW):
        begun = time.perf_counter()
        key = next(keys, None)
        waited_seconds += time.perf_counter() - begun
        if key is None:
            return
        yield (last := key)
    if waited_seconds < SLOW_PAGE_SECONDS * KEYS_IN_A_ROW / KEYS_PER_PAGE:
        yield from keys
        return
    parts = divided(_behind(last, part), LEAST_PARTS, most_keys=KEYS_PER_PART)
    if parts is None:
        yield from keys
        return
    keys.close()
    listed = map_in_order(_beginning, parts, PARTS_AT_ONCE)
    with closing(listed):
        for each, beginning in listed:
            yield from beginning
            if len(beginning) == MOST_KEYS_OF_PART:
                yield from ordered_keys(_behind(beginning[-1], each))


def _beginning(part: Partition[Any]) -> list[str]:
    with closing(part.keys()) as keys:
        return list(islice(keys, MOST_KEYS_OF_PART))


def _behind(key: str, part: Partition[Any]) -> Partition[Any]:
    return Partition(part.shelf, key, part.until, is_sought=True)
