"""From a configuration to a shelf: everything that a shelf is made of comes together here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cshelve._config.sections import Sections
from cshelve._shelf.atomic import Atomic
from cshelve._shelf.pickling import Call, Recipe
from cshelve._shelf.shelf import CloudShelf
from cshelve._values.records import Records
from cshelve._values.serializers import PickleSerializer, serializer_from
from cshelve._values.values import Objects
from cshelve._values.writeback import WritebackCache
from cshelve.codec.settings import codec_from
from cshelve.exceptions import ConfigurationError, DBDoesNotExistsError
from cshelve.options import MODIFY_TIMEOUT_SECONDS, PROVIDER, SHELF_OPTIONS, WRITEBACK_LIMIT
from cshelve.providers import load
from cshelve.providers.base import Provider

if TYPE_CHECKING:
    import logging

__all__ = ["Call", "check_flag", "prepare", "shelf_from"]

FLAGS = {
    "r": "read an existing shelf",
    "w": "read and write an existing shelf",
    "c": "as w, and create it if need be",
    "n": "empty it first, and create it if need be",
}


def shelf_from(
    contents: Mapping[str, Mapping[str, object]],
    source: str,
    flag: str,
    call: Call,
    provider_params: Mapping[str, Any] | None,
    logger: logging.Logger | None,
    *,
    from_file: bool = False,
) -> CloudShelf:
    """Make the shelf that sections describe, and that a call to `open` was about."""
    sections = Sections(
        source=source,
        contents=contents,
        from_file=from_file,
        flag=flag,
        call_params=provider_params,
        logger=logger,
    )
    return _shelf(sections, call)


def _shelf(config: Sections, call: Call) -> CloudShelf:
    """Put a shelf together from its configuration: provider, codec, serializer, and the flag."""
    check_flag(config.flag)
    config.declare(SHELF_OPTIONS)
    provider_class = load(config.take(PROVIDER), config.where(PROVIDER))
    config.declare(provider_class.options)
    config.refuse_unknown()
    default = config.section("default")
    serializer = serializer_from(default, call.protocol, call.serializer, call.deserializer)
    codec = codec_from(config, serializer.letter, serializer.letter_if_sealed)
    limit = config.take(WRITEBACK_LIMIT) or None
    cache = WritebackCache(is_on=call.writeback, limit=limit, logger=config.logger_of_call)
    timeout = config.take(MODIFY_TIMEOUT_SECONDS)
    provider = provider_class.from_config(config)
    try:
        prepare(provider, config.flag)
    except BaseException:
        provider.close()
        raise
    if isinstance(serializer, PickleSerializer) and provider.is_shared and not codec.is_protected:
        config.logger.info(
            "%s: values are pickles that nothing protects, so whoever can write there can run code "
            "in the programs that read them; [signing] or [encryption] prevents that.",
            provider.location,
        )
    records = Records(provider, codec, read_only=config.flag == "r")
    return CloudShelf(
        Objects(records, serializer, cache),
        Atomic(timeout, config.logger_of_call),
        recipe=_recipe(config, call, provider),
    )


def _recipe(config: Sections, call: Call, provider: Provider) -> Recipe | None:
    """Note how to open the shelf again, for its pickle; None if that would be another shelf."""
    return Recipe(_shelf, config, call, provider.location) if provider.can_be_reopened else None


def check_flag(flag: str) -> None:
    """Refuse what is no flag."""
    if not isinstance(flag, str) or flag not in FLAGS:
        meanings = "; ".join(f"{letter}: {meaning}" for letter, meaning in FLAGS.items())
        raise ConfigurationError(f"flag: there is no flag {flag!r}. There are {meanings}.")


def prepare(provider: Provider, flag: str) -> None:
    """Do what the flag asks for before the first use, with as few requests as can be."""
    if flag == "n":
        try:
            provider.purge()
        except DBDoesNotExistsError:
            provider.create()
    elif not provider.exists():
        if flag != "c":
            raise DBDoesNotExistsError(
                f"{provider.location} does not exist; flag 'c' would create it (this is {flag!r})."
            )
        provider.create()
