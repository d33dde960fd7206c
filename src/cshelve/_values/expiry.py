"""Values that expire: the clock that decides, and what is raised for a value that has expired."""

from __future__ import annotations

import time

from cshelve.codec.record import NEVER
from cshelve.exceptions import ConfigurationError, KeyNotFoundError

__all__ = ["ExpiredError", "after", "expires_in", "is_over", "now"]

# A record has no room for a later time, and larger integers have no place in a float.
LONGEST_SECONDS = 2**64


class ExpiredError(KeyNotFoundError):
    """What is in the store has expired, so that its key is missing for everyone who reads."""

    def __init__(self, key: str, version: str = "") -> None:
        super().__init__(key)
        self.version = version
        """Its version, under which the key can be written as if it were absent."""


def now() -> float:
    """Return the time in seconds since 1970: the one clock by which values expire."""
    return time.time()


def is_over(expires_at: float) -> bool:
    """Return whether this time has come."""
    return expires_at <= now()


def after(seconds: float) -> float:
    """Return the time that comes so many seconds from now, however many these are."""
    return now() + min(seconds, LONGEST_SECONDS)


def expires_in(seconds: float) -> float:
    """Return the time that comes so many seconds from now; for `math.inf`, that is never.

    Raises `ConfigurationError` for what is no duration above zero.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not seconds > 0:
        raise ConfigurationError(
            f"expire_after_seconds: is a number above zero, or math.inf, not {seconds!r:.40}."
        )
    return NEVER if seconds == NEVER else after(seconds)
