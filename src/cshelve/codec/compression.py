"""Letter `c`: zlib, as cshelve 1.x uses it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from cshelve.codec.stage import Data
from cshelve.exceptions import CorruptRecordError, UnknownCompressionAlgorithmError

if TYPE_CHECKING:
    from cshelve._config import Section

__all__ = ["Zlib", "compression_from"]


class Zlib:
    """Compress with zlib; level -1 is zlib's own compromise, 0 stores, 9 takes longest."""

    letter = b"c"

    def __init__(self, level: int = -1) -> None:
        self._level = level

    def encode(self, data: Data) -> bytes:
        return zlib.compress(data, self._level)

    def decode(self, data: Data) -> bytes:
        try:
            return zlib.decompress(data)
        except zlib.error as error:
            raise CorruptRecordError(f"the value does not decompress: {error}") from error


def compression_from(section: Section) -> Zlib:
    """Make the stage that `[compression]` describes."""
    algorithm = section.required_text("algorithm")
    level = section.integer("level", default=-1, least=-1)
    if algorithm.lower() != "zlib":
        raise UnknownCompressionAlgorithmError(
            f"{section.where('algorithm')}there is no compression {algorithm!r}; write zlib."
        )
    if level > 9:
        raise section.error("level", f"is -1 to 9, not {level}.")
    return Zlib(level)
