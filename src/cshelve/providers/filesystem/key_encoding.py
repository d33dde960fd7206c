"""The option `encoding` of cshelve 1.x, which decodes the UTF-8 of a key to the name of a file."""

from __future__ import annotations

import codecs

from cshelve._config.options import text
from cshelve.exceptions import KeyNotStorableError

__all__ = ["KeyEncoding", "encoding_name"]


class KeyEncoding:
    """Decode the UTF-8 of a key in another encoding, as 1.x did: `é` in latin-1 is the file `Ã©`.

    With utf-8, and for keys in ASCII, which nearly all are, a key and its file have the same name.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = None if encoding == "utf-8" else encoding

    def filed(self, name: str) -> str:
        """Return the name of the file of a key, or raise `KeyNotStorableError` if it has none."""
        if self._encoding is None or name.isascii():
            return name
        try:
            return name.encode().decode(self._encoding)
        except UnicodeError as error:
            raise KeyNotStorableError(
                f"{name!r} has no file name with encoding = {self._encoding}: {error}"
            ) from error

    def unfiled(self, filed: str) -> str | None:
        """Return the key whose file has this name, or None if there is no such key."""
        if self._encoding is None or filed.isascii():
            return filed
        try:
            return filed.encode(self._encoding).decode()
        except UnicodeError:
            return None


def encoding_name(value: object) -> str:
    """Return the name of an encoding; it has to be a superset of ASCII, as 1.x's were."""
    written = text(value)
    try:
        if b"abc/xyz".decode(written) == "abc/xyz":
            return codecs.lookup(written).name
    except (LookupError, ValueError):
        pass
    raise ValueError("has to be utf-8 or another superset of ASCII, such as latin-1.")
