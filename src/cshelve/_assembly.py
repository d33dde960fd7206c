"""From a configuration to a shelf: everything that a shelf is made of comes together here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._config.sections import Section, Sections, sections_from_dict
from cshelve._shelf.atomic import DEFAULT_TIMEOUT_SECONDS, Atomic
from cshelve._shelf.pickling import OpenArguments, PickledShelf
from cshelve._shelf.shelf import CloudShelf
from cshelve._values.serializers import (
    PickleSerializer,
    PlainPickleSerializer,
    Serializer,
    serializer_from,
)
from cshelve._values.values import Values
from cshelve._values.writeback import WritebackCache
from cshelve.codec import Codec
from cshelve.codec.settings import codec_from
from cshelve.exceptions import ConfigurationError
from cshelve.providers import load
from cshelve.providers.base import Provider

if TYPE_CHECKING:
    import logging

__all__ = ["OpenArguments", "shelf_from_sections", "shelf_over_provider"]

# What a local shelf has none of, as its values are what `shelve` writes.
NOT_LIKE_SHELVE = {
    "default": (
        *("serializer", "use_pickle", "use_versionning", "use_versioning", "key_prefix"),
        *("checksum", "compatibility", "max_value_bytes", "shelf_name"),
    ),
    "compression": (),
    "encryption": (),
    "signing": (),
}


def shelf_from_sections(
    contents: Mapping[str, Mapping[str, object]],
    source: str,
    flag: str,
    arguments: OpenArguments,
    provider_params: Mapping[str, Any] | None,
    logger: logging.Logger | None,
    *,
    from_file: bool = False,
) -> CloudShelf[Any]:
    """Open the shelf that the sections of a configuration describe."""
    config = Sections(
        source=source,
        contents=contents,
        from_file=from_file,
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
    """Open a shelf over a provider that the caller made; on failure, close the provider."""
    if not isinstance(provider, Provider):
        raise ConfigurationError(
            f"provider is a cshelve.providers.Provider, not of type {type(provider).__name__}."
        )
    source = "the configuration"
    with _closed_on_failure(provider):
        provider.check_flag(flag)
        contents = sections_from_dict(config or {}, source)
        sections = Sections(source, contents, from_file=False, flag=flag, logger=logger)
        parts = _parts(sections, arguments, like_shelve=provider.like_shelve)
        return _finished(provider, sections, parts)


def _opened(config: Sections, arguments: OpenArguments) -> CloudShelf[Any]:
    """Open a shelf whose provider its configuration names."""
    default = config.require("default")
    provider_class = load(default.required_text("provider"), default.where("provider"))
    # What can be wrong without a provider is found before there is one.
    provider_class.check_flag(config.flag)
    parts = _parts(config, arguments, like_shelve=provider_class.like_shelve)
    provider = provider_class.from_config(config)
    with _closed_on_failure(provider):
        reopen = (_opened, arguments) if provider.can_be_reopened else None
        return _finished(provider, config, parts, reopen)


class _Parts(NamedTuple):
    """What a shelf is made of beside its provider."""

    serializer: Serializer
    codec: Codec
    cache: WritebackCache
    atomic: Atomic


def _parts(config: Sections, arguments: OpenArguments, *, like_shelve: bool) -> _Parts:
    default = config.section("default")
    if like_shelve:
        _refuse_what_shelve_lacks(config, arguments)
    serializer = serializer_from(
        default, arguments.protocol, arguments.serializer, arguments.deserializer
    )
    codec = codec_from(config, serializer.letter, serializer.letter_if_sealed)
    if like_shelve:
        serializer, codec = PlainPickleSerializer(arguments.protocol), Codec(versioned=False)
    logger = config.logger_of_call
    limit = _writeback_limit(default)
    timeout = default.number("modify_timeout_seconds", default=DEFAULT_TIMEOUT_SECONDS)
    # Options of 1.x that any provider may be given; none of ours has a client that logs by them.
    config.section("logging").accept("http", "credentials", "level", "enabled")
    cache = WritebackCache(is_on=arguments.writeback, limit=limit, logger=logger)
    return _Parts(serializer, codec, cache, Atomic(timeout, logger))


def _finished(
    provider: Provider,
    config: Sections,
    parts: _Parts,
    reopen: tuple[Callable[[Sections, OpenArguments], CloudShelf[Any]], OpenArguments]
    | None = None,
) -> CloudShelf[Any]:
    """Do what the flag asks for, and return the shelf; `reopen` is how its pickle opens it."""
    config.finish()
    provider.prepare(config.flag)
    serializer, codec, cache, atomic = parts
    if isinstance(serializer, PickleSerializer) and provider.is_shared and not codec.is_protected:
        config.logger.info(
            "%s: values are pickles that nothing protects, so whoever can write there can run code "
            "in the programs that read them; [signing] or [encryption] prevents that.",
            provider.location,
        )
    read_only = config.flag.startswith("r")
    values = _values_class(provider)(provider, serializer, codec, read_only=read_only)
    pickled = None
    if reopen is not None:
        open_again, arguments = reopen
        pickled = PickledShelf(open_again, config, arguments, provider.location)
    return CloudShelf(values, atomic, cache, pickled=pickled)


@contextmanager
def _closed_on_failure(provider: Provider) -> Iterator[None]:
    try:
        yield
    except BaseException:
        provider.close()
        raise


def _writeback_limit(default: Section) -> int | None:
    """Read how many values the writeback cache may hold; without the option, all."""
    limit = default.integer("writeback_limit", default=0, least=0)
    return limit or None


def _values_class(provider: Provider) -> Callable[..., Values]:
    """Return what a shelf's values are: those of a local shelf go a shorter way."""
    if provider.like_shelve:
        from cshelve._values.local import LocalValues
        from cshelve.providers.dbm import Dbm

        if isinstance(provider, Dbm):
            return LocalValues
    return Values


def _refuse_what_shelve_lacks(config: Sections, arguments: OpenArguments) -> None:
    """Raise `ConfigurationError` for what would make another file than `shelve` makes."""
    why = "has nothing but pickles as shelve writes them, so that shelve can read them"
    for name, options in NOT_LIKE_SHELVE.items():
        if not options and config.has(name):
            raise ConfigurationError(f"{config.source}, [{name}]: a local shelf {why}.")
        section = config.section(name)
        for option in options:
            if section.raw(option) is not None:
                raise section.error(option, f"a local shelf {why}.")
    if arguments.serializer is not None or arguments.deserializer is not None:
        raise ConfigurationError(f"{config.source}: a local shelf has no serializer; it {why}.")
