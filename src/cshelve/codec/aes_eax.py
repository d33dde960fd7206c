"""Letter `e`: aes256 as in cshelve 1.x: AES in EAX mode, with the configured text as the key.

The payload becomes::

    size  field
    1     algorithm: 0x01
    1     T, length of the tag (16)
    1     N, length of the nonce (16)
    T     tag
    N     nonce
    rest  ciphertext, as long as the plaintext
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

from cshelve._config.sections import without_quotes
from cshelve.codec.keys import previous_keys, written_key
from cshelve.codec.options import KEY
from cshelve.codec.stage import Data, Pieces
from cshelve.exceptions import EncryptedDataCorruptionError, MissingDependencyError

if TYPE_CHECKING:
    from cshelve._config.sections import Section

__all__ = ["KEY_SIZES", "AesEax", "aes_eax_from"]

ALGORITHM = 1
HEADER = struct.Struct("<BBB")
TAG_BYTES = NONCE_BYTES = 16
KEY_SIZES = (16, 24, 32)


class AesEax:
    """Encrypts with AES-EAX: without the key, nobody can read a value, or change it unnoticed.

    A record can still be moved to another key of the shelf, since 1.x uses EAX without associated
    data. A record does not name its encryption key, so the configured keys are tried in turn.
    """

    letter = b"e"

    def __init__(self, present: bytes | None, previous: Iterable[bytes] = ()) -> None:
        """`present` encrypts and decrypts; without it, nothing can be encrypted."""
        self._present = present
        self._keys = [*([] if present is None else [present]), *previous]
        self._aes = _pycryptodome_aes()

    def encode(self, pieces: Pieces) -> Pieces:
        assert self._present is not None
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._aes.new(self._present, self._aes.MODE_EAX, nonce=nonce, mac_len=TAG_BYTES)
        ciphertext = [cipher.encrypt(piece) for piece in pieces]
        header = HEADER.pack(ALGORITHM, TAG_BYTES, NONCE_BYTES)
        return [header, cipher.digest(), nonce, *ciphertext]

    def decode(self, data: Data) -> tuple[bytes, bool]:
        tag, nonce, ciphertext = _parts(data)
        for key in self._keys:
            cipher = self._aes.new(key, self._aes.MODE_EAX, nonce=nonce, mac_len=len(tag))
            try:
                plaintext: bytes = cipher.decrypt_and_verify(ciphertext, tag)
            except ValueError as error:
                failure = error
            else:
                return plaintext, key is self._present
        raise EncryptedDataCorruptionError(
            "the value cannot be decrypted: it was encrypted with another key, or changed since"
        ) from failure


def aes_eax_from(section: Section) -> AesEax:
    """Return the cipher of an `[encryption]` with the algorithm aes256, as in 1.x."""
    written = written_key(section)
    if written.option == KEY.name and not written.is_raw:
        written = written._replace(text=_with_quotes_of_1x(section, written.text))
    keys = [written, *previous_keys(section)]
    for each in keys:
        if len(each.text) not in KEY_SIZES:
            raise section.error(
                each.option, f"an AES key is 16, 24 or 32 bytes long, not {len(each.text)}."
            )
    if len(written.text) < max(KEY_SIZES):
        bits = 8 * len(written.text)
        section.warn(
            written.option,
            f"this key of {len(written.text)} bytes encrypts with AES-{bits}, whatever the "
            "algorithm is called; only 32 bytes make it AES-256.",
        )
    return AesEax(keys[0].text, [each.text for each in keys[1:]])


def _with_quotes_of_1x(section: Section, text: bytes) -> bytes:
    """Return a key, with its quotes if it has the length of a key only with them.

    cshelve 1.x treated quotes as a part of the key, so such a shelf was written with them.
    """
    raw = section.written(KEY)
    quoted = raw if isinstance(raw, str) else ""
    if (
        section.is_from_file
        and quoted != without_quotes(quoted)
        and not without_quotes(quoted).startswith("$")
        and len(quoted.encode()) in KEY_SIZES
        and len(text) not in KEY_SIZES
    ):
        section.warn(
            KEY,
            "the quotes are treated as a part of the key, as in 1.x, since it has the length of a "
            "key only with them. Replace the key, and write it without quotes.",
        )
        return quoted.encode()
    return text


def _parts(data: Data) -> tuple[bytes, bytes, Data]:
    """Return tag, nonce and ciphertext of an encrypted payload."""
    if len(data) < HEADER.size:
        raise EncryptedDataCorruptionError("the encrypted value is truncated")
    algorithm, tag_bytes, nonce_bytes = HEADER.unpack_from(data)
    nonce_at = HEADER.size + tag_bytes
    ciphertext_at = nonce_at + nonce_bytes
    # No other sizes are accepted: a shorter tag could be guessed.
    sizes = (tag_bytes, nonce_bytes)
    if algorithm != ALGORITHM or sizes != (TAG_BYTES, NONCE_BYTES) or len(data) < ciphertext_at:
        raise EncryptedDataCorruptionError("the encrypted value is malformed")
    tag, nonce = bytes(data[HEADER.size : nonce_at]), bytes(data[nonce_at:ciphertext_at])
    return tag, nonce, data[ciphertext_at:]


def _pycryptodome_aes() -> ModuleType:
    try:
        from Crypto.Cipher import AES
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "encryption = aes256 needs the package pycryptodome: pip install 'cshelve[encryption]'",
            name=error.name,
        ) from error
    return AES
