"""The record round a payload, version 0, as cshelve 1.x writes and reads it.

All integers are little-endian::

    offset  size  field
    0       1     version: 0x00
    1       1     S, length of the signature
    2       8     D, length of the payload, unsigned
    10      S     signature: one letter a transformation, the last applied first
    10+S    D     payload

Anything whose first byte is not 0x00 is a bare pickle (which begins with 0x80) from before records
had versions: a payload that nothing transformed.
"""

from __future__ import annotations

import struct

from cshelve.exceptions import CorruptRecordError

__all__ = ["frame", "unframe"]

VERSION = 0
HEADER = struct.Struct("<BBQ")


def frame(letters: bytes, payload: bytes) -> bytes:
    """Put a header with these letters before a payload. Makes one copy of the payload."""
    return b"".join((HEADER.pack(VERSION, len(letters), len(payload)), letters, payload))


def unframe(data: bytes) -> tuple[bytes, memoryview | bytes]:
    """Split a record into its letters and its payload, without copying the payload.

    Raises `CorruptRecordError` for data that is empty, cut short, or longer than it says.
    """
    if not data:
        raise CorruptRecordError("the object is empty, which no record is")
    if data[0] != VERSION:
        return b"", data
    if len(data) < HEADER.size:
        raise CorruptRecordError(f"the object is {len(data)} bytes long, too short for a record")
    _, letters_size, payload_size = HEADER.unpack_from(data)
    start = HEADER.size + letters_size
    if len(data) - start != payload_size:
        raise CorruptRecordError(
            f"the record says it is {start + payload_size} bytes long and is {len(data)}: "
            "it was cut short, or is no record of cshelve"
        )
    return data[HEADER.size : start], memoryview(data)[start:]
