"""`encoding` of cshelve 1.x: what the bytes of a key mean as the name of a file."""

from __future__ import annotations

import codecs

from cshelve._config.options import text
from cshelve.exceptions import KeyNotStorableError

__all__ = ["KeyEncoding", "encoding_name"]


class KeyEncoding:
    """Read the UTF-8 of a key in another encoding, as 1.x did: `é` in latin-1 is the file `Ã©`.

    With utf-8, and for keys in ASCII, which are nearly all, a key and its file have one name.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = None if encoding == "utf-8" else encoding

    def filed(self, name: str) -> str:
        """Give the name that a key's file has."""
        if self._encoding is None or name.isascii():
            return name
        try:
            return name.encode().decode(self._encoding)
        except UnicodeError as error:
            raise KeyNotStorableError(f"{name!r} can't be in {self._encoding}: {error}") from error

    def unfiled(self, filed: str) -> str | None:
        """Undo `filed`; None for a file that it gave no name to."""
        if self._encoding is None or filed.isascii():
            return filed
        try:
            return filed.encode(self._encoding).decode()
        except UnicodeError:
            return None


def encoding_name(value: object) -> str:
    """Read the name of an encoding that agrees with ASCII: 1.x could write no key in any other."""
    written = text(value)
    try:
        if b"abc/xyz".decode(written) == "abc/xyz":
            return codecs.lookup(written).name
    except (LookupError, ValueError):
        pass
    raise ValueError("is utf-8 or another that agrees with ASCII, such as latin-1.")
