"""The record around a payload: version 0 of cshelve 1.x, with additional letters.

All integers are little-endian::

    offset  size  field
    0       1     version: 0x00
    1       1     S, length of the signature
    2       8     D, length of the payload, unsigned
    10      S     signature: one letter for each transformation, the last applied first
    10+S    D     payload

The letters, in the order in which they appear, at most one of each row::

    r           CRC-32 of the header and of everything after it        new
    x           the time when the value expires                        new
    G H         sealed with AES-256-GCM, signed with HMAC-SHA-256      new
    e           AES-EAX, cshelve's aes256                              of 1.x
    c Z l       zlib, zstd, lz4                                        of 1.x, new, new
    j M f B     JSON, MessagePack, functions of the program, bytes     new

Without a letter of the last row, the payload is a pickle or bytes, as the configuration says. Bytes
have a letter only in sealed and signed records, where they must not be mistaken for a pickle. Each
letter has an even number of bits set, so that one flipped bit never turns it into another letter.

The time of `x` has 8 bytes: the milliseconds since 1970 in UTC, unsigned. It follows the checksum,
if there is one, and precedes everything that the seal covers, so that it can be read without a key;
the seal authenticates it as it does the header.

An object whose first byte is not 0x00 is a bare payload without a header, as cshelve wrote before
records had versions: for example a pickle, which begins with 0x80.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from typing import NamedTuple

from cshelve.codec.stage import Binding, Data, Pieces, Seal, size_of
from cshelve.exceptions import CorruptRecordError, DataProcessingSignatureError

__all__ = [
    "JSON",
    "NEVER",
    "NO_LETTERS",
    "VERSION_BYTE",
    "Letters",
    "Record",
    "expiry_of",
    "frame",
    "letters_of",
    "protection_of",
    "unframe",
]

VERSION = 0
VERSION_BYTE = bytes([VERSION])
HEADER = struct.Struct("<BBQ")
CHECKSUM_BYTES = 4
TIME = struct.Struct("<Q")
LATEST = 2**64 - 1
# The time when what never expires does so.
NEVER = math.inf
JSON = b"j"

ROWS = re.compile(rb"(r?)(x?)([GH]?)(e?)([cZl]?)([jMfB]?)")
# The beginning of a record that expires.
EXPIRING = re.compile(rb"\x00.{9}r?x", re.DOTALL)
# The letters of the protection that a record claims to have, which are read before anything else.
PROTECTION = re.compile(rb"r?x?([GH]?)(e?)")


class Letters(NamedTuple):
    """The letters of a record, one for each row, the last transformation first; b"" for none."""

    checksum: bytes = b""
    expiry: bytes = b""
    seal: bytes = b""
    cipher: bytes = b""
    compression: bytes = b""
    serializer: bytes = b""

    @property
    def signature(self) -> bytes:
        """The letters as they are written in a record."""
        return b"".join(self)


NO_LETTERS = Letters()


class Record(NamedTuple):
    """The parts of a record."""

    letters: Letters
    head: bytes
    """The header and the time, which a seal authenticates; empty for a bare payload."""
    payload: Data
    """The data after the head, without the checksum."""
    expires_at: float = NEVER
    """In seconds since 1970."""


def frame(
    letters: Letters,
    pieces: Pieces,
    seal: Seal | None,
    *,
    shelf_name: str,
    key: str,
    expires_at: float = NEVER,
) -> bytes:
    """Return the record of a payload; this copies the pieces once.

    `expires_at` is written only if there is a letter for it.
    """
    checksum_bytes = CHECKSUM_BYTES if letters.checksum else 0
    time = _time(expires_at) if letters.expiry else b""
    seal_bytes = 0 if seal is None else seal.head_bytes + seal.tail_bytes
    size = checksum_bytes + len(time) + seal_bytes + size_of(pieces)
    header = _header(letters.signature, size)
    if seal is not None:
        binding = Binding(header + time, shelf_name, key)
        return _sealed(header, checksum_bytes, time, pieces, seal, binding)
    if time:
        pieces = [time, *pieces]
    if letters.checksum:
        pieces = [_checksum(header, pieces), *pieces]
    return b"".join((header, *pieces))


def _sealed(
    header: bytes, checksum_bytes: int, time: bytes, pieces: Pieces, seal: Seal, binding: Binding
) -> bytes:
    """Return a sealed or signed record, written into a buffer of its final size.

    Joining the parts would copy them again, but `BytesIO.getvalue` does not copy.
    """
    time_at = len(header) + checksum_bytes
    start = time_at + len(time)
    size = start + seal.head_bytes + size_of(pieces) + seal.tail_bytes
    buffer = io.BytesIO(bytes(size))
    with buffer.getbuffer() as record:
        record[: len(header)] = header
        record[time_at:start] = time
        seal.seal(binding, pieces, record[start:])
        if checksum_bytes:
            record[len(header) : time_at] = _checksum(header, (record[time_at:],))
    return buffer.getvalue()


def unframe(data: bytes) -> Record:
    """Return the parts of a record without copying the payload, and verify any checksum.

    Raises `CorruptRecordError` for data that is empty, truncated, longer than its header says, or
    fails the checksum, and `DataProcessingSignatureError` for unknown letters.
    """
    if not data:
        raise CorruptRecordError("the object is empty, so it is not a record")
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
            f"the header says that the record is {start + payload_size} bytes long, but it is "
            f"{len(data)}: it was truncated, or is not a record of cshelve"
        )
    header = data[:start]
    letters = letters_of(header[HEADER.size :])
    payload = memoryview(data)[start:]
    if letters.checksum:
        payload = _verified(header, payload)
    if not letters.expiry:
        return Record(letters, header, payload)
    if len(payload) < TIME.size:
        raise CorruptRecordError("the record is too short for the time when it expires")
    head = header + payload[: TIME.size]
    return Record(letters, head, payload[TIME.size :], _expires_at(payload))


def expiry_of(head: bytes) -> float | None:
    """Return when a record expires, in seconds since 1970, from its first bytes.

    Needs no key and verifies nothing. None if it never expires, or if that is no record.
    """
    # This runs for every write, so the most frequent result has to be fast.
    if EXPIRING.match(head) is None:
        return None
    letters_end = HEADER.size + head[1]
    match = ROWS.fullmatch(head, HEADER.size, letters_end)
    if match is None or not match[2]:
        return None
    time_at = letters_end + (CHECKSUM_BYTES if match[1] else 0)
    time = head[time_at : time_at + TIME.size]
    return _expires_at(time) if len(time) == TIME.size else None


def protection_of(data: bytes) -> tuple[bytes, bytes]:
    """Return the letters of seal and cipher in an object's header, which is not verified."""
    if len(data) < HEADER.size or data[0] != VERSION:
        return b"", b""
    match = PROTECTION.match(data, HEADER.size, HEADER.size + data[1])
    return (match[1], match[2]) if match else (b"", b"")


def letters_of(signature: bytes) -> Letters:
    """Return the letters of a record, or raise `DataProcessingSignatureError` for unknown ones."""
    match = ROWS.fullmatch(signature)
    if match is None:
        raise DataProcessingSignatureError(
            f"the record was written with the transformations {signature!r}, which this version "
            "of cshelve does not support; a newer version may have written it"
        )
    return Letters(*match.groups())


def _verified(header: bytes, payload: memoryview) -> memoryview:
    """Verify the checksum at the start of a payload, and return the rest of the payload."""
    rest = payload[CHECKSUM_BYTES:]
    if payload[:CHECKSUM_BYTES] != _checksum(header, (rest,)):
        raise CorruptRecordError("the record fails its checksum: some of its bytes were changed")
    return rest


def _header(signature: bytes, payload_bytes: int) -> bytes:
    return HEADER.pack(VERSION, len(signature), payload_bytes) + signature


def _time(expires_at: float) -> bytes:
    # A time that is too late for its bytes is one that nobody will see.
    return TIME.pack(round(min(max(expires_at, 0.0) * 1000, LATEST)))


def _expires_at(data: Data) -> float:
    milliseconds: int = TIME.unpack_from(data)[0]
    return milliseconds / 1000


def _checksum(header: bytes, rest: Pieces) -> bytes:
    crc = zlib.crc32(header)
    for piece in rest:
        crc = zlib.crc32(piece, crc)
    return crc.to_bytes(CHECKSUM_BYTES, "little")


def _was_a_record(data: bytes) -> bool:
    """Return whether only the first byte keeps an object from being a record with checksum or seal.

    Otherwise, a flipped bit in the version would turn such a record into a bare payload.
    """
    if len(data) < HEADER.size:
        return False
    _, letters_size, payload_size = HEADER.unpack_from(data)
    match = ROWS.fullmatch(data, HEADER.size, min(len(data), HEADER.size + letters_size))
    is_whole = len(data) == HEADER.size + letters_size + payload_size
    return is_whole and match is not None and bool(match[1] or match[3])
