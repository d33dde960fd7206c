"""The commands for configurations: `check`, `init` and `keygen`. None of them sends anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

import cshelve
from cshelve._assembly import OpenArguments, Parts, assembled
from cshelve._config.ini import sections_from_file
from cshelve._config.sections import Sections, without_quotes
from cshelve.cli.output import line, print_json, printable
from cshelve.cli.shelves import debug_option, json_option
from cshelve.options import ANY_NAME, Option, options_of
from cshelve.providers import names

__all__ = ["check", "init", "keygen"]

HIDDEN = "(hidden)"
# In what order `init` asks for the options of a provider, and what it suggests for them.
SUGGESTED = {
    ("aws-s3", "auth_type"): "default",
    ("aws-s3", "key_id"): "$AWS_ACCESS_KEY_ID",
    ("aws-s3", "key_secret"): "$AWS_SECRET_ACCESS_KEY",
}


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--flag",
    type=click.Choice(["r", "w", "c", "n"]),
    default="c",
    show_default=True,
    help="Check the configuration for this flag of `open`.",
)
@json_option
@debug_option
def check(path: str, flag: str, as_json: bool) -> None:
    """Read a configuration file, and explain each option that it sets.

    Everything that is checked before a shelf is opened is checked: names, values, variables and
    keys. Nothing is sent; `doctor` tries the connection and the permissions. Secrets are not shown.
    """
    contents = sections_from_file(path)
    config = Sections(path, contents, from_file=True, flag=flag)
    provider, parts = assembled(config, OpenArguments(5, False))
    try:
        explained = _explained(contents, config.section("default").value("provider"))
        if as_json:
            print_json({"location": provider.location, "options": explained})
            return
        line(f"{path}: a shelf in {provider.location}")
        section = None
        for option in explained:
            if option["section"] != section:
                section = option["section"]
                line(f"\n[{section}]")
            line(f"  {option['name']} = {option['value']}")
            if option["meaning"]:
                line(f"      {option['meaning']}")
        line(f"\n{_protection(parts)}")
    finally:
        provider.close()


def _explained(contents: dict[str, dict[str, Any]], provider: object) -> list[dict[str, str]]:
    """Return the section, name, value and meaning of each option that a configuration sets."""
    declared = options_of(str(provider))
    return [
        {
            "section": section,
            "name": name,
            "value": _shown(_declaration(declared, section, name), written),
            "meaning": getattr(_declaration(declared, section, name), "meaning", ""),
        }
        for section, options in contents.items()
        for name, written in options.items()
    ]


def _declaration(declared: list[Option[Any]], section: str, name: str) -> Option[Any] | None:
    # `[aws-s3.put_params]` is `[put_params]` of one provider, and `[aws-s3]` its `[default]`.
    plain = section.partition(".")[2] or section
    for option in declared:
        places = {option.section, option.provider if option.section == "default" else ""}
        if plain in places and option.name in (name, ANY_NAME):
            return option
    return None


def _shown(option: Option[Any] | None, written: object) -> str:
    """Return the value of an option for a reader, who may look over somebody's shoulder."""
    value = without_quotes(str(written))
    if value.startswith("$") and not value.startswith("$$") and not (option and option.literal):
        is_set = value.strip("${}") in os.environ
        return f"{value} (the variable is {'set' if is_set else 'not set'})"
    if option is None or option.secret:
        return HIDDEN
    return printable(value)


def _protection(parts: Parts) -> str:
    serializer, codec = parts.serializer, parts.codec
    if codec.is_protected:
        return "Only values that the holders of the key have written are read."
    if serializer.name == "pickle" and getattr(serializer, "only", None) is None:
        return (
            "Values are pickles without protection: anyone who can write to the shelf can run code "
            "in the programs that read it. [signing], [encryption] or [default] unpickle_only "
            "prevents that."
        )
    return f"Values are stored by the serializer {serializer.name}; reading them runs no code."


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--provider", type=click.Choice(sorted(names())), default="aws-s3", show_default=True)
@debug_option
def init(path: Path, options: tuple[str, ...], provider: str) -> None:
    """Write a configuration file with the options that a shelf needs.

    NAME=VALUE sets an option of [default], and SECTION.NAME=VALUE one of another section, such as
    `provider_params.endpoint_url=http://localhost:9000` for a server that is not AWS. On a
    terminal, you are asked for what is missing. A file that exists is not overwritten.

    A value that begins with $ names an environment variable, which is the place for a secret. In a
    shell, write it in single quotes.
    """
    if path.suffix.lower() != ".ini":
        raise click.UsageError(f"{path}: the name of a configuration ends in .ini.")
    if path.exists():
        raise click.ClickException(f"{path} exists already; nothing was written.")
    given = dict(_given(each) for each in options)
    declared = options_of(provider)
    contents: dict[str, dict[str, str]] = {"default": {"provider": provider}}
    for option in _wanted(declared, provider, given):
        contents["default"][option.name] = _asked(option, provider)
    for (section, name), value in given.items():
        contents.setdefault(section, {})[name] = value
    config = Sections(str(path), contents, from_file=True, flag="c")
    config.declare(declared)
    config.refuse_unknown()
    with path.open("x", encoding="utf-8") as file:
        file.write(_file_text(contents, declared))
    click.echo(f"{path} was written; `cshelve check {path}` explains it.", err=True)


def _given(text: str) -> tuple[tuple[str, str], str]:
    if len(text.splitlines()) > 1:
        raise click.UsageError(f"{text!r}: an option is one line.")
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"{text!r}: write an option as NAME=VALUE.")
    section, dot, option = name.partition(".")
    return ((section, option) if dot else ("default", name)), value


def _wanted(
    declared: list[Option[Any]], provider: str, given: dict[tuple[str, str], str]
) -> list[Option[Any]]:
    """Return the options of `[default]` that were not given and that a shelf needs."""
    needed = {each.name for each in declared if each.required and each.section == "default"}
    if given.get(("default", "auth_type"), "") == "access_key":
        needed |= {"key_id", "key_secret"}
    return [
        each
        for each in declared
        if each.name in needed - {"provider"}
        and each.section == "default"
        and ("default", each.name) not in given
    ]


def _asked(option: Option[Any], provider: str) -> str:
    suggested = SUGGESTED.get((provider, option.name))
    if not sys.stdin.isatty():
        if suggested is not None:
            return suggested
        raise click.UsageError(f"pass {option.name}=…: {option.meaning}")
    answer: str = click.prompt(f"{option.name} ({option.meaning})", default=suggested, err=True)
    return answer


def _file_text(contents: dict[str, dict[str, str]], declared: list[Option[Any]]) -> str:
    lines: list[str] = []
    for section, options in contents.items():
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        for name, value in options.items():
            option = _declaration(declared, section, name)
            if option is not None:
                lines.append(f"# {option.meaning}")
            lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"


@click.command()
@debug_option
def keygen() -> None:
    """Print a new key for [encryption] or [signing]: 32 random bytes, as base64 text.

    Put it where the shelf's programs can read it and other writers to the store cannot, such as a
    secret store, and pass it to the programs in an environment variable.
    """
    line(cshelve.generate_key())
