"""What an option is, and the types that values are read as.

An option is declared once, beside what it configures. Reading it (`Sections.take`), refusing
unknown names, keeping secrets out of pickles, the documentation and tools (`cshelve.options`) all
use that declaration. A type is a function that returns the value it reads, or raises a `ValueError`
that says what the value must be; it never guesses from the look of a text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from math import inf, isnan, nan
from typing import Generic, NamedTuple, TypeVar

__all__ = [
    "ANY_NAME",
    "Option",
    "any_value",
    "boolean",
    "closest",
    "integer",
    "listed",
    "number",
    "seconds",
    "text",
    "type_of",
    "word",
]

T = TypeVar("T")

ANY_NAME = "*"
TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})


class Option(NamedTuple, Generic[T]):
    """An option of a configuration. `config.take(option)` returns its value, a `T`.

    ::

        TIMEOUT = Option("timeout_seconds", seconds, 10, "How long a request may take.")
    """

    name: str
    """`ANY_NAME` in a section whose names belong to another library."""
    type: Callable[[object], T]
    """Reads a value, of a text or of its natural type; raises `ValueError` if it cannot."""
    default: T
    """Not used if the option is required."""
    meaning: str
    """One sentence, in Markdown."""
    section: str = "default"
    required: bool = False
    secret: bool = False
    """A shelf whose configuration spells out the value refuses to be pickled."""
    literal: bool = False
    """A `$` at the beginning names no environment variable."""
    choices: tuple[str, ...] = ()
    """The values that there are, if the type is `word`; empty if others are allowed too."""
    least: int | None = None
    most: int | None = None
    provider: str = "any"
    """Which provider has it; `cshelve.options` fills this in."""

    @property
    def type_name(self) -> str:
        """The type as documentation shows it, such as `boolean or text`."""
        return self.type.__name__.replace("_", " ")


def any_value(value: object) -> object:
    """Return any value as it is."""
    return value


def text(value: object) -> str:
    """Read a text; a path object counts as its text."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise ValueError(f"is a text, not {type_of(value)}.")
    # A subclass may override how it is joined with others, as markupsafe's does.
    return value if type(value) is str else str.__str__(value)


def word(value: object) -> str:
    """Read a text in which upper and lower case are the same; return it in lower case."""
    return text(value).lower()


def boolean(value: object) -> bool:
    """Read true, yes, on or 1, or false, no, off or 0, in any case."""
    if isinstance(value, bool):
        return value
    written = str(value).strip().lower()
    if written in TRUE or written in FALSE:
        return written in TRUE
    raise ValueError("is true or false (yes, no, on, off, 1 and 0 are understood too).")


def integer(value: object) -> int:
    """Read a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"is a whole number, not {_shown(value)}.") from None


def number(value: object) -> float:
    """Read a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        read = float(value if isinstance(value, str) else nan)
    except ValueError:
        read = nan
    if isnan(read):
        raise ValueError(f"is a number, not {_shown(value)}.")
    return read


def seconds(value: object) -> float:
    """Read a duration: a number greater than zero."""
    read = number(value)
    if not 0 < read < inf:
        raise ValueError(f"must be greater than zero, not {read:g}.")
    return read


def type_of(value: object) -> str:
    """Name the type of a value for a message that must not show the value."""
    return f"of type {type(value).__name__}"


def closest(name: str, known: Iterable[str], form: str = "did you mean {}?") -> str:
    """Name, in brackets, the known name that is most like this one; nothing if none is."""
    # Only for who has made a mistake.
    import difflib

    by_lower_case = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), sorted(by_lower_case), n=1)
    return f" ({form.format(by_lower_case[close[0]])})" if close else ""


def listed(known: Iterable[str]) -> str:
    """Name what there is, to end a sentence with; nothing if there is nothing."""
    names = sorted(known)
    return f"; there are {', '.join(names)}" if names else ""


def _shown(value: object) -> str:
    """Quote a short value; a long one might be something that was put in the wrong place."""
    quoted = repr(value)
    return quoted if len(quoted) <= 20 else type_of(value)
