"""The providers there are, by the name that `[default] provider` gives them."""

from __future__ import annotations

import importlib.util
import sys
from typing import NamedTuple

from cshelve._config.sections import closest
from cshelve.exceptions import MissingDependencyError, UnknownProviderError
from cshelve.providers.base import Provider

__all__ = ["PROVIDERS", "load"]


class _Where(NamedTuple):
    module: str
    class_name: str
    extra: str | None = None
    """What to install with it: ``pip install 'cshelve[extra]'``."""
    package: str | None = None
    """What the extra brings. Not imported to see whether it is there: that may take long."""


PROVIDERS = {
    "aws-s3": _Where("cshelve.providers.aws_s3.provider", "AwsS3", "aws-s3", "boto3"),
    "filesystem": _Where("cshelve.providers.filesystem.provider", "Filesystem"),
    "in-memory": _Where("cshelve.providers.in_memory", "InMemory"),
}


def load(name: str, where: str) -> type[Provider]:
    """Import a provider on first use; `where` begins the message if there is none of that name.

    Raises `UnknownProviderError`, or `MissingDependencyError` with the command that helps.
    """
    if name not in PROVIDERS:
        raise UnknownProviderError(
            f"{where}there is no provider {name!r:.40}{closest(name, PROVIDERS)}; there are "
            f"{', '.join(PROVIDERS)}."
        )
    module, class_name, extra, package = PROVIDERS[name]
    if package is not None and not _is_installed(package):
        raise MissingDependencyError(
            f"{where}the provider {name} needs the package {package}: "
            f"pip install 'cshelve[{extra}]'",
            name=package,
        )
    provider: type[Provider] = getattr(importlib.import_module(module), class_name)
    return provider


def _is_installed(package: str) -> bool:
    if package in sys.modules:
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None
