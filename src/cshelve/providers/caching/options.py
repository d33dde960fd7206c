"""The options of the section `[cache]`."""

from __future__ import annotations

from typing import Any

from cshelve._config.options import Option, integer, seconds, text, word

__all__ = ["FOLDER", "IN_MEMORY", "MAX_BYTES", "MODE", "OPTIONS", "SECTION", "TTL_SECONDS"]

SECTION = "cache"
IN_MEMORY = ":memory:"

FOLDER = Option(
    "folder",
    text,
    "",
    f"Where to keep copies of what is read: a folder, or `{IN_MEMORY}`.",
    SECTION,
    required=True,
)
MAX_BYTES = Option(
    "max_bytes",
    integer,
    None,
    "The most bytes that the cache holds; by default 1 GiB, and 64 MiB in memory.",
    SECTION,
    least=1,
)
MODE = Option(
    "mode",
    word,
    "revalidate",
    "When the store is asked whether a copy is up to date: at each read, when `ttl_seconds` have "
    "passed, or never.",
    SECTION,
    choices=("revalidate", "ttl", "immutable"),
)
TTL_SECONDS = Option(
    "ttl_seconds",
    seconds,
    None,
    "How long a copy is used without asking; required with `mode = ttl`.",
    SECTION,
)
OPTIONS: tuple[Option[Any], ...] = (FOLDER, MAX_BYTES, MODE, TTL_SECONDS)
