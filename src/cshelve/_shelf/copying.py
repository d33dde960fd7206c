"""Copying and moving one key within a shelf; `copy_many` copies whole ones."""

from __future__ import annotations

from cshelve._values.values import Values
from cshelve.exceptions import ConditionsNotSupportedError, ConflictError, KeyNotFoundError

__all__ = ["copy_key", "move_key"]


def copy_key(values: Values, source: str, target: str) -> None:
    """Store the value of a key under another key too."""
    if _is_elsewhere(values, "write", source, target):
        values.copy(source, target)


def move_key(values: Values, source: str, target: str) -> None:
    """Copy a key, and delete the source if it still has the version that was copied."""
    if not _is_elsewhere(values, "move", source, target):
        return
    if not values.provider.capabilities.conditional_delete:
        raise ConditionsNotSupportedError(
            f"{values.location}: this store does not honour conditions, so {source!r} could not be "
            "deleted safely: another writer may change it meanwhile. If nobody else writes, use "
            "copy and del."
        )
    version = values.copy(source, target)
    if not values.remove(source, if_version=version):
        raise ConflictError(f"{source!r} in {values.location} was deleted since it was copied")


def _is_elsewhere(values: Values, doing: str, source: str, target: str) -> bool:
    """Return whether the target is another key than the source.

    Raises `KeyNotFoundError` if both are the same key, and it is missing.
    """
    values.refuse_if_read_only(doing, source)
    values.settle(source)
    if source != target:
        return True
    if not values.contains(source):
        raise KeyNotFoundError(source)
    return False
