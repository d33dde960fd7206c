"""Letters `c`, `Z` and `l`: zlib, as cshelve 1.x uses it, zstd, and lz4."""

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

# How much goes in at once, so that a value that grows is given up early.
PART_BYTES = 1 << 20
# Up to here zlib takes a value whole.
WHOLE_BYTES = 1 << 16
# lz4 sets this much aside at once for what comes out, however little that is.
LZ4_STEP_BYTES = 1 << 18


class Zlib:
    """Compress with zlib; level -1 is zlib's own compromise, 0 stores, 9 takes longest."""

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
    """zlib all at once, for small values: a compressor of its own takes longer than they do."""

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
    """Compress with Zstandard; level 3 unless given, 22 takes longest, negative ones are fastest.

    It is in the standard library from Python 3.14 on, and a package of its own before that.
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
                # Not `from backports`, which other packages share: its error would be another.
                import backports.zstd as zstd
        except ImportError as error:
            raise _missing("zstd", "backports.zstd", error) from error
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
    """Compress into an LZ4 frame; level 0 is the fastest of the usual ones, 16 takes longest."""

    letter = b"l"
    # https://python-lz4.readthedocs.io: lz4.frame, compression_level
    levels = range(-(2**16), 17)
    default_level = 0

    def __init__(self, level: int = default_level) -> None:
        self._level = level
        try:
            import lz4.frame
        except ModuleNotFoundError as error:
            raise _missing("lz4", "lz4", error) from error
        self._lz4: Any = lz4.frame

    def compressor(self, size_bytes: int) -> Compressor:
        return _Lz4Compressor(self._lz4, self._level, size_bytes)

    def expanded(self, data: Data, max_bytes: int) -> bytes:
        decompressor = self._lz4.LZ4FrameDecompressor()
        try:
            return _expanded(_Lz4Steps(decompressor), data, max_bytes)
        except RuntimeError as error:  # lz4 has no class of its own for it.
            raise _damaged(error) from error


class _Lz4Compressor:
    """lz4's compressor, which wants to be told when it begins."""

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
    """lz4's decompressor, asked for a little at a time."""

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
    """Compress a value; None, `if_smaller`, where it would not be smaller than before."""
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
    """Give what undoes a letter, which the configuration need not name, but has to be installed."""
    (algorithm,) = (each for each in ALGORITHMS.values() if each.letter == letter)
    try:
        return algorithm()
    except MissingDependencyError as error:
        raise DataProcessingSignatureError(f"the record cannot be expanded: {error}") from error


def _expanded(decompressor: Any, data: Data, max_bytes: int) -> bytes:
    """Decompress part by part, stopping where the result is too large."""
    made: list[bytes] = []
    left = max_bytes
    for part in parts_of((data,), PART_BYTES):
        if decompressor.eof:
            raise CorruptRecordError("the value does not decompress: there is more behind its end")
        out = decompressor.decompress(part, left + 1)
        left -= len(out)
        if left < 0:
            raise RecordError(
                f"the value is larger than the {max_bytes} bytes that a record may expand to; "
                "[default] max_value_bytes says how many that are"
            )
        made.append(out)
    if not decompressor.eof or decompressor.unused_data:
        raise CorruptRecordError("the value does not decompress: its end is not where it should be")
    return made[0] if len(made) == 1 else b"".join(made)


def _damaged(error: Exception) -> CorruptRecordError:
    return CorruptRecordError(f"the value does not decompress: {error}")


def _missing(algorithm: str, package: str, error: ImportError) -> MissingDependencyError:
    if algorithm == "zstd" and sys.version_info >= (3, 14):
        problem = "this Python was built without it"
    else:
        problem = f"it needs the package {package}: pip install 'cshelve[compression]'"
    return MissingDependencyError(f"compression = {algorithm}: {problem}", name=error.name)
