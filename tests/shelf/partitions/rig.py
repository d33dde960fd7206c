"""Key spaces, and a store that lists them page by page from any key on, as S3 does."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import chain, islice
from typing import Any
from uuid import UUID

import cshelve
from cshelve._shelf.partitions import Partition
from cshelve.providers.base import Entry
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over

MANY = 40_000


class Bucket(InMemory):
    """Only names, in the order of a key that a server sorts by; it counts the pages."""

    capabilities = InMemory.capabilities._replace(lists_from_key=True)

    def __init__(self, names: list[str], order: Callable[[str], Any] | None = None) -> None:
        super().__init__(exists=True)
        self._order = order or (lambda name: name)
        self.listed = sorted(names, key=self._order)
        self.pages = 0

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        made = datetime(2026, 1, 1, tzinfo=UTC)
        for name in self.names(prefix, start_after=start_after, limit=limit):
            yield Entry(name, 1, made, "1")

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        self.pages += 1
        start = 0
        if start_after is not None:
            start = bisect_right(self.listed, self._order(start_after), key=self._order)
        rest = (
            name
            for name in islice(self.listed, start, None)
            if name.startswith(prefix) and (start_after is None or name > start_after)
        )
        for number, name in enumerate(islice(rest, limit)):
            if number and number % 1000 == 0:
                self.pages += 1
            yield name


def folders_first(name: str) -> Any:
    """Return what SeaweedFS sorts by: folder by folder."""
    return name.split("/")


def keys_of(parts: Iterable[Partition[Any]]) -> list[str]:
    return list(chain.from_iterable(map(Partition.keys, parts)))


def over(bucket: Bucket) -> cshelve.CloudShelf[Any]:
    return shelf_over(bucket)


def _random_ids(many: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    return [str(UUID(int=chance.getrandbits(128))) for _ in range(many)]


def _by_date(many: int) -> list[str]:
    chance = random.Random(2)
    return [
        f"{chance.choice((2024, 2025, 2026))}/{chance.randint(1, 12):02}/"
        f"{chance.randint(1, 28):02}/{name}"
        for name in _random_ids(many)
    ]


def _skewed(many: int) -> list[str]:
    """A few users have most of the keys, and many have one."""
    chance = random.Random(3)
    return [
        f"user-{min(int(chance.paretovariate(0.8)), 5000):05}/{chance.randrange(10**9)}"
        for _ in range(many)
    ]


def _few_prefixes(many: int) -> list[str]:
    return [
        *(f"a/{number:07}" for number in range(many // 2)),
        *(f"logs-2026/{name}" for name in _random_ids(many // 3)),
        *(f"z/{number}" for number in range(many // 6)),
        *("b", "c/d", "q/r/s"),
    ]


DISTRIBUTIONS: dict[str, Callable[[], list[str]]] = {
    "random ids": lambda: _random_ids(MANY),
    "numbers": lambda: [f"{number:010}" for number in range(MANY)],
    "numbers without zeros": lambda: [str(number) for number in range(MANY)],
    "files": lambda: [f"data/part-{number:08}.json" for number in range(MANY)],
    "nested by date": lambda: _by_date(MANY),
    "skewed": lambda: _skewed(MANY),
    "few prefixes": lambda: _few_prefixes(MANY),
    "not ASCII": lambda: [f"ключ/{number:06}" for number in range(MANY)],
}


@cache
def distributed(name: str) -> list[str]:
    """Return many keys that are distributed as the name says."""
    return DISTRIBUTIONS[name]()
