"""What the stages of a codec have in common."""

from __future__ import annotations

from typing import Protocol, TypeAlias

__all__ = ["Data", "Stage"]

Data: TypeAlias = bytes | memoryview


class Stage(Protocol):
    """One reversible transformation, which a record names by a letter. Safe in many threads."""

    letter: bytes

    def encode(self, data: Data) -> bytes:
        """Transform what is about to be stored."""

    def decode(self, data: Data) -> bytes:
        """Undo `encode`, or raise a `RecordError` if this is nothing that it made."""
