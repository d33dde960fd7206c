"""Operations that many writers may do at once: each reads, decides, and lets the store decide.

Whoever was not first reads again. Between two tries it waits for a random time up to a bound that
doubles ("full jitter"), so that processes do not go on colliding in step.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from cshelve._concurrency.backoff import full_jitter
from cshelve._concurrency.key_locks import KeyLocks
from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve._logs import logger_or_own
from cshelve._values.values import Values
from cshelve.exceptions import (
    ConditionsNotSupportedError,
    ConflictError,
    Error,
    KeyNotFoundError,
    OutcomeUnknownError,
    RecordError,
)

if TYPE_CHECKING:
    import logging

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "DELETE", "REQUIRED", "Atomic"]

DEFAULT_TIMEOUT_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 1.0
# How many keys `popitem` looks at together: what a store lists in one request.
KEYS_AT_ONCE = 1000


class _Sentinel(Enum):
    DELETE = "cshelve.DELETE"
    REQUIRED = "required"

    def __repr__(self) -> str:
        return self.value

    __str__ = __repr__


DELETE: Final = _Sentinel.DELETE
"""What a function given to `modify` returns to have the key deleted."""
REQUIRED: Final = _Sentinel.REQUIRED


class Atomic:
    """Read-and-write operations on one key that no other writer can come in between.

    Prefix views share one with their parent. Safe in many threads.
    """

    def __init__(self, timeout_seconds: float, logger: logging.Logger | None = None) -> None:
        self._timeout_seconds = min(timeout_seconds, threading.TIMEOUT_MAX)
        self._logger = logger
        self._locks = KeyLocks()
        self._warnings = itertools.count()

    def modify(self, values: Values, key: str, function: Callable[[Any], Any], default: Any) -> Any:
        """Store what a function makes of the value under a key, and return that."""
        name = values.name(key)
        values.refuse_if_read_only("modify", key)
        until = time.monotonic() + self._timeout_seconds
        if not self._locks.acquire(name, self._timeout_seconds):
            raise self._contended(values, key, "another thread of this process did not end its")
        try:
            for _ in _tries(until):
                value, version = self._read_or(values, key, default)
                result = function(value)
                try:
                    self._store(values, key, result, version)
                except ConflictError as error:
                    conflict = error
                else:
                    return result
        finally:
            self._locks.release(name)
        raise self._contended(values, key, "others wrote in between each") from conflict

    def setdefault(self, values: Values, key: str, default: Any) -> Any:
        """Give the value under a key, and store the default where there is none."""
        for _ in _tries(time.monotonic() + self._timeout_seconds):
            try:
                return values.read(key)
            except KeyNotFoundError:
                pass
            try:
                values.write(key, default, if_absent=True)
            except ConflictError as error:
                conflict = error
            except OutcomeUnknownError as error:
                return self._what_is_there(values, key, error)
            except ConditionsNotSupportedError:
                self._warn_unguarded(values)
                values.write(key, default)
                return default
            else:
                return default
        raise conflict

    def pop(self, values: Values, key: str) -> Any:
        """Take the value under a key out of the shelf, for one caller only."""
        for _ in _tries(time.monotonic() + self._timeout_seconds):
            try:
                return self._take(values, key)
            except ConflictError as error:
                conflict = error  # It was replaced: the new value is the one to take.
        raise conflict

    def popitem(self, values: Values) -> tuple[str, Any]:
        """Remove any pair and return it. Keys that someone else is modifying are skipped.

        So is what is no record of this shelf, such as a console's marker of a folder.
        """
        conflict: ConflictError | None = None
        for _ in _tries(time.monotonic() + self._timeout_seconds):
            is_empty = True
            unreadable: dict[str, RecordError] = {}
            for key in _some_keys(values):
                is_empty = False
                if key in unreadable:
                    continue
                try:
                    pair = key, self._take(values, key)
                except KeyNotFoundError:
                    continue
                except ConflictError as error:
                    conflict = error
                except RecordError as error:
                    unreadable[key] = error
                else:
                    self._warn_unreadable(unreadable)
                    return pair
            if unreadable and conflict is None:
                raise next(iter(unreadable.values()))
            if is_empty:
                raise KeyNotFoundError("popitem(): the shelf is empty")
        raise conflict or self._contended(values, "", "others took every key before this")

    def rewrite(self, values: Values, key: str, *, exclusive: bool) -> int:
        """Store a value as the shelf would now, and give the size; 0 if it is so, or gone.

        Only if nobody has changed it meanwhile; if `exclusive`, also where the store can't tell.
        """
        written = 0
        for _ in _tries(time.monotonic() + self._timeout_seconds):
            refuse_if_stopped()
            try:
                decoded, version = values.read_record(key)
            except KeyNotFoundError:
                return 0
            payload = values.payload_now(key, decoded)
            if payload is None:
                return written
            record = values.encode(key, payload)
            try:
                values.store(key, record, if_version=version)
            except ConditionsNotSupportedError:
                if not exclusive:
                    raise
                values.store(key, record)
            except ConflictError as error:
                conflict: Error = error
                continue
            except OutcomeUnknownError as error:
                conflict = error
                written = len(record)  # If so, the next reading tells.
                continue
            return len(record)
        raise self._contended(values, key, "others wrote in between each") from conflict

    def _take(self, values: Values, key: str) -> Any:
        values.settle(key)
        value, version = values.read_versioned(key)
        try:
            was_there = values.remove(key, if_version=version)
        except ConditionsNotSupportedError:
            self._warn_unguarded(values)
            was_there = values.remove(key)
        if not was_there:
            raise KeyNotFoundError(key)  # Another caller was faster, and has it.
        return value

    def _read_or(self, values: Values, key: str, default: Any) -> tuple[Any, str | None]:
        values.settle(key)
        try:
            return values.read_versioned(key)
        except KeyNotFoundError:
            if default is REQUIRED:
                raise
            # A copy each time, as the function may change what it gets.
            return values.copied(key, default), None

    def _store(self, values: Values, key: str, result: Any, version: str | None) -> None:
        if result is not DELETE:
            values.write(key, result, if_absent=version is None, if_version=version)
        elif version is not None and not values.remove(key, if_version=version):
            raise ConflictError(f"{key!r} in {values.location} was deleted meanwhile")

    def _what_is_there(self, values: Values, key: str, error: OutcomeUnknownError) -> Any:
        """Settle a `setdefault` of which the answer was lost: what is there is what counts."""
        try:
            return values.read(key)
        except KeyNotFoundError:
            raise error from error.__cause__

    def _warn_unguarded(self, values: Values) -> None:
        if next(self._warnings) == 0:
            logger_or_own(self._logger).warning(
                "%s: the server does not honour conditions, so setdefault, pop and popitem go on "
                "without: of two callers at the same time both may be first",
                values.location,
            )

    def _warn_unreadable(self, unreadable: Mapping[str, RecordError]) -> None:
        for error in unreadable.values():
            logger_or_own(self._logger).warning("popitem passed over %s", error)

    def _contended(self, values: Values, key: str, what: str) -> ConflictError:
        return ConflictError(
            f"{key!r} in {values.location}: {what} try, for "
            f"{self._timeout_seconds:g} seconds; try later, or raise [default] "
            "modify_timeout_seconds."
        )


def _tries(until: float) -> Iterator[None]:
    """Yield once at least, and again for as long as there is time, with pauses in between."""
    yield
    for number in itertools.count():
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(full_jitter(number, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), left))
        yield


def _some_keys(values: Values) -> Iterator[str]:
    """Name a key, by a listing of one; and then all, in an order that others hardly have too."""
    yield from values.list_keys(limit=1)
    import random  # For those who want more than the first one.

    names = values.list_keys()
    while some := list(itertools.islice(names, KEYS_AT_ONCE)):
        random.shuffle(some)
        yield from some
