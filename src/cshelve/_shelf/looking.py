"""Entries, the details of one key, and keys after a key, without reading values."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve.codec.describing import Description, description_of
from cshelve.exceptions import KeyNotFoundError

if TYPE_CHECKING:
    from cshelve._shelf.shelf import CloudShelf
    from cshelve._values.serializers import Serializer
    from cshelve._values.values import Values

__all__ = ["Entry", "Info", "KeysAfter", "entries_of", "info_of"]

# The beginning of the names of cshelve's own metadata in the store.
OWN_METADATA = "cshelve-"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# By their letters. A record without a letter is a pickle or bytes, depending on the configuration.
SERIALIZERS = {b"j": "json", b"M": "msgpack", b"f": "functions", b"B": "bytes"}


class Entry(NamedTuple):
    """The properties of a key in the listing of a store."""

    key: str
    size_bytes: int
    """The size of the record, as it is stored."""
    modified: datetime
    """When it was written, in UTC; in a local shelf, when any value was."""
    version: str | None
    """The version that `get_versioned` returns; None if the listing does not contain it."""


class Info(NamedTuple):
    """The properties of a key in the store and in the record itself. They are not verified.

    A field that is not known is None. For a value that is not in a record (in a local shelf, with
    `use_versioning = false`, or stored by another program), `serializer` to `expires` are None.
    """

    key: str
    size_bytes: int
    """The size of the record, as it is stored."""
    modified: datetime
    """When it was written, in UTC; in a local shelf, when any value was."""
    version: str | None
    """The version that `get_versioned` returns; None if only reading the value would show it, as
    over SFTP."""
    is_record: bool
    """Whether it begins as a record that this version of cshelve knows."""
    serializer: str | None
    """`pickle`, `bytes`, `json`, `msgpack`, or `functions` for those of the program."""
    compression: str | None
    """`zlib`, `zstd` or `lz4`; None if it is not compressed."""
    encryption: str | None
    """`aes256-gcm` or `aes256`; None if it is not encrypted."""
    signature: str | None
    """`hmac-sha256`; None if it is not signed."""
    key_id: str | None
    """The id of the key that `aes256-gcm` or the signature used, in hexadecimal digits."""
    expires: datetime | None
    """When it expires, in UTC; None if it does not."""
    checksum: bool
    """Whether the record has a checksum."""
    content_type: str | None
    """The media type of the object; None if the store does not keep one."""
    metadata: Mapping[str, str]
    """The metadata of the object, without cshelve's own."""


def entries_of(values: Values, prefix: str, start_after: str | None) -> Iterator[Entry]:
    """Yield the entries of the keys that begin with a prefix, after a key."""
    after = None if start_after is None else values.name(start_after)
    for found in values.provider.entries(values.name(prefix), start_after=after):
        name, size_bytes, modified, version = found
        yield Entry(name.removeprefix(values.prefix), size_bytes, modified, version)


def info_of(values: Values, key: str) -> Info:
    """Return the properties of a key without reading its value, or raise `KeyNotFoundError`."""
    try:
        details = values.provider.inspect(values.name(key))
    except KeyNotFoundError:
        raise KeyNotFoundError(key) from None  # The caller's key, without the prefix.
    said = None
    if values.codec.versioned or values.codec.serializer:
        said = description_of(details.head, details.size_bytes)
    metadata = details.metadata.items()
    return Info(
        key,
        details.size_bytes,
        details.modified,
        details.version,
        is_record=said is not None,
        serializer=None if said is None else _serializer_of(said, values.serializer),
        compression=None if said is None else said.compression,
        encryption=None if said is None else said.encryption,
        signature=None if said is None else said.signature,
        key_id=None if said is None else said.key_id,
        expires=None if said is None else _time(said.expires_at),
        checksum=said is not None and said.checksum,
        content_type=details.content_type,
        metadata={name: text for name, text in metadata if not name.startswith(OWN_METADATA)},
    )


def _serializer_of(said: Description, own: Serializer) -> str | None:
    """Return the name of a record's serializer; None if it may be a pickle or bytes."""
    if said.serializer:
        return SERIALIZERS.get(said.serializer)
    if said.signature or said.encryption == "aes256-gcm":
        return "pickle"  # Bytes have a letter there.
    return None if own.letter else own.name


def _time(seconds: float | None) -> datetime | None:
    """Return a time since 1970, or the last one that `datetime` can hold."""
    try:
        return None if seconds is None else EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


class KeysAfter(KeysView[str]):
    """The view that `keys(start_after=…)` returns."""

    _mapping: CloudShelf[Any]

    def __init__(self, shelf: CloudShelf[Any], start_after: str) -> None:
        super().__init__(shelf)
        self._start_after = start_after

    def __iter__(self) -> Iterator[str]:
        return self._mapping._keys(self._start_after)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key > self._start_after and key in self._mapping
