"""Providers: where shelves are stored. Everything that authors of a provider need is here.

A provider has a name, by which `[default] provider` chooses it: one of the table below, or of an
entry point in the group `cshelve.providers` of an installed package. Nothing is registered at
import, and none of the names below is imported before it is used.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._config.options import closest
from cshelve.exceptions import (
    ConfigurationError,
    MissingDependencyError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from cshelve._concurrency.outcomes import Outcome
    from cshelve._concurrency.per_process import PerProcess
    from cshelve._config.options import Option, boolean, integer, number, seconds, text, word
    from cshelve._config.sections import Section, Sections
    from cshelve.providers.aws_s3.provider import AwsS3
    from cshelve.providers.base import Capabilities, Entry, Item, Provider
    from cshelve.providers.dbm import Dbm
    from cshelve.providers.filesystem.provider import Filesystem
    from cshelve.providers.in_memory import InMemory
    from cshelve.providers.stats import Stats
    from cshelve.providers.wrapper import Wrapper

__all__ = [
    "AwsS3",
    "Capabilities",
    "Dbm",
    "Entry",
    "Filesystem",
    "InMemory",
    "Item",
    "Option",
    "Outcome",
    "PerProcess",
    "Provider",
    "Section",
    "Sections",
    "Stats",
    "Wrapper",
    "boolean",
    "integer",
    "load",
    "names",
    "number",
    "seconds",
    "text",
    "word",
]

ENTRY_POINTS = "cshelve.providers"


class _Where(NamedTuple):
    module: str
    class_name: str
    extra: str | None = None
    """What to install with it: ``pip install 'cshelve[extra]'``."""
    package: str | None = None
    """What the extra brings. It is not imported to see whether it is there, which may take long."""


_TABLE = {
    "aws-s3": _Where("cshelve.providers.aws_s3.provider", "AwsS3", "aws-s3", "boto3"),
    "dbm": _Where("cshelve.providers.dbm", "Dbm"),
    "filesystem": _Where("cshelve.providers.filesystem.provider", "Filesystem"),
    "in-memory": _Where("cshelve.providers.in_memory", "InMemory"),
}

# What 1.x has beside these.
_OF_1X = frozenset({"azure-blob", "sftp"})

_MODULES = {
    "AwsS3": "cshelve.providers.aws_s3.provider",
    "Capabilities": "cshelve.providers.base",
    "Dbm": "cshelve.providers.dbm",
    "Entry": "cshelve.providers.base",
    "Filesystem": "cshelve.providers.filesystem.provider",
    "InMemory": "cshelve.providers.in_memory",
    "Item": "cshelve.providers.base",
    "Option": "cshelve._config.options",
    "Outcome": "cshelve._concurrency.outcomes",
    "PerProcess": "cshelve._concurrency.per_process",
    "Provider": "cshelve.providers.base",
    "Section": "cshelve._config.sections",
    "Sections": "cshelve._config.sections",
    "Stats": "cshelve.providers.stats",
    "Wrapper": "cshelve.providers.wrapper",
    **dict.fromkeys(
        ("boolean", "integer", "number", "seconds", "text", "word"), "cshelve._config.options"
    ),
}


def names() -> list[str]:
    """Return the names of the providers that a configuration may name here, installed ones too."""
    return sorted({*_TABLE, *(point.name for point in _entry_points())})


def load(name: str, where: str = "") -> type[Provider]:
    """Import a provider and return its class; `where` begins the message of an error.

    Raises `UnknownProviderError`, or `MissingDependencyError` with the command that helps.
    """
    if name not in _TABLE:
        return _load_installed(name, where)
    _, _, extra, package = _TABLE[name]
    if package is not None and not _is_installed(package):
        raise MissingDependencyError(
            f"{where}the provider {name} needs the package {package}: "
            f"pip install 'cshelve[{extra}]'",
            name=package,
        )
    return _class_of(_TABLE[name])


def declared_options(name: str) -> tuple[Option[Any], ...] | None:
    """Return the options of a provider that need not be usable here.

    What its extra installs is neither needed nor imported. None for a provider of another package
    that cannot be imported.
    """
    if name in _TABLE:
        return _class_of(_TABLE[name]).options
    try:
        return _load_installed(name, "").options
    except (MissingDependencyError, ConfigurationError):
        return None


def owner_of(section: str) -> str | None:
    """Return the provider whose own section it is by its name, such as `aws-s3.put_params`."""
    from cshelve._config.own_sections import is_own

    # Ours first, since looking for others is slow.
    for find in (_TABLE.keys, names):
        owners = [name for name in find() if is_own(section, name)]
        if owners:
            return max(owners, key=len)
    return None


def _class_of(where: _Where) -> type[Provider]:
    provider: type[Provider] = getattr(importlib.import_module(where.module), where.class_name)
    return provider


def _load_installed(name: str, where: str) -> type[Provider]:
    """Load a provider of another package, which it announces as an entry point."""
    points = [point for point in _entry_points() if point.name == name]
    if not points and name in _OF_1X:
        raise UnknownProviderError(
            f"{where}cshelve 1.x has the provider {name}, and this version does not have it yet. "
            f"`pip install 'cshelve[{name}]<2'` goes on using the shelf; to move it, read it with "
            "that and write it to another place, which both versions understand."
        )
    if not points:
        known = names()
        raise UnknownProviderError(
            f"{where}there is no provider {name!r:.40}{closest(name, known)}; there are "
            f"{', '.join(known)}."
        )
    packages = [point.dist.name if point.dist else point.value for point in points]
    if len({point.value for point in points}) > 1:
        raise ConfigurationError(
            f"{where}several installed packages have a provider {name!r}: "
            f"{', '.join(sorted(packages))}. Uninstall all but one."
        )
    try:
        loaded = points[0].load()
    except (ImportError, AttributeError) as error:
        raise MissingDependencyError(
            f"{where}the provider {name} of the package {packages[0]} can't be imported: {error}",
            name=getattr(error, "name", None),
        ) from error
    from cshelve.providers.base import Provider

    if not (isinstance(loaded, type) and issubclass(loaded, Provider)):
        raise ConfigurationError(
            f"{where}what the package {packages[0]} calls the provider {name} is no subclass of "
            "cshelve.providers.Provider."
        )
    return loaded


def _entry_points() -> Any:
    from importlib.metadata import entry_points  # Slow, and only for names that we don't know.

    return entry_points(group=ENTRY_POINTS)


def _is_installed(package: str) -> bool:
    if package in sys.modules:
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None


# Type checkers know the names from above. With this they would take any other name for one too.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(importlib.import_module(_MODULES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
