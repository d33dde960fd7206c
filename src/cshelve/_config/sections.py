"""Sections of options, which make up a configuration; each option is declared once (`options`).

`take` reads an option. `refuse_unknown` raises an error for an option that is not declared, and
suggests the most similar name that is. Every error names the file, the section and the option.
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
# Returns the names of the providers that have an option, from its section and name.
Owners = Callable[[str, str], Iterable[str]]


def _no_owners(_section: str, _name: str) -> Iterable[str]:
    return ()


class Section:
    """The values and declarations of the options of one section. The `repr` shows no values.

    A value that begins with `$` names an environment variable, and `$$` stands for a literal
    dollar. In a file, quotes around the value are removed first. In a URL, a dollar has no special
    meaning, and secrets are refused.
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
        # The section that each adopted option comes from.
        self._written_in: dict[str, str] = {}

    def where(self, option: Option[Any] | str) -> str:
        """Return the place of an option, with a colon, to begin a message."""
        return f"{self._place(option if isinstance(option, str) else option.name)}: "

    def error(self, option: Option[Any] | str, problem: str) -> ConfigurationError:
        """Return the error for an option with a problem; the caller raises it."""
        return ConfigurationError(self.where(option) + problem)

    def warn(self, option: Option[Any] | str, problem: str) -> None:
        """Warn of an allowed but unwise option; the warning points to the caller of `open`."""
        warnings.warn(self.where(option) + problem, stacklevel=_depth_of_package())

    def take(
        self,
        option: Option[T],
        *,
        required: bool = False,
        error: type[ConfigurationError] = ConfigurationError,
    ) -> T:
        """Return the value of a declared option, or its default.

        Raises `error` if the option is `required`, here or by its declaration, and is not set, or
        if the value is not one of the choices. Raises `ConfigurationError` for any other wrong
        value.
        """
        assert option.name in self.declared, f"nobody declares {option.name} in [{self.name}]"
        value = self.value(option.name, literal=option.literal)
        if (required or option.required) and value in (None, ""):
            raise error(f"{self.where(option)}{self._missing(option, value)}")
        if value is None or (option.choices and value == ""):
            return option.default
        typed = self.read(option, option.type, value)
        if option.choices and typed not in option.choices:
            # The message quotes only the beginning: the value may be a misplaced secret.
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
        """Return `read(value)`, and turn a `ValueError` into an error that names the option."""
        try:
            return read(value)
        except ValueError as error:
            raise self.error(option, str(error)) from None

    def value(self, name: str, *, literal: bool = False) -> object:
        """Return the value of an option, or of the environment variable that it names.

        With `literal`, a `$` has no special meaning. Return None if the option is not set.
        """
        value = self._options.get(name)
        if not isinstance(value, str):
            return value
        if self.is_from_file:
            value = without_quotes(value)
        return self._looked_up(name, value) if self._looks_up and not literal else value

    def written(self, option: Option[Any]) -> object:
        """Return a value exactly as it is written, including quotes; None if it is not set."""
        return self._options.get(option.name)

    def options(self) -> list[str]:
        """Return the names of the options that are set."""
        return list(self._options)

    def keep_secret(self, name: str) -> None:
        """Treat the value of an option as secret, although its declaration does not say so."""
        self._secrets.add(name)
        self._refuse_secret_in_url(name)

    def literal_secrets(self) -> list[str]:
        """Return the places of secrets that are written out, not read from the environment."""
        secrets = {name for name, option in self.declared.items() if option.secret} | self._secrets
        return [
            self._place(name)
            for name in sorted(secrets)
            if self._options.get(name) not in (None, "") and not self._is_reference(name)
        ]

    def adopt(self, own: Section) -> None:
        """Add the options of a provider's own section; raise an error for one that is here, too."""
        for name, value in own._options.items():
            if name in self._options:
                raise own.error(name, f"the option is in [{self.name}] too; give it once.")
            self._options[name] = value
            self._written_in[name] = own.name

    def refuse_unknown(self, others: Iterable[Section] = (), owners: Owners = _no_owners) -> None:
        """Raise `ConfigurationError` for an option that is not declared, or for a secret in a URL.

        The message says so if one of the sections `others`, or another provider, has that option.
        """
        for name in self._options:
            option = self.declared.get(name)
            if option is None and ANY_NAME not in self.declared:
                elsewhere = [f"[{each.name}]" for each in others if name in each.declared]
                if elsewhere:
                    known = f" here: write it under {' or '.join(elsewhere)}"
                elif providers := " and ".join(owners(self.name, name)):
                    known = f" for this provider; it is an option of {providers}"
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
                "a secret has no place in a URL, which is logged and shown; write it in a "
                "configuration file or in the environment.",
            )

    def _missing(self, option: Option[Any], value: object) -> str:
        problem = "this option is required" if value is None else "must not be empty"
        # The most likely reason is a misspelt name, which has not been reported yet.
        unknown = set(self._options).difference(self.declared)
        instead = closest(option.name, unknown, "did you misspell it as {}?")
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
                name, "write the name of a variable after a dollar, without braces, or $$ for a $."
            )
        try:
            return os.environ[variable]
        except KeyError:
            raise self.error(
                name,
                f"the environment variable {variable!r} is not set. "
                "(For a value that begins with a dollar, write two dollars.)",
            ) from None


class Sections:
    """A configuration: its sections, and the parameters of the call to `open`."""

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
        """`source` is the file's name, or another text that stands for the configuration.

        `call_params` are the `provider_params` of the call; those in the configuration take
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
        """The names of the chosen provider's own sections (see `own_sections`)."""
        of_call = "the call to open"
        parameters = checked_names(of_call, "provider_params", self.call_params)
        self.call = Section(of_call, "provider_params", parameters, from_file=False, looks_up=False)
        """The `provider_params` of the call: Python values, in which `$` has no special meaning."""

    @property
    def logger(self) -> logging.Logger:
        """The logger of the call, or the default one."""
        return logger_or_own(self.logger_of_call)

    def declare(self, options: Iterable[Option[Any]]) -> None:
        """Declare options, so that they are allowed and can be taken."""
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
        """Return the value of a declared option, or its default; see `Section.take`."""
        if option.required and not self.has(option.section):
            instead = closest(option.section, self.contents, "did you misspell it as [{}]?")
            problem = f"there is no section [{option.section}]{instead}"
            raise ConfigurationError(f"{self.source}: {problem}.")
        return self.section(option.section).take(option, required=required, error=error)

    def where(self, option: Option[Any]) -> str:
        """Return the place of an option, with a colon, to begin a message."""
        return self.section(option.section).where(option)

    def error(self, option: Option[Any], problem: str) -> ConfigurationError:
        """Return the error for an option with a problem; the caller raises it."""
        return self.section(option.section).error(option, problem)

    def section(self, name: str) -> Section:
        """Return a section; it is empty if the configuration does not have it."""
        if name not in self._sections:
            self._sections[name] = self.written(name)
        return self._sections[name]

    def written(self, name: str) -> Section:
        """Return a new object for a section, with its values but without declarations."""
        options = self.contents.get(name, {})
        return Section(self.source, name, options, from_file=self.from_file, from_url=self.from_url)

    def has(self, name: str) -> bool:
        """Return whether the configuration has a section."""
        return name in self.contents

    def unknown(self) -> list[str]:
        """Return the names of sections for which no option is declared."""
        known = {name for name, section in self._sections.items() if section.declared}
        return [name for name in self.contents if name not in known | self.own_names]

    def literal_secrets(self) -> list[str]:
        """Return the places of all secrets that are written out."""
        sections = (*self._sections.values(), self.call)
        return [place for section in sections for place in section.literal_secrets()]

    def refuse_unknown(self, owners: Owners = _no_owners) -> None:
        """Raise an error for a section, option or parameter of the call that is not declared.

        `owners` returns the providers that have an option in a section, for the message.
        """
        known = {name for name, section in self._sections.items() if section.declared}
        self.refuse_unknown_sections(known | self.own_names, self.contents)
        for section in (*self._sections.values(), self.call):
            section.refuse_unknown(self._sections.values(), owners)

    def refuse_unknown_sections(self, known: Iterable[str], written: Iterable[str]) -> None:
        """Raise `ConfigurationError` for a written section that is not known."""
        for name in written:
            if name not in known:
                hint = closest(name, known, "did you mean [{}]?")
                hint = hint or listed(f"[{each}]" for each in known)
                raise ConfigurationError(
                    f"{self.source}, [{name}]: there is no such section{hint}."
                )


def without_quotes(text: str) -> str:
    """Return a text without the single or double quotes around it."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _depth_of_package() -> int:
    """Return the `stacklevel` that makes a warning point to the first caller outside cshelve."""
    package = os.path.dirname(os.path.dirname(__file__))
    frame, depth = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, depth = frame.f_back, depth + 1
    return depth
