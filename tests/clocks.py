"""The clock by which values expire, as a test sets it."""

from __future__ import annotations

import pytest

from cshelve._values import expiry

BEGINNING = 1_700_000_000.0


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = BEGINNING

    def __call__(self) -> float:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += seconds

    def rule(self, patch: pytest.MonkeyPatch) -> None:
        """Be the clock of this process, until the patch is undone."""
        patch.setattr(expiry, "now", self)
