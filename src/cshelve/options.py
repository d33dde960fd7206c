"""All options that a configuration can have, for editors, checkers and documentation.

::

    from cshelve.options import options_of

    for option in options_of("aws-s3"):
        print(f"[{option.section}] {option.name}: {option.type_name}. {option.meaning}")

A provider lists its own options in its class attribute `options`; each is an `Option` with a type
from here. Its `from_config` reads them by `config.take(option)`. Nothing here imports an SDK.
"""

from __future__ import annotations

from typing import Any

from cshelve._config.options import (
    ANY_NAME,
    Option,
    any_value,
    boolean,
    integer,
    number,
    seconds,
    text,
    word,
)
from cshelve._shelf.atomic import DEFAULT_TIMEOUT_SECONDS
from cshelve._values.serializers import OPTIONS as OF_SERIALIZERS
from cshelve.codec.options import OPTIONS as OF_CODEC
from cshelve.exceptions import MissingDependencyError
from cshelve.providers import load, names
from cshelve.providers.caching.options import OPTIONS as OF_CACHE

__all__ = [
    "ANY_NAME",
    "Option",
    "all_options",
    "any_value",
    "boolean",
    "integer",
    "number",
    "options_of",
    "seconds",
    "text",
    "word",
]

PROVIDER = Option(
    "provider",
    text,
    "",
    "Where to store values: `aws-s3`, `azure-blob`, `dbm`, `filesystem`, `gcs`, `in-memory` or "
    "`sftp`.",
    required=True,
)
WRITEBACK_LIMIT = Option(
    "writeback_limit", integer, 0, "The most values that `writeback` keeps; 0 is no limit.", least=0
)
MODIFY_TIMEOUT_SECONDS = Option(
    "modify_timeout_seconds",
    seconds,
    DEFAULT_TIMEOUT_SECONDS,
    "How long `modify` retries while others write.",
)
LOGGING = tuple(
    Option(name, any_value, None, "Accepted but ignored, for files of cshelve 1.x.", "logging")
    for name in ("http", "credentials", "level", "enabled")
)
OF_VALUES: tuple[Option[Any], ...] = (
    *(*OF_SERIALIZERS, *OF_CODEC, *OF_CACHE, WRITEBACK_LIMIT, MODIFY_TIMEOUT_SECONDS, *LOGGING),
)

SHELF_OPTIONS: tuple[Option[Any], ...] = (PROVIDER, *OF_VALUES)


def all_options() -> list[Option[Any]]:
    """Return the options of every shelf and of each provider whose packages are installed."""
    found = list(SHELF_OPTIONS)
    for provider in names():
        try:
            found += _own_options_of(provider)
        except MissingDependencyError:
            continue
    return found


def options_of(provider: str) -> list[Option[Any]]:
    """Return the options that a configuration with this provider can have.

    `option.provider` is `any` for options of every shelf. Raises `UnknownProviderError`, or
    `MissingDependencyError` if the provider's package is not installed.
    """
    return [*SHELF_OPTIONS, *_own_options_of(provider)]


def _own_options_of(provider: str) -> list[Option[Any]]:
    options = load(provider, "").options
    return [option._replace(provider=provider) for option in options]
