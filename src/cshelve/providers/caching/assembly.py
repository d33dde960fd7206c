"""Put the cache that a configuration describes in front of a provider."""

from __future__ import annotations

import os
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Any

from cshelve.providers.caching.folder import FolderEntries
from cshelve.providers.caching.memory import InMemoryEntries
from cshelve.providers.caching.options import FOLDER, IN_MEMORY, MAX_BYTES, MODE, TTL_SECONDS
from cshelve.providers.caching.provider import Cached

if TYPE_CHECKING:
    from cshelve._config.sections import Sections
    from cshelve.providers.base import Provider
    from cshelve.providers.caching.entries import Entries

__all__ = ["with_cache"]

DEFAULT_BYTES = 1 << 30
DEFAULT_BYTES_IN_MEMORY = 64 << 20
# Sections that do not say where the values are and who asks.
WITHOUT_BEARING = frozenset({"cache", "compression", "encryption", "signing", "logging"})
# What the SDKs of providers look for credentials in. (S3's are known better: see its `who_asks`.)
ENVIRONMENT = ("AZURE_", "CLOUDSDK_", "GCLOUD_", "GOOGLE_")


def with_cache(provider: Provider, config: Sections) -> Cached:
    """Return a provider that reads another one through the configured cache."""
    folder = config.take(FOLDER, required=True)
    max_bytes = config.take(MAX_BYTES)
    usable_seconds = _usable_seconds(config)
    entries: Entries[Any]
    if folder == IN_MEMORY:
        entries = InMemoryEntries(max_bytes or DEFAULT_BYTES_IN_MEMORY)
    else:
        path = os.path.abspath(os.path.expanduser(folder))
        scope = provider.who_asks() or _configuration(config) or os.urandom(16).hex()
        limit = max_bytes or DEFAULT_BYTES
        entries = FolderEntries(path, f"{type(provider)}\n{scope}", limit, config.logger)
    return Cached(provider, entries, usable_seconds)


def _usable_seconds(config: Sections) -> float:
    """Return how long an entry is used without asking the store."""
    mode, seconds = config.take(MODE), config.take(TTL_SECONDS)
    if mode == "ttl":
        return config.take(TTL_SECONDS, required=True) or 0.0
    if seconds is not None:
        raise config.error(TTL_SECONDS, f"goes with mode = ttl only, and this is {mode}.")
    return inf if mode == "immutable" else 0.0


def _configuration(config: Sections) -> str | None:
    """Return a digest of a configuration and what it refers to; None if it says too little.

    It says too little if it does not name the provider, or contains an object, which could be
    anybody's.
    """
    parts: list[object] = [os.getcwd(), os.path.expanduser("~")]
    sections = [name for name in sorted(config.contents) if name not in WITHOUT_BEARING]
    for name in sections:
        section = config.section(name)
        parts += [(name, option, section.value(option)) for option in sorted(section.options())]
    parts += sorted(config.call_params.items())
    parts += sorted((n, v) for n, v in os.environ.items() if n.startswith(ENVIRONMENT))
    is_known = all(type(each[-1]) in _PLAIN for each in parts if isinstance(each, tuple))
    if not is_known or "provider" not in config.section("default").options():
        return None
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
