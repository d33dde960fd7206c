"""Encode payloads as records, and decode them: compress, encrypt, seal or sign, and frame.

A sealed record is encrypted and authenticated with aes256-gcm. A payload passes through the stages
that are configured (`settings`), in this order: `compression`, `aes_eax`, then `aes_gcm` or
`signing`. Each stage adds a letter to the record (`record`), and decoding follows the letters.

In the code, `Seal` is the interface of the last stage, whether it seals or signs.
"""

from __future__ import annotations

from typing import NamedTuple

from cshelve.codec.compression import compressed, compression_by
from cshelve.codec.record import (
    NEVER,
    NO_LETTERS,
    VERSION_BYTE,
    Letters,
    frame,
    protection_of,
    unframe,
)
from cshelve.codec.stage import Binding, Cipher, Compression, Data, Pieces, Seal, size_of
from cshelve.exceptions import (
    DataProcessingSignatureError,
    UntrustedRecordError,
    ValueTooLargeError,
)

__all__ = ["MAX_VALUE_BYTES", "Codec", "Decoded"]

MAX_VALUE_BYTES = 4 << 30
LETTERS_OF_1X = frozenset({b"", b"c", b"e"})


class Decoded(NamedTuple):
    """The payload of a record, and information on how it was encoded."""

    payload: Data
    letters: Letters
    is_present: bool
    """Whether there was a record header, and all keys used are the present ones."""
    expires_at: float = NEVER
    """When it expires, in seconds since 1970."""


class Codec:
    """Encode payloads as records, and decode them. Safe in many threads; sends nothing.

    If sealing, signing or encryption is configured, a record without it is refused before it is
    decoded, unless the configuration accepts unprotected records.
    """

    def __init__(
        self,
        *,
        serializer: bytes = b"",
        serializer_if_sealed: bytes = b"",
        compression: Compression | None = None,
        min_size_bytes: int = 0,
        max_value_bytes: int = MAX_VALUE_BYTES,
        cipher: Cipher | None = None,
        old_cipher: Cipher | None = None,
        seal: Seal | None = None,
        shelf_name: str = "",
        checksum: bool = False,
        versioned: bool = True,
        expire_after_seconds: float | None = None,
        why_none_expires: str = "",
        accept_unsealed: bool = False,
        accept_unencrypted: bool = False,
    ) -> None:
        self.serializer = serializer
        """The letter of the serializer that makes the payloads."""
        self.serializer_if_sealed = serializer_if_sealed
        """The serializer's letter in sealed and signed records, which 1.x cannot read anyway."""
        self.compression = compression
        self.min_size_bytes = min_size_bytes
        """The size below which payloads are not compressed."""
        self.max_value_bytes = max_value_bytes
        """The largest size that a compressed record may expand to."""
        self.cipher = cipher
        self.old_cipher = old_cipher
        """A cipher that only decrypts existing records."""
        self.seal = seal
        self.shelf_name = shelf_name
        self.checksum = checksum
        """Whether every record gets a checksum, even one that 1.x could read without it."""
        self.versioned = versioned
        """Whether records have a header. Without it, all configured stages are always applied."""
        self.expire_after_seconds = expire_after_seconds
        """The duration after which a new value expires, unless the caller passes another one."""
        self.why_none_expires = why_none_expires
        """The reason why no new record may expire, for a message; empty if they may."""
        self.accept_unsealed = accept_unsealed
        self.accept_unencrypted = accept_unencrypted

    @property
    def is_protected(self) -> bool:
        """Whether records that were made without the key are refused."""
        return (self.seal is not None and not self.accept_unsealed) or (
            self.cipher is not None and not self.accept_unencrypted
        )

    @property
    def reads_records(self) -> bool:
        """Whether what is read may be a record, with a header and a time when it expires."""
        return self.versioned or bool(self.serializer)

    def encode(self, key: str, payload: Pieces, expires_at: float = NEVER) -> bytes:
        """Return the record to store for a key; without a header, it never expires.

        Raises `ValueTooLargeError` if the payload is too large to be encrypted or to be read again.
        """
        pieces, compression = self._compressed(payload)
        if self.cipher is not None:
            pieces = self.cipher.encode(pieces)
        if not self.versioned:
            return b"".join(pieces)
        letters = self._letters(compression, b"" if expires_at == NEVER else b"x")
        return frame(
            letters,
            pieces,
            self.seal,
            shelf_name=self.shelf_name,
            key=key,
            expires_at=expires_at,
        )

    def decode(self, key: str, data: bytes) -> Decoded:
        """Return the payload of the record of a key, or raise a `RecordError`."""
        # Plain JSON never begins with this byte, so records with a header can be read as well.
        has_header = self.versioned or (bool(self.serializer) and data[:1] == VERSION_BYTE)
        if not has_header:
            return self._undone_as_configured(data)
        self._refuse_unprotected(data)
        letters, head, payload, expires_at = unframe(data)
        is_present = bool(head)
        if letters.seal:
            binding = Binding(head, self.shelf_name, key)
            payload, is_of_present_key = self._seal_of(letters).unseal(binding, payload)
            is_present = is_present and is_of_present_key
        if letters.cipher:
            payload, is_of_present_key = self._cipher_of(letters).decode(payload)
            is_present = is_present and is_of_present_key
        if letters.compression:
            expander = compression_by(letters.compression)
            payload = expander.expanded(payload, self.max_value_bytes)
        return Decoded(payload, letters, is_present and self.versioned, expires_at)

    def would_change(self, decoded: Decoded) -> bool:
        """Return whether encoding the payload again would change more than the nonce.

        The time when it expires would stay. This may have to compress the payload to find out.
        """
        if not decoded.is_present:
            return True
        if not self.versioned:
            return False
        compression = decoded.letters.compression
        if not compression:
            _, compression = self._compressed((decoded.payload,))
        elif self.compression is None or compression != self.compression.letter:
            return True
        return self._letters(compression, decoded.letters.expiry) != decoded.letters

    def _compressed(self, payload: Pieces) -> tuple[Pieces, bytes]:
        """Return the compressed payload and the letter, or the payload itself and no letter.

        A payload is not compressed if it is too small, or would not become smaller.
        """
        if self.compression is None:
            return payload, b""
        size = size_of(payload)
        # 1.x refuses encrypted payloads of 0 and 1 byte as damaged, unless they are compressed.
        is_required = not self.versioned or (self.cipher is not None and size < 2)
        if size < self.min_size_bytes and not is_required:
            return payload, b""
        if size > self.max_value_bytes:
            raise ValueTooLargeError(
                f"a compressed record may expand to {self.max_value_bytes:,} bytes, but the value "
                f"has {size:,}: raise [default] max_value_bytes here and wherever it is read"
            )
        made = compressed(self.compression, payload, if_smaller=not is_required)
        return (payload, b"") if made is None else (made, self.compression.letter)

    def _letters(self, compression: bytes, expiry: bytes) -> Letters:
        seal = b"" if self.seal is None else self.seal.letter
        cipher = b"" if self.cipher is None else self.cipher.letter
        is_new = not LETTERS_OF_1X.issuperset((expiry, compression, cipher, self.serializer))
        checksum = b"r" if self.checksum or (is_new and not seal) else b""
        serializer = self.serializer_if_sealed if seal else self.serializer
        return Letters(checksum, expiry, seal, cipher, compression, serializer)

    def _refuse_unprotected(self, data: bytes) -> None:
        """Raise `UntrustedRecordError` for a record that lacks the configured protection."""
        if not self.is_protected:
            return
        seal, cipher = protection_of(data)
        if self.seal is not None and seal != self.seal.letter and not self.accept_unsealed:
            section = "[encryption]" if self.seal.letter == b"G" else "[signing]"
            raise _untrusted(section, "sealed" if self.seal.letter == b"G" else "signed")
        if self.cipher is not None and not cipher and not self.accept_unencrypted:
            raise _untrusted("[encryption]", "encrypted")

    def _seal_of(self, letters: Letters) -> Seal:
        if self.seal is None or self.seal.letter != letters.seal:
            if self.seal is not None:
                raise DataProcessingSignatureError(
                    "the record is protected by another algorithm than this shelf's, and a shelf "
                    "cannot have both: copy it from a shelf with the other algorithm"
                )
            if letters.seal == b"G":
                raise _not_configured("sealed", "[encryption] with algorithm = aes256-gcm")
            raise _not_configured("signed", "[signing]")
        return self.seal

    def _cipher_of(self, letters: Letters) -> Cipher:
        cipher = self.cipher or self.old_cipher
        if cipher is None and self.seal is not None and self.seal.letter == b"G":
            raise DataProcessingSignatureError(
                "the record was encrypted with aes256: add the variable with its key to "
                "[encryption] previous_environment_keys"
            )
        if cipher is None:
            raise _not_configured("encrypted", "[encryption] with algorithm = aes256")
        return cipher

    def _undone_as_configured(self, data: bytes) -> Decoded:
        """Undo all configured stages, and return the payload: there is no header to follow."""
        payload: Data = data
        is_present = True
        if self.cipher is not None:
            payload, is_present = self.cipher.decode(payload)
        if self.compression is not None:
            payload = self.compression.expanded(payload, self.max_value_bytes)
        return Decoded(payload, NO_LETTERS._replace(serializer=self.serializer), is_present)


def _untrusted(section: str, what: str) -> UntrustedRecordError:
    return UntrustedRecordError(
        f"the record is not {what}, which the shelf's configuration demands: someone else stored "
        "it, or it was stored before the configuration demanded that. To migrate, see "
        f"{section} accept_unprotected"
    )


def _not_configured(what: str, section: str) -> DataProcessingSignatureError:
    return DataProcessingSignatureError(
        f"the record is {what}, but this shelf's configuration has no {section}"
    )
