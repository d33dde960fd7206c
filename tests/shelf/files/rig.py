"""Shelves of plain bytes in every store."""

from __future__ import annotations

from typing import Any

import cshelve
from tests.rigs import Place

MIB = 2**20
PLAIN: dict[str, Any] = {"use_versioning": False, "serializer": "bytes"}


def plain(place: Place) -> Place:
    """Let the shelves of a place hold plain bytes."""
    place.config["default"].update(PLAIN)
    return place


class Watching:
    """A `progress` that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[cshelve.Progress] = []

    def __call__(self, progress: cshelve.Progress) -> None:
        self.told.append(progress)

    def assert_went_up_to(self, size: int, total_bytes: int | None) -> None:
        sizes = [each.bytes for each in self.told]
        assert sizes == sorted(sizes)
        assert self.told[-1] == (1, 1, size, total_bytes)
        assert all(each[:2] == (0, 1) for each in self.told[:-1])


class Stream:
    """A file that has nothing but `read`, which returns a little at a time."""

    def __init__(self, data: bytes, most: int = 100_000) -> None:
        self._data = memoryview(data)
        self._most = most

    def read(self, size: int) -> bytes:
        count = min(size, self._most)
        piece, self._data = self._data[:count], self._data[count:]
        return bytes(piece)
