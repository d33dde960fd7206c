"""Notice that a server does not respond any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Watch"]


class Watch:
    """Breaks a connection if no response arrives for some time, although one is awaited.

    A limit for each request would be wrong: if many large pieces are on their way over a slow line,
    the last one takes long, although the server responds to the others.
    """

    def __init__(self, seconds: float, break_connection: Callable[[], object]) -> None:
        self._seconds = seconds
        self._break = break_connection
        self._awaited = 0
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.has_struck = False
        """Whether it has broken the connection."""

    def begin(self, more_seconds: float = 0.0) -> None:
        """Await a response, which may take longer than others."""
        self._awaited += 1
        loop = asyncio.get_running_loop()
        if self._awaited == 1:
            self._until = loop.time() + self._seconds
        self._until = max(self._until, loop.time() + self._seconds + more_seconds)
        if self._timer is None:
            self._timer = loop.call_at(self._until, self._look)

    def progress(self) -> None:
        """Note that something has arrived."""
        until = asyncio.get_running_loop().time() + self._seconds
        self._until = max(self._until, until)

    def end(self) -> None:
        """Await one response less."""
        self._awaited -= 1
        self.progress()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if not self._awaited:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._until:
            self._timer = loop.call_at(self._until, self._look)
        else:
            self.has_struck = True
            self._break()
