"""Decide whether the name in a call to `open` is a configuration file, a URL or a local shelf."""

from __future__ import annotations

import os
import re
from enum import Enum

from cshelve.exceptions import ConfigurationError

__all__ = ["FORMS", "Kind", "kind_of"]

# Two letters or more: a single letter is the drive of a Windows path.
SCHEME = re.compile("([a-zA-Z][a-zA-Z0-9+.-]+):")
URL_AS_PATH = re.compile(SCHEME.pattern + r"[/\\](?![/\\])")
# As a shell would look it up.
VARIABLE = re.compile(r"\$(\{)?([a-zA-Z_][a-zA-Z0-9_]*)(?(1)\})")
# Blanks, quotes, and invisible characters such as a byte-order mark.
AROUND_A_NAME = " \u00a0\u200b\u200c\u200d\u2060\ufeff\"'`"
# The provider that each scheme stands for, and an example of its URLs.
FORMS = {
    "s3": ("aws-s3", "s3://bucket/prefix"),
    "gs": ("gcs", "gs://bucket/prefix"),
    "az": ("azure-blob", "az://account/container/prefix"),
    "file": ("filesystem", "file:///folder"),
    "memory": ("in-memory", "memory://name"),
    "dbm": ("dbm", "dbm:///path"),
    "sftp": ("sftp", "sftp://user@host/path"),
}
# Without the null character, which `dbm` itself refuses.
CONTROL_CHARACTER = re.compile("[\x01-\x1f\x7f-\x9f]")
# The endings of configurations in formats that are not supported.
OTHER_ENDINGS = (
    *(".toml", ".yaml", ".yml", ".json", ".jsonc", ".json5", ".xml"),
    *(".cfg", ".conf", ".config", ".env", ".properties"),
)
IF_MEANT = "If you want one, write dbm:///path, or a configuration with provider = dbm and path."


class Kind(Enum):
    """The kinds of things that a name can stand for."""

    FILE = "a configuration file"
    URL = "a URL"
    LOCAL = "a local shelf"


def kind_of(filename: str | os.PathLike[str]) -> tuple[str, Kind]:
    """Return the text of a name, and the kind of thing that it stands for.

    Raises `ConfigurationError` for a name that is probably not meant as a local shelf, unless there
    is a local shelf with that name.
    """
    name = os.fspath(filename)
    if not isinstance(name, str):
        raise ConfigurationError(f"filename is a str or a path object, not {type(name).__name__}.")
    # A subclass of `str` may override how it is joined with other texts, as markupsafe's does.
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
        return name, Kind.URL  # The scheme is unknown, and `sections_from_url` reports that.
    raise ConfigurationError(problem)


def _is_file(name: str) -> bool:
    """Return whether a name is a configuration's: it ends in `.ini` and is not a URL."""
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
    """Return what is wrong with the spelling of a name; None if it is right."""
    if not name:
        return "the name is empty; is the variable that it comes from empty?"
    if CONTROL_CHARACTER.search(name):
        # It may be the whole text of a file.
        return (
            f"{name[:40]!r}: the name contains a control character, such as a line end; strip the "
            "text that the name was read from."
        )
    if is_path and URL_AS_PATH.match(name):
        return f"{name!r} is a URL that lost a slash when it became a path: pass it as a str."
    if name != name.rstrip():
        return f"{name[-40:]!r}: there is a blank at the end of the name; remove it."
    if variable := VARIABLE.match(name):
        return (
            "variables are not looked up in a name: this one begins with "
            f'${variable[2]}; write os.environ["{variable[2]}"]. {IF_MEANT}'
        )
    scheme = SCHEME.match(name)
    if scheme and not _is_url(name):
        _, form = FORMS.get(scheme[1].lower(), FORMS["s3"])
        # The message does not quote the name, which may contain a password.
        return (
            f"a name that begins with {scheme[1]}: but is not a URL such as {form} would be a "
            f"local shelf. {IF_MEANT}"
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
        # The message does not quote the name, which may contain a password.
        return (
            "there are quotes, blanks or invisible characters before or after the name, which make "
            f"it the name of a local shelf; remove them. {IF_MEANT}"
        )
    return None


def _is_url(name: str) -> bool:
    scheme = SCHEME.match(name)
    return scheme is not None and name.startswith("//", scheme.end())


def _is_local_shelf(name: str) -> bool:
    """Return whether `dbm` recognizes existing files with that name."""
    import dbm

    try:
        return bool(dbm.whichdb(name))
    except ValueError:  # No file can have that name.
        return False
