"""What the stages of a codec are, and what passes between them.

A value on its way into the store is a few pieces that lie one behind the other, so that nobody has
to copy them together before the record itself is made.
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
    """What makes one value smaller."""

    def compress(self, data: Data, /) -> bytes:
        """Take the next part of the value, and give what there is so far."""

    def flush(self) -> bytes:
        """Give the rest."""


class Compression(Protocol):
    """A way to make values smaller. Safe in many threads."""

    letter: bytes

    def compressor(self, size_bytes: int) -> Compressor:
        """Begin with a value of this size."""

    def expanded(self, data: Data, max_bytes: int) -> bytes:
        """Give back the value; a `RecordError` if it is none, or larger than `max_bytes`."""


class Cipher(Protocol):
    """A way to hide values, which binds them to nothing. Safe in many threads."""

    letter: bytes

    def encode(self, pieces: Pieces) -> Pieces:
        """Encrypt what is about to be stored."""

    def decode(self, data: Data) -> tuple[bytes, bool]:
        """Give back the value, and whether it was encrypted with the present key."""


class Binding(NamedTuple):
    """What a seal binds a record to, so that it is worth nothing anywhere else."""

    header: bytes
    """Version, lengths and letters, as they are in the record."""
    shelf_name: str
    key: str

    def associated_data(self, key_id: bytes) -> bytes:
        """Write it all down, each part behind its length, so that no two are the same text."""
        parts = (self.header, key_id, self.shelf_name.encode(), self.key.encode())
        return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


class Seal(Protocol):
    """A way to make sure that a record comes from who has the key. Safe in many threads."""

    letter: bytes
    head_bytes: int
    """How much stands before what is sealed."""
    tail_bytes: int
    """How much stands behind it."""

    def seal(self, binding: Binding, pieces: Pieces, into: memoryview) -> None:
        """Write head, value and tail, which fill `into`."""

    def unseal(self, binding: Binding, sealed: Data) -> tuple[Data, bool]:
        """Give back the value, and whether it was sealed with the present key, or raise."""


def size_of(pieces: Pieces) -> int:
    """Tell how many bytes the pieces are together."""
    return sum(len(piece) for piece in pieces)


def copy_into(target: memoryview, pieces: Pieces) -> None:
    """Copy the pieces one behind the other to the beginning of a buffer."""
    at = 0
    for piece in pieces:
        target[at : at + len(piece)] = piece
        at += len(piece)


def parts_of(pieces: Pieces, size_bytes: int) -> Iterator[Data]:
    """Go through the pieces in parts of no more than this size, copying nothing."""
    for piece in pieces:
        if len(piece) <= size_bytes:
            yield piece
        else:
            view = memoryview(piece)
            for at in range(0, len(view), size_bytes):
                yield view[at : at + size_bytes]
