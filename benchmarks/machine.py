"""What a table of measurements has above it: the machine, and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform

__all__ = ["described", "versions"]


def described(*packages: str) -> str:
    """Say on what this runs, and with which versions of these packages."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return f"{system}; {python}; {versions(*packages)}"


def versions(*packages: str) -> str:
    """Name these packages with their versions in this environment."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
