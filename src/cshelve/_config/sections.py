"""A configuration is sections whose options are taken out one by one.

Whoever needs an option takes it, with its type: the code that takes is the table of types, and
nothing is ever guessed from the look of a text. What nobody took is unknown, and `finish` refuses
it with the closest name that somebody would have taken. Every error names file, section and option.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from math import isnan, nan
from typing import TYPE_CHECKING

from cshelve._logs import logger_or_own
from cshelve.exceptions import ConfigurationError

if TYPE_CHECKING:
    import logging

__all__ = ["Section", "Sections", "closest", "sections_from_dict", "with_folded_names"]

# Their options are somebody else's parameters, which tell upper from lower case.
CASE_SENSITIVE_SECTIONS = frozenset({"provider_params", "put_params"})

TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})


class Section:
    """The options of one section. Taking an option makes its name known and resolves its value.

    A value that begins with `$` is looked up in the environment, `$$` begins a literal dollar.
    In a file, quotes round the value come off before that.
    """

    def __init__(
        self,
        source: str,
        name: str,
        options: Mapping[str, object],
        *,
        from_file: bool,
        looks_up: bool = True,
    ) -> None:
        self.source = source
        self.name = name
        self._options = dict(options)
        self.is_from_file = from_file
        self._looks_up = looks_up
        self._taken: set[str] = set()
        self._secrets: set[str] = set()

    def __repr__(self) -> str:
        # Values are left out: some of them are secrets.
        return f"<Section [{self.name}] of {self.source}: {', '.join(sorted(self._options))}>"

    def error(self, option: str, problem: str) -> ConfigurationError:
        """Make the error that says what is wrong with an option, for the caller to raise."""
        return ConfigurationError(self.where(option) + problem)

    def warn(self, option: str, problem: str) -> None:
        """Warn of what is legal and unwise, at the line of the program that opens the shelf."""
        warnings.warn(self.where(option) + problem, stacklevel=_depth_of_package())

    def where(self, option: str) -> str:
        """Begin a message about an option with where it stands."""
        return f"{self.source}, [{self.name}] {option}: "

    def raw(self, option: str) -> object:
        """Take a value as it was written, quotes and all; None where it is not given."""
        self._taken.add(option)
        return self._options.get(option)

    def value(self, option: str) -> object:
        """Take a value of any type; None where it is not given."""
        value = self.raw(option)
        if not isinstance(value, str):
            return value
        if self.is_from_file:
            value = without_quotes(value)
        return self._looked_up(option, value) if self._looks_up else value

    def text(self, option: str, default: str | None = None) -> str | None:
        """Take a text."""
        value = self.value(option)
        return default if value is None else self.as_text(option, value)

    def names(self, option: str) -> list[str]:
        """Take a list of names, in which `$` means nothing; in a text there are commas between."""
        value = self.raw(option)
        if isinstance(value, list | tuple):
            return [self.as_text(option, name) for name in value]
        text = "" if value is None else self.as_text(option, value)
        names = (without_quotes(text) if self.is_from_file else text).split(",")
        return [name for each in names if (name := each.strip())]

    def required_text(self, option: str, error: type[ConfigurationError] | None = None) -> str:
        """Take a text that has to be there and not be empty."""
        value = self.text(option)
        if not value:
            problem = "must not be empty" if value == "" else "this option is required"
            # A misspelt one is what is most likely, and nobody has complained of it yet.
            instead = closest(option, set(self._options) - self._taken, "did you mean it by {}?")
            raise (error or ConfigurationError)(
                f"{self.where(option)}{problem}; write it under [{self.name}]{instead}."
            )
        return value

    def boolean(self, option: str, *, default: bool) -> bool:
        """Take a truth value: true, yes, on or 1, false, no, off or 0, in any case."""
        value = self.value(option)
        return default if value is None else self.as_boolean(option, value)

    def integer(self, option: str, *, default: int, least: int = 0) -> int:
        """Take a whole number of at least `least`."""
        value = self.value(option)
        number = default if value is None else self.as_integer(option, value)
        if number < least:
            raise self.error(option, f"must be {least} or more, not {number}.")
        return number

    def number(self, option: str, *, default: float) -> float:
        """Take a number greater than zero."""
        value = self.value(option)
        number = default if value is None else self.as_number(option, value)
        if not 0 < number < float("inf"):
            raise self.error(option, f"must be greater than zero, not {number:g}.")
        return number

    def as_text(self, option: str, value: object) -> str:
        """Read a value of an option as a text; a path object counts as its text."""
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str):
            raise self.error(option, f"is a text, not {_a(value)}.")
        return value

    def as_boolean(self, option: str, value: object) -> bool:
        """Read a value of an option as a truth value."""
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in TRUE:
            return True
        if word in FALSE:
            return False
        raise self.error(option, "is true or false (yes, no, on, off, 1 and 0 are understood too).")

    def as_integer(self, option: str, value: object) -> int:
        """Read a value of an option as a whole number."""
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        try:
            return int(value if isinstance(value, str) else "")
        except ValueError:
            raise self.error(option, f"is a whole number, not {_shown(value)}.") from None

    def as_number(self, option: str, value: object) -> float:
        """Read a value of an option as a number."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        try:
            number = float(value if isinstance(value, str) else "nan")
        except ValueError:
            number = nan
        if isnan(number):
            raise self.error(option, f"is a number, not {_shown(value)}.")
        return number

    def options(self) -> list[str]:
        """Name the options that the configuration gives, taken or not."""
        return list(self._options)

    def accept(self, *options: str) -> None:
        """Make names known without taking their values, which do not matter here or come later."""
        self._taken.update(options)

    def keep_secret(self, *options: str) -> None:
        """Say that the values of these must not leave the process, in a pickle say."""
        self._secrets.update(options)

    def literal_secrets(self) -> list[str]:
        """Say where secrets are written out, not as a reference to the environment."""
        return [
            f"{self.source}, [{self.name}] {option}"
            for option in sorted(self._secrets)
            if self._options.get(option) not in (None, "") and not self._is_reference(option)
        ]

    def finish(self) -> None:
        """Refuse what nobody took."""
        for option in self._options:
            if option not in self._taken:
                known = closest(option, self._taken) or _listed(self._taken)
                raise self.error(option, f"there is no such option{known}.")

    def _is_reference(self, option: str) -> bool:
        value = self._options[option]
        if not self._looks_up or not isinstance(value, str):
            return False
        text = without_quotes(value) if self.is_from_file else value
        return text.startswith("$") and not text.startswith("$$")

    def _looked_up(self, option: str, value: str) -> str:
        if value.startswith("$$"):
            return value[1:]
        if not value.startswith("$"):
            return value
        variable = value[1:]
        if not variable or variable.startswith("{"):
            raise self.error(
                option, "a dollar stands before the name of a variable, without braces; $$ is a $."
            )
        try:
            return os.environ[variable]
        except KeyError:
            raise self.error(
                option,
                f"the environment variable {variable!r} is not set. "
                "(A value that really begins with a dollar is written with two.)",
            ) from None


class Sections:
    """A configuration: its sections, and what the call to `open` said beside it."""

    def __init__(
        self,
        source: str,
        contents: Mapping[str, Mapping[str, object]],
        *,
        from_file: bool,
        flag: str,
        call_params: Mapping[str, object] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """Take the file's name, or what else to call the configuration in a message.

        `call_params` are `provider_params` of the call; where the configuration has the same, that
        wins.
        """
        self.source = source
        self.contents = contents
        self.from_file = from_file
        self.flag = flag
        self.call_params = call_params or {}
        self.logger_of_call = logger
        self._sections: dict[str, Section] = {}
        self._call: Section | None = None

    @property
    def logger(self) -> logging.Logger:
        """The logger of the call, or ours."""
        return logger_or_own(self.logger_of_call)

    def section(self, name: str) -> Section:
        """Give a section, which makes its name known; one that is not written is empty."""
        if name not in self._sections:
            options = self.contents.get(name, {})
            self._sections[name] = Section(self.source, name, options, from_file=self.from_file)
        return self._sections[name]

    def has(self, name: str) -> bool:
        """Tell whether a section is written, which makes its name known."""
        self.section(name)
        return name in self.contents

    def call(self) -> Section:
        """Give the `provider_params` of the call: Python values, in which `$` means nothing."""
        if self._call is None:
            source = "the call to open"
            parameters = _checked_names(source, "provider_params", self.call_params)
            self._call = Section(
                source, "provider_params", parameters, from_file=False, looks_up=False
            )
        return self._call

    def require(self, name: str) -> Section:
        """Give a section that has to be there."""
        if not self.has(name):
            instead = closest(name, self.contents, "did you mean it by [{}]?")
            raise ConfigurationError(f"{self.source}: there is no section [{name}]{instead}.")
        return self.section(name)

    def literal_secrets(self) -> list[str]:
        """Say where secrets are written out, in the sections that were read so far."""
        sections = (*self._sections.values(), self.call())
        return [place for section in sections for place in section.literal_secrets()]

    def finish(self) -> None:
        """Refuse every section and option that nobody took, and every parameter of the call."""
        for name in self.contents:
            if name not in self._sections:
                known = closest(name, self._sections, "did you mean [{}]?")
                raise ConfigurationError(
                    f"{self.source}, [{name}]: there is no such section"
                    f"{known or _listed(f'[{each}]' for each in self._sections)}."
                )
        for section in (*self._sections.values(), self.call()):
            section.finish()


def sections_from_dict(
    config: Mapping[str, Mapping[str, object]], source: str
) -> dict[str, dict[str, object]]:
    """Read sections out of a mapping of mappings, values of any type."""
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"{source} is a dict of sections, not {_a(config)}.")
    for name, options in config.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"{source}: a section's name is text, not {_a(name)}.")
        _checked_names(source, name, options)
    return with_folded_names(source, config)


def without_quotes(text: str) -> str:
    """Take one pair of single or double quotes off a text that is wholly in them."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def with_folded_names(
    source: str, contents: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, object]]:
    """Make option names lower-case where case does not count, refusing two that become one."""
    for name in contents:
        if name != "default" and name.lower() == "default":
            raise ConfigurationError(f"{source}, [{name}]: write [default], in lower case.")
    folded: dict[str, dict[str, object]] = {}
    for name, options in contents.items():
        section: dict[str, object] = {}
        for option, value in options.items():
            known_as = option if name in CASE_SENSITIVE_SECTIONS else option.lower()
            if known_as in section:
                raise ConfigurationError(f"{source}, [{name}] {option}: the option is given twice.")
            section[known_as] = value
        folded[name] = section
    return folded


def closest(name: str, known: Iterable[str], form: str = "did you mean {}?") -> str:
    """Name, in brackets, the known name that is most like this one; nothing if none is."""
    # Only for who has made a mistake.
    import difflib

    by_lower_case = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), sorted(by_lower_case), n=1)
    return f" ({form.format(by_lower_case[close[0]])})" if close else ""


def _depth_of_package() -> int:
    """Count the calls from the caller of this function's caller to the first one from outside."""
    package = os.path.dirname(os.path.dirname(__file__))
    frame, depth = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, depth = frame.f_back, depth + 1
    return depth


def _listed(known: Iterable[str]) -> str:
    names = sorted(known)
    return f"; there are {', '.join(names)}" if names else ""


def _checked_names(source: str, section: str, options: object) -> Mapping[str, object]:
    """Refuse what is no dict of options by name."""
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{source}, [{section}] is a dict of options, not {_a(options)}.")
    for option in options:
        if not isinstance(option, str):
            raise ConfigurationError(f"{source}, [{section}]: names are text, not {_a(option)}.")
    return options


def _a(value: object) -> str:
    return f"of type {type(value).__name__}"


def _shown(value: object) -> str:
    """Quote a short value; a long one might be something that was put in the wrong place."""
    text = repr(value)
    return text if len(text) <= 20 else _a(value)
