"""Copying every key from one mapping to another.

Between two shelves, records are copied, not values. If both shelves have the same record format,
records are copied unchanged, by the store itself if it can do that. Otherwise they are decoded and
encoded again. Values are unpickled only if the serializers differ.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import closing
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeVar

from cshelve._concurrency.outcomes import (
    Outcome,
    Outcomes,
    ProgressOption,
    length_of,
    outcome_of,
)
from cshelve._concurrency.parallel import map_in_order
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._shelf.shelf import CloudShelf
from cshelve._values.expiry import is_over
from cshelve._values.serializers import agree
from cshelve._values.values import Fetched, Values
from cshelve.exceptions import (
    ConfigurationError,
    CorruptRecordError,
    Error,
    KeyNotFoundError,
    StorageError,
)
from cshelve.providers.base import Item

__all__ = ["copy", "note", "read_each"]

# The number of records that `verify` writes before it reads them again.
BATCH = 256

T = TypeVar("T")
V = TypeVar("V")


def copy(
    source: Mapping[str, V],
    target: MutableMapping[str, V],
    *,
    progress: ProgressOption = None,
    skip_existing: bool = False,
    verify: bool = False,
) -> int:
    """Copy every key from one mapping to another, and return the number of keys copied.

    Each can be a shelf, a file of `shelve`, a dict or any other mapping. Between shelves, it works
    in parallel, needs little memory, and unpickles nothing unless the serializers differ. If both
    shelves are on one S3 server and have the same record format, the server copies. Other keys of
    the target stay. Values keep their expiry time, except in a target that is not a shelf. Expired
    values, and keys that are deleted meanwhile, are not copied.

    With `skip_existing`, keys that the target already has are skipped, so an interrupted copy can
    be continued. This costs one listing of the target, and memory for its keys. With `verify`, each
    record is read again after it was written, and compared. `progress` is called as by `set_many`,
    but its `bytes` does not include records that a server copies by itself.

    A key that fails does not stop the others. Raises the same errors as `set_many`, and
    `ConfigurationError` if one of the two contains the other.

        with cshelve.open("old-shelf", "r") as old, cshelve.open("s3://bucket/new") as new:
            cshelve.copy(old, new, progress=print)
    """
    _refuse_what_is_no_pair(source, target)
    outcomes = Outcomes("copied", total=length_of(source), progress=progress)
    for side in (source, target):
        if isinstance(side, CloudShelf) and side.cache:
            side.sync()  # So that the store has what the caller sees.
    keys = _keys_of(source)
    if skip_existing:
        keys = _missing(keys, frozenset(_keys_of(target)), outcomes)
    with outcomes:
        if isinstance(target, CloudShelf):
            copied = _into_shelf(source, target, keys, outcomes, verify=verify)
        else:
            copied = _into_mapping(source, target, keys, outcomes, verify=verify)
        outcomes.add_all(copied)
    return outcomes.stored


def _refuse_what_is_no_pair(source: object, target: object) -> None:
    if not isinstance(source, Mapping) or not isinstance(target, MutableMapping):
        raise ConfigurationError(
            "source and target: each has to be an open shelf or another mapping, not "
            f"{type(source).__name__} and {type(target).__name__}."
        )
    if source is target or _overlap(source, target):
        raise ConfigurationError(
            "source and target: one contains the other, so the copies would be copied too."
        )
    if isinstance(target, CloudShelf):
        _values_of(target).refuse_if_read_only("write")


def _overlap(source: object, target: object) -> bool:
    """Return whether two shelves may have objects in common."""
    if not (isinstance(source, CloudShelf) and isinstance(target, CloudShelf)):
        return False
    sides = _values_of(source), _values_of(target)
    one, other = (side.provider for side in sides)
    # Of the two, only a wrapper knows that it stands for the other.
    if not (one is other or other.shares_store(one) or one.shares_store(other)):
        return False
    place, other_place = (f"{side.provider.location}/{side.prefix}" for side in sides)
    return place.startswith(other_place) or other_place.startswith(place)


def _values_of(shelf: CloudShelf[Any]) -> Values:
    """Return the values of a shelf without the writeback cache."""
    shelf._refuse_if_closed()
    return shelf._plain_values


def _keys_of(mapping: Mapping[str, Any]) -> Iterator[str]:
    return _values_of(mapping).list_keys() if isinstance(mapping, CloudShelf) else iter(mapping)


def _missing(keys: Iterable[str], existing: frozenset[str], outcomes: Outcomes) -> Iterator[str]:
    for key in keys:
        if key in existing:
            outcomes.add_bytes(0, keys=1)
        else:
            yield key


def _into_mapping(
    source: Mapping[str, Any],
    target: MutableMapping[str, Any],
    keys: Iterable[str],
    outcomes: Outcomes,
    *,
    verify: bool,
) -> Generator[Outcome]:
    def write(key: str, value: Any) -> None:
        target[key] = value
        if verify and not _are_same(target[key], value):
            raise _differs(key)

    with closing(_pairs_of(source, keys, outcomes)) as pairs:
        for key, value in pairs:
            failure, _ = _attempt(key, partial(write, key, value))
            yield Outcome(key, failure)


def _into_shelf(
    source: Mapping[str, Any],
    target: CloudShelf[Any],
    keys: Iterable[str],
    outcomes: Outcomes,
    *,
    verify: bool,
) -> Generator[Outcome]:
    values = _values_of(target)
    if isinstance(source, CloudShelf) and not verify and _can_store_copy(source, target):
        copied = _copied_by_store(_values_of(source), values, keys, outcomes)
    else:
        copied = _stored(_records_of(source, values, keys, outcomes), values, verify=verify)
    with closing(copied):
        for outcome in copied:
            target._values.forget(outcome.name)
            yield outcome


def _can_store_copy(source: CloudShelf[Any], target: CloudShelf[Any]) -> bool:
    origin, values = _values_of(source), _values_of(target)
    provider = values.provider
    is_able = provider.capabilities.copies and provider.shares_store(origin.provider)
    return is_able and _store_alike(origin, values)


def _store_alike(origin: Values, values: Values) -> bool:
    """Return whether two shelves have the same record format, so that records need no change.

    Sealed, signed and encrypted records depend on keys, and most of them on their place as well.
    """
    one, other = origin.codec, values.codec
    if any((one.seal, one.cipher, other.seal, other.cipher)):
        return False
    forms = (
        (
            codec.versioned,
            codec.checksum,
            codec.compression and codec.compression.letter,
            bool(codec.why_none_expires),
        )
        for codec in (one, other)
    )
    return len(set(forms)) == 1 and agree(origin.serializer, values.serializer)


def _copied_by_store(
    origin: Values, values: Values, keys: Iterable[str], outcomes: Outcomes
) -> Generator[Outcome]:
    def copy_one(key: str) -> Outcome:
        names = origin.name(key), values.name(key)

        def act() -> None:
            # The store would copy an expired record too, over a value that is there.
            if origin.codec.reads_records and is_over(origin.look(key)[0]):
                raise KeyNotFoundError(key)
            values.provider.copy(*names, origin=origin.provider)

        return outcome_of(key, values.location, act)

    concurrency = values.provider.concurrency
    with closing(map_in_order(copy_one, keys, concurrency, is_last=Outcome.ends_all)) as done:
        for key, outcome in done:
            if isinstance(outcome.failure, KeyNotFoundError):
                note(outcomes, key, outcome.failure)
            else:
                yield outcome


def _records_of(
    source: Mapping[str, Any], values: Values, keys: Iterable[str], outcomes: Outcomes
) -> Generator[tuple[str, bytes]]:
    """Yield the records for the target; add a key that has none to the outcomes."""
    if not isinstance(source, CloudShelf):
        with closing(_pairs_of(source, keys, outcomes)) as pairs:
            for name, _, _, record, _ in values.records_of(pairs, outcomes):
                yield name.removeprefix(values.prefix), record
        return
    origin = _values_of(source)
    is_alike = _store_alike(origin, values)

    def record_for_target(key: str, data: bytes) -> bytes:
        if not is_alike:
            return origin.recoded(key, data, values, key)
        if is_over(origin.expiry_in(data)):
            raise KeyNotFoundError(key)
        return data

    with closing(read_each(origin, keys, outcomes)) as read:
        for key, (data, _) in read:
            failure, recoded = _attempt(key, partial(record_for_target, key, data))
            if recoded is None:
                note(outcomes, key, failure)
            else:
                yield key, recoded


def _pairs_of(
    source: Mapping[str, Any], keys: Iterable[str], outcomes: Outcomes
) -> Generator[tuple[str, Any]]:
    """Yield the pairs of a mapping; count a value that cannot be read as a failure of its key."""
    for key, read in _readers_of(source, keys, outcomes):
        failure, value = _attempt(key, read)
        if failure is None:
            yield key, value
        else:
            note(outcomes, key, failure)


def _readers_of(
    source: Mapping[str, Any], keys: Iterable[str], outcomes: Outcomes
) -> Generator[tuple[str, Callable[[], Any]]]:
    """Yield each key with a function that returns its value."""
    if not isinstance(source, CloudShelf):
        for key in keys:
            yield key, partial(source.__getitem__, key)
        return
    values = _values_of(source)
    with closing(read_each(values, keys, outcomes)) as read:
        for key, item in read:
            yield key, partial(values.load, Fetched(key, item))


def read_each(
    values: Values, keys: Iterable[str], outcomes: Outcomes
) -> Generator[tuple[str, Item]]:
    """Read records in parallel; continue after a failure unless every key would share it."""
    rest = iter(keys)
    taken: deque[str] = deque()
    again: deque[str] = deque()

    def wanted() -> Iterator[str]:
        while again:
            taken.append(again.popleft())
            yield taken[-1]
        for key in rest:
            taken.append(key)
            yield key

    while True:
        try:
            with closing(values.fetch_many(wanted(), outcomes)) as fetched:
                for each in fetched:
                    key = taken.popleft()
                    if each.item is None:
                        note(outcomes, key, KeyNotFoundError(key))
                    else:
                        yield key, each.item
            return
        except Error as error:
            if error.about_shelf or not taken:
                raise
            # Results come in the order of the keys, so the next key is the one that failed.
            outcomes.add(Outcome(taken.popleft(), error))
        # Not by chaining iterators: after many failures they would be nested too deeply.
        again.extendleft(reversed(taken))
        taken.clear()


def _stored(
    records: Generator[tuple[str, bytes]], values: Values, *, verify: bool
) -> Generator[Outcome]:
    """Store records, and yield the outcomes; with `verify`, read the records again first."""
    with closing(records):
        if not verify:
            yield from values.store_many(records)
            return
        while outcomes := _verified(islice(records, BATCH), values):
            yield from outcomes
            if any(outcome.ends_all() for outcome in outcomes):
                return


def _verified(records: Iterable[tuple[str, bytes]], values: Values) -> list[Outcome]:
    """Store some records, read them again, and compare them, keeping only a digest of each."""
    digests: dict[str, bytes] = {}

    def noted() -> Iterator[tuple[str, bytes]]:
        for key, record in records:
            digests[key] = _digest_of(record)
            yield key, record

    written = {outcome.name: outcome for outcome in values.store_many(noted())}
    stored = [key for key, outcome in written.items() if outcome.failure is None]
    read_again = Outcomes("verified")
    found = {key: _digest_of(item.data) for key, item in read_each(values, stored, read_again)}
    for key in stored:
        if found.get(key) != digests[key]:
            failure = read_again.failures.get(key) or values.with_key(_differs(key), key)
            written[key] = written[key]._replace(failure=failure)
    return list(written.values())


def _digest_of(record: bytes) -> bytes:
    return blake2b(record, digest_size=16).digest()


def _differs(key: str) -> CorruptRecordError:
    return CorruptRecordError(
        f"the record of the key {key!r} is not the one that was written: it was damaged, or "
        "somebody else has written or deleted it meanwhile"
    )


def _are_same(one: object, other: object) -> bool:
    try:
        if one is other or one == other:
            return True
    except Exception as error:
        # Comparing may raise anything: numpy's arrays, for example, have no truth value.
        if is_from_signal_handler(error):
            raise
    # A NaN, for example, equals nothing.
    return pickle.dumps(one) == pickle.dumps(other)


def note(outcomes: Outcomes, key: str, failure: Error | None) -> None:
    """Count a key that was not copied; if it has expired or was deleted, that is no failure."""
    if isinstance(failure, KeyNotFoundError):
        outcomes.add_bytes(0, keys=1)
    else:
        outcomes.add(Outcome(key, failure))


def _attempt(key: str, act: Callable[[], T]) -> tuple[Error | None, T | None]:
    """Call `act` for a key, and return the error, if it raised one, and the result."""
    try:
        return None, act()
    except Error as error:
        return error, None
    except Exception as error:
        # Pickles and foreign mappings may raise anything, which is then the failure of the key.
        if is_from_signal_handler(error):
            raise
        failure = StorageError(f"{key!r} could not be copied: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure, None
