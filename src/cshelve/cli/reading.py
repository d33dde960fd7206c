"""The commands that look into a shelf: `ls`, `get`, `cat`, `stat` and `du`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import click

from cshelve import CloudShelf, Entry, Info, KeyNotFoundError, UntrustedRecordError
from cshelve.cli.output import (
    line,
    print_json,
    print_value,
    printable,
    size_text,
    time_text,
    value_fields,
    write_bytes,
)
from cshelve.cli.shelves import (
    MissingKeysError,
    json_option,
    keys_argument,
    keys_from,
    on_shelf,
    opened,
    program_options,
    shelf_argument,
    stdin_option,
    without_code,
)

__all__ = ["cat", "du", "get", "ls", "stat"]

Shelf = CloudShelf[Any]

unpickle_option = click.option(
    "--unpickle",
    is_flag=True,
    help="Unpickle any class. This runs code that whoever wrote the value has chosen.",
)
SORT_BY: dict[str, Callable[[Entry], Any]] = {
    "key": lambda entry: entry.key,
    "size": lambda entry: entry.size_bytes,
    "modified": lambda entry: entry.modified,
}


@click.command()
@shelf_argument
@program_options
@click.argument("prefix", default="")
@click.option("--long", "-l", is_flag=True, help="Show sizes and dates too.")
@click.option(
    "--sort", type=click.Choice(list(SORT_BY)), help="Sort; the default is the order of the store."
)
@click.option("--reverse", "-r", is_flag=True, help="Reverse the order of --sort.")
@click.option("--start-after", metavar="KEY", help="List the keys after this one, in their order.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="List at most N keys.")
@json_option
def ls(
    name: str,
    prefix: str,
    long: bool,
    sort: str | None,
    reverse: bool,
    start_after: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List keys, those that begin with PREFIX.

    Values are not read. In S3, this sends one request for each 1,000 keys.
    """
    if reverse and not sort:
        raise click.UsageError("--reverse needs --sort.")
    with opened(name, "r") as db:
        entries: Iterator[Entry] = db.entries(prefix, start_after)
        if sort:
            entries = iter(sorted(entries, key=SORT_BY[sort], reverse=reverse))
        for entry in islice(entries, limit):
            if as_json:
                print_json(entry._asdict())
            elif long:
                size, modified = size_text(entry.size_bytes), time_text(entry.modified)
                line(f"{size:>10}  {modified}  {printable(entry.key)}")
            else:
                line(printable(entry.key))


@click.command()
@shelf_argument
@program_options
@keys_argument
@stdin_option
@json_option
@unpickle_option
@click.option("--raw", is_flag=True, help="Write the serialized value, and unpickle nothing.")
def get(
    name: str, keys: tuple[str, ...], stdin: bool, as_json: bool, unpickle: bool, raw: bool
) -> None:
    """Print values: text and bytes as they are, all others as JSON or as Python shows them.

    Pickles that consist of plain data are shown. A pickle that needs a class is refused, because
    reading it can run code, unless the shelf is signed, encrypted, or lists the class in
    `unpickle_only`. Pass --unpickle if you trust everyone who can write to the shelf.
    """
    if raw and (as_json or unpickle):
        raise click.UsageError("--raw goes with neither --json nor --unpickle.")
    wanted = keys_from(keys, stdin=stdin)
    with opened(name, "r") as db:
        if raw:
            _each(
                wanted, lambda key: write_bytes(bytes(db._plain_values.read_record(key)[0].payload))
            )
        else:
            _print_values(db, wanted, as_json=as_json, unpickle=unpickle)


def _print_values(db: Shelf, keys: Iterable[str], *, as_json: bool, unpickle: bool) -> None:
    def show(key: str) -> None:
        value = db[key]
        if as_json:
            print_json({"key": key, **value_fields(value)})
        else:
            print_value(value)

    if not unpickle:
        without_code(db)
    try:
        _each(keys, show)
    except UntrustedRecordError as error:
        advice = "or pass --unpickle, if you trust everyone who can write to the shelf"
        raise UntrustedRecordError(f"{error}, {advice}") from error


@click.command()
@on_shelf("r")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
def cat(db: Shelf, keys: tuple[str, ...]) -> None:
    """Write the bytes or the text of values, one directly after the other."""
    without_code(db)

    def write(key: str) -> None:
        value = db[key]
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, bytes | bytearray):
            raise click.ClickException(
                f"the value of {key!r} is neither bytes nor text, but of type "
                f"{type(value).__name__}: use `get`."
            )
        write_bytes(bytes(value))

    _each(keys, write)


def _each(keys: Iterable[str], act: Callable[[str], None]) -> None:
    """Call `act` for each key; report the missing ones, and raise an error at the end."""
    missing = 0
    for key in keys:
        try:
            act(key)
        except KeyNotFoundError:
            missing += 1
            click.echo(f"cshelve: there is no key {key!r}", err=True)
    if missing:
        raise MissingKeysError(missing)


@click.command()
@shelf_argument
@program_options
@keys_argument
@stdin_option
@json_option
def stat(name: str, keys: tuple[str, ...], stdin: bool, as_json: bool) -> None:
    """Show how values are stored: size, date, serializer, compression, encryption and so on.

    Values are not read. What a record says of itself is not verified.
    """

    wanted = keys_from(keys, stdin=stdin)
    with opened(name, "r") as db:
        _each(wanted, lambda key: _show_info(db.info(key), as_json=as_json))


def _show_info(info: Info, *, as_json: bool) -> None:
    fields = {**info._asdict(), "metadata": dict(info.metadata)}
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        line(f"{name:<13} {_as_text(name, value)}")
    line("")


def _as_text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("modified", "expires"):
        return time_text(value)
    if name == "size_bytes":
        return f"{value} ({size_text(value)})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "metadata":
        return printable(", ".join(f"{key}={text}" for key, text in value.items())) or "-"
    return printable(str(value))


@click.command()
@on_shelf("r")
@click.argument("prefix", default="")
@click.option(
    "--depth",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many parts between slashes to tell apart.",
)
@json_option
def du(db: Shelf, prefix: str, depth: int, as_json: bool) -> None:
    """Show how many bytes and keys there are below each prefix, the largest first.

    A prefix ends with a slash. This lists all keys, and reads no values.
    """
    sizes: dict[str, int] = defaultdict(int)
    numbers: dict[str, int] = defaultdict(int)
    for entry in db.entries(prefix):
        parts = entry.key.removeprefix(prefix).split("/")
        group = prefix + "".join(f"{part}/" for part in parts[:-1][:depth])
        sizes[group] += entry.size_bytes
        numbers[group] += 1
    order = sorted(sizes, key=lambda group: (-sizes[group], group))
    if as_json:
        for group in order:
            print_json({"prefix": group, "size_bytes": sizes[group], "keys": numbers[group]})
        return
    largest = max(sizes.values(), default=0) or 1
    for group in order:
        bar = "█" * max(1, round(20 * sizes[group] / largest))
        keys = f"{numbers[group]} keys"
        name = printable(group or "(no prefix)")
        line(f"{size_text(sizes[group]):>10}  {keys:>12}  {bar:<20}  {name}")
    click.echo(
        f"{size_text(sum(sizes.values())):>10}  {sum(numbers.values())} keys in all", err=True
    )
