"""How long to wait between two attempts."""

from __future__ import annotations

__all__ = ["full_jitter"]


def full_jitter(attempt: int, first_seconds: float, longest_seconds: float) -> float:
    """Return a random time up to a bound that doubles with each attempt, of which 0 is the first.

    "Full jitter": programs that collided once do not go on colliding in step.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    import random  # Only for those whose first attempt did not do.

    return random.uniform(0, min(first_seconds * 2**attempt, longest_seconds))
