"""Files and links, for shelves whose objects are the plain values and nothing else."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from cshelve._concurrency.outcomes import Outcomes
from cshelve._values.values import Values
from cshelve.exceptions import KeyNotFoundError, UnsupportedOperationError, ValueTypeError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from cshelve.providers.streams import Readable, Source, Target

    FileToRead = str | os.PathLike[str] | Readable
    FileToWrite = str | os.PathLike[str] | SupportsWrite[bytes]

__all__ = ["download", "opened_to_write", "presigned_url", "upload"]

T = TypeVar("T")


def presigned_url(values: Values, key: str, expires_seconds: float) -> str:
    """Return a link to the plain value of a key."""
    _refuse_unless_plain(values, "a link would not return the value", "bytes", "json")
    return values.provider.presigned_url(values.name(key), expires_seconds)


def upload(values: Values, key: str, file: FileToRead, outcomes: Outcomes) -> None:
    """Store the contents of a file as the value of a key."""
    from cshelve.providers.streams import Source  # Most shelves never need it.

    values.refuse_if_read_only("write", key)
    _refuse_unless_plain(values, "a value has to be complete before it can be stored", "bytes")
    # A changed bytearray in the cache would later overwrite the uploaded value.
    values.settle(key)
    with _opened_to_read(file) as opened:
        source = Source(opened, _size_of(opened), outcomes.add_bytes)
        outcomes.total_bytes = source.size_bytes
        _moved(lambda: values.provider.upload(values.name(key), source), source)
    values.forget(key)
    outcomes.add_bytes(0, keys=1)


def download(values: Values, key: str, file: FileToWrite, outcomes: Outcomes) -> None:
    """Write the value of a key to a file; to a path, as a whole or not at all."""
    from cshelve.providers.streams import Target

    _refuse_unless_plain(values, "a value has to be complete before it can be trusted", "bytes")
    values.settle(key)

    def begun(size_bytes: int) -> None:
        outcomes.total_bytes = size_bytes

    with opened_to_write(file) as opened:
        target = Target(opened, begun, outcomes.add_bytes)
        try:
            _moved(lambda: values.provider.download(values.name(key), target), target)
        except KeyNotFoundError:
            raise KeyNotFoundError(key) from None  # The caller's key, without the prefix.
    outcomes.add_bytes(0, keys=1)


def _refuse_unless_plain(values: Values, why: str, *serializers: str) -> None:
    problem = _why_not_plain(values, serializers)
    if problem is not None:
        raise UnsupportedOperationError(
            f"{values.location}: {problem}, so {why}. This needs [default] use_versioning = false, "
            f"with serializer = {' or '.join(serializers)}."
        )


def _why_not_plain(values: Values, serializers: tuple[str, ...]) -> str | None:
    """Return what makes objects differ from plain values; None if they are the same."""
    codec = values.codec
    if codec.seal is not None:
        return "values are sealed or signed"
    if codec.cipher is not None:
        return "values are encrypted"
    if codec.compression is not None:
        return "values are compressed"
    if values.serializer.name not in serializers:
        return f"values are stored by the serializer {values.serializer.name}"
    if codec.checksum:
        return "records have checksums"
    return "records have headers" if codec.versioned else None


def _moved(move: Callable[[], T], stream: Source | Target) -> T:
    """Move a value; raise errors of the file itself unchanged, even if the store wrapped them."""
    try:
        return move()
    except BaseException as error:
        if stream.failure is None or error is stream.failure:
            raise
        raise stream.failure from None


@contextmanager
def _opened_to_read(file: FileToRead) -> Iterator[Readable]:
    if isinstance(file, str | os.PathLike):
        with open(file, "rb", buffering=0) as opened:
            yield opened
    else:
        _refuse_text(file, "read", "rb")
        yield file


def _size_of(file: object) -> int | None:
    """Return the number of bytes after a file's position; None if only reading can show it.

    The type of the file has to be known: a decompressing file, for example, has the descriptor of
    the compressed one. The system's own files in /proc have the length 0.
    """
    file = getattr(file, "file", file)  # `tempfile` wraps what it opens.
    if isinstance(file, io.BytesIO):
        return max(0, file.getbuffer().nbytes - file.tell())
    if isinstance(file, io.FileIO | io.BufferedReader | io.BufferedRandom):
        raw = file if isinstance(file, io.FileIO) else file.raw
        # A buffer may read from anything, such as a member of an archive.
        if isinstance(raw, io.FileIO):
            status = os.fstat(raw.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size:
                return max(0, status.st_size - file.tell())
    return None


@contextmanager
def opened_to_write(file: FileToWrite) -> Iterator[SupportsWrite[bytes]]:
    """Open a path so that its file appears complete at the end; pass on a file that is open."""
    if not isinstance(file, str | os.PathLike):
        _refuse_text(file, "write", "wb")
        yield file
        return
    if os.path.exists(file) and not os.path.isfile(file):
        # A device or a pipe, which must not be replaced. A directory raises an error here.
        with open(file, "wb", buffering=0) as opened:
            yield opened
        return
    path = os.path.realpath(file)  # A link stays, and its target is replaced.
    temporary = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.part")
    try:
        with _created(temporary, path) as opened:
            with suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            yield opened
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # It may not exist, if it could not be created.
            os.unlink(temporary)
        raise


def _created(temporary: str, path: str) -> io.FileIO:
    """Create a temporary file; an error names the path that the caller knows."""
    try:
        return open(temporary, "xb", buffering=0)
    except OSError as error:
        error.filename = path
        raise


def _refuse_text(file: object, method: str, mode: str) -> None:
    if isinstance(file, io.TextIOBase) or not hasattr(file, method):
        raise ValueTypeError(
            f"pass a path, or a binary file that is opened with mode {mode!r}, not "
            f"{type(file).__name__}"
        )
