"""Show a value as Python or JSON writes it, up to a length.

A small value of a stranger may be endless: a list that contains itself, or lists that contain the
same list twice, forty levels deep. `repr` and `json.dumps` would not end, so neither is called for
anything that contains other objects.
"""

from __future__ import annotations

import json
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from cshelve.cli.browse.html import Html, escaped_lines, fill, joined

__all__ = ["MOST_CHARACTERS", "outline"]

MOST_CHARACTERS = 200_000
MOST_LEVELS = 50
# What is written on one line.
SHORT_ITEMS = 8
SHORT_CHARACTERS = 60
INDENT = "  "
BRACKETS: dict[type[Any], tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}")}


class _FullError(Exception):
    """Raised when enough is written."""


def outline(value: Any, *, is_json: bool = False, most: int = MOST_CHARACTERS) -> Html:
    """Return a value as HTML, with colours, cut off after about `most` characters."""
    writer = _Writer(most, is_json=is_json)
    try:
        writer.write(value, 0)
    except _FullError:
        writer.parts.append(fill('<span class="cut">… and more</span>'))
    except Exception as error:  # noqa: BLE001
        # Broad, since the methods of a value's class may raise anything.
        writer.parts.append(
            fill('<span class="cut">… $name while it was shown</span>', name=type(error).__name__)
        )
    return joined(writer.parts)


class _Writer:
    def __init__(self, room: int, *, is_json: bool) -> None:
        self.parts: list[Html] = []
        self._room = room
        self._is_json = is_json

    def write(self, value: Any, level: int) -> None:
        if self._write_atom(value):
            return
        if level > MOST_LEVELS:
            self._put("…", "cut")
        elif isinstance(value, dict | UserDict):
            self._write_pairs(value, level)
        elif isinstance(value, list | tuple | set | frozenset | deque | UserList):
            self._write_items(value, level)
        else:
            self._write_object(value, level)

    def _put(self, text: str, kind: str = "") -> None:
        shown = escaped_lines(text[: self._room])
        if kind:
            shown = fill('<span class="$kind">$text</span>', kind=kind, text=shown)
        self.parts.append(shown)
        self._room -= len(text)
        if self._room <= 0:
            raise _FullError

    def _write_atom(self, value: Any) -> bool:
        """Write a value that contains no others; return False for all others."""
        if type(value) is str:
            self._put(self._text(value), "str")
        elif type(value) in (bytes, bytearray):
            self._put(repr(value[: self._room]), "str")
        elif value is None or type(value) is bool:
            self._put(json.dumps(value) if self._is_json else repr(value), "const")
        elif type(value) in (int, float, complex):
            self._put(_number(value), "num")
        else:
            return False
        return True

    def _text(self, text: str) -> str:
        text = text[: self._room]
        return json.dumps(text, ensure_ascii=False) if self._is_json else repr(text)

    def _write_pairs(self, value: Any, level: int) -> None:
        if type(value) is not dict:
            self._put(type(value).__name__)
        self._put("{")
        for number, (key, each) in enumerate(value.items()):
            self._begin_line(number, level + 1)
            if type(key) is str:
                self._put(self._text(key), "key")
            else:
                self.write(key, level + 1)
            self._put(": ")
            self.write(each, level + 1)
        self._end(value, level, "}")

    def _write_items(self, value: Any, level: int) -> None:
        opening, closing = BRACKETS.get(type(value), ("(", ")"))
        if type(value) not in BRACKETS or (type(value) is set and not value):
            self._put(type(value).__name__)
            opening, closing = "(", ")"
        self._put(opening)
        if _is_short(value):
            for number, each in enumerate(value):
                self._put(", " if number else "")
                self.write(each, level)
            self._put("," if type(value) is tuple and len(value) == 1 else "")
            self._put(closing)
            return
        for number, each in enumerate(value):
            self._begin_line(number, level + 1)
            self.write(each, level + 1)
        self._end(value, level, closing)

    def _write_object(self, value: Any, level: int) -> None:
        """Write an object by its class and its parts, or as it shows itself."""
        parts = _parts_of(value)
        if parts is None:
            self._put(repr(value)[: self._room])
            return
        self._put(type(value).__name__)
        self._put("(")
        count = 0
        for name, each in parts:
            self._begin_line(count, level + 1)
            if name:
                self._put(str(name), "key")
                self._put("=")
            self.write(each, level + 1)
            count += 1
        self._end(range(count), level, ")")

    def _begin_line(self, number: int, level: int) -> None:
        self._put(f"{',' if number else ''}\n{INDENT * level}")

    def _end(self, value: Any, level: int, closing: str) -> None:
        self._put(f"\n{INDENT * level}{closing}" if len(value) else closing)


def _number(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python does not convert a very long number to text.
        return f"<a number of {value.bit_length():,} bits>"


def _is_short(items: Iterable[Any]) -> bool:
    """Return whether a list is written on one line: a few numbers and short texts."""
    size = 0
    for number, each in enumerate(items):
        size += len(each) + 4 if type(each) is str else 8
        is_plain = each is None or type(each) in (str, int, float, bool)
        if not is_plain or number >= SHORT_ITEMS or size > SHORT_CHARACTERS:
            return False
    return True


def _parts_of(value: Any) -> list[tuple[str, Any]] | None:
    """Return the parts of an object with their names; None if it can show itself.

    All classes that every shelf may unpickle are here if they can contain other objects.
    """
    match value:
        case BaseException():
            return [("", each) for each in value.args]
        case slice():
            return [("", each) for each in (value.start, value.stop, value.step)]
        case Fraction():
            return [("", value._numerator), ("", value._denominator)]  # type: ignore[attr-defined]
        case ChainMap():
            return [("", each) for each in value.maps]
        case SimpleNamespace():
            return list(vars(value).items())
        case _ if isinstance(value, type):
            return None
        case _ if is_dataclass(value):
            return [(each.name, getattr(value, each.name)) for each in fields(value)]
        case _ if _has_plain_repr(type(value)) and hasattr(value, "__dict__"):
            return list(vars(value).items())
        case _:
            return None


def _has_plain_repr(cls: type[Any]) -> bool:
    """Return whether instances are shown as `<User object at 0x…>`, which tells nothing."""
    method: object = cls.__repr__
    return method is object.__repr__
