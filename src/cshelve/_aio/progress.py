"""Operations on many keys in a thread, which end early if the task that awaits them does."""

from __future__ import annotations

from collections.abc import Callable

from cshelve._concurrency.outcomes import Progress, ProgressOption, close_bar, progress_of

__all__ = ["Stoppable"]


class StopError(Exception):
    """Raised in an operation whose caller was cancelled, and never seen by anyone."""


class Stoppable:
    """Runs an operation that calls `progress` for each key, until `stop` is called."""

    def __init__(self, progress: ProgressOption, done: str) -> None:
        self._progress = progress
        self._done = done
        self._is_stopped = False

    def stop(self) -> None:
        """Let the operation end at its next key."""
        self._is_stopped = True

    def run(self, operation: Callable[..., None]) -> None:
        callback = progress_of(self._progress, self._done)

        def told(progress: Progress) -> None:
            if callback is not None:
                callback(progress)
            if self._is_stopped:
                raise StopError

        try:
            operation(progress=told)
        except StopError:
            return
        finally:
            close_bar(callback)
