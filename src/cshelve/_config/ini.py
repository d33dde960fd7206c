"""Turn an ini file, or a parser that has read one, into sections of texts."""

from __future__ import annotations

import configparser
import os

from cshelve._config.mapping import with_folded_names
from cshelve.exceptions import ConfigurationError

__all__ = ["sections_from_file", "sections_from_parser"]


def sections_from_file(path: str) -> dict[str, dict[str, object]]:
    """Return the sections of an ini file; raise `ConfigurationError` if it is absent or malformed.

    `%` has no special meaning, `#` and `;` begin a comment only at the start of a line, and a
    byte-order mark is skipped.
    """
    parser = configparser.RawConfigParser(default_section="\0", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # how configparser is told
    # Raised here and not where the parser's error is caught: that error contains a line or the
    # whole file, and so perhaps a secret, and would become the context of ours.
    problem = _read_into(parser, path)
    if problem is not None:
        raise ConfigurationError(f"{path}: {problem}")
    return sections_from_parser(parser, path)


def sections_from_parser(
    parser: configparser.RawConfigParser, source: str
) -> dict[str, dict[str, object]]:
    """Return the sections of a parser, which may be the caller's own.

    The parser's default section is included only if it is not empty.
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
            # Not raised in the `except`: the parser's error quotes the value, maybe a secret.
            raise ConfigurationError(
                f"{source}, [{name}]: the parser cannot interpolate a value; make it with "
                "interpolation=None, or write %% for a percent sign."
            )
        for option, value in contents[name].items():
            if isinstance(value, str) and "\n" in value:
                # Refused, since the next line is probably a misplaced option, or a secret.
                raise ConfigurationError(
                    f"{source}, [{name}] {option}: the next line is indented, which makes it a "
                    "part of this value; begin each option at the start of its line."
                )
    return with_folded_names(source, contents)


def _read_into(parser: configparser.RawConfigParser, path: str) -> str | None:
    """Read a file into a parser, and return what is wrong with the file; None if it is right."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_string(file.read(), source=path)
    except FileNotFoundError:
        return f"there is no such file (looked for in {os.getcwd()})."
    except configparser.Error as error:
        return _problem_of(error)
    except (OSError, ValueError) as error:
        # A ValueError means that the text is not UTF-8, or that the system refuses the name.
        return f"the file can't be read as text: {error}"
    return None


def _problem_of(error: configparser.Error) -> str:
    match error:
        case configparser.DuplicateOptionError():
            return f"[{error.section}] {error.option}, line {error.lineno}: given twice."
        case configparser.DuplicateSectionError():
            return f"[{error.section}], line {error.lineno}: the section exists twice."
        case configparser.MissingSectionHeaderError():
            return f"line {error.lineno} is not in a section; begin with [default]."
        case configparser.ParsingError():
            lines = ", ".join(str(number) for number, _ in error.errors)
            return f"line {lines}: neither a [section] nor 'option = value'."
        case _:
            return "the file is not a valid ini file."
