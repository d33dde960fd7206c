"""The header of a table of measurements: the machine and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform

__all__ = ["described", "versions"]


def described(*packages: str) -> str:
    """Return a description of the machine, Python, and the versions of these packages."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return f"{system}; {python}; {versions(*packages)}"


def versions(*packages: str) -> str:
    """Return the names of these packages with their versions in this environment."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
