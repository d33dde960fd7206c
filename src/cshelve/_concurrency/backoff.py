"""The pause between two attempts."""

from __future__ import annotations

__all__ = ["full_jitter"]


def full_jitter(attempt: int, first_seconds: float, longest_seconds: float) -> float:
    """Return a random pause up to a bound that doubles with each attempt; the first attempt is 0.

    This is "full jitter": programs that collided once do not collide again in step.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    import random  # Imported late: most first attempts succeed.

    return random.uniform(0, min(first_seconds * 2**attempt, longest_seconds))
