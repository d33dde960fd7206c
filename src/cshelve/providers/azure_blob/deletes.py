"""Delete many blobs: 256 in a request, which is the most that Azure accepts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from cshelve._concurrency.parallel import map_in_order
from cshelve.providers.azure_blob.errors import ABSENT, AzureError, status_of
from cshelve.providers.base import Outcome

if TYPE_CHECKING:
    from cshelve.providers.azure_blob.requests import Requests

__all__ = ["delete_batches"]

OPERATION = "BlobBatch"
BLOBS_PER_REQUEST = 256
# Each request occupies Azure for a while.
MOST_AT_ONCE = 4


def delete_batches(
    requests: Requests,
    names: Iterable[str],
    is_storable: Callable[[str], bool],
    singly: Callable[[Iterable[str]], Generator[Outcome]],
) -> Generator[Outcome]:
    """Delete names and yield their outcomes; stop if every other name would fail as well.

    `singly` deletes names one by one: those of a request of which a part failed, since that shows
    the reason of each, and tries again what failed for a temporary one.
    """

    def delete(batch: list[str]) -> list[Outcome]:
        # A name that Azure cannot hold is absent already.
        held = [name for name in batch if is_storable(name)]
        try:
            done = not held or _send(requests, held)
        except AzureError as error:
            if not status_of(error):  # No connection; one by one, each would wait for it again.
                failure = requests.error(error, OPERATION)
                return [Outcome(name, failure) for name in batch]
            done = False
        if done:
            return [Outcome(name) for name in batch]
        with closing(singly(held)) as outcomes:
            of_held = list(outcomes)
        return [*of_held, *(Outcome(name) for name in set(batch).difference(held))]

    source = iter(names)
    batches = iter(lambda: list(itertools.islice(source, BLOBS_PER_REQUEST)), [])
    most = min(MOST_AT_ONCE, requests.settings.concurrency)
    with closing(map_in_order(delete, batches, most, is_last=_end_all)) as results:
        for _, outcomes in results:
            yield from outcomes


def _send(requests: Requests, names: list[str]) -> bool:
    """Delete blobs in one request; return whether all of them are deleted, or were absent."""
    blobs = [requests.settings.prefix + name for name in names]
    container = requests.clients.container

    def batch() -> bool:
        parts = container.delete_blobs(*blobs, raise_on_any_failure=False)
        found = [(part.status_code, part.headers.get("x-ms-error-code")) for part in parts]
        return len(found) == len(blobs) and all(
            status == 202 or (status, code) == (404, ABSENT) for status, code in found
        )

    return requests.send(OPERATION, None, batch)


def _end_all(outcomes: list[Outcome]) -> bool:
    return any(outcome.ends_all() for outcome in outcomes)
