"""From payload to record and back: serialized, compressed, encrypted, sealed, framed.

A payload goes through the stages that the configuration names (`settings`), in this order, and
leaves a letter of each in its record (`record`): `compression`, `aes_eax`, then `aes_gcm` or
`signing`. Reading follows the letters.
"""

from __future__ import annotations

from typing import NamedTuple

from cshelve.codec.compression import compressed, compression_by
from cshelve.codec.record import NO_LETTERS, Letters, frame, protection_of, unframe
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
    """What a record held."""

    payload: Data
    letters: Letters
    is_present: bool
    """Whether it was in a record, and each key that it needed was the present one."""


class Codec:
    """Turn payloads into records and back. Safe in many threads; sends nothing.

    Where a seal or a cipher is demanded, what lacks it is refused before anything looks at it.
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
        accept_unsealed: bool = False,
        accept_unencrypted: bool = False,
    ) -> None:
        self.serializer = serializer
        """The letter of what makes the payloads."""
        self.serializer_if_sealed = serializer_if_sealed
        """The same for sealed and signed records, which need no longer look like those of 1.x."""
        self.compression = compression
        self.min_size_bytes = min_size_bytes
        """Payloads that are smaller are not compressed."""
        self.max_value_bytes = max_value_bytes
        """What a compressed record may expand to."""
        self.cipher = cipher
        self.old_cipher = old_cipher
        """Undoes the letter of a cipher that is no longer written."""
        self.seal = seal
        self.shelf_name = shelf_name
        self.checksum = checksum
        """Whether records that 1.x can read have a checksum too."""
        self.versioned = versioned
        """Without it nothing records what was applied: each stage is applied, and undone."""
        self.accept_unsealed = accept_unsealed
        self.accept_unencrypted = accept_unencrypted

    @property
    def is_protected(self) -> bool:
        """Tell whether what others have written is refused."""
        return (self.seal is not None and not self.accept_unsealed) or (
            self.cipher is not None and not self.accept_unencrypted
        )

    def encode(self, key: str, payload: Pieces) -> bytes:
        """Make the record that is stored under a key.

        Raises `ValueTooLargeError` for what could not be stored, or not be read again.
        """
        pieces, compression = self._compressed(payload)
        if self.cipher is not None:
            pieces = self.cipher.encode(pieces)
        if not self.versioned:
            return b"".join(pieces)
        letters = self._letters(compression)
        return frame(letters, pieces, self.seal, shelf_name=self.shelf_name, key=key)

    def decode(self, key: str, data: bytes) -> Decoded:
        """Give back what the record under a key holds, or raise a `RecordError`."""
        if not self.versioned:
            return self._undone_as_configured(data)
        self._refuse_unprotected(data)
        letters, header, payload = unframe(data)
        is_present = bool(header)
        if letters.seal:
            binding = Binding(header, self.shelf_name, key)
            payload, is_of_present_key = self._seal_of(letters).unseal(binding, payload)
            is_present = is_present and is_of_present_key
        if letters.cipher:
            payload, is_of_present_key = self._cipher_of(letters).decode(payload)
            is_present = is_present and is_of_present_key
        if letters.compression:
            expander = compression_by(letters.compression)
            payload = expander.expanded(payload, self.max_value_bytes)
        return Decoded(payload, letters, is_present)

    def would_change(self, decoded: Decoded) -> bool:
        """Tell whether encoding again makes anything but another nonce. May take compressing."""
        if not decoded.is_present:
            return True
        if not self.versioned:
            return False
        compression = decoded.letters.compression
        if not compression:
            _, compression = self._compressed((decoded.payload,))
        elif self.compression is None or compression != self.compression.letter:
            return True
        return self._letters(compression) != decoded.letters

    def _compressed(self, payload: Pieces) -> tuple[Pieces, bytes]:
        """Give a payload compressed, and the letter for that, or as it is where that is better."""
        if self.compression is None:
            return payload, b""
        size = size_of(payload)
        # Encrypted values of 0 and 1 byte are damaged ones to 1.x, which compresses them first.
        has_to_be = not self.versioned or (self.cipher is not None and size < 2)
        if size < self.min_size_bytes and not has_to_be:
            return payload, b""
        if size > self.max_value_bytes:
            raise ValueTooLargeError(
                f"a compressed record may expand to {self.max_value_bytes:,} bytes, and the value "
                f"has {size:,}: raise [default] max_value_bytes, wherever it is to be read"
            )
        made = compressed(self.compression, payload, if_smaller=not has_to_be)
        return (payload, b"") if made is None else (made, self.compression.letter)

    def _letters(self, compression: bytes) -> Letters:
        seal = b"" if self.seal is None else self.seal.letter
        cipher = b"" if self.cipher is None else self.cipher.letter
        is_new = not LETTERS_OF_1X.issuperset((compression, cipher, self.serializer))
        checksum = b"r" if self.checksum or (is_new and not seal) else b""
        serializer = self.serializer_if_sealed if seal else self.serializer
        return Letters(checksum, seal, cipher, compression, serializer)

    def _refuse_unprotected(self, data: bytes) -> None:
        """Raise `UntrustedRecordError` for an object without the protection that is demanded."""
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
                    "the record has another protection than this shelf's, and no shelf has both: "
                    "copy it with a shelf that has that"
                )
            if letters.seal == b"G":
                raise _not_configured("sealed", "[encryption] with algorithm = aes256-gcm")
            raise _not_configured("signed", "[signing]")
        return self.seal

    def _cipher_of(self, letters: Letters) -> Cipher:
        cipher = self.cipher or self.old_cipher
        if cipher is None and self.seal is not None and self.seal.letter == b"G":
            raise DataProcessingSignatureError(
                "the record was encrypted with aes256: name the variable with the key of that in "
                "[encryption] previous_environment_keys"
            )
        if cipher is None:
            raise _not_configured("encrypted", "[encryption] with algorithm = aes256")
        return cipher

    def _undone_as_configured(self, data: bytes) -> Decoded:
        """Undo each stage, as nothing tells which were applied."""
        payload: Data = data
        is_present = True
        if self.cipher is not None:
            payload, is_present = self.cipher.decode(payload)
        if self.compression is not None:
            payload = self.compression.expanded(payload, self.max_value_bytes)
        return Decoded(payload, NO_LETTERS, is_present)


def _untrusted(section: str, what: str) -> UntrustedRecordError:
    return UntrustedRecordError(
        f"what is stored is not {what}, and the shelf's configuration demands it: somebody else "
        f"put it there, or it is older than the demand. To migrate, see {section} "
        "accept_unprotected"
    )


def _not_configured(what: str, section: str) -> DataProcessingSignatureError:
    return DataProcessingSignatureError(
        f"the record is {what}, and this shelf's configuration has no {section}"
    )
