"""Atomic operations that read a value and then write it if nobody has changed it meanwhile.

The store compares versions. On a conflict, the value is read again after a random pause, up to a
bound that doubles ("full jitter"), so that processes do not keep colliding in step.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar

from cshelve._concurrency.backoff import full_jitter
from cshelve._concurrency.key_locks import KeyLocks
from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve._logs import logger_or_own
from cshelve._values.expiry import is_over
from cshelve._values.values import Values
from cshelve.exceptions import (
    ConditionsNotSupportedError,
    ConflictError,
    Error,
    KeyNotFoundError,
    OutcomeUnknownError,
    RecordError,
    ValueTypeError,
)

if TYPE_CHECKING:
    import logging

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "DELETE", "REQUIRED", "Atomic", "finished"]

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 1.0
# The number of keys that `popitem` shuffles together: as many as one request lists in S3.
KEYS_AT_ONCE = 1000


class _Sentinel(Enum):
    DELETE = "cshelve.DELETE"
    REQUIRED = "required"

    def __repr__(self) -> str:
        return self.value

    __str__ = __repr__


DELETE: Final = _Sentinel.DELETE
"""Return this from the function of `modify` to delete the key."""
REQUIRED: Final = _Sentinel.REQUIRED


class _Found(NamedTuple):
    """What `modify` begins with: the value of a key, or the default."""

    copy: Callable[[], Any]
    """Makes a copy of the value."""
    version: str | None
    """The version of the stored value, expired or not; None if there is none."""
    expires_at: float | None
    """When the value expires; None for the default, which expires as configured."""


class Atomic:
    """Operations that read and write a key, atomically for all writers in all processes.

    They are coroutines that await whatever takes time by the five methods at the end of this class.
    Those block the caller's thread, so that `finished` can run an operation like a function. The
    shelves for asyncio override them. A shelf and its prefix views share an object. Safe in many
    threads.
    """

    def __init__(self, timeout_seconds: float, logger: logging.Logger | None = None) -> None:
        self.timeout_seconds = min(timeout_seconds, threading.TIMEOUT_MAX)
        self.logger = logger
        self._locks = KeyLocks()
        self._warnings = itertools.count()

    async def modify(
        self, values: Values, key: str, function: Callable[[Any], Any], default: Any
    ) -> Any:
        """Call a function with the value of a key, store its result, and return the result.

        If another writer was faster, the function is called again with the new value. Raises
        `ConflictError` when the time is up. An existing value keeps its expiry time.
        """
        name = values.name(key)
        values.refuse_if_read_only("modify", key)
        if not values.provider.capabilities.conditional_put:
            # Before the function is called, and for a missing key too, which could be stored: a
            # program should not find out only by its second call.
            raise ConditionsNotSupportedError(
                f"{key!r} in {values.location}: this store cannot compare versions, so modify "
                "could lose the change of another writer. If nobody else writes, read the value "
                "and store it again."
            )
        until = time.monotonic() + self.timeout_seconds
        if not await self._acquire(name):
            raise self._contended(
                values, key, "another thread or task of this process has been modifying it"
            )
        try:
            for pause in _pauses(until):
                await self._pause(pause)
                found = await self._read_or(values, key, default)
                value = found.copy()
                result = await self._result_of(function, value)
                if result is None:
                    _refuse_if_changed(values, key, value, found.copy)
                try:
                    await self._store(values, key, result, found)
                except ConflictError as error:
                    conflict = error
                else:
                    return result
        finally:
            self._release(name)
        raise self._contended(values, key) from conflict

    async def setdefault(self, values: Values, key: str, default: Any) -> Any:
        """Return the value of a key; if the key is missing, store the default and return it."""
        for pause in _pauses(time.monotonic() + self.timeout_seconds):
            await self._pause(pause)
            try:
                return await self._on(values.read_latest, key)
            except KeyNotFoundError as error:
                version = error.expired_version
            try:
                await self._on(
                    values.write, key, default, if_absent=version is None, if_version=version
                )
            except ConflictError as error:
                conflict = error
            except OutcomeUnknownError as error:
                return await self._what_is_there(values, key, error)
            except ConditionsNotSupportedError:
                self._warn_unguarded(values)
                await self._on(values.write, key, default)
                return default
            else:
                return default
        raise self._contended(values, key) from conflict

    async def put_new(self, values: Values, key: str, value: Any) -> str:
        """Store a value if the key is missing, and return its version, or raise `ConflictError`.

        Sends one request. If there is a value that may have expired, up to three more check that
        and replace it.
        """
        try:
            return await self._on(values.write, key, value, if_absent=True)
        except ConflictError:
            version = await self._on(values.expired_version, key)
            if version is None:
                raise
        return await self._on(values.write, key, value, if_version=version)

    async def pop(self, values: Values, key: str) -> Any:
        """Delete a key, and return its value to only one caller; raise `KeyNotFoundError`."""
        for pause in _pauses(time.monotonic() + self.timeout_seconds):
            await self._pause(pause)
            try:
                return await self._take(values, key)
            except ConflictError as error:
                conflict = error  # The value was replaced: read the new one.
        raise self._contended(values, key) from conflict

    async def popitem(self, values: Values) -> tuple[str, Any]:
        """Remove any pair and return it, or raise `KeyNotFoundError` if the shelf is empty.

        Keys that someone else is modifying are skipped, and so are expired keys and objects that
        are not records of this shelf, such as the folder markers of a web console.
        """
        conflict: ConflictError | None = None
        for pause in _pauses(time.monotonic() + self.timeout_seconds):
            await self._pause(pause)
            is_empty = True
            unreadable: dict[str, RecordError] = {}
            for key in _some_keys(values):
                if key in unreadable:
                    continue
                try:
                    pair = key, await self._take(values, key)
                except KeyNotFoundError as error:
                    if error.expired_version is not None:
                        continue  # The shelf is empty if it has no others.
                except ConflictError as error:
                    conflict = error
                except RecordError as error:
                    unreadable[key] = error
                else:
                    self._warn_unreadable(unreadable)
                    return pair
                is_empty = False
            if unreadable and conflict is None:
                raise next(iter(unreadable.values()))
            if is_empty:
                raise KeyNotFoundError("popitem(): the shelf is empty")
        raise conflict or self._contended(values, None, "others removed every key first")

    async def rewrite(self, values: Values, key: str, *, exclusive: bool) -> int:
        """Store a value again in the shelf's current format; return the number of bytes written.

        Return 0 if nothing would change, or if the key is missing. The value is written only if
        nobody has changed it meanwhile; with `exclusive`, it is also written if the store does not
        support conditions. The expiry time stays. An expired value is written too: otherwise nobody
        could see that it has expired after the old key is gone.
        """
        written = 0
        for pause in _pauses(time.monotonic() + self.timeout_seconds):
            await self._pause(pause)
            refuse_if_stopped()
            try:
                decoded, version = values.read_stored(key)
            except KeyNotFoundError:
                return 0
            payload = values.payload_now(key, decoded)
            if payload is None:
                return written
            record = values.encode(key, payload, decoded.expires_at)
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
                written = len(record)  # Returned if the next read finds our record.
                continue
            return len(record)
        raise self._contended(values, key) from conflict

    async def expire(self, values: Values, key: str, *, exclusive: bool) -> bool:
        """Delete the value of a key if it has expired, and return whether it was deleted.

        A value that is written meanwhile stays. With `exclusive`, a store that does not support
        conditions is used without them.
        """
        may_be_deleted = False
        for pause in _pauses(time.monotonic() + self.timeout_seconds):
            await self._pause(pause)
            refuse_if_stopped()
            try:
                expires_at, version = values.look(key)
            except KeyNotFoundError:
                return may_be_deleted
            if not is_over(expires_at):
                return False
            # Not by `remove`, which needs the lock of the cache; a cached value has its own time.
            delete = partial(values.provider.delete, values.name(key))
            try:
                return delete(if_version=version) is not False
            except ConditionsNotSupportedError:
                if not exclusive:
                    raise
                return delete() is not False
            except ConflictError:
                return False
            except OutcomeUnknownError as error:
                conflict = error
                may_be_deleted = True  # It counts if the next look finds nothing.
        raise self._contended(values, key) from conflict

    async def _take(self, values: Values, key: str) -> Any:
        await self._on(values.settle, key)
        value, version = await self._on(values.read_versioned, key)
        try:
            was_there = await self._on(values.remove, key, if_version=version)
        except ConditionsNotSupportedError:
            self._warn_unguarded(values)
            was_there = await self._on(values.remove, key)
        if not was_there:
            raise KeyNotFoundError(key)  # Another caller was faster, and got the value.
        return value

    async def _read_or(self, values: Values, key: str, default: Any) -> _Found:
        """Return the value of a key, or the default if the key is missing."""
        await self._on(values.settle, key)
        try:
            decoded, version = await self._on(values.read_record, key)
        except KeyNotFoundError as error:
            if default is REQUIRED:
                raise
            return _Found(partial(values.copied, key, default), error.expired_version, None)
        return _Found(partial(values.loads, key, decoded), version, decoded.expires_at)

    async def _store(self, values: Values, key: str, result: Any, found: _Found) -> None:
        version = found.version
        if result is not DELETE:
            await self._on(
                values.write,
                key,
                result,
                if_absent=version is None,
                if_version=version,
                expires_at=found.expires_at,
            )
        elif version is not None and not await self._on(values.remove, key, if_version=version):
            raise ConflictError(f"{key!r} in {values.location} was deleted meanwhile")

    async def _what_is_there(self, values: Values, key: str, error: OutcomeUnknownError) -> Any:
        """Return the value of a key after the response to its `setdefault` was lost.

        It does not matter who stored the value. If the key is missing, the error is raised.
        """
        try:
            return await self._on(values.read_latest, key)
        except KeyNotFoundError:
            raise error from error.__cause__

    def _warn_unguarded(self, values: Values) -> None:
        if next(self._warnings) == 0:
            logger_or_own(self.logger).warning(
                "%s: the server does not honour conditions, so setdefault, pop and popitem are not "
                "atomic: two callers at the same time may both succeed",
                values.location,
            )

    def _warn_unreadable(self, unreadable: Mapping[str, RecordError]) -> None:
        for error in unreadable.values():
            logger_or_own(self.logger).warning("popitem skipped a key: %s", error)

    def _contended(
        self, values: Values, key: str | None, what: str = "other writers changed it in each try"
    ) -> ConflictError:
        where = values.location if key is None else f"{key!r} in {values.location}"
        return ConflictError(
            f"{where}: {what} for {self.timeout_seconds:g} seconds; try later, or raise "
            "[default] modify_timeout_seconds."
        )

    async def _on(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a method that may send requests, and return its result."""
        return call(*args, **kwargs)

    async def _result_of(self, function: Callable[[Any], Any], value: Any) -> Any:
        """Call the caller's own function, and return its result."""
        return function(value)

    async def _pause(self, seconds: float) -> None:
        if seconds:
            time.sleep(seconds)

    async def _acquire(self, name: str) -> bool:
        """Wait for the lock of a name; return whether it was acquired in time."""
        return self._locks.acquire(name, self.timeout_seconds)

    def _release(self, name: str) -> None:
        self._locks.release(name)


def finished(operation: Coroutine[Any, Any, R]) -> R:
    """Run an operation of an `Atomic` that blocks this thread, and return its result."""
    try:
        operation.send(None)
    except StopIteration as end:
        result: R = end.value
        return result
    raise RuntimeError("this operation needs an event loop")


def _refuse_if_changed(values: Values, key: str, value: Any, copy: Callable[[], Any]) -> None:
    """Raise `ValueTypeError` if a function that returned None has changed its argument.

    `list.append` does that, for example. Serialized values are compared, since a value may not even
    be equal to itself.
    """
    unchanged = _serialized(values, key, copy())
    if _serialized(values, key, value) == unchanged:
        return
    if unchanged == _serialized(values, key, copy()):  # Otherwise each payload is different anyway.
        raise ValueTypeError(
            f"modify of {key!r} in {values.location}: the function changed the value but returned "
            "None. Nothing is written; let it return the value to store (cshelve.DELETE deletes "
            "the key)."
        )


def _serialized(values: Values, key: str, value: Any) -> bytes:
    return b"".join(values.dumps(key, value))


def _pauses(until: float) -> Iterator[float]:
    """Yield the pause before each try: 0 for the first, and others until the time is up."""
    yield 0
    for number in itertools.count():
        left = until - time.monotonic()
        if left <= 0:
            return
        yield min(full_jitter(number, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), left)


def _some_keys(values: Values) -> Iterator[str]:
    """Yield the first key, by a listing of one key, and then all keys in a random order.

    In the listing's order, callers that pop at the same time would compete for the same keys.
    """
    yield from values.list_keys(limit=1)
    import random  # Rarely needed: the first key is mostly enough.

    names = values.list_keys()
    while some := list(itertools.islice(names, KEYS_AT_ONCE)):
        random.shuffle(some)
        yield from some
