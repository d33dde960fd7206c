"""Every way to read a key, and shelves that soon give up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cshelve

# Two attempts and short time-outs, so that what fails for ever does so soon.
IMPATIENT: dict[str, Any] = {"total_max_attempts": 2, "read_timeout_seconds": 0.5}

READS: dict[str, Callable[[cshelve.CloudShelf], Any]] = {
    "getitem": lambda db: db["k"],
    "get": lambda db: db.get("k", "default"),
    "in": lambda db: "k" in db,
    "pop": lambda db: db.pop("k", "default"),
    "setdefault": lambda db: db.setdefault("k", "default"),
    "del": lambda db: db.__delitem__("k"),
    "items": lambda db: list(db.items()),
    "popitem": lambda db: db.popitem(),
}
