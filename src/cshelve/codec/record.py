"""The record round a payload: version 0, as cshelve 1.x writes and reads it, with letters of ours.

All integers are little-endian::

    offset  size  field
    0       1     version: 0x00
    1       1     S, length of the signature
    2       8     D, length of the payload, unsigned
    10      S     signature: one letter a transformation, the last applied first
    10+S    D     payload

The letters, in the order in which they may stand; of each row one, or none::

    r           CRC-32 of the header and of all that follows it        ours
    G H         sealed with AES-256-GCM, signed with HMAC-SHA-256      ours
    e           AES-EAX, cshelve's aes256                              1.x's
    c Z l       zlib, zstd, lz4                                        1.x's, ours, ours
    j M f B     JSON, MessagePack, functions of the program, bytes     ours

Without a letter of the last row the payload is a pickle or bytes, as the configuration says. Bytes
have one in sealed and signed records only, where they must not pass for a pickle. An even number of
bits is set in each letter, so that one flipped bit never makes another of it.

Anything whose first byte is not 0x00 is a bare pickle (which begins with 0x80) from before records
had versions: a payload that nothing transformed.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import NamedTuple

from cshelve.codec.stage import Binding, Data, Pieces, Seal, size_of
from cshelve.exceptions import CorruptRecordError, DataProcessingSignatureError

__all__ = ["NO_LETTERS", "Letters", "Record", "frame", "protection_of", "unframe"]

VERSION = 0
HEADER = struct.Struct("<BBQ")
CHECKSUM_BYTES = 4

ROWS = re.compile(rb"(r?)([GH]?)(e?)([cZl]?)([jMfB]?)")
# What an object shows of its protection before anything else of it is looked at.
PROTECTION = re.compile(rb"r?([GH]?)(e?)")


class Letters(NamedTuple):
    """What was done to a value, outermost first: a letter each, or nothing."""

    checksum: bytes = b""
    seal: bytes = b""
    cipher: bytes = b""
    compression: bytes = b""
    serializer: bytes = b""

    @property
    def signature(self) -> bytes:
        """Write them as they stand in a record."""
        return b"".join(self)


NO_LETTERS = Letters()


class Record(NamedTuple):
    """A record taken apart."""

    letters: Letters
    header: bytes
    """Empty where there is none."""
    payload: Data
    """What the outermost of the letters made, the checksum's left out."""


def frame(
    letters: Letters, pieces: Pieces, seal: Seal | None, *, shelf_name: str, key: str
) -> bytes:
    """Make the record of a value of which these are the pieces. Makes one copy of them."""
    checksum_bytes = CHECKSUM_BYTES if letters.checksum else 0
    seal_bytes = 0 if seal is None else seal.head_bytes + seal.tail_bytes
    header = _header(letters.signature, checksum_bytes + seal_bytes + size_of(pieces))
    if seal is not None:
        return _sealed(header, checksum_bytes, pieces, seal, Binding(header, shelf_name, key))
    if letters.checksum:
        pieces = [_checksum(header, pieces), *pieces]
    return b"".join((header, *pieces))


def _sealed(
    header: bytes, checksum_bytes: int, pieces: Pieces, seal: Seal, binding: Binding
) -> bytes:
    """Make a record in a buffer that has the right size from the start.

    A join would be another copy. BytesIO gives the bytes that it has away without making one.
    """
    start = len(header) + checksum_bytes
    size = start + seal.head_bytes + size_of(pieces) + seal.tail_bytes
    buffer = io.BytesIO(bytes(size))
    with buffer.getbuffer() as record:
        record[: len(header)] = header
        seal.seal(binding, pieces, record[start:])
        if checksum_bytes:
            record[len(header) : start] = _checksum(header, (record[start:],))
    return buffer.getvalue()


def unframe(data: bytes) -> Record:
    """Take a record apart without copying the payload, and verify its checksum if it has one.

    Raises `CorruptRecordError` for data that is empty, cut short, longer than it says, or fails
    the check, and `DataProcessingSignatureError` for letters that nothing here has written.
    """
    if not data:
        raise CorruptRecordError("the object is empty, which no record is")
    if data[0] != VERSION:
        if _was_a_record(data):
            raise CorruptRecordError("the first byte of the record, its version, was changed")
        return Record(NO_LETTERS, b"", data)
    if len(data) < HEADER.size:
        raise CorruptRecordError(f"the object is {len(data)} bytes long, too short for a record")
    _, letters_size, payload_size = HEADER.unpack_from(data)
    start = HEADER.size + letters_size
    if len(data) - start != payload_size:
        raise CorruptRecordError(
            f"the record says it is {start + payload_size} bytes long and is {len(data)}: "
            "it was cut short, or is no record of cshelve"
        )
    header = data[:start]
    letters = _letters_of(header[HEADER.size :])
    payload = memoryview(data)[start:]
    if letters.checksum:
        payload = _verified(header, payload)
    return Record(letters, header, payload)


def protection_of(data: bytes) -> tuple[bytes, bytes]:
    """Give the letters of seal and cipher that an object shows, whatever else is in it."""
    if len(data) < HEADER.size or data[0] != VERSION:
        return b"", b""
    match = PROTECTION.match(data, HEADER.size, HEADER.size + data[1])
    return (match[1], match[2]) if match else (b"", b"")


def _letters_of(signature: bytes) -> Letters:
    match = ROWS.fullmatch(signature)
    if match is None:
        raise DataProcessingSignatureError(
            f"the record was written with the transformations {signature!r}, which this version "
            "of cshelve does not know; a newer one may have written it"
        )
    return Letters(*match.groups())


def _verified(header: bytes, payload: memoryview) -> memoryview:
    """Give what the checksum at the beginning of a payload vouches for."""
    rest = payload[CHECKSUM_BYTES:]
    if payload[:CHECKSUM_BYTES] != _checksum(header, (rest,)):
        raise CorruptRecordError("the record fails its checksum: bytes of it were changed")
    return rest


def _header(signature: bytes, payload_bytes: int) -> bytes:
    return HEADER.pack(VERSION, len(signature), payload_bytes) + signature


def _checksum(header: bytes, rest: Pieces) -> bytes:
    crc = zlib.crc32(header)
    for piece in rest:
        crc = zlib.crc32(piece, crc)
    return crc.to_bytes(CHECKSUM_BYTES, "little")


def _was_a_record(data: bytes) -> bool:
    """Tell whether an object is, but for its first byte, a record that vouches for itself.

    Without this, one flipped bit could make a bare value of it.
    """
    if len(data) < HEADER.size:
        return False
    _, letters_size, payload_size = HEADER.unpack_from(data)
    match = ROWS.fullmatch(data, HEADER.size, min(len(data), HEADER.size + letters_size))
    is_whole = len(data) == HEADER.size + letters_size + payload_size
    return is_whole and match is not None and bool(match[1] or match[2])
