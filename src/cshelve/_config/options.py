"""Declarations of options, and the types of their values.

Each option is declared once, next to the code that it configures. The declaration is used to read
the option (`Sections.take`), to refuse unknown names, to keep secrets out of pickles, and by
documentation and tools (`cshelve.options`). A type is a function that returns the value in the
right type, or raises a `ValueError` that says what the value must be. It never guesses a type from
the form of a text.
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
    """The option's name; `ANY_NAME` in a section whose names another library defines."""
    type: Callable[[object], T]
    """Converts a text, or a value of the natural type; raises `ValueError` for any other."""
    default: T
    """The value if the option is not set. It is not used if the option is required."""
    meaning: str
    """A sentence in Markdown that explains the option."""
    section: str = "default"
    required: bool = False
    secret: bool = False
    """Whether the value is secret: a shelf whose configuration contains it cannot be pickled."""
    literal: bool = False
    """Whether a `$` at the beginning is literal, and not the mark of an environment variable."""
    choices: tuple[str, ...] = ()
    """The allowed values, if the type is `word`; empty if there is no fixed set."""
    least: int | None = None
    most: int | None = None
    provider: str = "any"
    """The name of the provider that has the option; `cshelve.options` fills this in."""

    @property
    def type_name(self) -> str:
        """The name of the type for documentation, such as `boolean or text`."""
        return self.type.__name__.replace("_", " ")


def any_value(value: object) -> object:
    """Return a value of any type, unchanged."""
    return value


def text(value: object) -> str:
    """Return a text, or the text of a path object; raise `ValueError` for anything else."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise ValueError(f"is a text, not {type_of(value)}.")
    # A subclass of `str` may override how it is joined with other texts, as markupsafe's does.
    return value if type(value) is str else str.__str__(value)


def word(value: object) -> str:
    """Return a text in lower case, for options whose case does not matter."""
    return text(value).lower()


def boolean(value: object) -> bool:
    """Return a bool for true, yes, on, 1, false, no, off or 0, in upper or lower case."""
    if isinstance(value, bool):
        return value
    written = str(value).strip().lower()
    if written in TRUE or written in FALSE:
        return written in TRUE
    raise ValueError("is true or false (yes, no, on, off, 1 and 0 are understood too).")


def integer(value: object) -> int:
    """Return a whole number; raise `ValueError` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"is a whole number, not {_shown(value)}.") from None


def number(value: object) -> float:
    """Return a number; raise `ValueError` for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return inf if value > 0 else -inf
    try:
        read = float(value if isinstance(value, str) else nan)
    except ValueError:
        read = nan
    if isnan(read):
        raise ValueError(f"is a number, not {_shown(value)}.")
    return read


def seconds(value: object) -> float:
    """Return a finite number above zero; raise `ValueError` for anything else."""
    read = number(value)
    if not 0 < read < inf:
        demanded = "finite" if read == inf else "greater than zero"
        raise ValueError(f"must be {demanded}, not {read:g}.")
    return read


def type_of(value: object) -> str:
    """Return a text with the type of a value, for a message that must not show the value."""
    return f"of type {type(value).__name__}"


def closest(name: str, known: Iterable[str], form: str = "did you mean {}?") -> str:
    """Return a hint, in brackets, at the known name that is most similar; empty if none is."""
    # Imported late: needed only for error messages.
    import difflib

    by_lower_case = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), sorted(by_lower_case), n=1)
    return f" ({form.format(by_lower_case[close[0]])})" if close else ""


def listed(known: Iterable[str]) -> str:
    """Return the known names as the end of a sentence; empty if there are none."""
    names = sorted(known)
    return f"; there are {', '.join(names)}" if names else ""


def _shown(value: object) -> str:
    """Return a short value in quotes; for a long one, which may be a misplaced secret, its type."""
    quoted = repr(value)
    return quoted if len(quoted) <= 20 else type_of(value)
