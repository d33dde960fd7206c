"""Letter `e`: aes256 as cshelve 1.x uses it, AES in EAX mode with the configured text as the key.

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
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

from cshelve._config import without_quotes
from cshelve.codec.stage import Data
from cshelve.exceptions import (
    EncryptedDataCorruptionError,
    MissingDependencyError,
    MissingEncryptionKeyError,
    UnknownEncryptionAlgorithmError,
)

if TYPE_CHECKING:
    from cshelve._config import Section

__all__ = ["AesEax", "encryption_from"]

ALGORITHM = 1
HEADER = struct.Struct("<BBB")
TAG_BYTES = NONCE_BYTES = 16
KEY_SIZES = (16, 24, 32)


class AesEax:
    """Encrypt with AES-EAX: nobody without the key can read a value or change it unnoticed.

    A record can still be moved to another key: EAX as 1.x uses it has no associated data.
    """

    letter = b"e"

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aes = _pycryptodome_aes()

    def encode(self, data: Data) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._aes.new(self._key, self._aes.MODE_EAX, nonce=nonce, mac_len=TAG_BYTES)
        ciphertext, tag = cipher.encrypt_and_digest(data)
        return b"".join((HEADER.pack(ALGORITHM, TAG_BYTES, NONCE_BYTES), tag, nonce, ciphertext))

    def decode(self, data: Data) -> bytes:
        tag, nonce, ciphertext = _parts(data)
        try:
            cipher = self._aes.new(self._key, self._aes.MODE_EAX, nonce=nonce, mac_len=len(tag))
            plaintext: bytes = cipher.decrypt_and_verify(ciphertext, tag)
        except ValueError as error:
            raise EncryptedDataCorruptionError(
                "the value fails its decryption check: it was encrypted with another key, "
                "or changed since"
            ) from error
        return plaintext


def encryption_from(section: Section) -> AesEax:
    """Make the stage that `[encryption]` describes."""
    algorithm = section.required_text("algorithm")
    section.accept("key", "environment_key")
    section.keep_secret("key")
    if algorithm.lower() != "aes256":
        raise UnknownEncryptionAlgorithmError(
            f"{section.where('algorithm')}there is no encryption {algorithm!r}; write aes256."
        )
    key, option = _key_from(section)
    if len(key) not in KEY_SIZES:
        raise section.error(option, f"an AES key is 16, 24 or 32 bytes long, not {len(key)}.")
    return AesEax(key)


def _key_from(section: Section) -> tuple[bytes, str]:
    """Find the key, and the option it comes from; `environment_key` goes before, as in 1.x."""
    variable = _variable_from(section)
    written = section.raw("key")
    if variable is not None:
        if variable not in os.environ:
            raise MissingEncryptionKeyError(
                f"{section.where('environment_key')}the environment variable {variable!r} "
                "is not set."
            )
        # As the system has it: a key of random bytes need not be text.
        return os.fsencode(os.environ[variable]), "environment_key"
    if not written:
        raise MissingEncryptionKeyError(
            f"{section.where('key')}encryption needs a key: write `environment_key = NAME`, "
            "the name of the environment variable that holds it, or `key`."
        )
    if isinstance(written, bytes):
        return written, "key"
    return _key_text(section, written).encode(), "key"


def _variable_from(section: Section) -> str | None:
    """Take the name of the variable; looking up one with a dollar would show the key as a name."""
    written = section.raw("environment_key")
    if isinstance(written, str) and without_quotes(written).startswith("$"):
        raise section.error(
            "environment_key", f"is the name of a variable, without the dollar of {written}."
        )
    return section.text("environment_key")


def _key_text(section: Section, written: object) -> str:
    """Read `key`, keeping quotes that 1.x took for a part of it."""
    text = section.text("key") or ""
    quoted = written if isinstance(written, str) else text
    if (
        quoted != text
        and not without_quotes(quoted).startswith("$")
        and len(quoted.encode()) in KEY_SIZES
        and len(text.encode()) not in KEY_SIZES
    ):
        warnings.warn(
            f"{section.where('key')}the quotes are taken as a part of the key, as 1.x did, since "
            "only with them it has a key's length. Replace the key, and write it without quotes.",
            stacklevel=2,
        )
        return quoted
    return text


def _parts(data: Data) -> tuple[bytes, bytes, Data]:
    """Split what `encode` made into tag, nonce and ciphertext."""
    if len(data) < HEADER.size:
        raise EncryptedDataCorruptionError("the encrypted value is cut short")
    algorithm, tag_bytes, nonce_bytes = HEADER.unpack_from(data)
    nonce_at = HEADER.size + tag_bytes
    ciphertext_at = nonce_at + nonce_bytes
    # The sizes are 1.x's, always. A shorter tag would be one that can be guessed.
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
