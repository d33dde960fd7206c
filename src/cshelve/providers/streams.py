"""Values that are stored from a file, or read into one, piece by piece.

What goes wrong with the file itself, such as a full disk, is noted, since a provider may take it
for a failure of its store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from cshelve.exceptions import StorageError, ValueTypeError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite
__all__ = ["PIECE_BYTES", "Readable", "Source", "Target"]

PIECE_BYTES = 2**20
"""How much to read at once where nothing else says that."""


class Readable(Protocol):
    """All that a file to upload has to have."""

    def read(self, size: int, /) -> bytes: ...


class Source:
    """What a value is read from, once: a binary file, from its position to its end."""

    def __init__(
        self,
        file: Readable,
        size_bytes: int | None = None,
        moved: Callable[[int], object] = lambda _: None,
    ) -> None:
        """`size_bytes` is how long it is; None if only its end tells."""
        self._file = file
        self.size_bytes = size_bytes
        self.moved = moved
        """To be called with the number of bytes whenever some are stored."""
        self.failure: BaseException | None = None
        """What reading the file has raised."""

    def pieces(self, size_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
        """Read on to the end, in pieces of this size; only the last one may be shorter.

        Raises `StorageError` at the end of a file that is not as long as it was.
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
            raise StorageError("the file changed its size while it was read, so nothing is stored")

    def _read(self, size_bytes: int) -> bytes:
        """Read so many bytes, or fewer at the end; one call of a file's `read` may return less."""
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
    """What a value is written to: a binary file, from its position on."""

    def __init__(
        self,
        file: SupportsWrite[bytes],
        begun: Callable[[int], object] = lambda _: None,
        moved: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._file = file
        self.begun = begun
        """To be called with the size of the value, as soon as that is known."""
        self._moved = moved
        self.failure: BaseException | None = None
        """What writing the file has raised."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of this; one call of a file's `write` may write less."""
        try:
            rest = memoryview(data)
            while rest:
                written = self._file.write(rest)  # type: ignore[arg-type]  # as all files take it
                # Files that are not of the module `io` need not say anything.
                rest = rest[written:] if isinstance(written, int) else rest[:0]
        except BaseException as error:
            self.failure = error
            raise
        self._moved(len(data))
