"""Read keys from the configuration, check them, and compute the id by which a record names one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cshelve.codec.options import ENVIRONMENT_KEY, KEY, PREVIOUS_ENVIRONMENT_KEYS
from cshelve.exceptions import MissingEncryptionKeyError

if TYPE_CHECKING:
    from cshelve._config.sections import Section

__all__ = [
    "KEY_ID_BYTES",
    "Key",
    "Keys",
    "UndecodedKey",
    "generate_key",
    "is_key",
    "previous_keys",
    "written_key",
]

KEY_BYTES = 32
KEY_ID_BYTES = 8
# Names that a message may quote. Anything else might be a key in the place of a variable's name.
USUAL_NAME = re.compile(r"(?=.{1,15}$|.*_)[A-Z][A-Z0-9_]{,40}")


def generate_key() -> str:
    """Return a new key for `[encryption]` or `[signing]`: 32 random bytes, as base64 text.

    Keep the key where the shelf's programs can read it but other writers to the bucket can't, such
    as in a secret store, and pass it to the programs in an environment variable. Sends nothing.
    """
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


class UndecodedKey(NamedTuple):
    """A key in the form in which the configuration or the environment contains it."""

    text: bytes = b""
    option: str = ""
    """The option that contains the key, or names its variable."""
    is_raw: bool = False
    """Whether `text` is the key itself, from a dict, and not base64."""

    def __repr__(self) -> str:
        return f"<key of {self.option}>"


@dataclass(frozen=True)
class Key:
    """A secret and its id, the first bytes of a labelled hash of it. Records contain the id."""

    secret: bytes = field(repr=False)
    id: bytes

    @classmethod
    def of(cls, secret: bytes, algorithm: str) -> Key:
        """Return the key with a secret; the id is different for each algorithm."""
        label = f"cshelve key id, {algorithm}\0".encode()
        return cls(secret, hashlib.sha256(label + secret).digest()[:KEY_ID_BYTES])


@dataclass(frozen=True)
class Keys:
    """The key that encrypts or signs, and the previous keys that are used only for reading."""

    present: Key
    previous: Sequence[Key] = ()

    @classmethod
    def from_section(
        cls, section: Section, algorithm: str, previous: Sequence[UndecodedKey]
    ) -> Keys:
        """Return the keys of a section; raise `ConfigurationError` unless each has 32 bytes."""
        present = Key.of(_decoded(section, written_key(section)), algorithm)
        return cls(present, [Key.of(_decoded(section, each), algorithm) for each in previous])

    def __iter__(self) -> Iterator[Key]:
        yield self.present
        yield from self.previous


def written_key(section: Section) -> UndecodedKey:
    """Return the configured key, undecoded; `environment_key` takes precedence, as in 1.x.

    Raises `MissingEncryptionKeyError` if there is none.
    """
    if variable := section.take(ENVIRONMENT_KEY):
        return _of_variable(section, ENVIRONMENT_KEY.name, variable)
    key = section.take(KEY)
    if not key:
        raise MissingEncryptionKeyError(
            f"{section.where(KEY)}there is no key: write `environment_key = NAME`, the name of "
            "the environment variable that holds it, or `key`."
        )
    if isinstance(key, bytes):
        return UndecodedKey(key, KEY.name, is_raw=True)
    if key.startswith("$") and not key.startswith("$$"):
        return _of_variable(section, KEY.name, key[1:])
    key = key.removeprefix("$")
    return UndecodedKey(key.encode(errors="surrogateescape"), KEY.name)


def previous_keys(section: Section) -> list[UndecodedKey]:
    """Return the undecoded keys in the variables of `previous_environment_keys`."""
    option = PREVIOUS_ENVIRONMENT_KEYS
    return [_of_variable(section, option.name, name) for name in section.take(option)]


def is_key(written: UndecodedKey) -> bool:
    """Return whether an undecoded key is 32 bytes, or base64 of 32 bytes."""
    return len(_bytes_of(written)) == KEY_BYTES


def _decoded(section: Section, written: UndecodedKey) -> bytes:
    key = _bytes_of(written)
    if len(key) != KEY_BYTES:
        raise section.error(
            written.option,
            f"a key is the base64 of {KEY_BYTES} random bytes, which has 44 characters, but this "
            f"has {len(written.text)}. cshelve.generate_key() makes one.",
        )
    return key


def _bytes_of(written: UndecodedKey) -> bytes:
    """Return the bytes of a key in base64 of either alphabet; empty if it is invalid.

    Padding may be missing. A raw key is returned unchanged.
    """
    if written.is_raw and len(written.text) == KEY_BYTES:
        return written.text
    text = written.text.strip().translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""


def _of_variable(section: Section, option: str, variable: str) -> UndecodedKey:
    if variable not in os.environ:
        shown = (
            f"variable {variable!r}" if USUAL_NAME.fullmatch(variable) else "variable named here"
        )
        raise MissingEncryptionKeyError(
            f"{section.where(option)}the environment {shown} is not set."
        )
    # The bytes of the variable, since a key of random bytes need not be text.
    return UndecodedKey(os.fsencode(os.environ[variable]), option)
