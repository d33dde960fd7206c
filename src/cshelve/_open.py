"""`open` and `open_from_dict`: from a name or a dict to a shelf."""

from __future__ import annotations

import logging
import os
import re
import shelve
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cshelve._atomic import DEFAULT_TIMEOUT_SECONDS, Atomic
from cshelve._config import Section, Sections, sections_from_dict
from cshelve._ini import sections_from_file
from cshelve._objects import Objects
from cshelve._recipe import Call, Recipe
from cshelve._records import Records
from cshelve._serializers import Deserialize, PickleSerializer, Serialize, serializer_from
from cshelve._shelf import CloudShelf
from cshelve._writeback import WritebackCache
from cshelve.codec.settings import codec_from
from cshelve.exceptions import ConfigurationError, DBDoesNotExistsError
from cshelve.providers import load
from cshelve.providers.base import Provider

__all__ = ["open", "open_from_dict"]

FLAGS = {
    "r": "read an existing shelf",
    "w": "read and write an existing shelf",
    "c": "as w, and create it if need be",
    "n": "empty it first, and create it if need be",
}
S3_URL = re.compile(r"s3://(?P<bucket>[^/]*)/?(?P<prefix>.*)", re.IGNORECASE | re.DOTALL)
S3_URL_AS_PATH = re.compile(r"s3:[/\\]", re.IGNORECASE)


def open(
    filename: str | os.PathLike[str],
    flag: str = "c",
    protocol: int | None = 5,
    writeback: bool = False,
    *,
    provider_params: Mapping[str, Any] | None = None,
    logger: logging.Logger | None = None,
    serializer: Serialize | None = None,
    deserializer: Deserialize | None = None,
) -> shelve.Shelf[Any]:
    """Open the shelf that a name stands for, and close it when you are done.

    A name that ends in `.ini` is a configuration; a text `s3://bucket/prefix` is a store, with
    boto3's default credentials; any other name is a local shelf of the standard library's. The
    flags are those of `shelve`: r, w, c and n. `serializer(obj, protocol)` and
    `deserializer(data)`, of which there are both or neither, take the place of pickle. Costs one
    request, and with `n` a listing and one more for each 1,000 keys that are deleted.

    Raises `ConfigurationError` before anything is sent, `DBDoesNotExistsError` for an absent
    bucket or folder with `r` and `w`, `AuthError` where the store refuses.
    """
    name = os.fspath(filename)
    if not isinstance(name, str):
        raise ConfigurationError(f"filename is a str or a path object, not {type(name).__name__}.")
    if not isinstance(filename, str) and S3_URL_AS_PATH.match(name):
        raise ConfigurationError(
            f"{name!r} is a URL that lost a slash by being made a path: give it as a str."
        )
    call = Call(protocol, writeback, serializer, deserializer)
    if name.lower().endswith(".ini"):
        config = sections_from_file(Path(name))
        return _open(config, name, flag, call, provider_params, logger, from_file=True)
    if url := S3_URL.fullmatch(name):
        config = sections_from_dict(_config_of_s3(name, **url.groupdict()), name)
        return _open(config, name, flag, call, provider_params, logger)
    for parameter, value in (
        ("provider_params", provider_params),
        ("serializer", serializer),
        ("deserializer", deserializer),
    ):
        if value is not None:
            raise ConfigurationError(
                f"{name!r} is a local shelf, which has no {parameter}. "
                "(The name of a configuration ends in .ini.)"
            )
    return shelve.open(name, flag, protocol, writeback)  # type: ignore[arg-type]  # it checks


def open_from_dict(
    config: Mapping[str, Mapping[str, Any]],
    flag: str = "c",
    protocol: int | None = 5,
    writeback: bool = False,
    *,
    provider_params: Mapping[str, Any] | None = None,
    logger: logging.Logger | None = None,
    serializer: Serialize | None = None,
    deserializer: Deserialize | None = None,
) -> CloudShelf:
    """Open a shelf as `open` does, with a dict of sections in place of a file.

    Values may be of their natural types; a text that begins with `$` is looked up in the
    environment as in a file.
    """
    source = "the configuration"
    call = Call(protocol, writeback, serializer, deserializer)
    return _open(sections_from_dict(config, source), source, flag, call, provider_params, logger)


def _open(
    contents: Mapping[str, Mapping[str, object]],
    source: str,
    flag: str,
    call: Call,
    provider_params: Mapping[str, Any] | None,
    logger: logging.Logger | None,
    *,
    from_file: bool = False,
) -> CloudShelf:
    sections = Sections(
        source=source,
        contents=contents,
        from_file=from_file,
        flag=flag,
        call_params=provider_params or {},
        logger=logger or logging.getLogger("cshelve"),
    )
    return _shelf(sections, call)


def _shelf(config: Sections, call: Call) -> CloudShelf:
    """Put a shelf together from its configuration: provider, codec, serializer, and the flag."""
    _check_flag(config.flag)
    default = config.require("default")
    name = default.required_text("provider")
    provider_class = load(name, default.where("provider"))
    serializer = serializer_from(default, call.protocol, call.serializer, call.deserializer)
    codec = codec_from(config, serializer.letter, serializer.letter_if_sealed)
    limit = _writeback_limit(default)
    cache = WritebackCache(is_on=call.writeback, limit=limit, logger=config.logger)
    timeout = default.number("modify_timeout_seconds", default=DEFAULT_TIMEOUT_SECONDS)
    # Options of 1.x that any provider may be given; none of ours has a client that logs by them.
    config.section("logging").accept("http", "credentials", "level", "enabled")
    provider = provider_class.from_config(config)
    try:
        config.finish()
        _prepare(provider, config.flag)
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
        Atomic(timeout, config.logger),
        logger=config.logger,
        recipe=_recipe(config, call, provider),
    )


def _recipe(config: Sections, call: Call, provider: Provider) -> Recipe | None:
    """Note how to open the shelf again, for its pickle; None if that would be another shelf."""
    if not provider.can_be_reopened:
        return None
    return Recipe(
        opener=_shelf,
        source=config.source,
        contents=config.contents,
        from_file=config.from_file,
        flag=config.flag,
        call_params=config.call_params,
        logger=config.logger,
        call=call,
        location=provider.location,
        literal_secrets=config.literal_secrets(),
    )


def _writeback_limit(default: Section) -> int | None:
    """Read how many values the writeback cache may hold; without the option, all."""
    limit = default.integer("writeback_limit", default=0, least=0)
    return limit or None


def _check_flag(flag: str) -> None:
    if not isinstance(flag, str) or flag not in FLAGS:
        meanings = "; ".join(f"{letter}: {meaning}" for letter, meaning in FLAGS.items())
        raise ConfigurationError(f"flag: there is no flag {flag!r}. There are {meanings}.")


def _prepare(provider: Provider, flag: str) -> None:
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


def _config_of_s3(url: str, bucket: str, prefix: str) -> dict[str, dict[str, str]]:
    """Write out the configuration that a URL stands for."""
    if not bucket:
        raise ConfigurationError(f"{url!r} names no bucket: write s3://bucket/prefix.")
    # What is in a URL is meant as it is there: a dollar names no variable.
    literal = {"bucket_name": bucket, "key_prefix": prefix}
    escaped = {name: "$" + text if text.startswith("$") else text for name, text in literal.items()}
    return {"default": {"provider": "aws-s3", "auth_type": "default", **escaped}}
