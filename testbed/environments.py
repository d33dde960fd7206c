"""The environments beside ours that the Makefile makes, each for programs of its own."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ROOT", "own_surroundings", "python_in"]

ROOT = Path(__file__).resolve().parent.parent


def python_in(environment: str) -> Path:
    """The interpreter of one of them; FileNotFoundError says how to get it."""
    directory = ROOT / environment
    # Without this one the environment is there in part, or not at all.
    if not (directory / ".ready").exists():
        raise FileNotFoundError(f"no {environment} here: `make {environment}/.ready` makes it")
    return directory / "bin" / "python"


def own_surroundings(*kept: str) -> dict[str, str]:
    """Our variables without those that tell an interpreter something, but for what is kept."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith("PYTHON")
    }
