"""The protocols of a codec's stages, and the data that passes between them.

While a record is made, the payload is a sequence of pieces, which are joined only when the record
is assembled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias

__all__ = [
    "Binding",
    "Cipher",
    "Compression",
    "Compressor",
    "Data",
    "Pieces",
    "Seal",
    "copy_into",
    "parts_of",
    "size_of",
]

Data: TypeAlias = bytes | memoryview
Pieces: TypeAlias = Sequence[Data]


class Compressor(Protocol):
    """Compresses one payload, part by part."""

    def compress(self, data: Data, /) -> bytes:
        """Add the next part of the payload, and return what can be written so far."""

    def flush(self) -> bytes:
        """Return the rest of the compressed payload."""


class Compression(Protocol):
    """A stage that compresses. Safe in many threads."""

    letter: bytes

    def compressor(self, size_bytes: int) -> Compressor:
        """Return a compressor for a payload of this size."""

    def expanded(self, data: Data, max_bytes: int) -> bytes:
        """Return the payload, or raise a `RecordError` if it is damaged or over `max_bytes`."""


class Cipher(Protocol):
    """A stage that encrypts a payload without binding it to a key of the shelf.

    Safe in many threads.
    """

    letter: bytes

    def encode(self, pieces: Pieces) -> Pieces:
        """Return the pieces of the encrypted payload."""

    def decode(self, data: Data) -> tuple[bytes, bool]:
        """Return the payload, and whether it was encrypted with the present key.

        Raises `EncryptedDataCorruptionError` if no key decrypts it.
        """


class Binding(NamedTuple):
    """The context that a seal or signature covers: a record is invalid in any other context."""

    header: bytes
    """The header of the record, and the time when it expires if it has one, as they are stored."""
    shelf_name: str
    key: str

    def associated_data(self, key_id: bytes) -> bytes:
        """Return all parts, each after its length, so that different contexts always differ."""
        parts = (self.header, key_id, self.shelf_name.encode(), self.key.encode())
        return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


class Seal(Protocol):
    """A stage that seals or signs a payload, which proves that the writer had the key.

    Safe in many threads.
    """

    letter: bytes
    head_bytes: int
    """The number of bytes that the stage adds before the payload."""
    tail_bytes: int
    """The number of bytes that the stage adds after the payload."""

    def seal(self, binding: Binding, pieces: Pieces, into: memoryview) -> None:
        """Write the head, the protected payload and the tail into a buffer of exactly that size."""

    def unseal(self, binding: Binding, sealed: Data) -> tuple[Data, bool]:
        """Return the payload, and whether it was protected with the present key.

        Raises `EncryptedDataCorruptionError` or `UntrustedRecordError` if the check fails.
        """


def size_of(pieces: Pieces) -> int:
    """Return the total size of the pieces."""
    return sum(len(piece) for piece in pieces)


def copy_into(target: memoryview, pieces: Pieces) -> None:
    """Copy the pieces one after another to the beginning of a buffer."""
    at = 0
    for piece in pieces:
        target[at : at + len(piece)] = piece
        at += len(piece)


def parts_of(pieces: Pieces, size_bytes: int) -> Iterator[Data]:
    """Yield the pieces in parts of at most this size, without copying."""
    for piece in pieces:
        if len(piece) <= size_bytes:
            yield piece
        else:
            view = memoryview(piece)
            for at in range(0, len(view), size_bytes):
                yield view[at : at + size_bytes]
