"""Values that expire: the clock that decides, and the durations that callers pass."""

from __future__ import annotations

import time

from cshelve.codec.record import NEVER
from cshelve.exceptions import ConfigurationError

__all__ = ["after", "expires_in", "is_over", "now"]

# A record cannot contain a later time, and a float cannot contain larger integers.
LONGEST_SECONDS = 2**64


def now() -> float:
    """Return the time in seconds since 1970, by the clock that decides which values expire."""
    return time.time()


def is_over(expires_at: float) -> bool:
    """Return whether an expiry time has been reached."""
    return expires_at <= now()


def after(seconds: float) -> float:
    """Return the time that is a duration from now, whatever its length."""
    return now() + min(seconds, LONGEST_SECONDS)


def expires_in(seconds: float) -> float:
    """Return the expiry time for a duration that starts now; `math.inf` means never.

    Raises `ConfigurationError` if the duration is not a number above zero.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not seconds > 0:
        raise ConfigurationError(
            f"expire_after_seconds: pass a number above zero, or math.inf, not {seconds!r:.40}."
        )
    return NEVER if seconds == NEVER else after(seconds)
