"""The shelf, which maps text keys to Python objects and behaves like `shelve.Shelf`.

It overrides the methods of the standard library's class that would be slow over a network, and
inherits all others.
"""

from __future__ import annotations

import shelve
import sys
import warnings
from collections.abc import (
    Callable,
    Generator,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload
from weakref import ref

from cshelve._concurrency.outcomes import Outcomes, ProgressOption, length_of
from cshelve._shelf import copying, files
from cshelve._shelf.atomic import REQUIRED, Atomic, _Sentinel, finished
from cshelve._shelf.every_key import expire_all, rewrite_all
from cshelve._shelf.read_many import Items, Loading, OnError, Pairs, ValuesOfShelf, checked_on_error
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

    from cshelve._shelf.files import FileToRead, FileToWrite
    from cshelve._shelf.looking import Entry, Info
    from cshelve._shelf.partitions import Partition
    from cshelve._shelf.pickling import PickledShelf
    from cshelve.providers.base import Provider, Stats

    # In annotations, `CloudShelf` alone means a shelf of any values.
    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar  # It supports defaults only from Python 3.13 on.

    V = TypeVar("V")

__all__ = ["CloudShelf", "Deletion", "Shelf", "checked_version", "many", "to_read"]

T = TypeVar("T")
Deletion = Literal[_Sentinel.DELETE]


class CloudShelf(shelve.Shelf[V]):
    """A `shelve.Shelf` that stores each value as an object in a bucket, a folder or memory.

    Values are pickled copies, as in `shelve`: changing a value after reading it does not change the
    store, unless the shelf was opened with `writeback`. Only a missing key raises a `KeyError`. Any
    other failure raises a `cshelve.Error`, and using a closed shelf raises a plain `ValueError`.

    A write is atomic: readers see the old value or the new one. Many threads may use the same
    shelf. A forked child opens its own connections. Pickling a shelf pickles its configuration, and
    unpickling opens the shelf again.
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
        close_provider: Callable[[], None] | None = None,
    ) -> None:
        self.cache = cache
        # A weak reference, so that a shelf without other references is collected at once.
        payloads: Any = Payloads(partial(_values_of, ref(self)))
        self._payloads = payloads
        # Programs expect the `dict` of a local shelf to be the object that `dbm.open` returned.
        database = values.database if parent is None else None
        super().__init__(payloads if database is None else database, writeback=cache.is_on)
        self.cache = cache  # The base class has replaced it by a dict.
        self._plain_values = values
        self._kept_values = WritebackValues(values, cache)
        self._atomic = atomic
        self._pickled = pickled
        self._parent = parent
        self._owns_parent = owns_parent
        # A provider that other shelves use, too, is only released.
        self._close_provider = close_provider or values.provider.close
        self._is_like_shelve = values.provider.like_shelve
        self._is_closed = False
        self._close_has_failed = False
        self._repr = f"<cshelve.CloudShelf in {values.location}>"

    def __repr__(self) -> str:
        return self._repr

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what is needed to open the shelf again: its configuration, but not its cache."""
        if self._pickled is None:
            raise NotPicklableError(
                f"{self!r} cannot be opened from another process: it was not made from a "
                "configuration, is in this process's memory, or uses a boto3_session"
            )
        return self._pickled.reduced(self._values.prefix)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return what makes two shelves equal for Dask: the configuration, not the values."""
        if self._pickled is None:
            return type(self).__name__, id(self)
        return type(self).__name__, self._pickled.token(), self._plain_values.prefix

    @property
    def provider(self) -> Provider:
        """The provider that stores the values, with its `location` and other methods."""
        return self._values.provider

    @property
    def stats(self) -> Stats:
        """The requests and bytes of the shelf since it was opened; prefix views share them."""
        return self._values.provider.stats

    # An attribute in the standard library; here, a shelf and its views share the value.
    @property
    def writeback(self) -> bool:
        """Whether values that are read or written are kept, and written again if they change."""
        return self.cache.is_on

    @writeback.setter
    def writeback(self, is_on: bool) -> None:
        self.cache.is_on = is_on

    def __getitem__(self, key: str) -> V:
        """Return the value of a key, or raise `KeyNotFoundError`, which is a `KeyError`.

        Sends one request, or none if the value is in the writeback cache.
        """
        value: V = self._values.read(to_read(key))
        return value

    def __setitem__(self, key: str, value: V) -> None:
        """Store a value atomically, by one request. It expires as configured, from now on."""
        self._values.write(checked_key(key), value)

    def set(self, key: str, value: V, *, expire_after_seconds: float | None = None) -> None:
        """Store a value that expires after a duration, as `db[key] = value` does. One request.

        From then on the key is missing, although `len` and the listings of keys still count it.
        With `math.inf`, the value never expires; by default, the duration is `[default]
        expire_after_seconds`. Raises `ConfigurationError` if the duration is not above zero, or if
        values of this shelf cannot expire.

            db.set("ada", ada, expire_after_seconds=3600)
        """
        values, expires_at = self._values, None
        if expire_after_seconds is not None:
            expires_at = expires_in(expire_after_seconds)
            values.refuse_expiry(expires_at)
        values.write(checked_key(key), value, expires_at=expires_at)

    def __delitem__(self, key: str) -> None:
        """Delete a key, or raise `KeyNotFoundError`.

        Sends two requests: most stores do not report whether the key existed, and none whether its
        value had expired.
        """
        self._values.delete(to_read(key))

    def __contains__(self, key: object) -> bool:
        """Return whether a key exists and has not expired, by one request without the value."""
        try:
            return self._values.contains(to_read(key))
        except KeyNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        """Yield the keys; this sends a request for each page of the listing (1,000 keys in S3).

        After 20,000 keys of a slow listing, S3 and Google Cloud Storage list parts in parallel.
        Expired keys are listed until they are deleted. The shelf may be changed during the
        iteration.
        """
        return self._while_open(self._all_keys())

    def __len__(self) -> int:
        """Return the number of keys, expired ones included; in S3, one request lists 1,000.

        After 20,000 keys of a slow listing, S3 and Google Cloud Storage list parts in parallel.
        """
        return sum(1 for _ in self._all_keys())

    def __bool__(self) -> bool:
        """Return whether the shelf has any keys, expired or not, by one request."""
        return any(True for _ in self._values.list_keys(limit=1))

    def __eq__(self, other: object) -> bool:
        """Return whether the shelf equals a mapping; read values up to the first difference."""
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
        """Return the value of a key, or the default if the key is missing, by one request."""
        try:
            return self[key]
        except KeyNotFoundError:
            return default

    def keys(self, *, start_after: str | None = None) -> KeysView[str]:
        """Return a view of the keys; iterating costs one request for each page of the listing.

        With `start_after`, it is a view of the keys after that one, which need not exist, in the
        order of their UTF-8 bytes. In S3 the server leaves out the others, so that a program can
        go on where it stopped; a folder, a local shelf and memory are listed as a whole first.
        """
        if start_after is None:
            return super().keys()
        from cshelve._shelf.looking import KeysAfter  # Not needed to open a shelf.

        return KeysAfter(self, checked_key(start_after))

    def entries(self, prefix: str = "", start_after: str | None = None) -> Iterator[Entry]:
        """Yield an entry for each key that begins with `prefix`, lazily, without reading values.

        An entry has `key`, `size_bytes`, `modified` and `version`. Costs one request for each page
        of the listing (1,000 keys in S3). A local shelf has to read each value to know its size.
        `start_after` is as in `keys`. What is in the store counts, not the writeback cache.

            largest = max(db.entries(), key=lambda entry: entry.size_bytes)
        """
        from cshelve._shelf.looking import entries_of  # Not needed to open a shelf.

        self._refuse_if_closed()
        after = None if start_after is None else checked_key(start_after)
        return self._while_open(entries_of(self._plain_values, checked_key(prefix), after))

    def info(self, key: str) -> Info:
        """Return what is known of a key without reading its value, or raise `KeyNotFoundError`.

        The result has the fields of an entry, and says how the value is stored: serializer,
        compression, encryption, signature, key id, expiry, content type and metadata. Sends one
        request, which reads the first 64 bytes, and in S3 another one for an empty object.

            if db.info("report").encryption is None:
                print("anyone who can read the bucket can read the report")
        """
        from cshelve._shelf.looking import info_of  # Not needed to open a shelf.

        self._refuse_if_closed()
        return info_of(self._plain_values, to_read(key))

    @overload
    def items(self, *, on_error: Literal["raise", "skip"] = "raise") -> ItemsView[str, V]: ...
    @overload
    def items(self, *, on_error: OnError) -> ItemsView[str, V | RecordError]: ...
    def items(self, *, on_error: OnError = "raise") -> ItemsView[str, Any]:
        """Return a view of the pairs; iterating sends a listing, and a request for each key.

        `on_error` decides what happens with a record that cannot be read; see `get_many`.
        """
        return Items(self, checked_on_error(on_error))

    @overload
    def values(self, *, on_error: Literal["raise", "skip"] = "raise") -> ValuesView[V]: ...
    @overload
    def values(self, *, on_error: OnError) -> ValuesView[V | RecordError]: ...
    def values(self, *, on_error: OnError = "raise") -> ValuesView[Any]:
        """Return a view of the values; iterating sends a listing, and a request for each key.

        `on_error` decides what happens with a record that cannot be read; see `get_many`.
        """
        return ValuesOfShelf(self, checked_on_error(on_error))

    @overload
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressOption = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> Iterator[tuple[str, V]]: ...
    @overload
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressOption = None,
        on_error: OnError,
    ) -> Iterator[tuple[str, V | RecordError]]: ...
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressOption = None,
        on_error: OnError = "raise",
    ) -> Iterator[tuple[str, Any]]:
        """Read many keys in parallel, and return an iterator over pairs in the order of the keys.

        Missing keys are left out. Sends one request for each key, except for values in the
        writeback cache. At most `concurrency` requests are in flight at the same time, and no more
        keys than that are taken from `keys` in advance. `progress` is called with a
        `cshelve.Progress` after each key; `progress=True` shows a bar.

        A record that cannot be read raises a `RecordError` in the place of its key, and the
        iterator can continue after it. With `on_error="skip"`, such keys are left out, and the
        first one is logged. With `on_error="return"`, the error takes the place of the value. Any
        other failure ends the iterator, and so does its `close()`. Use the iterator in one thread
        only.

            for name, user in db.get_many(["ada", "grace"]):
                print(name, user.email)
        """
        return self._pairs(many(keys, "keys"), progress, checked_on_error(on_error))

    def set_many(
        self,
        items: Mapping[str, V] | Iterable[tuple[str, V]],
        *,
        progress: ProgressOption = None,
    ) -> None:
        """Store many pairs in parallel, each atomically and by one request.

        If a key is given twice, the last value stays. A key that fails does not stop the others: a
        `BulkError` at the end names all failed keys. A failure that every key would share, such as
        an expired token, is raised at once. Its `about_shelf` is true, and `stored`, `failed` and
        `not_attempted` have the numbers of keys.

            db.set_many({"ada": ada, "grace": grace}, progress=print)
        """
        self._set_many(_pairs_of(many(items, "pairs"), {}), length_of(items), progress)

    def delete_many(self, keys: Iterable[str], *, progress: ProgressOption = None) -> None:
        """Delete many keys; missing keys are no failure. In S3, one request deletes 1,000 keys.

        Raises the same errors as `set_many`.

            db.delete_many(key for key in db if key.startswith("tmp-"))
        """
        keys = many(keys, "keys")
        outcomes = Outcomes("deleted", total=length_of(keys), progress=progress)
        self._values.delete_many(keys, outcomes)

    @overload
    def setdefault(self: CloudShelf[T | None], key: str, default: None = None) -> T | None: ...
    @overload
    def setdefault(self, key: str, default: V) -> V: ...
    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key; if the key is missing, store the default and return it.

        If several callers do this at the same time, the store lets only one of them store its
        default, and all of them return that value. Sends one request if the key exists, two if not,
        and three if another caller was faster.
        """
        return finished(self._atomic.setdefault(self._values, checked_key(key), default))

    @overload
    def pop(self, key: str) -> V: ...
    @overload
    def pop(self, key: str, default: V) -> V: ...
    @overload
    def pop(self, key: str, default: T) -> V | T: ...
    def pop(self, key: str, default: Any = REQUIRED) -> Any:
        """Delete a key and return its value; if several callers do this, only one gets the value.

        If the key is missing, return the default, or raise `KeyNotFoundError` without one. Sends
        two requests, or one if the key is missing. Raises `OutcomeUnknownError` if the response to
        the delete was lost and its outcome cannot be determined, so that the value is never
        returned to two callers.
        """
        try:
            return finished(self._atomic.pop(self._values, to_read(key)))
        except KeyNotFoundError:
            if default is REQUIRED:
                raise
            return default

    def popitem(self) -> tuple[str, V]:
        """Remove any pair and return it, as `pop` does; raise `KeyError` if the shelf is empty.

        Sends three requests, and more if other callers remove the same keys meanwhile. Each expired
        key that it skips costs one request.
        """
        return finished(self._atomic.popitem(self._values))

    # It also returns DELETE if the function does. With DELETE in the return type, type checkers
    # could not infer the type of a lambda, and every other caller would have to rule DELETE out.
    @overload
    def modify(self, key: str, function: Callable[[V], V | Deletion]) -> V: ...
    @overload
    def modify(self, key: str, function: Callable[[V | T], V | Deletion], default: T) -> V: ...
    def modify(self, key: str, function: Callable[[Any], Any], default: Any = REQUIRED) -> Any:
        """Replace a value by the result of a function, atomically, and return the new value.

        The function receives a copy of the value, or of `default` if the key is missing. If another
        writer changes the value meanwhile, the function is called again with the new value. So it
        should have no other effects, and must not call `modify` itself. If it returns
        `cshelve.DELETE`, the key is deleted. If it returns None after changing its argument, it has
        probably forgotten to return the value, and `ValueTypeError` is raised; None is stored if
        the argument is unchanged. If the function raises, nothing is written. An existing value
        expires when it would have expired before. Each try sends two requests, and the threads of
        this process take turns.

        Raises `KeyNotFoundError` if the key is missing and there is no default, `ConflictError`
        after `modify_timeout_seconds`, `OutcomeUnknownError` if a response was lost and the outcome
        cannot be determined, and `ConditionsNotSupportedError` if the store does not support
        conditions.

            db.modify("visits", lambda count: count + 1, default=0)
        """
        return finished(self._atomic.modify(self._values, checked_key(key), function, default))

    def get_versioned(self, key: str) -> tuple[V, str]:
        """Return the value of a key and its version, for `replace` and `delete`, by one request."""
        key = to_read(key)
        self._values.settle(key)
        return self._values.read_versioned(key)

    def replace(self, key: str, value: V, version: str | None) -> str:
        """Store a value if the key still has this version, and return the new version.

        If `version` is None, store it only if the key is missing. Sends one request, or four if the
        key has expired. The new value expires as configured, from now on. Raises `ConflictError` if
        another writer was faster, and otherwise the same errors as `modify`.

            user, version = db.get_versioned("ada")
            db.replace("ada", renamed(user), version)
        """
        key = checked_key(key)
        if version is None:
            return finished(self._atomic.put_new(self._values, key, value))
        return self._values.write(key, value, if_version=checked_version(version))

    def delete(self, key: str, version: str) -> None:
        """Delete a key if it still has this version, by one request.

        Raises the same errors as `replace`, and `ConflictError` if the key is missing by now.
        """
        key = checked_key(key)
        if not self._values.remove(key, if_version=checked_version(version)):
            raise ConflictError(f"{key!r} in {self._values.location} was deleted since it was read")

    def copy(self, source_key: str, target_key: str) -> None:
        """Store the value of a key under another key too, atomically and without unpickling.

        In S3, the server copies the object, with metadata and content type, by two short requests;
        `[put_params]` applies to the copy too. Sealed and signed records, and objects over 5 GB,
        are read and written instead. Copying a key to itself does nothing. Raises
        `KeyNotFoundError` if the source is missing.

            db.copy("report", "report-of-june")
        """
        copying.copy_key(self._values, to_read(source_key), checked_key(target_key))

    def move(self, source_key: str, target_key: str) -> None:
        """Copy a key as `copy` does, and delete the source if it still has the copied version.

        Not atomic as a whole: for a moment, both keys exist. If another writer changes the source
        in between, raises `ConflictError`, and both keys stay. Costs one request more than `copy`.
        Raises the same errors as `copy` and `delete`.

            db.move("inbox/letter", "read/letter")
        """
        copying.move_key(self._values, to_read(source_key), checked_key(target_key))

    def upload(
        self, key: str, path_or_file: FileToRead, *, progress: ProgressOption = None
    ) -> None:
        """Store a file as the value of a key, atomically, with only a few parts of it in memory.

        This needs a shelf of plain bytes: `serializer = bytes` with `use_versioning = false`,
        neither compressed nor encrypted. An open binary file is read from its position to its end;
        its length may be unknown. `progress` is called with a `cshelve.Progress` as parts are
        stored; its `bytes` grows up to `total_bytes`.

        In S3, this sends one request, or above `multipart_threshold_bytes` one per part plus two.
        If anything fails, nothing is stored. Raises `UnsupportedOperationError` for other shelves,
        the errors of reading the file, and `StorageError` if its size changes meanwhile.

            files.upload("backup.tar", "today.tar", progress=print)
        """
        outcomes = Outcomes("uploaded", total=1, progress=progress)
        with closing(outcomes):
            files.upload(self._values, checked_key(key), path_or_file, outcomes)

    def download(
        self, key: str, path_or_file: FileToWrite, *, progress: ProgressOption = None
    ) -> None:
        """Write the value of a key to a file, with only a few parts of it in memory.

        With a path, the file is created or replaced at the end, when it is complete. An open binary
        file is written from its position on, and contains a part of the value if the download
        fails. The requirements and `progress` are those of `upload`. In S3, this sends one request
        per part.

        Raises `KeyNotFoundError`, `ConflictError` if another writer replaces the value meanwhile,
        `UnsupportedOperationError` for other shelves, and the errors of writing the file.

            files.download("backup.tar", "today.tar")
        """
        outcomes = Outcomes("downloaded", total=1, progress=progress)
        with closing(outcomes):
            files.download(self._values, to_read(key), path_or_file, outcomes)

    def presigned_url(self, key: str, expires_seconds: float = 3600) -> str:
        """Return a link with which anyone who has it can read a value, without credentials.

        This needs a shelf in S3 whose objects are the plain values: `use_versioning = false` with
        `serializer = bytes` or `json`, and neither compressed nor encrypted. Sends nothing, so the
        key may be missing. The link does not return changes in the writeback cache until the next
        `sync`. It expires after `expires_seconds`, at most seven days, or earlier if the
        credentials that signed it do.

        Raises `UnsupportedOperationError`, which is an `io.UnsupportedOperation`, for other
        shelves.

            link = files.presigned_url("report.pdf", expires_seconds=600)
        """
        return files.presigned_url(self._values, checked_key(key), expires_seconds)

    def update(
        self,
        other: SupportsKeysAndGetItem[str, V] | Iterable[tuple[str, V]] = (),
        /,
        **more: V,
    ) -> None:
        """Store many pairs in parallel, with the arguments of `dict.update`; see `set_many`."""
        if self._is_like_shelve:
            # As in `shelve`, the first value that cannot be pickled raises pickle's own error.
            for key, value in _pairs_of(other, more):
                self[key] = value
            return
        length = length_of(other)
        total = None if length is None else length + len(more)
        self._set_many(_pairs_of(other, more), total, None)

    def clear(self, *, progress: ProgressOption = None) -> None:
        """Delete all keys without reading values. In S3, this sends two requests for 1,000 keys.

        After 20,000 keys of a slow listing, S3 and Google Cloud Storage list parts in parallel.
        Raises the same errors as `set_many`.
        """
        self._values.clear(Outcomes("deleted", progress=progress), self._keys_in_parts())

    def rewrite(self, *, progress: ProgressOption = None, exclusive: bool = False) -> int:
        """Store all values again with the current configuration; return the number written.

        Use this to change compression, encryption, signing, keys or the serializer while the shelf
        is in use. It works in parallel, and writes a value only if nobody has changed it meanwhile;
        otherwise it reads the value again. Values that would not change are not written, so an
        interrupted call may be repeated. The expiry time of values does not change. Sends a
        listing, one request for each key, and one more for each value that is written.

        Raises `ConditionsNotSupportedError` if the store does not support conditions, unless you
        promise with `exclusive` that nobody else writes meanwhile. Otherwise raises the same errors
        as `set_many`: a record that cannot be read makes its key fail.
        """
        outcomes = Outcomes("rewritten", progress=progress)
        return rewrite_all(self._values, self._atomic, outcomes, exclusive=exclusive)

    def expire(self, *, progress: ProgressOption = None, exclusive: bool = False) -> int:
        """Delete every value that has expired, and return the number of values deleted.

        Readers find an expired key missing even without this. It frees the space, and `len` and the
        listings of keys no longer count such keys. It works in parallel while the shelf is in use:
        a key that is written meanwhile stays. Costs the listing, one request per key, and one more
        for each value that is deleted.

        Raises `ConditionsNotSupportedError` if the store does not support conditions, unless you
        promise with `exclusive` that nobody else writes meanwhile. Otherwise raises the same errors
        as `set_many`.

            db.expire()
        """
        outcomes = Outcomes("expired", progress=progress)
        return expire_all(self._values, self._atomic, outcomes, exclusive=exclusive)

    def partitions(self, n: int) -> list[Partition[V]]:
        """Divide the keys into up to `n` parts of about equal sizes, and return the parts.

        Each key is in exactly one part. A part has `keys()`, `len` and `items()`, and can be sent
        to another process. In S3 and Google Cloud Storage, this lists a few pages for each part at
        places that it guesses, and fewer than ten pages as a whole; the sizes are estimates. Other
        stores are listed as a whole, once by this and once more by each part. What is in the store
        counts, not the writeback cache.

        Raises `ConfigurationError` if `n` is not a number above zero.

            for part in db.partitions(8):
                print(part.after, len(part))
        """
        from cshelve._shelf.partitions import partitions_of  # Not needed to open a shelf.

        self._refuse_if_closed()
        return partitions_of(self, n)

    def prefix(self, prefix: str) -> CloudShelf[V]:
        """Return a shelf that is a view of the keys with a prefix; its keys omit the prefix.

        Sends nothing. The view shares connections and writeback cache with this shelf. Its `sync`
        and `close` write only cached values under the prefix. Closing the view does not close this
        shelf; closing this shelf also closes the view.

            users = db.prefix("users/")
            users["ada"] = ada          # stored under users/ada
        """
        return self._view(prefix, owns_parent=False)

    def sync(self, *, progress: ProgressOption = None) -> None:
        """Write all changed values of the writeback cache, and empty the cache.

        Sends one request for each changed value, in parallel. Raises the same errors as `set_many`;
        values that were not written stay in the cache, and the next `sync` writes them. A change
        that another thread makes to a value while the value is being written may be lost.
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
        """Write changed values as `sync` does, and close the connections.

        If a write fails, the shelf stays open, and a second `close` tries again.
        """
        if not self._is_open():
            return
        try:
            self.sync()
        except BaseException:
            self._close_has_failed = True
            raise
        self._is_closed = True
        self.dict = self._payloads  # It raises an error for everything from now on.
        if self._parent is None:
            self._close_provider()
        elif self._owns_parent:
            self._parent.close()

    def __del__(self) -> None:
        if getattr(self, "_is_closed", True) or self._parent is not None:
            return
        if self._is_like_shelve:
            self._close_as_shelve_does()
            return
        # The standard library writes the cache here. Over a network, that could hang, or fail
        # unnoticed, so a warning reports what was lost instead.
        if not self.cache:
            return
        unwritten = self._kept_values.count_unwritten()
        if unwritten:
            values = "1 changed value is" if unwritten == 1 else f"{unwritten} changed values are"
            message = f"{self!r} was never closed: {values} not written"
            self.cache.logger.warning(message)
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def _close_as_shelve_does(self) -> None:
        """Write the cache and close the shelf when it is garbage collected."""
        try:
            if not self._close_has_failed:  # Otherwise the program has seen the error already.
                self.close()
        finally:
            self._close_provider()

    @property
    def _values(self) -> Values:
        """The layer that operations use: the one with the writeback cache if that is in use."""
        self._refuse_if_closed()
        cache = self.cache
        return self._kept_values if cache.is_on or cache.entries else self._plain_values

    def _is_open(self) -> bool:
        return not self._is_closed and (self._parent is None or self._parent._is_open())

    def _all_keys(self) -> Iterator[str]:
        """Return the keys in the store's order, from parts listed in parallel if there are many."""
        in_parts = self._keys_in_parts()
        return self._values.list_keys() if in_parts is None else in_parts

    def _keys_in_parts(self) -> Iterator[str] | None:
        """Return the keys from parts listed in parallel if there are many; None if they cannot be.

        Keys that are only in the writeback cache are listed, too, and the store has no parts.
        """
        values = self._values
        if values is not self._plain_values or not values.provider.capabilities.lists_from_key:
            return None
        if not sys.meta_path:  # The interpreter is ending, and imports nothing more.
            return None
        from cshelve._shelf.parallel_listing import ordered_keys  # Not needed to open a shelf.
        from cshelve._shelf.partitions import Partition

        return ordered_keys(Partition(self, None, None, is_sought=True))

    def _keys(self, start_after: str) -> Iterator[str]:
        return self._while_open(self._values.list_keys(start_after=start_after))

    def _while_open(self, listed: Iterator[T]) -> Generator[T]:
        for each in listed:
            self._refuse_if_closed()
            yield each

    def _repr_html_(self) -> str:
        """Return what a notebook shows of the shelf: one request, which lists 21 keys."""
        from cshelve._shelf.notebook import html_of  # Only notebooks need it.

        return html_of(self)

    def _ipython_key_completions_(self) -> list[str]:
        """Return what IPython completes `db["` with: the first 1,000 keys, by one request."""
        from cshelve._shelf.notebook import key_completions  # Only notebooks need it.

        return key_completions(self)

    def _refuse_if_closed(self) -> None:
        if not self._is_open():
            raise ValueError("invalid operation on closed shelf")

    def _pairs(
        self,
        keys: Iterable[str] | None = None,
        progress: ProgressOption = None,
        on_error: OnError = "raise",
    ) -> Pairs:
        """Return an iterator over the pairs of these keys, or of all keys."""
        values = self._values
        total = None if keys is None else length_of(keys)
        outcomes = Outcomes("read", total=total, progress=progress)
        wanted = values.list_keys() if keys is None else keys

        def logger() -> logging.Logger:  # Called rarely: importing `logging` takes time.
            return self.cache.logger

        loading = Loading(values, logger, on_error)
        return Pairs(loading, wanted, outcomes, self._refuse_if_closed)

    def _set_many(
        self,
        pairs: Iterable[tuple[Any, Any]],
        total: int | None,
        progress: ProgressOption,
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
"""The name for annotations: `db: cshelve.Shelf[User] = cshelve.open("users.ini")`."""


def _values_of(shelf: ref[CloudShelf[Any]]) -> Values:
    found = shelf()
    if found is None:
        raise ValueError("invalid operation on closed shelf")
    return found._values


def _as_shelve_raises(error: BulkError) -> BaseException:
    """Return pickle's own error for the first failed value if there is one, else its failure."""
    failure = next(iter(error.failures.values()))
    is_of_value = isinstance(failure, ValueTypeError) and failure.__cause__ is not None
    return failure.__cause__ or failure if is_of_value else failure


def to_read(key: object) -> str:
    """Return a key as a plain `str`; raise `KeyNotFoundError` if no store can hold it."""
    try:
        return checked_key(key)
    except KeyNotStorableError as error:
        raise KeyNotFoundError(key) from error


def many(given: T, what: str) -> T:
    """Return `given`; raise `KeyTypeError` for None or text, whose characters would be keys."""
    if given is None or isinstance(given, str | bytes | bytearray | memoryview):
        raise KeyTypeError(
            f"many {what} come from a list or another iterable, not from {type(given).__name__}"
        )
    return given


def _pairs_of(other: Any, more: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs in the arguments of `dict.update`."""
    if isinstance(other, Mapping):
        yield from other.items()
    elif hasattr(other, "keys"):
        for key in other.keys():  # noqa: SIM118  # not a mapping, but has this method
            yield key, other[key]
    else:
        for key, value in other:
            yield key, value
    yield from more.items()


def checked_version(version: object) -> str:
    if not isinstance(version, str):
        raise ValueTypeError(
            f"a version is the text that get_versioned returned, not {type(version).__name__}"
        )
    return version
