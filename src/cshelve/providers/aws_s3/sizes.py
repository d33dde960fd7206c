"""What is known of the sizes of values, for an engine that holds a whole one before it tells."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MOST_BYTES", "Sizes"]

# A larger value goes as fast by boto3, and the Common Runtime holds it in memory twice.
MOST_BYTES = 8 * 1024 * 1024


class Sizes:
    """Whether a shelf has values above a bound. Safe in many threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._has_large = False
        # Of two pages, which is more than anybody reads ahead of a listing. The older one goes as a
        # whole: nothing that would need a lock.
        self._small: set[str] = set()
        self._small_before: set[str] = set()

    def admit(self, size_bytes: int) -> bool:
        """Take note of a size that was met, and tell whether it is within the bound."""
        if size_bytes > self._most_bytes:
            self._has_large = True
            return False
        return True

    def note_listed(self, names: Sequence[str], sizes_bytes: Sequence[int | None]) -> None:
        """Remember what a page of a listing tells, until two more have come."""
        most = self._most_bytes
        if not self._has_large and max((size or 0 for size in sizes_bytes), default=0) <= most:
            return
        self._has_large = True
        told = zip(names, sizes_bytes, strict=True)
        self._small_before, self._small = (
            self._small,
            {name for name, size in told if size is not None and size <= most},
        )

    def may_be_read(self, name: str) -> bool:
        """Tell whether a value is surely, or as far as anybody has seen, within the bound."""
        return not self._has_large or name in self._small or name in self._small_before
