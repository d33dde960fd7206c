"""Letters `c`, `Z` and `l`: zlib as in cshelve 1.x, zstd and lz4."""

from __future__ import annotations

import sys
import zlib
from functools import lru_cache
from typing import Any

from cshelve.codec.stage import Compression, Compressor, Data, Pieces, parts_of, size_of
from cshelve.exceptions import (
    CorruptRecordError,
    DataProcessingSignatureError,
    MissingDependencyError,
    RecordError,
)

__all__ = ["ALGORITHMS", "Lz4", "Zlib", "Zstd", "compressed", "compression_by"]

# The size of the parts in which a payload is compressed, so that one that does not shrink is given
# up early.
PART_BYTES = 1 << 20
# The size up to which zlib compresses a payload in one call.
WHOLE_BYTES = 1 << 16
# The most that lz4 may return from one call. It allocates that much, however short the result is.
LZ4_STEP_BYTES = 1 << 18


class Zlib:
    """Compresses with zlib; level -1 is zlib's own default, 0 does not compress, 9 is slowest."""

    letter = b"c"
    levels = range(-1, 10)
    default_level = -1

    def __init__(self, level: int = default_level) -> None:
        self._level = level

    def compressor(self, size_bytes: int) -> Compressor:
        if size_bytes <= WHOLE_BYTES:
            return _Whole(self._level)
        return zlib.compressobj(self._level)

    def expanded(self, data: Data, max_bytes: int) -> bytes:
        try:
            return _expanded(zlib.decompressobj(), data, max_bytes)
        except zlib.error as error:
            raise _damaged(error) from error


class _Whole:
    """Compresses a small payload in one call; creating a `compressobj` would take longer."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._parts: list[Data] = []

    def compress(self, data: Data, /) -> bytes:
        self._parts.append(data)
        return b""

    def flush(self) -> bytes:
        parts = self._parts
        return zlib.compress(parts[0] if len(parts) == 1 else b"".join(parts), self._level)


class Zstd:
    """Compresses with Zstandard; level 3 is the default, 22 is slowest, negative ones are fastest.

    Zstandard is in the standard library since Python 3.14, and in a package for older versions.
    """

    letter = b"Z"
    # https://github.com/facebook/zstd: ZSTD_minCLevel and ZSTD_maxCLevel
    levels = range(-131072, 23)
    default_level = 3

    def __init__(self, level: int = default_level) -> None:
        self._level = level
        try:
            if sys.version_info >= (3, 14):
                from compression import zstd
            else:
                # Not `from backports import zstd`, whose error would not name `backports.zstd` if
                # another package of `backports` is installed.
                import backports.zstd as zstd
        except ImportError as error:
            raise _missing("zstd", "backports.zstd", "compression", error) from error
        self._zstd = zstd

    def compressor(self, size_bytes: int) -> Compressor:
        compressor = self._zstd.ZstdCompressor(self._level)
        compressor.set_pledged_input_size(size_bytes)
        return compressor

    def expanded(self, data: Data, max_bytes: int) -> bytes:
        try:
            return _expanded(self._zstd.ZstdDecompressor(), data, max_bytes)
        except self._zstd.ZstdError as error:
            raise _damaged(error) from error


class Lz4:
    """Compresses to an LZ4 frame; level 0 is the default, 16 is slowest, negative ones fastest."""

    letter = b"l"
    # https://python-lz4.readthedocs.io: lz4.frame, compression_level
    levels = range(-(2**16), 17)
    default_level = 0

    def __init__(self, level: int = default_level) -> None:
        self._level = level
        try:
            import lz4.frame
        except ModuleNotFoundError as error:
            raise _missing("lz4", "lz4", "lz4", error) from error
        self._lz4: Any = lz4.frame

    def compressor(self, size_bytes: int) -> Compressor:
        return _Lz4Compressor(self._lz4, self._level, size_bytes)

    def expanded(self, data: Data, max_bytes: int) -> bytes:
        decompressor = self._lz4.LZ4FrameDecompressor()
        try:
            return _expanded(_Lz4Steps(decompressor), data, max_bytes)
        except RuntimeError as error:  # lz4 has no error class of its own.
            raise _damaged(error) from error


class _Lz4Compressor:
    """An adapter for lz4's compressor, which needs a separate call to begin a frame."""

    def __init__(self, lz4: Any, level: int, size_bytes: int) -> None:
        self._inner = lz4.LZ4FrameCompressor(compression_level=level)
        self._begin: bytes = self._inner.begin(source_size=size_bytes)

    def compress(self, data: Data, /) -> bytes:
        begin, self._begin = self._begin, b""
        made: bytes = self._inner.compress(data)
        return begin + made

    def flush(self) -> bytes:
        rest: bytes = self._begin + self._inner.flush()
        return rest


class _Lz4Steps:
    """An adapter for lz4's decompressor that asks for at most `LZ4_STEP_BYTES` at a time."""

    def __init__(self, decompressor: Any) -> None:
        self._inner = decompressor

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes | None:
        rest: bytes | None = self._inner.unused_data
        return rest

    def decompress(self, data: Data, max_bytes: int) -> bytes:
        steps = []
        while True:
            step = self._inner.decompress(data, min(max_bytes, LZ4_STEP_BYTES))
            steps.append(step)
            max_bytes -= len(step)
            if self._inner.eof or self._inner.needs_input or max_bytes <= 0:
                return b"".join(steps)
            data = b""


ALGORITHMS: dict[str, type[Zlib | Zstd | Lz4]] = {"zlib": Zlib, "zstd": Zstd, "lz4": Lz4}


def compressed(
    compression: Compression, pieces: Pieces, *, if_smaller: bool = True
) -> list[bytes] | None:
    """Return the compressed pieces of a payload.

    With `if_smaller`, return None if they would not be smaller than the payload.
    """
    size = size_of(pieces)
    compressor = compression.compressor(size)
    made: list[bytes] = []
    made_bytes = 0
    for part in parts_of(pieces, PART_BYTES):
        if out := compressor.compress(part):
            made.append(out)
            made_bytes += len(out)
            if if_smaller and made_bytes >= size:
                return None
    rest = compressor.flush()
    if if_smaller and made_bytes + len(rest) >= size:
        return None
    made.append(rest)
    return made


@lru_cache(maxsize=len(ALGORITHMS))
def compression_by(letter: bytes) -> Compression:
    """Return the compression that a record's letter stands for, whatever is configured.

    Raises `DataProcessingSignatureError` if its package is not installed.
    """
    (algorithm,) = (each for each in ALGORITHMS.values() if each.letter == letter)
    try:
        return algorithm()
    except MissingDependencyError as error:
        raise DataProcessingSignatureError(f"the record cannot be expanded: {error}") from error


def _expanded(decompressor: Any, data: Data, max_bytes: int) -> bytes:
    """Return data decompressed part by part; raise `RecordError` once the result is too large."""
    made: list[bytes] = []
    left = max_bytes
    for part in parts_of((data,), PART_BYTES):
        if decompressor.eof:
            raise CorruptRecordError("the value does not decompress: data follows its end")
        out = decompressor.decompress(part, left + 1)
        left -= len(out)
        if left < 0:
            raise RecordError(
                f"the value is larger than the {max_bytes} bytes that a record may expand to: "
                "raise [default] max_value_bytes if you trust the record"
            )
        made.append(out)
    if not decompressor.eof or decompressor.unused_data:
        raise CorruptRecordError("the value does not decompress: it is truncated, or data follows")
    return made[0] if len(made) == 1 else b"".join(made)


def _damaged(error: Exception) -> CorruptRecordError:
    return CorruptRecordError(f"the value does not decompress: {error}")


def _missing(
    algorithm: str, package: str, extra: str, error: ImportError
) -> MissingDependencyError:
    if algorithm == "zstd" and sys.version_info >= (3, 14):
        problem = "this Python was built without it"
    else:
        problem = f"it needs the package {package}: pip install 'cshelve[{extra}]'"
    return MissingDependencyError(f"compression = {algorithm}: {problem}", name=error.name)
