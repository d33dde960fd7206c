"""Open the shelf that a command names, with the options that all commands have."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

import cshelve
from cshelve import DBDoesNotExistsError, KeyNotFoundError
from cshelve._values.serializers import PickleSerializer
from cshelve.cli.output import printable, stats_line

__all__ = [
    "KEY_IS_MISSING",
    "confirmed",
    "create_option",
    "debug_option",
    "dry_run_option",
    "each_key",
    "exclusive_option",
    "is_debugging",
    "json_option",
    "keys_argument",
    "keys_from",
    "opened",
    "program_options",
    "refuse_to_ask_nobody",
    "shelf_argument",
    "stdin_option",
    "unpickle_option",
    "without_code",
    "yes_option",
]

# What a pickle may contain if nobody vouches for it: data, but no class of a program.
HARMLESS = ("basic", "datetime")

KEY_IS_MISSING = 3

F = TypeVar("F", bound=Callable[..., Any])


def each_key(keys: Iterable[str], act: Callable[[str], None]) -> None:
    """Call `act` for each key; report the keys that are missing, and exit with status 3 for them.

    The keys that exist are handled all the same.
    """
    missing = 0
    for key in keys:
        try:
            act(key)
        except KeyNotFoundError:
            missing += 1
            click.echo(f"cshelve: there is no key {key!r}", err=True)
    if missing:
        click.get_current_context().exit(KEY_IS_MISSING)


def is_debugging() -> bool:
    """Return whether a failure is shown with its traceback."""
    # The context of click is gone when the error arrives, and usage errors come before it.
    return "--debug" in sys.argv


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)


def program_options(command: F) -> F:
    """Add the options that every command with a shelf has."""

    @click.option("--stats", is_flag=True, help="Print the requests and bytes at the end.")
    @debug_option
    @functools.wraps(command)
    def with_options(*args: Any, stats: bool, **kwargs: Any) -> Any:
        click.get_current_context().meta["cshelve.stats"] = stats
        return command(*args, **kwargs)

    return with_options  # type: ignore[return-value]  # It has the arguments of `command`.


shelf_argument = click.argument("name", metavar="SHELF")
keys_argument = click.argument("keys", nargs=-1, metavar="KEY...")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)
create_option = click.option(
    "--create", is_flag=True, help="Create the shelf if it does not exist; without this, fail."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the keys that would be deleted, and delete nothing."
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
exclusive_option = click.option(
    "--exclusive", is_flag=True, help="Promise that nobody else writes, for a store that needs it."
)
unpickle_option = click.option(
    "--unpickle",
    is_flag=True,
    help="Unpickle any class. This runs code that whoever wrote the value has chosen.",
)
stdin_option = click.option(
    "--stdin", is_flag=True, help="Read keys from standard input, as `ls --json` prints them."
)


@contextmanager
def opened(name: str, flag: str, role: str = "") -> Iterator[cshelve.CloudShelf[Any]]:
    """Open a shelf; at the end, close it and print its statistics if they are wanted.

    `role` says which of two shelves they are about.
    """
    try:
        shelf = cshelve.open(name, flag)
    except DBDoesNotExistsError as error:
        # After the semicolon, the flags of `open` are explained, which nobody has passed here.
        what = str(error).partition(";")[0]
        raise DBDoesNotExistsError(f"{what}: {_hint(name)}") from error
    with shelf as db:
        try:
            yield db
        finally:
            if click.get_current_context().meta.get("cshelve.stats"):
                click.echo(f"{role}: " * bool(role) + stats_line(db.stats), err=True)


def _hint(name: str) -> str:
    """Return what to do about a shelf that does not exist."""
    if os.path.isdir(name):
        return f"{name} is a folder, and a shelf in a folder is {Path(name).absolute().as_uri()}"
    params = (each.name for each in click.get_current_context().command.params)
    return "check the name" + ", or pass --create to create it" * ("create" in params)


def without_code(db: cshelve.CloudShelf[Any]) -> None:
    """Let a shelf refuse pickles that need a class, unless the shelf itself says what to trust.

    A signed or encrypted shelf accepts only what the holders of its key wrote, and
    `unpickle_only` lists the classes that are allowed. Any other pickle may be a stranger's.
    """
    values = db._plain_values
    serializer = values.serializer
    if not isinstance(serializer, PickleSerializer) or values.codec.is_protected:
        return
    if serializer.only is None:
        from cshelve._values.unpickling import UnpickleOnly

        values.serializer = PickleSerializer(only=UnpickleOnly(HARMLESS))


def refuse_to_ask_nobody(*, yes: bool) -> None:
    """Raise an error if there is a question, and nobody who can be asked."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: pass --yes to delete, or --dry-run.")


def confirmed(question: str, *, yes: bool) -> bool:
    """Return whether the user agrees."""
    if yes:
        return True
    if click.confirm(printable(question), err=True):
        return True
    click.echo("Nothing was deleted.", err=True)
    return False


def keys_from(keys: Iterable[str], *, stdin: bool) -> Iterator[str]:
    """Yield the keys of the command line, or those of standard input."""
    if bool(keys) is stdin:
        raise click.UsageError("name keys, or pass --stdin and pipe them in; one of the two.")
    return _keys_of_stdin() if stdin else iter(keys)


def _keys_of_stdin() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            key = json.loads(line)["key"]
        except (ValueError, TypeError, KeyError):
            key = None
        if not isinstance(key, str):
            raise click.ClickException(
                f"standard input, line {number}: expected an object with a key, as in "
                '{"key": "users/ada"}, which is what `cshelve ls --json` prints.'
            )
        yield key
