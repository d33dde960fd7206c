"""The properties of a record that its first bytes show, without a key."""

from __future__ import annotations

from typing import NamedTuple

from cshelve.codec.keys import KEY_ID_BYTES
from cshelve.codec.record import (
    CHECKSUM_BYTES,
    HEADER,
    TIME,
    VERSION,
    Letters,
    expiry_of,
    letters_of,
)
from cshelve.exceptions import DataProcessingSignatureError

__all__ = ["Description", "description_of"]

COMPRESSIONS = {b"c": "zlib", b"Z": "zstd", b"l": "lz4"}
SIGNATURES = {b"H": "hmac-sha256"}


class Description(NamedTuple):
    """The properties of a record that its first bytes show; they are not verified."""

    serializer: bytes
    """Its letter."""
    compression: str | None
    encryption: str | None
    signature: str | None
    key_id: str | None
    """The id of the key that sealed or signed it, in hexadecimal digits."""
    expires_at: float | None
    """When it expires, in seconds since 1970."""
    checksum: bool


def description_of(head: bytes, size_bytes: int) -> Description | None:
    """Return the properties that the first bytes of a record show.

    `size_bytes` is the size of the whole record. Returns None if this is not a record that this
    version of cshelve knows.
    """
    if len(head) < HEADER.size or head[0] != VERSION:
        return None
    _, letters_size, payload_size = HEADER.unpack_from(head)
    start = HEADER.size + letters_size
    if start + payload_size != size_bytes:
        return None
    try:
        letters = letters_of(head[HEADER.size : start])
    except DataProcessingSignatureError:
        return None
    return _described(letters, head, start)


def _described(letters: Letters, head: bytes, at: int) -> Description:
    """Return the properties that the letters, and the data after them (at `at`), show."""
    at += (CHECKSUM_BYTES if letters.checksum else 0) + (TIME.size if letters.expiry else 0)
    encryption = "aes256" if letters.cipher else None
    return Description(
        serializer=letters.serializer,
        compression=COMPRESSIONS.get(letters.compression),
        encryption="aes256-gcm" if letters.seal == b"G" else encryption,
        signature=SIGNATURES.get(letters.seal),
        key_id=head[at : at + KEY_ID_BYTES].hex() if letters.seal else None,
        expires_at=expiry_of(head),
        checksum=bool(letters.checksum),
    )
