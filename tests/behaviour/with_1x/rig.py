"""The settings that 1.x has for values, and shelves of ours that are opened with them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.rigs import unique_name

INCOMPRESSIBLE = random.Random(0).randbytes(5_000)
BYTES = {
    "empty": b"",
    "one": b"x",
    "two": b"xy",
    "a/b": bytes(100_000),
    "with space": INCOMPRESSIBLE,
}
NESTED = {"ünïcode": [{"ü": (1, 2.5, None)}, {b"bytes"}], 3: True}
OBJECTS = {
    "none": None,
    "number": -7,
    "ünïcode": NESTED,
    "text": "Wie schön ist das Wetter? " * 5_000,
}
# 1.x calls them corrupted once it has encrypted them, unless compression made them longer first.
TINY = {"empty": b"", "one": b"x"}

WEAK_KEY = r"key of (16|24) bytes encrypts with AES-"


@dataclass(frozen=True)
class Settings:
    """The settings that 1.x has for values."""

    use_pickle: bool = True
    use_versionning: bool = True
    level: str | None = None
    """zlib's, "" where none is written; None for no compression."""
    key_bytes: int = 0
    """0 for no encryption."""

    def __str__(self) -> str:
        return "-".join(
            [
                "pickle" if self.use_pickle else "bytes",
                *(["versioned"] if self.use_versionning else []),
                *([] if self.level is None else [f"zlib{self.level}"]),
                *([f"aes{8 * self.key_bytes}"] if self.key_bytes else []),
            ]
        )

    @property
    def values(self) -> dict[str, Any]:
        return BYTES | OBJECTS if self.use_pickle else BYTES

    @property
    def values_for_1x(self) -> dict[str, Any]:
        """Leave out what 1.x cannot always read, which has tests of its own."""
        if self.use_pickle or not self.key_bytes:
            return self.values
        return {key: value for key, value in self.values.items() if key not in TINY}

    @property
    def warning(self) -> str | None:
        """What our shelf says when it is opened."""
        return WEAK_KEY if 0 < self.key_bytes < 32 else None

    def ini(self, folder: Path, store: str = "", *, more: str = "") -> Path:
        """Write it down, for a folder unless another store is given; `more` goes to the end."""
        lines = [
            "[default]",
            store or f"provider = filesystem\nfolder_path = {folder / 'shelf'}",
            f"use_pickle = {str(self.use_pickle).lower()}",
            f"use_versionning = {str(self.use_versionning).lower()}",
        ]
        if self.level is not None:
            lines += ["[compression]", "algorithm = zlib"]
            lines += [f"level = {self.level}"] if self.level else []
        if self.key_bytes:
            lines += ["[encryption]", "algorithm = aes256", f"key = {'k' * self.key_bytes}"]
        return written("\n".join([*lines, more]), folder)


PLAIN = Settings()
ZLIB = Settings(level="")
AES = Settings(key_bytes=32)


def written(text: str, folder: Path) -> Path:
    ini = folder / f"{unique_name()}.ini"
    ini.write_text(text, encoding="utf-8")
    return ini


def write(ini: Path, values: Mapping[str, Any], warning: str | None = None) -> None:
    """Write with our shelf."""
    with opened(ini, "c", warning) as db:
        for key, value in values.items():
            db[key] = value


def read(ini: Path, keys: Mapping[str, Any], warning: str | None = None) -> dict[str, Any]:
    """Read with our shelf."""
    with opened(ini, "r", warning) as db:
        return {key: db[key] for key in keys}


def opened(ini: Path, flag: str = "r", warning: str | None = None) -> cshelve.CloudShelf:
    with pytest.warns(UserWarning, match=warning) if warning else nullcontext():
        shelf = cshelve.open(ini, flag)
    assert isinstance(shelf, cshelve.CloudShelf)
    return shelf


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name the keys whose values differ, if only in type; the values are too long to be shown."""
    return [key for key in one.keys() | other.keys() if repr(one.get(key)) != repr(other.get(key))]
