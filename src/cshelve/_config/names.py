"""What the name that `open` is given stands for: a configuration file, a URL or a local shelf."""

from __future__ import annotations

import os
import re
from enum import Enum

from cshelve.exceptions import ConfigurationError

__all__ = ["Kind", "kind_of"]

URL = re.compile("[a-zA-Z][a-zA-Z0-9+.-]+://")
URL_AS_PATH = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:[/\\](?![/\\])")


class Kind(Enum):
    """What a name stands for."""

    FILE = "a configuration file"
    URL = "a URL"
    LOCAL = "a local shelf"


def kind_of(filename: str | os.PathLike[str]) -> tuple[str, Kind]:
    """Return the text of a name and what it stands for; raise `ConfigurationError` for nothing."""
    name = os.fspath(filename)
    if not isinstance(name, str):
        raise ConfigurationError(f"filename is a str or a path object, not {type(name).__name__}.")
    if not isinstance(filename, str) and URL_AS_PATH.match(name):
        raise ConfigurationError(
            f"{name!r} is a URL that lost a slash when it was made a path: give it as a str."
        )
    if URL.match(name):
        return name, Kind.URL
    return name, Kind.FILE if name.lower().endswith(".ini") else Kind.LOCAL
