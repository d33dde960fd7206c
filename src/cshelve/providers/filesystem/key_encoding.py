"""The option `encoding` of cshelve 1.x, which turns the UTF-8 bytes of a key into a file name."""

from __future__ import annotations

import codecs

from cshelve._config.options import text
from cshelve.exceptions import KeyNotStorableError

__all__ = ["KeyEncoding", "encoding_name"]


class KeyEncoding:
    """Decodes the UTF-8 bytes of a key in another encoding: with latin-1, the file of `é` is `Ã©`.

    With utf-8, and for ASCII keys, which nearly all are, a key and its file have the same name.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self.name = encoding
        self._encoding = None if encoding == "utf-8" else encoding

    def filed(self, name: str) -> str:
        """Return the file name of a key; raise `KeyNotStorableError` if there is none."""
        if self._encoding is None or name.isascii():
            return name
        try:
            return name.encode().decode(self._encoding)
        except UnicodeError as error:
            raise KeyNotStorableError(
                f"{name!r} has no file name with encoding = {self._encoding}: {error}"
            ) from error

    def unfiled(self, filed: str) -> str | None:
        """Return the key of a file name; None if no key has this file name."""
        if self._encoding is None or filed.isascii():
            return filed
        try:
            return filed.encode(self._encoding).decode()
        except UnicodeError:
            return None


def encoding_name(value: object) -> str:
    """Return the normalized name of an encoding; raise `ValueError` unless it contains ASCII."""
    written = text(value)
    try:
        if b"abc/xyz".decode(written) == "abc/xyz":
            return codecs.lookup(written).name
    except (LookupError, ValueError):
        pass
    raise ValueError("has to be utf-8 or another superset of ASCII, such as latin-1.")
