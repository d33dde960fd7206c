"""How values are shown as Python or JSON writes them, also those that have no end."""

from __future__ import annotations

import html
import re
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from cshelve.cli.browse.data import MOST_CHARACTERS, outline
from cshelve.cli.browse.values import instructions


def shown(value: Any, *, is_json: bool = False) -> str:
    return html.unescape(re.sub("<[^>]*>", "", outline(value, is_json=is_json)))


def doubled(wrap: Any, levels: int = 60) -> Any:
    """Return a small object whose `repr` has no end in sight."""
    value: Any = "x"
    for _ in range(levels):
        value = wrap(value)
    return value


@dataclass
class User:
    name: str
    tags: list[str]


class Plain:
    def __init__(self) -> None:
        self.x = 1


class Failing:
    def __repr__(self) -> str:
        raise KeyError("secret")


def test_values_are_shown_as_python_writes_them() -> None:
    assert shown({"a": (1,), 2: {"b": None}}) == "{\n  'a': (1,),\n  2: {\n    'b': None\n  }\n}"
    assert shown([1, "x", True]) == "[1, 'x', True]"
    assert shown([]) == "[]"
    assert shown(set()) == "set()"
    assert shown(b"\x00a") == "b'\\x00a'"
    assert shown(Decimal("1.5")) == "Decimal('1.5')"
    assert shown(10**5000) == "<a number of 16,610 bits>"
    assert shown(User("Ada", ["x"])) == "User(\n  name='Ada',\n  tags=['x']\n)"
    assert shown(Plain()) == "Plain(\n  x=1\n)"
    assert shown(int) == "<class 'int'>"
    assert shown("\ud800") == "'\\ud800'"


def test_json_is_shown_as_json() -> None:
    assert shown({"a": [True, None, "é"]}, is_json=True) == '{\n  "a": [true, null, "é"]\n}'


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: [x, x],
        lambda x: (x, x),
        lambda x: {"a": x, "b": x},
        lambda x: OrderedDict(a=x, b=x),
        lambda x: Counter({"a": x, "b": x}),
        lambda x: defaultdict(list, a=x, b=x),
        lambda x: deque([x, x]),
        lambda x: UserDict(a=x, b=x),
        lambda x: ChainMap({"a": x}, {"b": x}),
        lambda x: SimpleNamespace(a=x, b=x),
        lambda x: ValueError(x, x),
        lambda x: slice(x, x),
    ],
)
def test_what_contains_itself_many_times_is_cut_off(wrap: Any) -> None:
    text = shown(doubled(wrap))
    assert len(text) < 2 * MOST_CHARACTERS
    assert text.endswith("… and more")


def test_what_contains_itself_is_cut_off() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "…" in shown(endless)
    fraction = Fraction(1, 2)
    fraction._numerator = fraction  # type: ignore[attr-defined]  # As a pickle can do.
    assert "…" in shown(fraction)


def test_long_values_are_cut_off() -> None:
    assert len(shown("x" * 10**7)) < MOST_CHARACTERS + 100
    assert len(shown(b"\0" * 10**7)) < 2 * MOST_CHARACTERS
    assert len(shown(list(range(10**6)))) < 2 * MOST_CHARACTERS


def test_an_object_that_cannot_be_shown_says_only_why() -> None:
    text = shown([1, Failing()])
    assert "KeyError while it was shown" in text
    assert "secret" not in text


@pytest.mark.parametrize("payload", [b"", b"\x80", b"garbage", b"\x80\x05.", b"(" * 10**6, b"I1\n"])
def test_bytes_that_are_no_pickle_have_no_instructions(payload: bytes) -> None:
    text = instructions(payload)
    assert "no whole pickle" in text or "and more" in text
    assert len(text) < 3 * MOST_CHARACTERS


def test_a_long_text_is_cut_off_in_the_instructions() -> None:
    text = instructions(
        b"\x8c\x00" * 10**5 + b"X" + (10**6).to_bytes(4, "little") + b"x" * 10**6 + b"."
    )
    assert len(text) < 2 * MOST_CHARACTERS
