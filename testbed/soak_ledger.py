"""What may be read under each key of a soak, shared by all its processes.

Each key has one writer, which numbers its operations: every set and every delete gets the next
number, and a value carries the number of its set. An acknowledged operation raises the key's
floor. An operation that ended in an error may or may not have been done, and does not raise it. A
reader notes the floor before its request. It may then get the value of any set between that floor
and the last operation begun when its response arrives, or nothing if one of these operations is a
delete (each key begins as deleted by number 0). No lock is needed: each number has one writer, and
a reader reads the floor first and the rest last.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass
from typing import Any

_FLOOR, _TOP, _SET, _DELETE = range(4)
FIELDS = 4
"""The number of integers that the array has for each key."""


class WrongError(Exception):
    """Raised if something impossible was read or done, which the soak looks for."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(f"{key}: {what}")
        self.key = key


@dataclass(frozen=True)
class Possible:
    """The values that a key may hold; ``last_set`` and ``last_delete`` are the last ones begun."""

    key: str
    floor: int
    top: int
    last_set: int
    last_delete: int

    @property
    def absent(self) -> bool:
        return self.last_delete >= self.floor

    @property
    def present(self) -> bool:
        return self.last_set >= self.floor

    def check(self, number: int | None) -> None:
        """Raise WrongError unless the key may hold the value of this number (None: no value)."""
        allowed = self.absent if number is None else self.floor <= number <= self.top
        if not allowed:
            raise WrongError(self.key, f"holds {number or 'nothing'}, and not one of {self}")

    def check_presence(self, present: bool) -> None:
        if not (self.present if present else self.absent):
            raise WrongError(self.key, f"is {'there' if present else 'missing'}, against {self}")


class Ledger:
    """The numbers of these keys, in an array with ``FIELDS`` each, which processes can share."""

    def __init__(self, keys: Iterable[str], numbers: MutableSequence[int]) -> None:
        self._at = {key: at * FIELDS for at, key in enumerate(keys)}
        self._numbers = numbers

    def prepare(self) -> None:
        """Mark all keys as absent; call this once, before anything is written."""
        for at in self._at.values():
            self._numbers[at + _SET] = -1

    def floor(self, key: str) -> int:
        return self._numbers[self._at[key] + _FLOOR]

    def possible(self, key: str, floor: int | None = None) -> Possible:
        """Return the values possible since the floor was noted; the writer needs no floor."""
        at = self._at[key]
        noted = self._numbers[at + _FLOOR] if floor is None else floor
        top, last_set, last_delete = self._numbers[at + _TOP : at + FIELDS]
        return Possible(key, noted, top, last_set, last_delete)

    # The following methods are for the key's only writer.

    def begin(self, key: str, number: int, *, is_set: bool) -> Possible:
        """Record an operation before it is done; return what was possible before it."""
        before = self.possible(key)
        at = self._at[key]
        self._numbers[at + (_SET if is_set else _DELETE)] = number
        self._numbers[at + _TOP] = number
        return before

    def done(self, key: str, number: int) -> None:
        self._numbers[self._at[key] + _FLOOR] = number

    def not_done(self, before: Possible) -> None:
        """Undo the last `begin`: the operation was certainly not done, and never will be."""
        at = self._at[before.key]
        self._numbers[at + _TOP : at + FIELDS] = [before.top, before.last_set, before.last_delete]

    def seen(self, key: str, number: int | None) -> None:
        """Settle an unknown outcome: the writer has read this, so nothing older may follow."""
        at = self._at[key]
        found = self._numbers[at + _DELETE] if number is None else number
        self._numbers[at + _FLOOR] = max(found, self._numbers[at + _FLOOR])


def make_value(key: str, number: int, size: int) -> dict[str, Any]:
    """Return a value that identifies itself, so that a reader can tell whether it is wrong."""
    payload = os.urandom(size)
    return {"key": key, "number": number, "crc": zlib.crc32(payload), "payload": payload}


def number_of(key: str, value: Any) -> int:
    """Return the number of the set that wrote a value; raise WrongError if it is damaged."""
    if not isinstance(value, dict) or value.keys() != {"key", "number", "crc", "payload"}:
        raise WrongError(key, f"holds no value of the soak: {str(value)[:100]}")
    if value["key"] != key:
        raise WrongError(key, f"holds the value of {value['key']}")
    if zlib.crc32(value["payload"]) != value["crc"]:
        raise WrongError(key, f"holds damaged bytes, of number {value['number']}")
    return int(value["number"])
