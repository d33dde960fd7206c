"""Codecs as a configuration makes them, and the header of a record written by hand."""

from __future__ import annotations

import base64
import struct
from typing import Any

from cshelve._config.sections import Sections
from cshelve.codec import Codec
from cshelve.codec.settings import codec_from
from cshelve.options import SHELF_OPTIONS

EAX_KEY = "k" * 32
KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()

ZLIB: dict[str, Any] = {"algorithm": "zlib"}
EAX: dict[str, Any] = {"algorithm": "aes256", "key": EAX_KEY}
GCM: dict[str, Any] = {"algorithm": "aes256-gcm", "key": KEY}
HMAC: dict[str, Any] = {"algorithm": "hmac-sha256", "key": KEY}


def codec(serializer: bytes = b"", /, **sections: dict[str, Any]) -> Codec:
    """Make the codec of these sections, and see that they have no other options."""
    return codec_of(Sections("it", sections, from_file=False, flag="c"), serializer)


def codec_of(config: Sections, serializer: bytes = b"") -> Codec:
    """Make the codec of a configuration, and see that it has no other options."""
    config.declare(SHELF_OPTIONS)
    config.refuse_unknown()
    return codec_from(config, serializer, b"B" if serializer == b"B" else None)


def encode(made: Codec, payload: bytes, key: str = "key") -> bytes:
    return made.encode(key, (payload,))


def decode(made: Codec, record: bytes, key: str = "key") -> bytes:
    return bytes(made.decode(key, record).payload)


def header(letters: bytes, payload: bytes) -> bytes:
    """The header of wire-format.md, written out byte by byte."""
    return b"\x00" + bytes([len(letters)]) + struct.pack("<Q", len(payload)) + letters


def record(letters: bytes, payload: bytes) -> bytes:
    return header(letters, payload) + payload
