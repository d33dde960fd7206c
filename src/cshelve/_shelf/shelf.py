"""The shelf: text keys and Python objects, with the behaviour of `shelve.Shelf`.

What the standard library's class does dearly over a network is overridden here; what it does well
is inherited.
"""

from __future__ import annotations

import shelve
import warnings
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload
from weakref import ref

from cshelve._concurrency.outcomes import Outcomes, ProgressCallback, length_of
from cshelve._shelf.atomic import REQUIRED, Atomic, _Sentinel
from cshelve._shelf.every_key import expire_all, rewrite_all
from cshelve._shelf.read_many import Items, OnError, Pairs, ValuesOfShelf, checked_on_error
from cshelve._values.expiry import expires_in
from cshelve._values.payloads import Payloads
from cshelve._values.values import Values, checked_key
from cshelve._values.writeback import WritebackCache, WritebackValues
from cshelve.exceptions import (
    BulkError,
    ConflictError,
    KeyNotFoundError,
    KeyNotStorableError,
    KeyTypeError,
    NotPicklableError,
    RecordError,
    ValueTypeError,
)

if TYPE_CHECKING:
    import logging

    from _typeshed import SupportsKeysAndGetItem
    from typing_extensions import TypeVar

    from cshelve._shelf.pickling import PickledShelf
    from cshelve.providers.base import Provider

    # A shelf of whatever values, where an annotation says only `CloudShelf`.
    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar  # Which knows defaults from Python 3.13 on.

    V = TypeVar("V")

__all__ = ["CloudShelf", "Shelf"]

T = TypeVar("T")
Deletion = Literal[_Sentinel.DELETE]


class CloudShelf(shelve.Shelf[V]):
    """A `shelve.Shelf` whose values are stored in a bucket, a folder or memory, one object a key.

    Values are pickled copies, as in `shelve`: changing a value that was read changes nothing in the
    store, unless the shelf was opened with `writeback`. Only a missing key raises a `KeyError`;
    everything else that goes wrong raises a `cshelve.Error`, and using a closed shelf raises a
    plain `ValueError`.

    A write is atomic: readers see the old value or the new one. Many threads may use one shelf. A
    forked child opens connections of its own. Pickling a shelf pickles its configuration, and
    unpickling opens it again.
    """

    cache: WritebackCache

    def __init__(
        self,
        values: Values,
        atomic: Atomic,
        cache: WritebackCache,
        *,
        pickled: PickledShelf | None = None,
        parent: CloudShelf[V] | None = None,
        owns_parent: bool = False,
    ) -> None:
        self.cache = cache
        # By a weak reference, so that a shelf that nobody closed is noticed as soon as it is gone.
        payloads: Any = Payloads(partial(_values_of, ref(self)))
        self._payloads = payloads
        # Programs that look at `dict` of a local shelf look for what `dbm.open` returned.
        database = values.database if parent is None else None
        super().__init__(payloads if database is None else database, writeback=cache.is_on)
        self.cache = cache  # Where the base class has put a dict.
        self._plain_values = values
        self._kept_values = WritebackValues(values, cache)
        self._atomic = atomic
        self._pickled = pickled
        self._parent = parent
        self._owns_parent = owns_parent
        self._is_like_shelve = values.provider.like_shelve
        self._is_closed = False
        self._close_has_failed = False
        self._repr = f"<cshelve.CloudShelf in {values.location}>"

    def __repr__(self) -> str:
        return self._repr

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to open the shelf again: its configuration, without cache and connections."""
        if self._pickled is None:
            raise NotPicklableError(
                f"{self!r} cannot be opened from another process: it was not made from a "
                "configuration, lives in this process's memory, or has a boto3_session of this "
                "process's"
            )
        return self._pickled.reduced(self._values.prefix)

    @property
    def provider(self) -> Provider:
        """The provider that stores the values: its `stats`, its `location`, its own methods."""
        return self._values.provider

    # The standard library has it as an attribute; here a shelf and its views agree on it.
    @property
    def writeback(self) -> bool:
        """Whether values that are read or written are kept, and written again if they change."""
        return self.cache.is_on

    @writeback.setter
    def writeback(self, is_on: bool) -> None:
        self.cache.is_on = is_on

    def __getitem__(self, key: str) -> V:
        """Return the value of a key, or raise `KeyNotFoundError`, which is a `KeyError`.

        One request, or none if the value is in the writeback cache.
        """
        value: V = self._values.read(_to_read(key))
        return value

    def __setitem__(self, key: str, value: V) -> None:
        """Store a value, atomically. One request. It expires as configured, from now on."""
        self._values.write(checked_key(key), value)

    def set(self, key: str, value: V, *, expire_after_seconds: float | None = None) -> None:
        """Store a value as `db[key] = value` does, and say how long it lives. One request.

        After that time the key is missing, although `len` and the listings of keys still count it.
        `math.inf` is for ever; without `expire_after_seconds`, it lives as long as
        `[default] expire_after_seconds` says. Raises `ConfigurationError` for a duration that is
        not above zero, and for a shelf whose values cannot expire.

            db.set("ada", ada, expire_after_seconds=3600)
        """
        values, expires_at = self._values, None
        if expire_after_seconds is not None:
            expires_at = expires_in(expire_after_seconds)
            values.refuse_expiry(expires_at)
        values.write(checked_key(key), value, expires_at=expires_at)

    def __delitem__(self, key: str) -> None:
        """Delete a key, or raise `KeyNotFoundError`.

        Two requests, since most stores do not say whether the key was there, and none whether its
        value had expired.
        """
        self._values.delete(_to_read(key))

    def __contains__(self, key: object) -> bool:
        """Return whether a key is there and has not expired, without reading its value.

        One request.
        """
        try:
            return self._values.contains(_to_read(key))
        except KeyNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys. One request for each page of the listing (1,000 keys in S3).

        Expired keys are listed until they are deleted. The shelf may be changed meanwhile.
        """
        for key in self._values.list_keys():
            self._refuse_if_closed()
            yield key

    def __len__(self) -> int:
        """Return the number of keys, expired ones included. In S3 one request lists 1,000 keys."""
        return sum(1 for _ in self._values.list_keys())

    def __bool__(self) -> bool:
        """Return whether there is any key, expired or not. One request, however many there are."""
        return any(True for _ in self._values.list_keys(limit=1))

    def __eq__(self, other: object) -> bool:
        """Compare with any mapping, reading values up to the first difference."""
        if not isinstance(other, Mapping):
            return NotImplemented
        expected = dict(other.items())
        for key, value in self.items():
            if key not in expected:
                return False
            wanted = expected.pop(key)
            if wanted is not value and wanted != value:
                return False
        return not expected

    __hash__ = None  # type: ignore[assignment]  # as every mutable mapping

    @overload
    def get(self, key: str, default: None = None) -> V | None: ...
    @overload
    def get(self, key: str, default: V) -> V: ...
    @overload
    def get(self, key: str, default: T) -> V | T: ...
    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default if the key is missing. One request."""
        try:
            return self[key]
        except KeyNotFoundError:
            return default

    @overload
    def items(self, *, on_error: Literal["raise", "skip"] = "raise") -> ItemsView[str, V]: ...
    @overload
    def items(self, *, on_error: OnError) -> ItemsView[str, V | RecordError]: ...
    def items(self, *, on_error: OnError = "raise") -> ItemsView[str, Any]:
        """Return a view of the pairs; iterating costs the listing and one request a key.

        `on_error` says what becomes of a record that cannot be read, as with `get_many`.
        """
        return Items(self, checked_on_error(on_error))

    @overload
    def values(self, *, on_error: Literal["raise", "skip"] = "raise") -> ValuesView[V]: ...
    @overload
    def values(self, *, on_error: OnError) -> ValuesView[V | RecordError]: ...
    def values(self, *, on_error: OnError = "raise") -> ValuesView[Any]:
        """Return a view of the values; iterating costs the listing and one request a key.

        `on_error` says what becomes of a record that cannot be read, as with `get_many`.
        """
        return ValuesOfShelf(self, checked_on_error(on_error))

    @overload
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressCallback | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> Iterator[tuple[str, V]]: ...
    @overload
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressCallback | None = None,
        on_error: OnError,
    ) -> Iterator[tuple[str, V | RecordError]]: ...
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressCallback | None = None,
        on_error: OnError = "raise",
    ) -> Iterator[tuple[str, Any]]:
        """Read many keys in parallel, and yield their pairs in the order of the keys.

        Missing keys are left out. Costs one request a key, none for values in the writeback cache;
        at most `concurrency` requests are in flight at once, and no more keys than that are taken
        from `keys` in advance. `progress` is called with a `cshelve.Progress` after each key.

        A record that cannot be read raises a `RecordError` in the place of its key, and the
        iterator can go on after it. With `on_error="skip"` such keys are left out, and the first
        one is logged; with `on_error="return"` the error takes the place of the value. Any other
        failure ends the iterator, and so does its `close()`. Use it in one thread only.

            for name, user in db.get_many(["ada", "grace"]):
                print(name, user.email)
        """
        return self._pairs(_many(keys, "keys"), progress, checked_on_error(on_error))

    def set_many(
        self,
        items: Mapping[str, V] | Iterable[tuple[str, V]],
        *,
        progress: ProgressCallback | None = None,
    ) -> None:
        """Store many pairs in parallel, each of them atomically. One request a key.

        If a key is given twice, the last value stays. A key that fails does not stop the others: at
        the end a `BulkError` names all that failed. A failure that would hit every key, such as an
        expired token, is raised at once as it is (its `about_shelf` is true), with the numbers of
        keys `stored`, `failed` and `not_attempted`.

            db.set_many({"ada": ada, "grace": grace}, progress=print)
        """
        self._set_many(_pairs_of(_many(items, "pairs"), {}), length_of(items), progress)

    def delete_many(self, keys: Iterable[str], *, progress: ProgressCallback | None = None) -> None:
        """Delete many keys; missing ones are no failure. In S3 one request deletes 1,000 keys.

        Raises what `set_many` raises.

            db.delete_many(key for key in db if key.startswith("tmp-"))
        """
        keys = _many(keys, "keys")
        outcomes = Outcomes("deleted", total=length_of(keys), progress=progress)
        self._values.delete_many(keys, outcomes)

    @overload
    def setdefault(self: CloudShelf[T | None], key: str, default: None = None) -> T | None: ...
    @overload
    def setdefault(self, key: str, default: V) -> V: ...
    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key; if it is missing, store the default and return that.

        The store decides: if many callers do this at the same time, one of them stores its default,
        and all of them get that one. One request if the key is there, two if not, three if another
        caller was faster.
        """
        return self._atomic.setdefault(self._values, checked_key(key), default)

    @overload
    def pop(self, key: str) -> V: ...
    @overload
    def pop(self, key: str, default: V) -> V: ...
    @overload
    def pop(self, key: str, default: T) -> V | T: ...
    def pop(self, key: str, default: Any = REQUIRED) -> Any:
        """Delete a key and return its value; if many callers do so, only one of them gets it.

        A missing key returns the default, or raises `KeyNotFoundError` without one. Two requests,
        or one if the key is missing. Raises `OutcomeUnknownError` if the response to the delete was
        lost and nobody can know what happened: nobody gets the value rather than two callers.
        """
        try:
            return self._atomic.pop(self._values, _to_read(key))
        except KeyNotFoundError:
            if default is REQUIRED:
                raise
            return default

    def popitem(self) -> tuple[str, V]:
        """Remove any pair and return it, as `pop` does, or raise a `KeyError` if there is none.

        Three requests, and more while other callers take the same keys. Expired keys are skipped at
        one request each.
        """
        return self._atomic.popitem(self._values)

    # It also returns DELETE where the function does. With that in the type, a lambda's result would
    # be nothing that type checkers know, and every other caller would have to rule it out.
    @overload
    def modify(self, key: str, function: Callable[[V], V | Deletion]) -> V: ...
    @overload
    def modify(self, key: str, function: Callable[[V | T], V | Deletion], default: T) -> V: ...
    def modify(self, key: str, function: Callable[[Any], Any], default: Any = REQUIRED) -> Any:
        """Replace a value by what a function makes of it, atomically, and return the new value.

        The function gets a copy of the value, or of `default` if the key is missing. If another
        writer changes the value in between, the function is called again with the new one, so it
        should do nothing else, and not call `modify` itself. If it returns `cshelve.DELETE`, the
        key is deleted. If it returns None and has changed the copy, it has forgotten to return the
        value, which is a `ValueTypeError`; None with the copy unchanged is stored. If it raises,
        nothing is written. An existing value keeps the time when it expires. Two requests a try;
        the threads of this process take turns.

        Raises `KeyNotFoundError` if the key is missing and there is no default, `ConflictError`
        after `modify_timeout_seconds`, `OutcomeUnknownError` if a response was lost and nobody can
        know what happened, and `ConditionsNotSupportedError` where the store cannot do it.

            db.modify("visits", lambda count: count + 1, default=0)
        """
        return self._atomic.modify(self._values, checked_key(key), function, default)

    def get_versioned(self, key: str) -> tuple[V, str]:
        """Return the value of a key and its version, for `replace` and `delete`. One request."""
        key = _to_read(key)
        self._values.settle(key)
        return self._values.read_versioned(key)

    def replace(self, key: str, value: V, version: str | None) -> str:
        """Store a value if the key still has this version, and return the new version.

        With None for the version, only if the key is missing. One request; three more if the key is
        there, but has expired. The configured time until it expires starts anew. Raises
        `ConflictError` if another writer was faster, and otherwise what `modify` raises.

            user, version = db.get_versioned("ada")
            db.replace("ada", renamed(user), version)
        """
        key = checked_key(key)
        if version is None:
            return self._atomic.put_new(self._values, key, value)
        return self._values.write(key, value, if_version=_checked_version(version))

    def delete(self, key: str, version: str) -> None:
        """Delete a key if it still has this version. One request.

        Raises what `replace` raises; a key that is missing by now raises `ConflictError` too.
        """
        key = checked_key(key)
        if not self._values.remove(key, if_version=_checked_version(version)):
            raise ConflictError(f"{key!r} in {self._values.location} was deleted since it was read")

    def update(
        self,
        other: SupportsKeysAndGetItem[str, V] | Iterable[tuple[str, V]] = (),
        /,
        **more: V,
    ) -> None:
        """Store many pairs in parallel; takes what `dict.update` takes. See `set_many`."""
        if self._is_like_shelve:
            # As there, the first value that cannot be pickled ends it, with pickle's own error.
            for key, value in _pairs_of(other, more):
                self[key] = value
            return
        length = length_of(other)
        total = None if length is None else length + len(more)
        self._set_many(_pairs_of(other, more), total, None)

    def clear(self, *, progress: ProgressCallback | None = None) -> None:
        """Delete every key, without reading a value. On S3 this takes two requests per 1,000 keys.

        Raises what `set_many` raises.
        """
        self._values.clear(Outcomes("deleted", progress=progress))

    def rewrite(self, *, progress: ProgressCallback | None = None, exclusive: bool = False) -> int:
        """Store every value as this shelf's configuration would now, and return how many changed.

        This is how compression, encryption, signature, keys or the serializer are changed while the
        shelf is in use: it works in parallel, and writes a value only if nobody changed it
        meanwhile, else it reads that one again. A value that would look the same is left alone, so
        an interrupted call may be repeated. A value keeps the time when it expires. Costs the
        listing, one request a key, and one more for each value that is written.

        Raises `ConditionsNotSupportedError` where the store does not honour conditions, unless you
        promise with `exclusive` that nobody else writes meanwhile; otherwise what `set_many`
        raises. A record that cannot be read is the failure of its key.
        """
        outcomes = Outcomes("rewritten", progress=progress)
        return rewrite_all(self._values, self._atomic, outcomes, exclusive=exclusive)

    def expire(self, *, progress: ProgressCallback | None = None, exclusive: bool = False) -> int:
        """Delete every value that has expired, and return how many there were.

        Reading never needs it: an expired key is missing at once. It frees the space, and `len` and
        the listings of keys no longer count such keys. It works in parallel while the shelf is in
        use: a key that is written anew meanwhile stays. Costs the listing, one request a key, and
        one more for each value that is deleted.

        Raises `ConditionsNotSupportedError` where the store does not honour conditions, unless you
        promise with `exclusive` that nobody else writes meanwhile; otherwise what `set_many`
        raises.

            db.expire()
        """
        outcomes = Outcomes("expired", progress=progress)
        return expire_all(self._values, self._atomic, outcomes, exclusive=exclusive)

    def prefix(self, prefix: str) -> CloudShelf[V]:
        """Return a shelf of the keys that begin with a prefix, without it in their names.

        Costs nothing: connections and writeback cache are shared with this shelf. Its `sync` and
        `close` write what is in the cache under the prefix. Closing it does not close this shelf;
        closing this shelf closes it too.

            users = db.prefix("users/")
            users["ada"] = ada          # stored under users/ada
        """
        return self._view(prefix, owns_parent=False)

    def sync(self, *, progress: ProgressCallback | None = None) -> None:
        """Write every value in the writeback cache that was changed, and empty the cache.

        One request for each changed value, in parallel. If it fails, it raises what `set_many`
        raises; what was not written stays in the cache, and the next `sync` writes it. A change
        that another thread makes to a value while it is being written may be lost.
        """
        if not self._is_open():
            return
        try:
            self._kept_values.sync(Outcomes("written", progress=progress))
        except BulkError as error:
            if self._is_like_shelve:
                raise _as_shelve_raises(error) from error
            raise
        self._plain_values.provider.sync()

    def close(self) -> None:
        """Write what `sync` writes, and close the connections.

        If the writing fails, the shelf stays open, and a second `close` tries again.
        """
        if not self._is_open():
            return
        try:
            self.sync()
        except BaseException:
            self._close_has_failed = True
            raise
        self._is_closed = True
        self.dict = self._payloads  # Which refuses everything from now on.
        if self._parent is None:
            self._plain_values.provider.close()
        elif self._owns_parent:
            self._parent.close()

    def __del__(self) -> None:
        if getattr(self, "_is_closed", True) or self._parent is not None:
            return
        if self._is_like_shelve:
            self._close_as_shelve_does()
            return
        # The standard library writes the cache here. Over a network that could hang or fail where
        # nobody can see it, so we say what was lost instead.
        if not self.cache:
            return
        unwritten = self._kept_values.count_unwritten()
        if unwritten:
            values = "1 changed value is" if unwritten == 1 else f"{unwritten} changed values are"
            message = f"{self!r} was never closed: {values} not written"
            self.cache.logger.warning(message)
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def _close_as_shelve_does(self) -> None:
        """Write the cache and close, when nobody has the shelf any more."""
        try:
            if not self._close_has_failed:  # Else somebody has seen why, and left it so.
                self.close()
        finally:
            self._plain_values.provider.close()

    @property
    def _values(self) -> Values:
        """The layer that operations go to: the one that keeps values, while any are kept."""
        self._refuse_if_closed()
        cache = self.cache
        return self._kept_values if cache.is_on or cache.entries else self._plain_values

    def _is_open(self) -> bool:
        return not self._is_closed and (self._parent is None or self._parent._is_open())

    def _refuse_if_closed(self) -> None:
        if not self._is_open():
            raise ValueError("invalid operation on closed shelf")

    def _pairs(
        self,
        keys: Iterable[str] | None = None,
        progress: ProgressCallback | None = None,
        on_error: OnError = "raise",
    ) -> Pairs:
        """Read these keys, or all that there are."""
        values = self._values
        total = None if keys is None else length_of(keys)
        outcomes = Outcomes("read", total=total, progress=progress)
        wanted = values.list_keys() if keys is None else keys

        def logger() -> logging.Logger:  # Most shelves need none, and its import takes time.
            return self.cache.logger

        return Pairs(values, wanted, outcomes, self._refuse_if_closed, logger, on_error)

    def _set_many(
        self,
        pairs: Iterable[tuple[Any, Any]],
        total: int | None,
        progress: ProgressCallback | None,
    ) -> None:
        self._values.write_many(pairs, Outcomes("written", total=total, progress=progress))

    def _view(self, prefix: str, *, owns_parent: bool) -> CloudShelf[V]:
        self._refuse_if_closed()
        return CloudShelf(
            self._plain_values.under(checked_key(prefix)),
            self._atomic,
            self.cache,
            pickled=self._pickled,
            parent=self,
            owns_parent=owns_parent,
        )


Shelf = CloudShelf
"""What annotations call it: `db: cshelve.Shelf[User] = cshelve.open("users.ini")`."""


def _values_of(shelf: ref[CloudShelf[Any]]) -> Values:
    found = shelf()
    if found is None:
        raise ValueError("invalid operation on closed shelf")
    return found._values


def _as_shelve_raises(error: BulkError) -> BaseException:
    """Return what pickling the first of the failed values has raised, if it was that."""
    failure = next(iter(error.failures.values()))
    is_of_value = isinstance(failure, ValueTypeError) and failure.__cause__ is not None
    return failure.__cause__ or failure if is_of_value else failure


def _to_read(key: object) -> str:
    """Return a key as `checked_key` does; one that no store can hold is missing everywhere."""
    try:
        return checked_key(key)
    except KeyNotStorableError as error:
        raise KeyNotFoundError(key) from error


def _many(given: T, what: str) -> T:
    """Return what many keys or pairs come from; refuse text, each character of which is a key."""
    if given is None or isinstance(given, str | bytes | bytearray | memoryview):
        raise KeyTypeError(
            f"many {what} come from a list or another iterable, not from {type(given).__name__}"
        )
    return given


def _pairs_of(other: Any, more: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Iterate over what `dict.update` takes."""
    if isinstance(other, Mapping):
        yield from other.items()
    elif hasattr(other, "keys"):
        for key in other.keys():  # noqa: SIM118  # it is no mapping, only has this method
            yield key, other[key]
    else:
        for key, value in other:
            yield key, value
    yield from more.items()


def _checked_version(version: object) -> str:
    if not isinstance(version, str):
        raise ValueTypeError(
            f"a version is the text that get_versioned returned, not {type(version).__name__}"
        )
    return version
