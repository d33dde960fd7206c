"""Providers, which store shelves; this module has everything that authors of a provider need.

`[default] provider` chooses a provider by its name. The name is in the table below, or it is an
entry point of an installed package, in the group `cshelve.providers`. No provider is registered at
import, and nothing below is imported before it is used.
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
    from cshelve.providers.azure_blob.provider import AzureBlob
    from cshelve.providers.base import Capabilities, Details, Entry, Item, Provider
    from cshelve.providers.dbm import Dbm
    from cshelve.providers.filesystem.provider import Filesystem
    from cshelve.providers.gcs.provider import Gcs
    from cshelve.providers.in_memory import InMemory
    from cshelve.providers.sftp.provider import Sftp
    from cshelve.providers.stats import Stats
    from cshelve.providers.streams import Source, Target
    from cshelve.providers.wrapper import Wrapper

__all__ = [
    "AwsS3",
    "AzureBlob",
    "Capabilities",
    "Dbm",
    "Details",
    "Entry",
    "Filesystem",
    "Gcs",
    "InMemory",
    "Item",
    "Option",
    "Outcome",
    "PerProcess",
    "Provider",
    "Section",
    "Sections",
    "Sftp",
    "Source",
    "Stats",
    "Target",
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
    """The extra that it needs: ``pip install 'cshelve[extra]'``."""
    package: str | None = None
    """A package of the extra; it is looked for without importing it, which may take long."""


_TABLE = {
    "aws-s3": _Where("cshelve.providers.aws_s3.provider", "AwsS3", "aws-s3", "boto3"),
    "azure-blob": _Where(
        "cshelve.providers.azure_blob.provider", "AzureBlob", "azure-blob", "azure.storage.blob"
    ),
    "dbm": _Where("cshelve.providers.dbm", "Dbm"),
    "filesystem": _Where("cshelve.providers.filesystem.provider", "Filesystem"),
    "gcs": _Where("cshelve.providers.gcs.provider", "Gcs", "gcs", "google.cloud.storage"),
    "in-memory": _Where("cshelve.providers.in_memory", "InMemory"),
    "sftp": _Where("cshelve.providers.sftp.provider", "Sftp", "sftp", "asyncssh"),
}

_MODULES = {
    "AwsS3": "cshelve.providers.aws_s3.provider",
    "AzureBlob": "cshelve.providers.azure_blob.provider",
    "Capabilities": "cshelve.providers.base",
    "Dbm": "cshelve.providers.dbm",
    "Details": "cshelve.providers.base",
    "Entry": "cshelve.providers.base",
    "Filesystem": "cshelve.providers.filesystem.provider",
    "Gcs": "cshelve.providers.gcs.provider",
    "InMemory": "cshelve.providers.in_memory",
    "Item": "cshelve.providers.base",
    "Option": "cshelve._config.options",
    "Outcome": "cshelve._concurrency.outcomes",
    "PerProcess": "cshelve._concurrency.per_process",
    "Provider": "cshelve.providers.base",
    "Sftp": "cshelve.providers.sftp.provider",
    "Section": "cshelve._config.sections",
    "Sections": "cshelve._config.sections",
    "Source": "cshelve.providers.streams",
    "Stats": "cshelve.providers.stats",
    "Target": "cshelve.providers.streams",
    "Wrapper": "cshelve.providers.wrapper",
    **dict.fromkeys(
        ("boolean", "integer", "number", "seconds", "text", "word"), "cshelve._config.options"
    ),
}


def names() -> list[str]:
    """Return the names of all providers, including those of installed packages."""
    return sorted({*_TABLE, *(point.name for point in _entry_points())})


def load(name: str, where: str = "") -> type[Provider]:
    """Import a provider and return its class; `where` begins the message of an error.

    Raises `UnknownProviderError`, or `MissingDependencyError` with the command that installs what
    is missing.
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
    """Return the options of a provider, even if the packages of its extra are not installed.

    Return None for a provider of another package that cannot be imported.
    """
    if name in _TABLE:
        return _class_of(_TABLE[name]).options
    try:
        return _load_installed(name, "").options
    except (MissingDependencyError, ConfigurationError):
        return None


def owner_of(section: str) -> str | None:
    """Return the provider that a section such as `aws-s3.put_params` belongs to; None if none."""
    from cshelve._config.own_sections import is_own

    # cshelve's own providers first: searching for others is slow.
    for find in (_TABLE.keys, names):
        owners = [name for name in find() if is_own(section, name)]
        if owners:
            return max(owners, key=len)
    return None


def owners_of(section: str, option: str) -> list[str]:
    """Return the names of cshelve's own providers that have an option in a section."""
    return [
        name
        for name in _TABLE
        for declared in declared_options(name) or ()
        if (declared.section, declared.name) == (section, option)
    ]


def _class_of(where: _Where) -> type[Provider]:
    provider: type[Provider] = getattr(importlib.import_module(where.module), where.class_name)
    return provider


def _load_installed(name: str, where: str) -> type[Provider]:
    """Load a provider from the entry points of other packages, and return its class."""
    points = [point for point in _entry_points() if point.name == name]
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
            f"{where}the provider {name} of the package {packages[0]} is not a subclass of "
            "cshelve.providers.Provider."
        )
    return loaded


def _entry_points() -> Any:
    from importlib.metadata import entry_points  # Slow to import, and only needed for other names.

    return entry_points(group=ENTRY_POINTS)


def _is_installed(package: str) -> bool:
    if package in sys.modules:
        return sys.modules[package] is not None
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # Of the package around it.
        return False


# Type checkers know the names from the imports above. With this, they would accept any other name.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(importlib.import_module(_MODULES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
