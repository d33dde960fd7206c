"""The providers there are, by the name that `[default] provider` gives them."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from cshelve._config import closest
from cshelve.exceptions import MissingDependencyError, UnknownProviderError
from cshelve.providers.base import Provider

__all__ = ["PROVIDERS", "load"]


class _Where(NamedTuple):
    module: str
    class_name: str
    extra: str | None
    """What to install with it: ``pip install 'cshelve[extra]'``."""


PROVIDERS = {
    "aws-s3": _Where("cshelve.providers.aws_s3.provider", "AwsS3", "aws-s3"),
    "filesystem": _Where("cshelve.providers.filesystem", "Filesystem", None),
    "in-memory": _Where("cshelve.providers.in_memory", "InMemory", None),
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
    module, class_name, extra = PROVIDERS[name]
    try:
        provider: type[Provider] = getattr(importlib.import_module(module), class_name)
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith("cshelve"):
            raise
        raise MissingDependencyError(
            f"{where}the provider {name} needs the package {error.name}: "
            f"pip install 'cshelve[{extra}]'",
            name=error.name,
        ) from error
    return provider
