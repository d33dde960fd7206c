"""Another process that is sent pickles of shelves."""

from __future__ import annotations

import pickle
from typing import Any

PATIENCE_SECONDS = 60
KEY = "0123456789abcdef" * 2


def again(shelf: Any) -> Any:
    return pickle.loads(pickle.dumps(shelf))


def append(pickled: bytes) -> Any:
    with pickle.loads(pickled) as db:
        db["k"] = [*db.get("k", []), "another process's"]
        return db["k"]


def _as_ini(config: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"[{section}]\n" + "\n".join(f"{name} = {value}" for name, value in options.items())
        for section, options in config.items()
    )
