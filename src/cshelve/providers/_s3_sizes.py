"""What is known of the sizes of values, for an engine that holds a whole one before it tells."""

from __future__ import annotations

__all__ = ["Sizes"]

# More than anybody reads ahead of a listing: two of its pages.
NAMES = 2000


class Sizes:
    """Whether a shelf has values above a bound. Safe in many threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._has_large = False
        # Two halves, of which the older one goes as a whole: nothing that would need a lock.
        self._small: set[str] = set()
        self._small_before: set[str] = set()

    def admit(self, size_bytes: int) -> bool:
        """Take note of a size that was met, and tell whether it is within the bound."""
        if size_bytes > self._most_bytes:
            self._has_large = True
            return False
        return True

    def note_listed(self, name: str, size_bytes: int) -> None:
        """Remember a size that a listing tells, until some thousands more were listed."""
        if self.admit(size_bytes) and self._has_large:
            if len(self._small) >= NAMES // 2:
                self._small_before, self._small = self._small, set()
            self._small.add(name)

    def may_be_read(self, name: str) -> bool:
        """Tell whether a value is surely, or as far as anybody has seen, within the bound."""
        return not self._has_large or name in self._small or name in self._small_before
