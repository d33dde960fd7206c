"""The commands that look into a shelf: `ls`, `get`, `cat`, `stat` and `du`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import click

from cshelve import CloudShelf, Entry, Info, UntrustedRecordError
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
    each_key,
    json_option,
    keys_argument,
    keys_from,
    opened,
    program_options,
    shelf_argument,
    stdin_option,
    unpickle_option,
    without_code,
)

__all__ = ["cat", "du", "get", "ls", "stat"]

Shelf = CloudShelf[Any]

SORT_BY: dict[str, Callable[[Entry], Any]] = {
    "key": lambda entry: entry.key,
    "size": lambda entry: entry.size_bytes,
    "modified": lambda entry: entry.modified,
}


@click.command()
@shelf_argument
@click.argument("prefix", default="")
@click.option("--long", "-l", is_flag=True, help="Show sizes and dates too.")
@click.option(
    "--sort", type=click.Choice(list(SORT_BY)), help="Sort; the default is the order of the store."
)
@click.option("--reverse", "-r", is_flag=True, help="Reverse the order of --sort.")
@click.option("--start-after", metavar="KEY", help="List the keys after this one, in their order.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="List at most N keys.")
@json_option
@program_options
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
@keys_argument
@stdin_option
@json_option
@unpickle_option
@click.option("--raw", is_flag=True, help="Write the serialized value, and unpickle nothing.")
@program_options
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
            each_key(
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
    with _explaining_unpickle():
        each_key(keys, show)


@contextmanager
def _explaining_unpickle() -> Iterator[None]:
    try:
        yield
    except UntrustedRecordError as error:
        raise UntrustedRecordError(
            f"{error}. `get --raw` writes the pickle, and `get --unpickle` runs its code: use it "
            "only if you trust everyone who can write to the shelf"
        ) from error


@click.command()
@shelf_argument
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@program_options
def cat(name: str, keys: tuple[str, ...]) -> None:
    """Write the bytes or the text of values, one directly after the other."""
    with opened(name, "r") as db:
        without_code(db)
        with _explaining_unpickle():
            each_key(keys, lambda key: write_bytes(_bytes_of(key, db[key])))


def _bytes_of(key: str, value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise click.ClickException(
                f"the value of {key!r} is text that UTF-8 cannot represent: use `get --json`."
            ) from None
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise click.ClickException(
        f"the value of {key!r} is neither bytes nor text, but of type {type(value).__name__}: "
        "use `get`."
    )


@click.command()
@shelf_argument
@keys_argument
@stdin_option
@json_option
@program_options
def stat(name: str, keys: tuple[str, ...], stdin: bool, as_json: bool) -> None:
    """Show how values are stored: size, date, serializer, compression, encryption and so on.

    Values are not read. What a record says of itself is not verified.
    """

    wanted = keys_from(keys, stdin=stdin)
    with opened(name, "r") as db:
        each_key(wanted, lambda key: _show_info(db.info(key), as_json=as_json))


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
@shelf_argument
@click.argument("prefix", default="")
@click.option(
    "--depth",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many parts between slashes to tell apart.",
)
@json_option
@program_options
def du(name: str, prefix: str, depth: int, as_json: bool) -> None:
    """Show how many bytes and keys there are below each prefix, the largest first.

    A prefix ends with a slash. This lists all keys, and reads no values.
    """
    sizes: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    with opened(name, "r") as db:
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
        name = printable(group or "(no prefix)")
        line(f"{_usage(sizes[group], numbers[group])}  {bar:<20}  {name}")
    line(f"{_usage(sizes.total(), numbers.total())}  {'':20}  (all)")


def _usage(size_bytes: int, number: int) -> str:
    keys = f"{number} key{'' if number == 1 else 's'}"
    return f"{size_text(size_bytes):>10}  {keys:>12}"
