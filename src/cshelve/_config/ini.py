"""An ini file, or a parser that has read one, becomes sections of text."""

from __future__ import annotations

import configparser
import os

from cshelve._config.mapping import with_folded_names
from cshelve.exceptions import ConfigurationError

__all__ = ["sections_from_file", "sections_from_parser"]


def sections_from_file(path: str) -> dict[str, dict[str, object]]:
    """Read an ini file as text; raise `ConfigurationError` where it is absent or malformed.

    `%` is a character like others, `#` and `;` begin a comment at the start of a line only, and a
    byte-order mark is skipped.
    """
    parser = configparser.RawConfigParser(default_section="\0", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # how configparser is told
    # Raised down here, and not where it is caught: those errors carry the line, or the whole file,
    # which may hold a secret, and would be the context of ours.
    problem = _read_into(parser, path)
    if problem is not None:
        raise ConfigurationError(f"{path}: {problem}")
    return sections_from_parser(parser, path)


def sections_from_parser(
    parser: configparser.RawConfigParser, source: str
) -> dict[str, dict[str, object]]:
    """Return the sections of a parser, which may be one that the caller has made.

    The section of its defaults is one of them only if there is something in it.
    """
    contents: dict[str, dict[str, object]] = {}
    for name in parser:
        if name == parser.default_section and not parser.defaults():
            continue
        try:
            contents[name] = dict(parser.items(name))
        except configparser.InterpolationError:
            contents[name] = {}
        if not contents[name] and parser.options(name):
            # Not where it was caught: the error quotes the value, which may be a secret.
            raise ConfigurationError(
                f"{source}, [{name}]: the parser cannot interpolate a value; make it with "
                "interpolation=None, or write two percent signs for one."
            )
        for option, value in contents[name].items():
            if isinstance(value, str) and "\n" in value:
                # Refused, since what was swallowed so is a misplaced option, or a secret.
                raise ConfigurationError(
                    f"{source}, [{name}] {option}: the line behind it is indented, which makes it "
                    "a part of this value; begin each option at the start of its line."
                )
    return with_folded_names(source, contents)


def _read_into(parser: configparser.RawConfigParser, path: str) -> str | None:
    """Read a file, or say what is wrong with it."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_string(file.read(), source=path)
    except FileNotFoundError:
        return f"there is no such file (looked for in {os.getcwd()})."
    except configparser.Error as error:
        return _problem_of(error)
    except (OSError, ValueError) as error:
        # A ValueError is text that is not UTF-8, or a name that the system does not take.
        return f"the file can't be read as text: {error}"
    return None


def _problem_of(error: configparser.Error) -> str:
    match error:
        case configparser.DuplicateOptionError():
            return f"[{error.section}] {error.option}, line {error.lineno}: given twice."
        case configparser.DuplicateSectionError():
            return f"[{error.section}], line {error.lineno}: the section is there twice."
        case configparser.MissingSectionHeaderError():
            return f"line {error.lineno} stands before any section; begin with [default]."
        case configparser.ParsingError():
            lines = ", ".join(str(number) for number, _ in error.errors)
            return f"line {lines}: neither a [section] nor 'option = value'."
        case _:
            return "the file is no valid ini file."
