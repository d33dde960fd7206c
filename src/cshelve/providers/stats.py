"""Counters of a provider's requests and bytes."""

from __future__ import annotations

import threading
from collections import Counter

from cshelve._concurrency.per_process import PerProcess

__all__ = ["Stats"]


class Stats:
    """The number of requests of each kind, and of bytes of values in each direction.

    Every attempt counts, including the retries of the client library. Safe in many threads.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.bytes_sent = 0
        self.bytes_received = 0
        self._locks = PerProcess(threading.Lock)

    def __repr__(self) -> str:
        sizes = f"bytes_sent={self.bytes_sent}, bytes_received={self.bytes_received}"
        return f"Stats(requests={self.requests}, {sizes})"

    def count(self, operation: str, *, sent: int = 0, received: int = 0) -> None:
        """Add one request of this kind."""
        with self._locks.get():
            self.requests[operation] += 1
            self.bytes_sent += sent
            self.bytes_received += received

    def add_bytes(self, *, sent: int = 0, received: int = 0) -> None:
        """Add bytes of values to a request that was counted already."""
        with self._locks.get():
            self.bytes_sent += sent
            self.bytes_received += received
