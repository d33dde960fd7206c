"""The outcomes of an operation on many keys, and the error of the whole operation."""

from __future__ import annotations

import shelve
import sys
from collections.abc import Callable, Generator, Mapping, Sized
from contextlib import closing
from typing import NamedTuple, Self

from cshelve._concurrency.parallel import StoppedError
from cshelve.exceptions import BulkError, Error, StorageError

__all__ = [
    *("Outcome", "Outcomes", "Progress", "ProgressCallback", "ProgressOption"),
    *("close_bar", "finish", "length_of", "outcome_of", "progress_of"),
]

# The number of failed keys that a message names.
NAMED = 3


class Outcome(NamedTuple):
    """The outcome of an operation for one name."""

    name: str
    failure: Error | None = None
    size_bytes: int = 0
    """The number of bytes that were stored or read."""

    def ends_all(self) -> bool:
        """Return whether the operation failed in a way that every other name would share."""
        return self.failure is not None and self.failure.about_shelf


class Progress(NamedTuple):
    """The progress of an operation on many keys."""

    done: int
    """The number of keys that are finished, including failed and missing ones."""
    total: int | None
    """The number of all keys; None if it is unknown, as for a generator or a listing."""
    bytes: int
    """The number of bytes stored or read so far, in the form in which the store holds them."""
    total_bytes: int | None = None
    """The number of all bytes of a value that is uploaded or downloaded; None if it is unknown."""


ProgressCallback = Callable[[Progress], object]
ProgressOption = ProgressCallback | bool | None
"""What an operation on many keys takes: a callback, or True for a bar."""


class Outcomes:
    """Counts the outcomes of an operation on many keys, and raises its error at the end.

    Use it as a context manager around the operation. Some errors about the whole shelf are not an
    outcome but raised directly, for example by a listing. They get the numbers of keys, too.
    """

    def __init__(
        self, done: str, *, total: int | None = None, progress: ProgressOption = None
    ) -> None:
        """`done` is the participle for messages, such as `written`."""
        self._done = done
        self._total = total
        self._progress = progress_of(progress, done)
        self._stored = 0
        self._failed = 0
        self._bytes = 0
        self.total_bytes: int | None = None
        """The total number of bytes, if it is known."""
        self._count = 0
        self._failures: dict[str, Error] = {}
        self._about_shelf: Error | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        if error is None:
            self._raise_failures()
        elif isinstance(error, Error) and error.about_shelf:
            self._put_numbers_on(error)

    @property
    def stored(self) -> int:
        """The number of keys that have succeeded."""
        return self._stored

    @property
    def failures(self) -> Mapping[str, Error]:
        """The error of each key that has failed."""
        return self._failures

    @property
    def is_over(self) -> bool:
        """Whether a failure has occurred that every other key would share."""
        return self._about_shelf is not None

    def add(self, outcome: Outcome) -> None:
        """Count one outcome, and call `progress`."""
        self._count += 1
        if outcome.failure is None:
            self._stored += 1
            self._failures.pop(outcome.name, None)  # The later write of a repeated key counts.
        else:
            self._failed += 1
            self._failures[outcome.name] = outcome.failure
            if outcome.ends_all() and self._about_shelf is None:
                self._about_shelf = outcome.failure
        self.add_bytes(outcome.size_bytes)

    def add_bytes(self, size_bytes: int, *, keys: int = 0) -> None:
        """Count bytes, and keys that need no outcome, and call `progress`."""
        self._count += keys
        self._bytes += size_bytes
        if self._progress is not None:
            self._progress(Progress(self._count, self._total, self._bytes, self.total_bytes))

    def add_all(self, outcomes: Generator[Outcome]) -> None:
        """Iterate over the outcomes, which runs the operation, and count each of them."""
        # Otherwise, an error's traceback would keep the generator, and its threads, alive.
        with closing(outcomes):
            for outcome in outcomes:
                self.add(outcome)

    def close(self) -> None:
        """End the progress bar, if there is one; the end of a `with` statement does this too."""
        close_bar(self._progress)

    def set_total(self, total: int) -> None:
        """Set the total number of keys, if it is known only at the end."""
        self._total = total

    def _put_numbers_on(self, failure: Error) -> None:
        failure.stored = self._stored
        failure.failed = self._failed
        if self._total is not None:
            failure.not_attempted = max(0, self._total - self._count)

    def _raise_failures(self) -> None:
        """Raise the error about the shelf, or a `BulkError` with all failed keys, or nothing."""
        if self._about_shelf is not None:
            self._put_numbers_on(self._about_shelf)
            raise self._about_shelf
        if not self._failures:
            return
        cause = next(iter(self._failures.values()))
        first = ", ".join(repr(name) for name in list(self._failures)[:NAMED])
        more = ", …" if len(self._failures) > NAMED else ""
        keys = "1 key" if len(self._failures) == 1 else f"{len(self._failures)} keys"
        failure = BulkError(
            f"{keys} could not be {self._done}: {first}{more}; the first because: {cause}",
            self._failures,
        )
        self._put_numbers_on(failure)
        raise failure from cause


def progress_of(progress: ProgressOption, done: str) -> ProgressCallback | None:
    """Return the callback of an operation: the caller's, a new bar for True, None for nothing.

    `done` is what becomes of the keys, such as `written`. At the end, also after an error, pass
    the callback to `close_bar`.
    """
    if progress is True:
        from cshelve._concurrency.progress_bar import new_bar  # Rarely needed.

        return new_bar(done)
    return progress or None


def close_bar(progress: ProgressCallback | None) -> None:
    """End a bar that `progress_of` returned; do nothing to the caller's own callback."""
    bars = sys.modules.get("cshelve._concurrency.progress_bar")
    if bars is not None and isinstance(progress, bars.Bar):
        progress.close()


def finish(outcomes: Generator[Outcome], done: str) -> None:
    """Run an operation on many names to its end; raise `BulkError` if some names failed."""
    with Outcomes(done) as counted:
        counted.add_all(outcomes)


def outcome_of(name: str, location: str, act: Callable[[], object], size_bytes: int = 0) -> Outcome:
    """Call `act` for one name, and return the outcome; `size_bytes` is the size of its data."""
    try:
        act()
    except Error as error:
        return Outcome(name, error)
    except StoppedError:
        return Outcome(
            name,
            StorageError(
                f"{name!r} in {location}: given up, since the operation ended; it is not known "
                "whether the request was carried out"
            ),
        )
    return Outcome(name, None, size_bytes)


def length_of(keys: object) -> int | None:
    """Return the number of keys; None if only iterating over them would show it."""
    if isinstance(keys, shelve.Shelf) or isinstance(getattr(keys, "_mapping", None), shelve.Shelf):
        return None  # The length of a shelf, or of its view, needs a listing.
    return len(keys) if isinstance(keys, Sized) else None
