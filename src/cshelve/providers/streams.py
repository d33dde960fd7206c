"""Files that values are read from and written to, piece by piece.

Errors of the file itself, such as a full disk, are kept, since a provider may mistake them for
failures of its store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from cshelve.exceptions import StorageError, ValueTypeError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite
__all__ = ["PIECE_BYTES", "Readable", "Source", "Target"]

PIECE_BYTES = 2**20
"""The default size of a piece."""


class Readable(Protocol):
    """The only method that a file to upload needs."""

    def read(self, size: int, /) -> bytes: ...


class Source:
    """A binary file that a value is read from, once, from its position to its end."""

    def __init__(
        self,
        file: Readable,
        size_bytes: int | None = None,
        moved: Callable[[int], object] = lambda _: None,
    ) -> None:
        """`size_bytes` is the length of the rest of the file; None if it is unknown."""
        self._file = file
        self.size_bytes = size_bytes
        self.moved = moved
        """To be called with the number of bytes stored since the last call."""
        self.failure: BaseException | None = None
        """The error that reading the file has raised."""

    def pieces(self, size_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
        """Yield the rest of the file in pieces of this size; only the last one may be shorter.

        Raises `StorageError` at the end if the file has become shorter or longer.
        """
        left = self.size_bytes
        while left is None or left > 0:
            wanted = size_bytes if left is None else min(size_bytes, left)
            piece = self._read(wanted)
            if left is not None:
                left -= len(piece)
            if piece:
                yield piece
            if len(piece) < wanted:
                break
        if self.size_bytes is not None and (left or self._read(1)):
            raise StorageError("the file changed its size while it was read, so nothing was stored")

    def _read(self, size_bytes: int) -> bytes:
        """Return this number of bytes, or fewer at the end; a file's `read` may return less."""
        pieces: list[bytes] = []
        left = size_bytes
        while left:
            piece = self._read_once(left)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_once(self, size_bytes: int) -> bytes:
        try:
            piece = self._file.read(size_bytes)
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise ValueTypeError(
                    f"a file to upload has to return bytes, not {type(piece).__name__}; open it "
                    "with mode 'rb'"
                )
        except BaseException as error:
            self.failure = error
            raise
        return bytes(piece)


class Target:
    """A binary file that a value is written to, from its position on."""

    def __init__(
        self,
        file: SupportsWrite[bytes],
        begun: Callable[[int], object] = lambda _: None,
        moved: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._file = file
        self.begun = begun
        """To be called with the size of the value, as soon as it is known."""
        self._moved = moved
        self.failure: BaseException | None = None
        """The error that writing the file has raised."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of the data, although one call of a file's `write` may write less."""
        try:
            rest = memoryview(data)
            while rest:
                written = self._file.write(rest)  # type: ignore[arg-type]  # as all files take it
                # Files that are not of the module `io` need not return the number of bytes.
                rest = rest[written:] if isinstance(written, int) else rest[:0]
        except BaseException as error:
            self.failure = error
            raise
        self._moved(len(data))
