"""The other environments that the Makefile creates, for programs that need different packages."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ROOT", "own_surroundings", "python_in"]

ROOT = Path(__file__).resolve().parent.parent


def python_in(environment: str) -> Path:
    """Return the interpreter of an environment; raise FileNotFoundError if it is not installed."""
    directory = ROOT / environment
    # Without this file, the environment is incomplete or does not exist.
    if not (directory / ".ready").exists():
        raise FileNotFoundError(f"no {environment} here: `make {environment}/.ready` makes it")
    return directory / "bin" / "python"


def own_surroundings(*kept: str) -> dict[str, str]:
    """Return this process's environment without Python's variables, except those to keep."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith("PYTHON")
    }
