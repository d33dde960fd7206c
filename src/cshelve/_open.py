"""`open`, `open_from_dict` and `open_provider`, which open a shelf.

The modules that a shelf needs are imported when the first shelf is opened (`_assembly`), so a
program that only imports cshelve starts as fast as with `shelve`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from cshelve.exceptions import ConfigurationError

# Type checkers treat this like the constant of `typing`, which would be a slow import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from typing import Any

    from cshelve._config.names import Kind
    from cshelve._config.sections import Sections
    from cshelve._shelf.shelf import CloudShelf
    from cshelve._values.serializers import Deserialize, Serialize
    from cshelve.providers.base import Provider

__all__ = ["open", "open_from_dict", "open_provider"]


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
) -> CloudShelf[Any]:
    """Open a shelf and return it; close it when you are done.

    If `filename` ends in `.ini`, it is a configuration file. A `str` such as `s3://bucket/prefix`,
    `file:///folder`, `memory://name` or `dbm:///path` is a URL, which may have options after a `?`;
    for a bucket, boto3's default credentials are used. Any other name is a local shelf, in the same
    files as with the standard library's `shelve.open`.

    The flags are those of `shelve`: `r` reads an existing shelf, `w` reads and writes one, `c`
    creates it if necessary, and `n` empties it first. (A local shelf accepts the flags of
    `dbm.open`.) `serializer(obj, protocol)` and `deserializer(data)` replace pickle; pass both or
    neither.

    Sends one request. With `n`, sends a listing, and one more request for each 1,000 keys that it
    deletes. Raises `ConfigurationError` before anything is sent, `DBDoesNotExistsError` for a
    missing bucket or folder with `r` or `w`, and `AuthError` if the store denies access.

        with cshelve.open("aws-s3.ini") as db:
            db["greeting"] = "hello"
    """
    from cshelve._assembly import OpenArguments, shelf_from_sections
    from cshelve._config.names import Kind

    kind, source, contents = _read(filename, flag)
    if kind is Kind.LOCAL:
        for parameter, value in (
            ("provider_params", provider_params),
            ("serializer", serializer),
            ("deserializer", deserializer),
        ):
            if value is not None:
                raise ConfigurationError(
                    f"{os.fspath(filename)!r} is a local shelf, which has no {parameter}. "
                    "(The name of a configuration ends in .ini.)"
                )
    return shelf_from_sections(
        contents,
        source,
        flag,
        OpenArguments(protocol, writeback, serializer, deserializer),
        provider_params,
        logger,
        from_file=kind is Kind.FILE,
        from_url=kind is Kind.URL,
    )


def sections_of(filename: str | os.PathLike[str], flag: str) -> Sections:
    """Return the configuration that a name for `open` stands for; nothing is checked yet."""
    from cshelve._config.names import Kind
    from cshelve._config.sections import Sections

    kind, source, contents = _read(filename, flag)
    return Sections(
        source, contents, from_file=kind is Kind.FILE, from_url=kind is Kind.URL, flag=flag
    )


def _read(
    filename: str | os.PathLike[str], flag: str
) -> tuple[Kind, str, dict[str, dict[str, object]]]:
    """Return the kind of a name for `open`, where its options come from, and the options."""
    from cshelve._config.names import Kind, kind_of

    name, kind = kind_of(filename)
    if kind is Kind.URL:
        from cshelve._config.url import sections_from_url

        return kind, *sections_from_url(name, flag)
    if kind is Kind.FILE:
        from cshelve._config.ini import sections_from_file

        return kind, name, sections_from_file(name)
    # An absolute path, so that a pickle of the shelf leads to the same place. It begins with a
    # slash, so it cannot refer to an environment variable either.
    path = name if os.path.isabs(name) else os.path.join(os.getcwd(), name)
    return kind, "the call to open", {"default": {"provider": "dbm", "path": path}}


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
) -> CloudShelf[Any]:
    """Open a shelf with a configuration in a dict of sections, and return it; see `open`.

    Values may have their natural types. A text that begins with `$` names an environment variable,
    as in a file. A `configparser.ConfigParser` is treated like the file that it has read.

        cshelve.open_from_dict({"default": {"provider": "in-memory"}})
    """
    from cshelve._assembly import OpenArguments, shelf_from_sections
    from cshelve._config.mapping import sections_from_dict

    source = "the configuration"
    # Not imported for this: if the module is not loaded, `config` is not a parser.
    parser_class = getattr(sys.modules.get("configparser"), "RawConfigParser", ())
    is_parser = isinstance(config, parser_class)
    if is_parser:
        from cshelve._config.ini import sections_from_parser

        contents = sections_from_parser(config, source)  # type: ignore[arg-type]  # is_parser
    else:
        contents = sections_from_dict(config, source)
    arguments = OpenArguments(protocol, writeback, serializer, deserializer)
    return shelf_from_sections(
        contents, source, flag, arguments, provider_params, logger, from_file=is_parser
    )


def open_provider(
    provider: Provider,
    flag: str = "c",
    protocol: int | None = 5,
    writeback: bool = False,
    *,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    logger: logging.Logger | None = None,
    serializer: Serialize | None = None,
    deserializer: Deserialize | None = None,
) -> CloudShelf[Any]:
    """Open a shelf over a provider, and return it; closing the shelf also closes the provider.

    `config` may have the sections `[compression]`, `[encryption]` and `[signing]`, and in
    `[default]` the options about values, such as `serializer`. Sends the same requests and raises
    the same errors as `open`, and closes the provider if it raises. The shelf cannot be pickled.

        from cshelve.providers import Filesystem

        with cshelve.open_provider(Filesystem("notes")) as db:
            db["greeting"] = "hello"
    """
    from cshelve._assembly import OpenArguments, shelf_over_provider

    arguments = OpenArguments(protocol, writeback, serializer, deserializer)
    return shelf_over_provider(provider, flag, arguments, config, logger)
