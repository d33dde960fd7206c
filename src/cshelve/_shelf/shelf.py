"""The shelf: text keys and Python objects, with the behaviour of `shelve.Shelf`.

What the standard library's class does dearly over a network is overridden here; what it does well
is inherited.
"""

from __future__ import annotations

import shelve
import warnings
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    ValuesView,
)
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.outcomes import Outcome, ProgressCallback, Tally, size_of
from cshelve._shelf.atomic import REQUIRED, Atomic
from cshelve._shelf.read_many import Pairs
from cshelve._shelf.rewriting import rewrite_all
from cshelve._shelf.views import Items, Values
from cshelve._values.records import ClosedRecords
from cshelve._values.values import Objects
from cshelve._values.writeback import WritebackCache
from cshelve.exceptions import (
    ConflictError,
    KeyNotFoundError,
    KeyNotStorableError,
    KeyTypeError,
    NotPicklableError,
    ValueTypeError,
)

if TYPE_CHECKING:
    from cshelve._shelf.pickling import Recipe

__all__ = ["CloudShelf"]


class CloudShelf(shelve.Shelf[Any]):
    """A `shelve.Shelf` whose values lie in a store, each in an object under its key.

    Values are pickled copies, as in `shelve`: changing one that was read changes nothing in the
    store, unless the shelf was opened with `writeback`. Only an absent key is a `KeyError`; what
    goes wrong otherwise is a `cshelve.Error`, and after `close` a plain `ValueError`.

    A write is atomic: readers see the old value or the new one. One shelf may be used by many
    threads; a forked child opens connections of its own. The pickle of a shelf is its
    configuration, and it is opened anew where it is unpickled.
    """

    cache: WritebackCache

    def __init__(
        self,
        objects: Objects,
        atomic: Atomic,
        *,
        recipe: Recipe | None = None,
        parent: CloudShelf | None = None,
        owns_parent: bool = False,
    ) -> None:
        self.cache = objects.cache
        writeback = objects.cache.is_on
        super().__init__(objects.records, writeback=writeback)  # type: ignore[arg-type]  # payloads may be views
        self.cache = objects.cache  # Where the base class has put a dict.
        self._open_objects: Objects | None = objects
        self._atomic = atomic
        self._recipe = recipe
        self._parent = parent
        self._owns_parent = owns_parent
        self._repr = f"<cshelve.CloudShelf in {objects.records.location}>"

    def __repr__(self) -> str:
        return self._repr

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the configuration, and nothing of what is cached or connected."""
        if self._recipe is None:
            raise NotPicklableError(
                f"{self!r} cannot be opened from another process: it was not made from a "
                "configuration, lives in this process's memory, or has a boto3_session of this "
                "process's"
            )
        return self._recipe.reduced(self._objects.records.prefix)

    # The standard library has it as an attribute; here a shelf and its views are of one mind.
    @property
    def writeback(self) -> bool:
        """Whether values that are read or written are kept, and written again if they change."""
        return self.cache.is_on

    @writeback.setter
    def writeback(self, is_on: bool) -> None:
        self.cache.is_on = is_on

    def __getitem__(self, key: str) -> Any:
        """Read a value. One request, or none if it is in the writeback cache."""
        return self._objects.read(self._key(key, absent_if_not_storable=True))

    def __setitem__(self, key: str, value: Any) -> None:
        """Store a value, atomically. One request."""
        self._objects.write(self._key(key), value)

    def __delitem__(self, key: str) -> None:
        """Delete a key that is there. One request, or two where the store does not tell."""
        self._objects.delete(self._key(key, absent_if_not_storable=True))

    def __contains__(self, key: object) -> bool:
        """Ask whether a key is there, without reading its value. One request."""
        try:
            return self._objects.records.contains(self._key(key, absent_if_not_storable=True))
        except KeyNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        """Go through the keys, a page of them at a time; the shelf may be changed meanwhile."""
        for key in self._objects.records.names():
            self._refuse_if_closed()
            yield key

    def __len__(self) -> int:
        return len(self._objects.records)

    def __bool__(self) -> bool:
        """Tell whether there is any key. One request, however many there are."""
        return bool(self._objects.records)

    def __eq__(self, other: object) -> bool:
        """Compare with any mapping, up to the first difference."""
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

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value, or give the default if the key is absent. One request."""
        try:
            return self[key]
        except KeyNotFoundError:
            return default

    def items(self) -> ItemsView[str, Any]:
        """View the pairs; going through them costs the listing and one request a key."""
        return Items(self)

    def values(self) -> ValuesView[Any]:
        """View the values; going through them costs the listing and one request a key."""
        return Values(self)

    def get_many(
        self, keys: Iterable[str], *, progress: ProgressCallback | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Read many keys in parallel; give their pairs in the order of the keys.

        Keys that are absent are left out. One request a key, none for what is in the writeback
        cache; at most `concurrency` fly at once, and no more than that is taken ahead from `keys`.
        A `RecordError` is raised in the place of its key, and the iterator can go on behind it;
        any other failure ends it, and so does its `close()`. For one thread.
        """
        return self._pairs(keys, progress)

    def set_many(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str, Any]],
        *,
        progress: ProgressCallback | None = None,
    ) -> None:
        """Store many pairs in parallel, each atomically. One request a key.

        Of a key given twice the last value stays. Goes on past the failure of a key and raises a
        `BulkError` in the end; raises what would fail for every key (`about_shelf`) as it is, with
        the numbers of keys `stored`, `failed` and `not_attempted`, and begins nothing more.
        """
        self._set_many(_pairs(items, {}), size_of(items), progress)

    def delete_many(self, keys: Iterable[str], *, progress: ProgressCallback | None = None) -> None:
        """Delete many keys; absent ones are no failure. On S3 one request for 1,000 keys.

        Raises as `set_many` does.
        """
        tally = Tally("deleted", total=size_of(keys), progress=progress)
        self._objects.delete_many(self._storable(keys, tally), tally)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Read a value, or store the default if the key is absent, as the store decides.

        Of many callers at the same time one stores its default, and all get that. One request if
        the key is there, two if not, three if another caller was faster.
        """
        return self._atomic.setdefault(self._objects, self._key(key), default)

    def pop(self, key: str, default: Any = REQUIRED) -> Any:
        """Read a value and delete its key; of many callers, one gets it.

        Two requests; one if the key is absent. If the answer to the delete is lost and nobody can
        know what happened, an `OutcomeUnknownError`: a value is given to nobody rather than to two.
        """
        try:
            return self._atomic.pop(self._objects, self._key(key, absent_if_not_storable=True))
        except KeyNotFoundError:
            if default is REQUIRED:
                raise
            return default

    def popitem(self) -> tuple[str, Any]:
        """Take any pair out of the shelf, as `pop` does. Three requests, more if others do so too.

        A `KeyError` if the shelf is empty.
        """
        return self._atomic.popitem(self._objects)

    def modify(self, key: str, function: Callable[[Any], Any], default: Any = REQUIRED) -> Any:
        """Store what a function makes of a value, unless somebody wrote in between; return it.

        The function gets a copy of the value, or of `default` if the key is absent (a `KeyError`
        without one), and is called again with what is there then for as long as others are faster:
        it should do nothing else, and not call `modify` itself. If it returns `cshelve.DELETE` the
        key is deleted. What it raises is raised, with nothing written. Two requests a try. Threads
        of this process take turns.

        Raises `ConflictError` after `modify_timeout_seconds`, `OutcomeUnknownError` if the answer
        was lost and nobody can know, `ConditionsNotSupportedError` where the store cannot do it.
        """
        return self._atomic.modify(self._objects, self._key(key), function, default)

    def get_versioned(self, key: str) -> tuple[Any, str]:
        """Read a value and the version that it has, for `replace` and `delete`. One request."""
        key = self._key(key, absent_if_not_storable=True)
        self._objects.settle(key)
        return self._objects.read_versioned(key)

    def replace(self, key: str, value: Any, version: str | None) -> str:
        """Store a value if what is there still has this version, and return the new version.

        With None, if nothing is there. One request. Raises `ConflictError` if another writer was
        first, and otherwise as `modify` does.
        """
        key = self._key(key)
        if version is None:
            return self._objects.write(key, value, if_absent=True)
        return self._objects.write(key, value, if_version=_checked(version))

    def delete(self, key: str, version: str) -> None:
        """Delete a key if what is there still has this version. One request.

        Raises as `replace` does; a key that is absent by now is a `ConflictError` too.
        """
        key = self._key(key)
        if not self._objects.remove(key, if_version=_checked(version)):
            raise ConflictError(f"{key!r} in {self._location} was deleted since it was read")

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Store many pairs in parallel: what `dict.update` takes. See `set_many`."""
        size = size_of(other)
        total = None if size is None else size + len(more)
        self._set_many(_pairs(other, more), total, None)

    def clear(self, *, progress: ProgressCallback | None = None) -> None:
        """Delete every key, without reading a value. The listing, and one request for 1,000.

        Raises as `set_many` does.
        """
        self._objects.clear(Tally("deleted", progress=progress))

    def rewrite(self, *, progress: ProgressCallback | None = None, exclusive: bool = False) -> int:
        """Store what is stored as this shelf's configuration would now; tell how many that were.

        So compression, encryption, signature, keys and serializer are changed, with the shelf in
        use: in parallel, and each value only if nobody wrote it meanwhile, else it is read again. A
        value that is as it would be written now is left alone, so an interrupted call may be
        repeated. The listing, one request a key, and one more for each that is written.

        Where the store does not honour conditions it is a `ConditionsNotSupportedError`, unless
        you say, by `exclusive`, that nobody else writes meanwhile. Raises as `set_many` does; what
        cannot be read is the failure of its key.
        """
        tally = Tally("rewritten", progress=progress)
        return rewrite_all(self._objects, self._atomic, tally, exclusive=exclusive)

    def prefix(self, prefix: str) -> CloudShelf:
        """Give a shelf of the keys that begin so, which gives and takes them without the prefix.

        Costs nothing: client and writeback cache are shared. Its `sync` and `close` write what is
        in the cache under the prefix; its `close` does not close this shelf, and once this one is
        closed it is closed too.
        """
        objects = self._objects.under(self._key(prefix))
        return self._view(objects, self, owns_parent=False)

    def sync(self, *, progress: ProgressCallback | None = None) -> None:
        """Write every value in the writeback cache that was changed, in parallel; empty the cache.

        If it fails, it raises as `set_many` does, what was not written stays in the cache, and the
        next `sync` writes it. One request for each changed value. What another thread changes in a
        value while it is being written may be lost, as the value is no longer kept then.
        """
        if self._is_open():
            self._objects.sync(Tally("written", progress=progress))

    def close(self) -> None:
        """Write what `sync` writes and let go of the store.

        If the writing fails the shelf stays open, and a second `close` tries again.
        """
        if not self._is_open():
            return
        self.sync()
        records = self._objects.records
        self._open_objects = None
        self.dict = ClosedRecords()
        if self._parent is None:
            records.close()
        elif self._owns_parent:
            self._parent.close()

    def __del__(self) -> None:
        # The standard library writes the cache here. Over a network that could hang or fail where
        # nobody can see it, so we say what was lost instead.
        objects = getattr(self, "_open_objects", None)
        if objects is None or self._parent is not None or not self.cache:
            return
        unwritten = objects.count_unwritten()
        if unwritten:
            values = "1 changed value is" if unwritten == 1 else f"{unwritten} changed values are"
            message = f"{self!r} was never closed: {values} not written"
            self.cache.logger.warning(message)
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    @property
    def _objects(self) -> Objects:
        if not self._is_open():
            raise ValueError("invalid operation on closed shelf")
        assert self._open_objects is not None
        return self._open_objects

    @property
    def _location(self) -> str:
        return self._objects.records.location

    def _is_open(self) -> bool:
        return self._open_objects is not None and (self._parent is None or self._parent._is_open())

    def _refuse_if_closed(self) -> None:
        _ = self._objects

    def _key(self, key: object, *, absent_if_not_storable: bool = False) -> str:
        """Check that a key is a text that can be a name; no store holds any other."""
        if not isinstance(key, str):
            raise KeyTypeError(f"a shelf's keys are str, not {type(key).__name__}: {key!r:.100}")
        try:
            key.encode()
        except UnicodeEncodeError as error:
            if absent_if_not_storable:
                raise KeyNotFoundError(key) from error
            raise KeyNotStorableError(f"the key {key!r} can't be encoded: {error}") from error
        return key

    def _storable(self, keys: Iterable[str], tally: Tally) -> Iterator[str]:
        """Leave out the keys that no store can hold: they are absent everywhere."""
        for key in keys:
            try:
                storable = self._key(key, absent_if_not_storable=True)
            except KeyNotFoundError:
                tally.moved(0, keys=1)
            else:
                yield storable

    def _pairs(
        self, keys: Iterable[str] | None = None, progress: ProgressCallback | None = None
    ) -> Pairs:
        """Read these keys, or all that there are."""
        objects = self._objects
        tally = Tally("read", total=size_of(keys), progress=progress)
        wanted = objects.records.names() if keys is None else self._storable(keys, tally)
        return Pairs(objects, wanted, tally, self._refuse_if_closed)

    def _set_many(
        self,
        pairs: Iterable[tuple[Any, Any]],
        total: int | None,
        progress: ProgressCallback | None,
    ) -> None:
        tally = Tally("written", total=total, progress=progress)

        def storable() -> Iterator[tuple[str, Any]]:
            for key, value in pairs:
                try:
                    checked = self._key(key)
                except KeyNotStorableError as error:
                    tally.add(Outcome(key, error))
                else:
                    yield checked, value

        self._objects.write_many(storable(), tally)

    def _view(self, objects: Objects, parent: CloudShelf, *, owns_parent: bool) -> CloudShelf:
        return CloudShelf(
            objects,
            self._atomic,
            recipe=self._recipe,
            parent=parent,
            owns_parent=owns_parent,
        )


def _pairs(other: Any, more: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    """Go through what `dict.update` takes."""
    if isinstance(other, Mapping):
        yield from other.items()
    elif hasattr(other, "keys"):
        for key in other.keys():  # noqa: SIM118  # it is no mapping, only has this method
            yield key, other[key]
    else:
        for key, value in other:
            yield key, value
    yield from more.items()


def _checked(version: object) -> str:
    if not isinstance(version, str):
        raise ValueTypeError(
            f"a version is the text that get_versioned gave, not {type(version).__name__}"
        )
    return version
