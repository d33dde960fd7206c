"""Where keys come from, what they have to be like, and what a record says of the one it needs."""

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
    "Written",
    "generate_key",
    "is_key",
    "previous_keys",
    "written_key",
]

KEY_BYTES = 32
KEY_ID_BYTES = 8
# What is shown of a variable that is not set: a key, written in place of a name, is not like this.
USUAL_NAME = re.compile(r"(?=.{1,15}$|.*_)[A-Z][A-Z0-9_]{,40}")


def generate_key() -> str:
    """Make a new key for `[encryption]` or `[signing]`: 32 random bytes, as base64 text.

    Keep it where the shelf's programs can read it and the bucket's writers can't, such as a secret
    store, and give it to them in an environment variable. Sends nothing.
    """
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


class Written(NamedTuple):
    """A key as somebody wrote it down."""

    text: bytes = b""
    option: str = ""
    """Where it comes from."""
    is_raw: bool = False
    """Whether these are the bytes themselves, from a dict, and no text."""

    def __repr__(self) -> str:
        return f"<key of {self.option}>"


@dataclass(frozen=True)
class Key:
    """A secret and what it is called in records: the first bytes of a labelled hash of it."""

    secret: bytes = field(repr=False)
    id: bytes

    @classmethod
    def of(cls, secret: bytes, algorithm: str) -> Key:
        """Return the key of a secret; its id differs between algorithms."""
        label = f"cshelve key id, {algorithm}\0".encode()
        return cls(secret, hashlib.sha256(label + secret).digest()[:KEY_ID_BYTES])


@dataclass(frozen=True)
class Keys:
    """The key that writes, and those that may still be read."""

    present: Key
    previous: Sequence[Key] = ()

    @classmethod
    def from_section(cls, section: Section, algorithm: str, previous: Sequence[Written]) -> Keys:
        """Read the keys that a section names; refuse what is no base64 of 32 bytes."""
        present = Key.of(_decoded(section, written_key(section)), algorithm)
        return cls(present, [Key.of(_decoded(section, each), algorithm) for each in previous])

    def __iter__(self) -> Iterator[Key]:
        yield self.present
        yield from self.previous


def written_key(section: Section) -> Written:
    """Find the key as it is written; `environment_key` goes before `key`, as in 1.x."""
    if variable := section.take(ENVIRONMENT_KEY):
        return _of_variable(section, ENVIRONMENT_KEY.name, variable)
    key = section.take(KEY)
    if not key:
        raise MissingEncryptionKeyError(
            f"{section.where(KEY)}there is no key: write `environment_key = NAME`, the name of "
            "the environment variable that holds it, or `key`."
        )
    if isinstance(key, bytes):
        return Written(key, KEY.name, is_raw=True)
    if key.startswith("$") and not key.startswith("$$"):
        return _of_variable(section, KEY.name, key[1:])
    key = key.removeprefix("$")
    return Written(key.encode(errors="surrogateescape"), KEY.name)


def previous_keys(section: Section) -> list[Written]:
    """Find the keys that may still be read: those of `previous_environment_keys`."""
    option = PREVIOUS_ENVIRONMENT_KEYS
    return [_of_variable(section, option.name, name) for name in section.take(option)]


def is_key(written: Written) -> bool:
    """Return whether this is 32 bytes, or their base64."""
    return len(_bytes_of(written)) == KEY_BYTES


def _decoded(section: Section, written: Written) -> bytes:
    key = _bytes_of(written)
    if len(key) != KEY_BYTES:
        raise section.error(
            written.option,
            f"a key is the base64 of {KEY_BYTES} random bytes, which is 44 characters, and this is "
            f"none of {len(written.text)}. cshelve.generate_key() makes one.",
        )
    return key


def _bytes_of(written: Written) -> bytes:
    """Decode base64 of either alphabet, with or without what pads it; nothing if it is none."""
    if written.is_raw and len(written.text) == KEY_BYTES:
        return written.text
    text = written.text.strip().translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""


def _of_variable(section: Section, option: str, variable: str) -> Written:
    if variable not in os.environ:
        shown = (
            f"variable {variable!r}" if USUAL_NAME.fullmatch(variable) else "variable named here"
        )
        raise MissingEncryptionKeyError(
            f"{section.where(option)}the environment {shown} is not set."
        )
    # As the system has it: a key of random bytes need not be text.
    return Written(os.fsencode(os.environ[variable]), option)
