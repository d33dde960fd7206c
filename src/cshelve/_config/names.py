"""What the name that `open` is given stands for: a configuration file, a URL or a local shelf."""

from __future__ import annotations

import os
import re
from enum import Enum

from cshelve.exceptions import ConfigurationError

__all__ = ["FORMS", "Kind", "kind_of"]

# Of two letters or more: one alone is the drive of a Windows path.
SCHEME = re.compile("([a-zA-Z][a-zA-Z0-9+.-]+):")
URL_AS_PATH = re.compile(SCHEME.pattern + r"[/\\](?![/\\])")
# Blanks, quotes, and what nobody sees, such as a byte-order mark.
AROUND_A_NAME = " \u00a0\u200b\u200c\u200d\u2060\ufeff\"'`"
# What a URL of each scheme is short for: the provider, and what such a URL looks like.
FORMS = {
    "s3": ("aws-s3", "s3://bucket/prefix"),
    "file": ("filesystem", "file:///folder"),
    "memory": ("in-memory", "memory://name"),
    "dbm": ("dbm", "dbm:///path"),
}
# Of a null `dbm` has something to say.
CONTROL_CHARACTER = re.compile("[\x01-\x1f\x7f-\x9f]")
# Of configurations in formats that are not read here.
OTHER_ENDINGS = (
    *(".toml", ".yaml", ".yml", ".json", ".jsonc", ".json5", ".xml"),
    *(".cfg", ".conf", ".config", ".env", ".properties"),
)
IF_MEANT = "If you mean that, write dbm:///path, or a configuration with provider = dbm and path."


class Kind(Enum):
    """What a name stands for."""

    FILE = "a configuration file"
    URL = "a URL"
    LOCAL = "a local shelf"


def kind_of(filename: str | os.PathLike[str]) -> tuple[str, Kind]:
    """Return the text of a name and what it stands for.

    Raises `ConfigurationError` for a name that is most likely meant as something else than a local
    shelf, unless there is a local shelf of that name.
    """
    name = os.fspath(filename)
    if not isinstance(name, str):
        raise ConfigurationError(f"filename is a str or a path object, not {type(name).__name__}.")
    # A subclass may override how it is joined with others, as markupsafe's does.
    name = name if type(name) is str else str.__str__(name)
    if _is_file(name):
        return name, Kind.FILE
    problem = _problem_of(name, is_path=not isinstance(filename, str))
    is_known_url = _is_url(name) and name.partition(":")[0].lower() in FORMS
    if problem is None and (is_known_url or not SCHEME.match(name)):
        return name, Kind.URL if is_known_url else Kind.LOCAL
    if not is_known_url and _is_local_shelf(name):
        return name, Kind.LOCAL
    if problem is None:
        return name, Kind.URL  # Of a scheme that there is not, which is then told.
    raise ConfigurationError(problem)


def _is_file(name: str) -> bool:
    """Return whether a name is one of a configuration, as all are that end so and are no URL."""
    if not name.lower().endswith(".ini"):
        return False
    scheme = SCHEME.match(name)
    if scheme is None:
        return True
    if name[scheme.end()] in "/\\":
        return False
    # `s3:lab.ini` is a URL without its slashes, unless there is that file.
    return scheme[1].lower() not in FORMS or os.path.isfile(name)


def _problem_of(name: str, *, is_path: bool) -> str | None:
    """Return what is wrong with a name as it is written; None if nothing is."""
    if not name:
        return "the name is empty; is the variable empty that it comes from?"
    if CONTROL_CHARACTER.search(name):
        # It may be the whole text of a file.
        return (
            f"{name[:40]!r}: a control character is in the name, such as the end of a line; "
            "strip what the name was read from."
        )
    if is_path and URL_AS_PATH.match(name):
        return f"{name!r} is a URL that lost a slash when it was made a path: give it as a str."
    if name != name.rstrip():
        return f"{name[-40:]!r}: there is a blank at the end of the name; take it away."
    scheme = SCHEME.match(name)
    if scheme and not _is_url(name):
        _, form = FORMS.get(scheme[1].lower(), FORMS["s3"])
        # No more of it, as there may be a password in it.
        return (
            f"a name that begins with {scheme[1]}: and is no URL, such as {form}, would be a local "
            f"shelf. {IF_MEANT}"
        )
    if name.lower().endswith(OTHER_ENDINGS) and not scheme:
        return (
            f"{name!r}: a configuration is an ini file, whose name ends in .ini; this would be a "
            f"local shelf. {IF_MEANT}"
        )
    bare = name.strip(AROUND_A_NAME)
    if (
        not scheme
        and bare != name
        and (SCHEME.match(bare) or bare.lower().endswith((".ini", *OTHER_ENDINGS)))
    ):
        # Nothing of it, as there may be a password in it.
        return (
            "there are quotes, or a blank or an invisible character, before or behind the name, "
            f"which make a local shelf of it; take them away. {IF_MEANT}"
        )
    return None


def _is_url(name: str) -> bool:
    scheme = SCHEME.match(name)
    return scheme is not None and name.startswith("//", scheme.end())


def _is_local_shelf(name: str) -> bool:
    """Return whether `dbm` recognizes files of that name."""
    import dbm

    try:
        return bool(dbm.whichdb(name))
    except ValueError:  # No file can have that name.
        return False
