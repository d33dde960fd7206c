"""Counters of a provider's requests and bytes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from sys import modules
from typing import TYPE_CHECKING, NamedTuple

from cshelve._concurrency.per_process import PerProcess

if TYPE_CHECKING:
    import logging

    from cshelve.providers.prices import Cost, Prices

__all__ = ["Attempt", "Stats"]

DEBUG = 10  # logging's, which is a slow import.


class Attempt(NamedTuple):
    """An attempt of a request that has ended."""

    operation: str
    key: str | None
    status: int
    """0 if no response has arrived."""
    sent: int
    received: int
    seconds: float
    number: int
    """1 for the first attempt."""
    error: BaseException | None


class Stats:
    """The requests and bytes of a shelf since it was opened. Safe in many threads.

    Every attempt of a request counts when it has ended, including the retries of boto3.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """The number of requests of each operation."""
        self.bytes_sent = 0
        """The number of bytes in the bodies of requests."""
        self.bytes_received = 0
        """The number of bytes read from the bodies of responses."""
        self.retries = 0
        """The number of requests that were sent again after a failed attempt."""
        self.waited_seconds = 0.0
        """The sum of the times from sending each request until its response had arrived.

        Requests that are in flight at the same time each count in full.
        """
        self.cache_hits = 0
        """The number of values that came from the cache on this machine (`[cache]`)."""
        self.cache_misses = 0
        """The number of values that were not in the cache, or not up to date."""
        self.cache_bytes = 0
        """The number of bytes that came from the cache."""
        self.engine: str | None = None
        """The engine that sends the requests: `direct` or `boto3` in S3, None in other stores."""
        self._locks = PerProcess(threading.Lock)
        self._tell: Callable[[Attempt], object] | None = None
        self._logger: logging.Logger | None = None
        self._slow_seconds = inf

    def __repr__(self) -> str:
        return (
            f"Stats(requests={dict(self.requests)}, bytes_sent={self.bytes_sent}, "
            f"bytes_received={self.bytes_received}, retries={self.retries}, "
            f"waited_seconds={self.waited_seconds:.3f}, engine={self.engine!r})"
        )

    def count(
        self,
        operation: str,
        *,
        key: str | None = None,
        status: int = 0,
        sent: int = 0,
        received: int = 0,
        seconds: float = 0.0,
        attempt: int = 1,
        error: BaseException | None = None,
    ) -> None:
        """Add an attempt of a request that has ended; providers call this.

        `sent` and `received` are the bytes of the bodies, `attempt` is 1 for the first one.
        If no response has arrived, `status` is 0, and there may be an error.
        """
        with self._locks.get():
            self.requests[operation] += 1
            self.bytes_sent += sent
            self.bytes_received += received
            self.waited_seconds += seconds
            if attempt > 1:
                self.retries += 1
        # This runs for each request, so it has to be quick.
        if self._logger is not None and (
            seconds >= self._slow_seconds
            or self._logger.isEnabledFor(DEBUG)
            or "opentelemetry" in modules
        ):
            assert self._tell is not None
            told = Attempt(operation, key, status, sent, received, seconds, attempt, error)
            self._tell(told)

    def count_cache(self, *, hit: bool, size_bytes: int = 0) -> None:
        """Add a read through a cache; caches call this."""
        with self._locks.get():
            if hit:
                self.cache_hits += 1
                self.cache_bytes += size_bytes
            else:
                self.cache_misses += 1

    def tell_of_attempts(
        self, tell: Callable[[Attempt], object], logger: logging.Logger, slow_seconds: float
    ) -> None:
        """Call `tell` from now on with each attempt that has to be logged or traced.

        These are all attempts if the logger has level DEBUG or the program uses OpenTelemetry, and
        otherwise those that took `slow_seconds` or longer.
        """
        self._tell, self._logger, self._slow_seconds = tell, logger, slow_seconds

    def cost(self, prices: Prices | None = None) -> Cost:
        """Estimate the cost of the requests in US dollars; it is 0 in stores other than S3.

        By default, `prices` are AWS's list prices. The estimate ignores storage, free tiers and
        transfer within a region.

            with db.stats.measuring() as used:
                db["greeting"] = "hello"
            print(f"{used.cost().total:.6f} US dollars")
        """
        from cshelve.providers.prices import cost_of

        if self.engine is None:
            return cost_of({}, 0, prices)
        return cost_of(self.requests, self.bytes_received, prices)

    @contextmanager
    def measuring(self) -> Iterator[Stats]:
        """Count what is sent and received within a block; the result is filled at its end.

        Requests of other threads that end meanwhile count too.

            with db.stats.measuring() as used:
                db["greeting"] = "hello"
            print(used.requests)
        """
        before, used = Stats(), Stats()
        self._copy_to(before)
        try:
            yield used
        finally:
            self._copy_to(used)
            used.requests -= before.requests
            used.bytes_sent -= before.bytes_sent
            used.bytes_received -= before.bytes_received
            used.retries -= before.retries
            used.waited_seconds -= before.waited_seconds
            used.cache_hits -= before.cache_hits
            used.cache_misses -= before.cache_misses
            used.cache_bytes -= before.cache_bytes

    def _copy_to(self, other: Stats) -> None:
        with self._locks.get():
            other.requests = self.requests.copy()
            other.bytes_sent = self.bytes_sent
            other.bytes_received = self.bytes_received
            other.retries = self.retries
            other.waited_seconds = self.waited_seconds
            other.cache_hits = self.cache_hits
            other.cache_misses = self.cache_misses
            other.cache_bytes = self.cache_bytes
            other.engine = self.engine
