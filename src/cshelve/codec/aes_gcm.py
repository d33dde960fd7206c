"""Letter `G`: AES-256-GCM, which encrypts a payload and authenticates it with its key and shelf.

Such a record is called sealed.

The payload becomes::

    size  field
    8     key id
    12    nonce, random for each record
    rest  ciphertext, as long as the plaintext
    16    tag

The tag also authenticates the associated data of `stage.Binding`: the record's header, the key id,
the shelf's name and the key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cshelve.codec.aes_eax import KEY_SIZES, AesEax
from cshelve.codec.keys import KEY_ID_BYTES, Keys, is_key, previous_keys
from cshelve.codec.stage import Binding, Data, Pieces, size_of
from cshelve.exceptions import (
    EncryptedDataCorruptionError,
    MissingDependencyError,
    ValueTooLargeError,
)

if TYPE_CHECKING:
    from cshelve._config.sections import Section

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.ciphers.algorithms import AES256
    from cryptography.hazmat.primitives.ciphers.modes import GCM
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "encryption = aes256-gcm needs the package cryptography: pip install 'cshelve[encryption]'",
        name=error.name,
    ) from error

__all__ = ["ALGORITHM", "AesGcm", "aes_gcm_from"]

ALGORITHM = "aes256-gcm"
# https://csrc.nist.gov/pubs/sp/800/38/d/final, 8.2: 96 bits; 5.2.1.2: the full tag.
NONCE_BYTES = 12
TAG_BYTES = 16
# https://cryptography.io/en/latest/hazmat/primitives/aead/ raises OverflowError for more.
MOST_BYTES = 2**31 - 1 - TAG_BYTES
# Up to this size, one call that copies twice is faster than creating a cipher object.
ONE_CALL_BYTES = 1 << 17


class AesGcm:
    """Seals with AES-256-GCM: without the key, nobody can read a value, change it or move it."""

    letter = b"G"
    head_bytes = KEY_ID_BYTES + NONCE_BYTES
    tail_bytes = TAG_BYTES

    def __init__(self, keys: Keys) -> None:
        self._present = keys.present
        self._by_id = {key.id: AESGCM(key.secret) for key in keys}

    def seal(self, binding: Binding, pieces: Pieces, into: memoryview) -> None:
        """Encrypt the pieces into the buffer, or raise `ValueTooLargeError` beyond 2 GiB."""
        refuse_too_large(size_of(pieces))
        nonce = os.urandom(NONCE_BYTES)
        associated = binding.associated_data(self._present.id)
        into[:KEY_ID_BYTES] = self._present.id
        into[KEY_ID_BYTES : self.head_bytes] = nonce
        sealed = into[self.head_bytes :]
        if len(sealed) <= ONE_CALL_BYTES:
            value = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            sealed[:] = self._by_id[self._present.id].encrypt(nonce, value, associated)
        else:
            self._stream(nonce, associated, pieces, sealed)

    def unseal(self, binding: Binding, sealed: Data) -> tuple[bytes, bool]:
        """Return a sealed payload, decrypted, and whether the present key was used.

        Raises `EncryptedDataCorruptionError` for an unknown key, or a record that was changed.
        """
        around_bytes = self.head_bytes + self.tail_bytes
        if not around_bytes <= len(sealed) <= around_bytes + MOST_BYTES:
            raise EncryptedDataCorruptionError("the sealed value is truncated or damaged")
        key_id = bytes(sealed[:KEY_ID_BYTES])
        nonce = bytes(sealed[KEY_ID_BYTES : self.head_bytes])
        if key_id not in self._by_id:
            raise EncryptedDataCorruptionError(
                f"the value was sealed with the key whose id is {key_id.hex()}, which this shelf "
                "does not have: add its variable to [encryption] previous_environment_keys"
            )
        associated = binding.associated_data(key_id)
        try:
            value = self._by_id[key_id].decrypt(nonce, sealed[self.head_bytes :], associated)
        except InvalidTag:
            raise EncryptedDataCorruptionError(
                "the value cannot be authenticated: it was changed, or sealed for another key of "
                "the shelf or another shelf_name"
            ) from None
        return value, key_id == self._present.id

    def _stream(self, nonce: bytes, associated: bytes, pieces: Pieces, sealed: memoryview) -> None:
        """Encrypt a large payload without copying it."""
        encryptor = Cipher(AES256(self._present.secret), GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated)
        at = 0
        for piece in pieces:
            at += encryptor.update_into(piece, sealed[at:])
        encryptor.finalize()
        sealed[at:] = encryptor.tag


def refuse_too_large(size_bytes: int) -> None:
    """Raise `ValueTooLargeError` if a payload is larger than the cipher accepts."""
    if size_bytes > MOST_BYTES:
        raise ValueTooLargeError(
            f"{ALGORITHM} seals values of {MOST_BYTES:,} bytes at most, and this value has "
            f"{size_bytes:,}: store it in parts"
        )


def aes_gcm_from(section: Section, *, accepts_1x: bool) -> tuple[AesGcm, AesEax | None]:
    """Return the seal of an `[encryption]` with aes256-gcm, and a cipher for 1.x's records or None.

    The previous keys may include keys of 1.x's aes256, whose lengths differ from the base64 of 32
    bytes. They make a cipher that reads records not sealed yet, if `accepts_1x` is true.
    """
    previous = previous_keys(section)
    of_1x = [key for key in previous if len(key.text) in KEY_SIZES and not is_key(key)]
    if of_1x and not accepts_1x:
        raise section.error(
            of_1x[0].option,
            f"one of the keys is not a key of {ALGORITHM}. If it is a key of cshelve 1.x's aes256, "
            "for a migration, accept_unprotected = true is needed as well.",
        )
    keys = Keys.from_section(section, ALGORITHM, [key for key in previous if key not in of_1x])
    return AesGcm(keys), AesEax(None, [key.text for key in of_1x]) if of_1x else None
