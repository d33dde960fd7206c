"""`open` and `open_from_dict`: from a name or a dict to a shelf.

All that a shelf in a store is made of is imported when the first one is opened (`_assembly`), so
that a program which only imports cshelve starts as fast as with `shelve`.
"""

from __future__ import annotations

import os
import shelve
from collections.abc import Mapping

from cshelve.exceptions import ConfigurationError

# What type checkers take for the constant of `typing`, which is a slow import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from typing import Any

    from cshelve._shelf.shelf import CloudShelf
    from cshelve._values.serializers import Deserialize, Serialize

__all__ = ["open", "open_from_dict"]

S3_SCHEME = "s3://"
S3_SCHEMES_AS_PATHS = ("s3:/", "s3:\\")


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
    if not isinstance(filename, str) and name.lower().startswith(S3_SCHEMES_AS_PATHS):
        raise ConfigurationError(
            f"{name!r} is a URL that lost a slash by being made a path: give it as a str."
        )
    is_file = name.lower().endswith(".ini")
    if is_file or name.lower().startswith(S3_SCHEME):
        from cshelve._assembly import Call, shelf_from
        from cshelve._config.ini import sections_from_file
        from cshelve._config.url import sections_from_url

        contents = sections_from_file(name) if is_file else sections_from_url(name)
        call = Call(protocol, writeback, serializer, deserializer)
        return shelf_from(contents, name, flag, call, provider_params, logger, from_file=is_file)
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
    from cshelve._assembly import Call, shelf_from
    from cshelve._config.mapping import sections_from_dict

    source = "the configuration"
    contents = sections_from_dict(config, source)
    call = Call(protocol, writeback, serializer, deserializer)
    return shelf_from(contents, source, flag, call, provider_params, logger)
