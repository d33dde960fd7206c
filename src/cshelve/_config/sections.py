"""A configuration is sections of options, each of which is declared once (`options`).

`take` is how an option is read, and `refuse_unknown` refuses what nobody declared, with the closest
name that is declared. Every error names the file, the section and the option.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from cshelve._config.mapping import checked_names
from cshelve._config.options import ANY_NAME, Option, closest, listed
from cshelve._logs import logger_or_own
from cshelve.exceptions import ConfigurationError

if TYPE_CHECKING:
    import logging

__all__ = ["Section", "Sections", "closest", "without_quotes"]

T = TypeVar("T")


class Section:
    """The options of one section, as they are written and as they are declared. It shows no values.

    A value that begins with `$` is looked up in the environment, `$$` begins a literal dollar.
    In a file, quotes round the value come off before that. In a URL a dollar means nothing, and
    secrets are refused.
    """

    def __init__(
        self,
        source: str,
        name: str,
        options: Mapping[str, object],
        *,
        from_file: bool,
        from_url: bool = False,
        looks_up: bool = True,
    ) -> None:
        self.source = source
        self.name = name
        self.declared: dict[str, Option[Any]] = {}
        self.is_from_file = from_file
        self._options = dict(options)
        self._is_from_url = from_url
        self._looks_up = looks_up and not from_url
        self._secrets: set[str] = set()
        # The sections that options were adopted from.
        self._written_in: dict[str, str] = {}

    def where(self, option: Option[Any] | str) -> str:
        """Return the beginning of a message about an option: where it is written."""
        return f"{self._place(option if isinstance(option, str) else option.name)}: "

    def error(self, option: Option[Any] | str, problem: str) -> ConfigurationError:
        """Make the error that says what is wrong with an option, for the caller to raise."""
        return ConfigurationError(self.where(option) + problem)

    def warn(self, option: Option[Any] | str, problem: str) -> None:
        """Warn of what is legal and unwise, at the line of the program that opens the shelf."""
        warnings.warn(self.where(option) + problem, stacklevel=_depth_of_package())

    def take(
        self,
        option: Option[T],
        *,
        required: bool = False,
        error: type[ConfigurationError] = ConfigurationError,
    ) -> T:
        """Return the value of a declared option, or its default.

        Raises `error` for an option that is `required` here, or always, and is not given, and for a
        value that is none of its choices.
        """
        assert option.name in self.declared, f"nobody declares {option.name} in [{self.name}]"
        value = self.value(option.name, literal=option.literal)
        if (required or option.required) and value in (None, ""):
            raise error(f"{self.where(option)}{self._missing(option, value)}")
        if value is None or (option.choices and value == ""):
            return option.default
        typed = self.read(option, option.type, value)
        if option.choices and typed not in option.choices:
            # No more of it, as it may be a key that was put in the wrong place.
            problem = f"there is no choice {typed!r:.14}{closest(str(typed), option.choices)}"
            one_of = "one of " if len(option.choices) > 1 else ""
            choices = f"{one_of}{', '.join(option.choices)}"
            raise error(f"{self.where(option)}{problem}; write {choices}.")
        if option.least is not None and isinstance(typed, int) and typed < option.least:
            raise self.error(option, f"must be {option.least} or more, not {typed}.")
        if option.most is not None and isinstance(typed, int) and typed > option.most:
            raise self.error(option, f"must be {option.most} or less, not {typed}.")
        return typed

    def read(self, option: Option[Any] | str, read: Callable[[object], T], value: object) -> T:
        """Read a value as a type; the error names the option."""
        try:
            return read(value)
        except ValueError as error:
            raise self.error(option, str(error)) from None

    def value(self, name: str, *, literal: bool = False) -> object:
        """Return a value of any type, looked up unless it is `literal`; None if it is not given."""
        value = self._options.get(name)
        if not isinstance(value, str):
            return value
        if self.is_from_file:
            value = without_quotes(value)
        return self._looked_up(name, value) if self._looks_up and not literal else value

    def written(self, option: Option[Any]) -> object:
        """Return a value as it is written, quotes and all; None if it is not given."""
        return self._options.get(option.name)

    def options(self) -> list[str]:
        """Return the names that are given."""
        return list(self._options)

    def keep_secret(self, name: str) -> None:
        """Keep a value out of pickles and URLs whose option is not declared as secret."""
        self._secrets.add(name)
        self._refuse_secret_in_url(name)

    def literal_secrets(self) -> list[str]:
        """Return where secrets are written out, not as a reference to the environment."""
        secrets = {name for name, option in self.declared.items() if option.secret} | self._secrets
        return [
            self._place(name)
            for name in sorted(secrets)
            if self._options.get(name) not in (None, "") and not self._is_reference(name)
        ]

    def adopt(self, own: Section) -> None:
        """Add the options of a provider's own section, which are none of this one as well."""
        for name, value in own._options.items():
            if name in self._options:
                raise own.error(name, f"the option is in [{self.name}] too; give it once.")
            self._options[name] = value
            self._written_in[name] = own.name

    def refuse_unknown(self, others: Iterable[Section] = ()) -> None:
        """Refuse an option that nobody declared, and in a URL one that is secret."""
        for name in self._options:
            option = self.declared.get(name)
            if option is None and ANY_NAME not in self.declared:
                elsewhere = [f"[{each.name}]" for each in others if name in each.declared]
                if elsewhere:
                    known = f" here: write it under {' or '.join(elsewhere)}"
                else:
                    known = closest(name, self.declared) or listed(self.declared)
                raise self.error(name, f"there is no such option{known}.")
            if option is not None and option.secret:
                self._refuse_secret_in_url(name)

    def _place(self, name: str) -> str:
        return f"{self.source}, [{self._written_in.get(name, self.name)}] {name}"

    def _refuse_secret_in_url(self, name: str) -> None:
        if self._is_from_url:
            raise self.error(
                name,
                "a secret has no place in a URL, which is logged and shown; write a configuration "
                "file, or leave it to the environment.",
            )

    def _missing(self, option: Option[Any], value: object) -> str:
        problem = "this option is required" if value is None else "must not be empty"
        # A misspelt one is what is most likely, and nobody has complained of it yet.
        unknown = set(self._options).difference(self.declared)
        instead = closest(option.name, unknown, "did you mean it by {}?")
        return f"{problem}; write it under [{self.name}]{instead}."

    def _is_reference(self, name: str) -> bool:
        value = self._options[name]
        if not self._looks_up or not isinstance(value, str):
            return False
        text = without_quotes(value) if self.is_from_file else value
        return text.startswith("$") and not text.startswith("$$")

    def _looked_up(self, name: str, value: str) -> str:
        if value.startswith("$$"):
            return value[1:]
        if not value.startswith("$"):
            return value
        variable = value[1:]
        if not variable or variable.startswith("{"):
            raise self.error(
                name, "a dollar stands before the name of a variable, without braces; $$ is a $."
            )
        try:
            return os.environ[variable]
        except KeyError:
            raise self.error(
                name,
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
        from_url: bool = False,
        flag: str,
        call_params: Mapping[str, object] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """`source` is the file's name, or what else a message calls the configuration.

        `call_params` are `provider_params` of the call; the same ones in the configuration take
        precedence.
        """
        self.source = source
        self.contents = contents
        self.from_file = from_file
        self.from_url = from_url
        self.flag = flag
        self.call_params = call_params or {}
        self.logger_of_call = logger
        self._sections: dict[str, Section] = {}
        self.own_names: set[str] = set()
        """The sections that the chosen provider may have of its own (`own_sections`)."""
        of_call = "the call to open"
        parameters = checked_names(of_call, "provider_params", self.call_params)
        self.call = Section(of_call, "provider_params", parameters, from_file=False, looks_up=False)
        """`provider_params` of the call: Python values, in which `$` means nothing."""

    @property
    def logger(self) -> logging.Logger:
        """The logger of the call, or ours."""
        return logger_or_own(self.logger_of_call)

    def declare(self, options: Iterable[Option[Any]]) -> None:
        """Make options known, which can then be taken."""
        for option in options:
            section = self._sections.get(option.section) or self.section(option.section)
            section.declared[option.name] = option
            if option.section == self.call.name:
                self.call.declared[option.name] = option

    def take(
        self,
        option: Option[T],
        *,
        required: bool = False,
        error: type[ConfigurationError] = ConfigurationError,
    ) -> T:
        """Return the value of a declared option, or its default, as `Section.take` does."""
        if option.required and not self.has(option.section):
            instead = closest(option.section, self.contents, "did you mean it by [{}]?")
            problem = f"there is no section [{option.section}]{instead}"
            raise ConfigurationError(f"{self.source}: {problem}.")
        return self.section(option.section).take(option, required=required, error=error)

    def where(self, option: Option[Any]) -> str:
        """Return the beginning of a message about an option: where it is written."""
        return self.section(option.section).where(option)

    def error(self, option: Option[Any], problem: str) -> ConfigurationError:
        """Make the error that says what is wrong with an option, for the caller to raise."""
        return self.section(option.section).error(option, problem)

    def section(self, name: str) -> Section:
        """Return a section; one that is not written is empty."""
        if name not in self._sections:
            self._sections[name] = self.written(name)
        return self._sections[name]

    def written(self, name: str) -> Section:
        """Return a section as it is written, without declarations."""
        options = self.contents.get(name, {})
        return Section(self.source, name, options, from_file=self.from_file, from_url=self.from_url)

    def has(self, name: str) -> bool:
        """Return whether a section is written."""
        return name in self.contents

    def unknown(self) -> list[str]:
        """Return the names of sections that nobody has declared."""
        known = {name for name, section in self._sections.items() if section.declared}
        return [name for name in self.contents if name not in known | self.own_names]

    def literal_secrets(self) -> list[str]:
        """Return where secrets are written out."""
        sections = (*self._sections.values(), self.call)
        return [place for section in sections for place in section.literal_secrets()]

    def refuse_unknown(self) -> None:
        """Refuse sections, options and parameters of the call that nobody declared."""
        known = {name for name, section in self._sections.items() if section.declared}
        self.refuse_unknown_sections(known | self.own_names, self.contents)
        for section in (*self._sections.values(), self.call):
            section.refuse_unknown(self._sections.values())

    def refuse_unknown_sections(self, known: Iterable[str], written: Iterable[str]) -> None:
        """Refuse those of the written sections that are not known."""
        for name in written:
            if name not in known:
                hint = closest(name, known, "did you mean [{}]?")
                hint = hint or listed(f"[{each}]" for each in known)
                raise ConfigurationError(
                    f"{self.source}, [{name}]: there is no such section{hint}."
                )


def without_quotes(text: str) -> str:
    """Return a text without the pair of single or double quotes round all of it."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _depth_of_package() -> int:
    """Count the calls from the caller of this function's caller to the first one from outside."""
    package = os.path.dirname(os.path.dirname(__file__))
    frame, depth = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, depth = frame.f_back, depth + 1
    return depth
