"""Put a shelf together from its parts, as a configuration describes them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import finalize

from cshelve._config.mapping import sections_from_dict
from cshelve._config.sections import Sections
from cshelve._shelf.atomic import Atomic
from cshelve._shelf.pickling import OpenAgain, OpenArguments, PickledShelf
from cshelve._shelf.shared_providers import SHARED, Lease
from cshelve._shelf.shelf import CloudShelf
from cshelve._values.serializers import OPTIONS as OF_SERIALIZERS
from cshelve._values.serializers import (
    PickleSerializer,
    PlainPickleSerializer,
    Serializer,
    serializer_from,
)
from cshelve._values.values import Values
from cshelve._values.writeback import WritebackCache
from cshelve.codec import Codec
from cshelve.codec.options import OPTIONS as OF_CODEC
from cshelve.codec.record import expiry_of
from cshelve.codec.settings import codec_from
from cshelve.exceptions import ConfigurationError
from cshelve.options import (
    MODIFY_TIMEOUT_SECONDS,
    OF_VALUES,
    PROVIDER,
    SHELF_OPTIONS,
    WRITEBACK_LIMIT,
)
from cshelve.providers import declared_options, load, owner_of, owners_of
from cshelve.providers.base import Provider
from cshelve.providers.caching.options import SECTION as CACHE

if TYPE_CHECKING:
    import logging

__all__ = [
    "OpenArguments",
    "Parts",
    "assembled",
    "provider_class_of",
    "shelf_from_sections",
    "shelf_over_provider",
    "unprepared_shelf",
]


WHY_LIKE_SHELVE = (
    "a local shelf has only pickles, as shelve writes them, so that shelve can read them."
)


def shelf_from_sections(
    contents: Mapping[str, Mapping[str, object]],
    source: str,
    flag: str,
    arguments: OpenArguments,
    provider_params: Mapping[str, Any] | None,
    logger: logging.Logger | None,
    *,
    from_file: bool = False,
    from_url: bool = False,
) -> CloudShelf[Any]:
    """Open the shelf that the sections of a configuration describe, and return it."""
    config = Sections(
        source=source,
        contents=contents,
        from_file=from_file,
        from_url=from_url,
        flag=flag,
        call_params=provider_params,
        logger=logger,
    )
    return _opened(config, arguments)


def shelf_over_provider(
    provider: Provider,
    flag: str,
    arguments: OpenArguments,
    config: Mapping[str, Mapping[str, Any]] | None,
    logger: logging.Logger | None,
) -> CloudShelf[Any]:
    """Open a shelf over the caller's provider, and return it; on failure, close the provider."""
    if not isinstance(provider, Provider):
        raise ConfigurationError(
            f"provider is a cshelve.providers.Provider, not of type {type(provider).__name__}."
        )
    with _closed_on_failure(provider):
        provider.check_flag(flag)
        source = "the configuration"
        contents = sections_from_dict(config or {}, source)
        sections = Sections(source, contents, from_file=False, flag=flag, logger=logger)
        sections.declare(OF_VALUES)
        if provider.like_shelve:
            _refuse_what_shelve_lacks(sections, arguments)
        sections.refuse_unknown()
        parts = _parts(sections, arguments, like_shelve=provider.like_shelve)
        return _finished(provider, sections, parts)


def unprepared_shelf(config: Sections) -> CloudShelf[Any]:
    """Return the shelf that a configuration describes, although its place may not exist.

    Sends nothing, and creates and empties nothing, whatever the flag.
    """
    return _opened(config, OpenArguments(protocol=5), is_prepared=False)


def _opened(
    config: Sections, arguments: OpenArguments, *, is_prepared: bool = True
) -> CloudShelf[Any]:
    """Open the shelf that a configuration describes, and return it."""
    provider, parts = assembled(config, arguments)
    with _closed_on_failure(provider):
        reopen = (_opened_again, arguments) if provider.can_be_reopened else None
        return _finished(provider, config, parts, reopen, is_prepared=is_prepared)


def _opened_again(
    config: Sections, arguments: OpenArguments, key: Hashable | None
) -> CloudShelf[Any]:
    """Open a shelf that was unpickled; it shares the provider of others with the same key.

    Only the first of them sends the request that checks whether the place of the shelf exists.
    """
    if key is None:
        return _opened(config, arguments)
    provider_class = provider_class_of(config, arguments)
    parts = _parts(config, arguments, like_shelve=provider_class.like_shelve)
    reopen = (_opened_again, arguments)
    if provider_class.like_shelve:  # It writes to a file, which each shelf opens for itself.
        with _closed_on_failure(provider := provider_class.from_config(config)):
            return _finished(provider, config, parts, reopen)
    lease = SHARED.get().lease(key, lambda: provider_class.from_config(config))
    try:
        lease.prepare(config.flag)
        shelf = _finished(lease.provider, config, parts, reopen, lease=lease)
    except BaseException:
        lease.release()
        raise
    # It may be dropped without being closed, as tasks on a cluster do.
    finalize(shelf, lease.release).atexit = False
    return shelf


def assembled(config: Sections, arguments: OpenArguments) -> tuple[Provider, Parts]:
    """Return the parts of the shelf that a configuration describes, without sending anything."""
    provider_class = provider_class_of(config, arguments)
    # Errors that do not depend on the provider are raised before it is created.
    parts = _parts(config, arguments, like_shelve=provider_class.like_shelve)
    return provider_class.from_config(config), parts


def provider_class_of(config: Sections, arguments: OpenArguments) -> type[Provider]:
    """Return the class of the provider that a configuration chooses, and declare its options.

    Raises `ConfigurationError` for an unknown section or option, but reads no other value.
    """
    config.declare(SHELF_OPTIONS)
    name = config.take(PROVIDER)
    provider_class = load(name, config.where(PROVIDER))
    provider_class.check_flag(config.flag)
    config.declare(provider_class.options)
    if config.unknown():
        _sort_own_sections(config, name, provider_class)
    if provider_class.like_shelve:
        _refuse_what_shelve_lacks(config, arguments)
    config.refuse_unknown(owners_of)
    return provider_class


def _sort_own_sections(config: Sections, chosen: str, provider_class: type[Provider]) -> None:
    """Read the own sections of the chosen provider, and set aside those of other providers."""
    from cshelve._config.own_sections import adopt, set_aside

    adopt(config, chosen, provider_class.options)
    others = {owner_of(section) for section in config.unknown()}
    for other in sorted(filter(None, others - {chosen})):
        set_aside(config, other, declared_options(other))


class Parts(NamedTuple):
    """The parts of a shelf that do not depend on its provider."""

    serializer: Serializer
    codec: Codec
    cache: WritebackCache
    atomic: Atomic


def _parts(config: Sections, arguments: OpenArguments, *, like_shelve: bool) -> Parts:
    serializer = serializer_from(
        config.section("default"), arguments.protocol, arguments.serializer, arguments.deserializer
    )
    codec = codec_from(config, serializer.letter, serializer.letter_if_sealed)
    if like_shelve:
        serializer = PlainPickleSerializer(arguments.protocol)
        codec = Codec(versioned=False, why_none_expires=WHY_LIKE_SHELVE)
    logger = config.logger_of_call
    limit = config.take(WRITEBACK_LIMIT) or None
    cache = WritebackCache(is_on=arguments.writeback, limit=limit, logger=logger)
    return Parts(serializer, codec, cache, Atomic(config.take(MODIFY_TIMEOUT_SECONDS), logger))


def _finished(
    provider: Provider,
    config: Sections,
    parts: Parts,
    reopen: tuple[OpenAgain, OpenArguments] | None = None,
    *,
    is_prepared: bool = True,
    lease: Lease | None = None,
) -> CloudShelf[Any]:
    """Do what the flag demands, and return the shelf; `reopen` opens it again after unpickling.

    Without `is_prepared`, the place of the shelf is left as it is. A provider with a lease was
    prepared already.
    """
    serializer, codec, cache, atomic = parts
    if config.has(CACHE) and is_prepared:
        from cshelve.providers.caching.assembly import with_cache  # Only some shelves have one.

        provider = with_cache(provider, config)
    cache.stats = provider.stats
    if serializer.content_type is not None and not codec.versioned:
        provider.content_type = serializer.content_type
    if codec.reads_records:
        provider.expiry_of = expiry_of
    if is_prepared and lease is None:
        provider.prepare(config.flag)
    runs_code = isinstance(serializer, PickleSerializer) and serializer.only is None
    if runs_code and provider.is_shared and not codec.is_protected:
        config.logger.info(
            "%s: values are pickles without protection, so anyone who can write there can run code "
            "in the programs that read them; [signing], [encryption] or [default] unpickle_only "
            "prevents that.",
            provider.location,
        )
    read_only = config.flag.startswith("r")
    # `LocalValues` opens the file that it reads.
    values_class = _values_class(provider) if is_prepared else Values
    values = values_class(provider, serializer, codec, read_only=read_only)
    pickled = None
    if reopen is not None:
        open_again, arguments = reopen
        pickled = PickledShelf(open_again, config, arguments, provider.location)
    close_provider = None if lease is None else lease.release
    return CloudShelf(values, atomic, cache, pickled=pickled, close_provider=close_provider)


@contextmanager
def _closed_on_failure(provider: Provider) -> Iterator[None]:
    try:
        yield
    except BaseException:
        provider.close()
        raise


def _values_class(provider: Provider) -> Callable[..., Values]:
    """Return the class for a shelf's values: `LocalValues`, which is faster, for a local shelf."""
    if provider.like_shelve:
        from cshelve._values.local import LocalValues
        from cshelve.providers.dbm import Dbm

        if isinstance(provider, Dbm):
            return LocalValues
    return Values


def _refuse_what_shelve_lacks(config: Sections, arguments: OpenArguments) -> None:
    """Raise `ConfigurationError` for an option that would make the files unreadable to `shelve`."""
    why = WHY_LIKE_SHELVE
    for section in ("compression", "encryption", "signing", CACHE):
        if config.has(section):
            raise ConfigurationError(f"{config.source}, [{section}]: {why}")
    default = config.section("default")
    lacking = [option.name for option in (*OF_SERIALIZERS, *OF_CODEC)]
    for name in default.options():
        if name in (*lacking, "key_prefix"):
            raise default.error(name, why)
    if arguments.serializer is not None or arguments.deserializer is not None:
        raise ConfigurationError(f"{config.source}: a serializer is not allowed here: {why}")
