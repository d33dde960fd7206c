"""The options of the codec: `[compression]`, `[encryption]`, `[signing]`, and some of `[default]`.

They are not declared in `settings`, which imports the modules for keys only if there are keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cshelve._config.options import Option, boolean, integer, seconds, text, type_of, word
from cshelve.codec import MAX_VALUE_BYTES

T = TypeVar("T")


def variable_name(value: object) -> str:
    """Return the name of an environment variable; errors do not quote it, as it may be a key."""
    if not isinstance(value, str):
        raise ValueError(f"is the name of a variable, a text, not {type_of(value)}.")
    if value.startswith("$"):
        raise ValueError("is the name of a variable, without the dollar before it.")
    return value


def variable_names(value: object) -> tuple[str, ...]:
    """Return the names of variables in a list, or in a text with commas between them."""
    written = value if isinstance(value, list | tuple) else text(value).split(",")
    names = (text(each).strip().strip("'\"") for each in written)
    return tuple(variable_name(name) for name in names if name)


def text_or_bytes(value: object) -> str | bytes:
    """Return a key, which is a text or bytes; raise `ValueError` for anything else."""
    return value if isinstance(value, bytes) else text(value)


def _algorithm(section: str, meaning: str, *choices: str) -> Option[str]:
    return Option("algorithm", word, "", meaning, section, required=True, choices=choices)


def _of_key(name: str, type: Callable[[object], T], default: T, meaning: str) -> Option[T]:
    """Return an option of `[encryption]`, which `[signing]` has, too."""
    return Option(name, type, default, meaning, "encryption", secret=name == "key", literal=True)


USE_VERSIONING = Option(
    "use_versioning", boolean, True, "Whether each record has a header that describes its format."
)
USE_VERSIONNING = Option(
    "use_versionning", boolean, True, "How cshelve 1.x spells `use_versioning`."
)
CHECKSUM = Option("checksum", boolean, False, "Whether to add a CRC-32 to every record.")
MAX_VALUE = Option(
    "max_value_bytes", integer, MAX_VALUE_BYTES, "The limit for decompressed values.", least=1
)
EXPIRE_AFTER_SECONDS = Option(
    "expire_after_seconds",
    seconds,
    None,
    "The duration after which values expire; by default, never.",
)
SHELF_NAME = Option(
    "shelf_name", text, "", "With `aes256-gcm` or signing, records are valid only with this name."
)
COMPATIBILITY = Option(
    "compatibility", word, None, "Refuse options whose records 1.x cannot read.", choices=("1.x",)
)

COMPRESSION = _algorithm("compression", "The compression algorithm.", "zlib", "zstd", "lz4")
LEVEL = Option(
    "level", integer, None, "The compression level, in the algorithm's own range.", "compression"
)
MIN_SIZE_BYTES = Option(
    "min_size_bytes",
    integer,
    0,
    "Values smaller than this are not compressed.",
    "compression",
    least=0,
)
ENCRYPTION = _algorithm("encryption", "The encryption algorithm.", "aes256-gcm", "aes256")
SIGNING = _algorithm("signing", "The signature algorithm.", "hmac-sha256")
ENVIRONMENT_KEY = _of_key(
    "environment_key", variable_name, "", "The variable that holds the key, without `$`."
)
KEY = _of_key("key", text_or_bytes, None, "The key itself, if there is no `environment_key`.")
PREVIOUS_ENVIRONMENT_KEYS: Option[tuple[str, ...]] = _of_key(
    "previous_environment_keys", variable_names, (), "Variables that hold older keys, for reading."
)
ACCEPT_UNPROTECTED = Option(
    "accept_unprotected", boolean, False, "Whether to read unprotected values too.", "encryption"
)

_OF_KEYS: tuple[Option[Any], ...] = (
    *(ENVIRONMENT_KEY, KEY, PREVIOUS_ENVIRONMENT_KEYS, ACCEPT_UNPROTECTED),
)
OPTIONS: tuple[Option[Any], ...] = (
    *(USE_VERSIONING, USE_VERSIONNING, CHECKSUM, MAX_VALUE, EXPIRE_AFTER_SECONDS),
    *(SHELF_NAME, COMPATIBILITY),
    *(COMPRESSION, LEVEL, MIN_SIZE_BYTES, ENCRYPTION),
    *_OF_KEYS,
    SIGNING,
    *(each._replace(section="signing") for each in _OF_KEYS),
)
