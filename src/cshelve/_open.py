"""`open`, `open_from_dict` and `open_provider`: from a name, a dict or a provider to a shelf.

Everything that a shelf is made of is imported when the first one is opened (`_assembly`), so that a
program that only imports cshelve starts as fast as with `shelve`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from cshelve.exceptions import ConfigurationError

# What type checkers take for the constant of `typing`, which is a slow import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from typing import Any

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
    """Open the shelf that a name stands for; close it when you are done.

    A name that ends in `.ini` is a configuration file. A `str` such as `s3://bucket/prefix`,
    `file:///folder`, `memory://name` or `dbm:///path` is a URL, which may have options after a `?`;
    a bucket's credentials are then boto3's default ones. Any other name is a local shelf, whose
    files are those of the standard library's `shelve.open`. The flags are those of `shelve`: `r`
    reads an existing shelf, `w` writes one, `c` creates it if need be, `n` empties it first; a
    local shelf takes what `dbm.open` takes. `serializer(obj, protocol)` and `deserializer(data)`
    take the place of pickle; give both or neither.

    Costs one request; with `n` a listing, and one more request for each 1,000 keys it deletes.
    Raises `ConfigurationError` before anything is sent, `DBDoesNotExistsError` for a missing bucket
    or folder with `r` and `w`, and `AuthError` where the store refuses.

        with cshelve.open("aws-s3.ini") as db:
            db["greeting"] = "hello"
    """
    from cshelve._config.names import Kind, kind_of

    name, kind = kind_of(filename)
    if kind is not Kind.LOCAL:
        from cshelve._assembly import OpenArguments, shelf_from_sections

        if kind is Kind.URL:
            from cshelve._config.url import sections_from_url

            source, contents = sections_from_url(name, flag)
        else:
            from cshelve._config.ini import sections_from_file

            source, contents = name, sections_from_file(name)
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
    from cshelve._assembly import OpenArguments, shelf_from_sections

    # Where the program is now, so that a pickle of the shelf leads there. A path that begins with a
    # slash is none that refers to the environment.
    path = name if os.path.isabs(name) else os.path.join(os.getcwd(), name)
    contents = {"default": {"provider": "dbm", "path": path}}
    arguments = OpenArguments(protocol, writeback)
    return shelf_from_sections(contents, "the call to open", flag, arguments, None, logger)


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
    """Open a shelf as `open` does, from a dict of sections in place of a file.

    Values may have their natural types. A text that begins with `$` is looked up in the environment
    as in a file. A `configparser.ConfigParser` counts as the file that it has read.

        cshelve.open_from_dict({"default": {"provider": "in-memory"}})
    """
    from cshelve._assembly import OpenArguments, shelf_from_sections
    from cshelve._config.mapping import sections_from_dict

    source = "the configuration"
    # Not imported for this: if nobody has, it is none.
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
    """Open a shelf over a provider that you made; closing the shelf closes the provider.

    `config` may have the sections that are not the provider's: `[compression]`, `[encryption]`,
    `[signing]`, and in `[default]` what is about values, such as `serializer`. Costs and raises
    what `open` does; if it raises, the provider is closed. Such a shelf cannot be pickled.

        from cshelve.providers import Filesystem

        with cshelve.open_provider(Filesystem("notes")) as db:
            db["greeting"] = "hello"
    """
    from cshelve._assembly import OpenArguments, shelf_over_provider

    arguments = OpenArguments(protocol, writeback, serializer, deserializer)
    return shelf_over_provider(provider, flag, arguments, config, logger)
