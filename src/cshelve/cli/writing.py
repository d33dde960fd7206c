"""The commands that change a shelf: `put`, `rm`, `expire` and `rewrite`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from cshelve import CloudShelf, ConflictError, Info, KeyNotFoundError, UnsupportedOperationError
from cshelve._concurrency.parallel import map_in_order
from cshelve.cli.output import line, print_json, printable
from cshelve.cli.shelves import (
    confirmed,
    create_option,
    dry_run_option,
    each_key,
    exclusive_option,
    json_option,
    keys_argument,
    keys_from,
    opened,
    program_options,
    refuse_to_ask_nobody,
    shelf_argument,
    stdin_option,
    yes_option,
)

__all__ = ["expire", "put", "rewrite", "rm"]

Shelf = CloudShelf[Any]

TYPES = ("text", "json", "bytes")


@click.command()
@shelf_argument
@click.argument("key")
@click.argument("value", required=False)
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Store the contents of a file.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(TYPES),
    help="What the value is. The default is text for VALUE, and bytes for a file or a pipe.",
)
@click.option("--if-absent", is_flag=True, help="Fail if the key exists already.")
@click.option(
    "--expire-after-seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Let the value expire.",
)
@create_option
@program_options
def put(
    name: str,
    key: str,
    value: str | None,
    path: Path | None,
    kind: str | None,
    if_absent: bool,
    expire_after_seconds: float | None,
    create: bool,
) -> None:
    """Store VALUE, the contents of a file, or standard input under KEY.

    By default, VALUE is stored as a str, and a file or standard input as bytes. With `--type json`,
    the text is parsed as JSON, and its value is stored.
    """
    if value is not None and path is not None:
        raise click.UsageError("pass VALUE or --file, and not both.")
    if if_absent and expire_after_seconds is not None:
        raise click.UsageError("--if-absent goes without --expire-after-seconds.")
    kind = kind or ("bytes" if value is None else "text")
    uploads = path is not None and kind == "bytes" and not (if_absent or expire_after_seconds)
    # Read before the shelf is opened, so that it is not created for what cannot be stored.
    found = None if uploads else _value(value, path, kind)
    with opened(name, "c" if create else "w") as db:
        if uploads and path:
            with suppress(UnsupportedOperationError):  # Only a shelf of plain bytes can do that.
                db.upload(key, path, progress=True)
                return
            found = path.read_bytes()
        if if_absent:
            _put_new(db, key, found)
        else:
            db.set(key, found, expire_after_seconds=expire_after_seconds)


def _value(value: str | None, path: Path | None, kind: str) -> Any:
    if value is not None:
        data = value.encode("utf-8", "surrogateescape")
    else:
        data = path.read_bytes() if path else sys.stdin.buffer.read()
    if kind == "bytes":
        return data
    try:
        return json.loads(data) if kind == "json" else data.decode()
    except RecursionError:
        raise click.ClickException("the value has too many levels of lists and objects.") from None
    except ValueError as error:
        what = "JSON" if kind == "json" else "text in UTF-8; pass --type bytes"
        raise click.ClickException(f"the value is not {what}: {error}") from None


def _put_new(db: Shelf, key: str, value: Any) -> None:
    try:
        db.replace(key, value, None)
    except ConflictError:
        raise click.ClickException(f"the key {key!r} exists already; nothing was stored.") from None


@click.command()
@shelf_argument
@keys_argument
@stdin_option
@click.option("--prefix", help="Delete all keys that begin with this.")
@click.option("--all", "everything", is_flag=True, help="Delete all keys.")
@dry_run_option
@yes_option
@program_options
def rm(
    name: str,
    keys: tuple[str, ...],
    stdin: bool,
    prefix: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete keys: those that are named, those of standard input, or all with a prefix.

    A named key that is missing is reported, with exit status 3. With --stdin, --prefix or --all,
    you are asked before anything is deleted, unless you pass --yes. With --all, the shelf is
    emptied by `clear`.
    """
    if (prefix is not None) + everything + bool(keys) + stdin != 1:
        raise click.UsageError("pass keys, --stdin, --prefix or --all; one of them.")
    if prefix == "":
        raise click.UsageError("the prefix is empty; pass --all to delete all keys.")
    if not keys:
        refuse_to_ask_nobody(yes=yes or dry_run)
    wanted = list(keys_from(keys, stdin=stdin)) if keys or stdin else None
    with opened(name, "r" if dry_run else "w") as db:
        if keys:
            _delete_named(db, keys, dry_run=dry_run)
        else:
            found = _those(db, wanted, prefix)
            if dry_run:
                _print_keys(found)
            elif wanted is not None:
                if confirmed(f"Delete {_count(len(wanted))} from {db.provider.location}?", yes=yes):
                    db.delete_many(wanted, progress=True)
            else:
                _delete_listed(db, prefix, yes=yes)


def _those(db: Shelf, wanted: list[str] | None, prefix: str | None) -> Iterable[str]:
    return wanted if wanted is not None else (each.key for each in db.entries(prefix or ""))


def _delete_named(db: Shelf, keys: tuple[str, ...], *, dry_run: bool) -> None:
    def delete(key: str) -> None:
        if not dry_run:
            del db[key]
        elif key in db:
            _print_keys([key])
        else:
            raise KeyNotFoundError(key)

    each_key(keys, delete)


def _delete_listed(db: Shelf, prefix: str | None, *, yes: bool) -> None:
    what = "all keys" if prefix is None else f"all keys that begin with {prefix!r}"
    if confirmed(f"Delete {what} from {db.provider.location}?", yes=yes):
        part = db if prefix is None else db.prefix(prefix)
        part.clear(progress=True)


def _print_keys(keys: Iterable[str], *, as_json: bool = False) -> None:
    for key in keys:
        if as_json:
            print_json({"key": key})
        else:
            line(printable(key))


def _count(number: int, what: str = "key") -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@click.command()
@shelf_argument
@json_option
@dry_run_option
@exclusive_option
@program_options
def expire(name: str, as_json: bool, dry_run: bool, exclusive: bool) -> None:
    """Delete the values that have expired, and say how many were deleted.

    Readers find an expired key missing even before; this frees the space. It reads the beginning of
    each value. A value that is written meanwhile stays.
    """
    with opened(name, "r" if dry_run else "w") as db:
        if dry_run:
            _print_keys(_expired(db), as_json=as_json)
            return
        number = db.expire(progress=True, exclusive=exclusive)
        _report({"expired": number}, f"{_count(number, 'expired value')} deleted", as_json=as_json)


def _expired(db: Shelf) -> Iterator[str]:
    now = datetime.now(UTC)
    infos = map_in_order(partial(_info_or_none, db), db, db.provider.concurrency)
    with closing(infos):
        for key, info in infos:
            if info and info.expires and info.expires <= now:
                yield key


def _info_or_none(db: Shelf, key: str) -> Info | None:
    try:
        return db.info(key)
    except KeyNotFoundError:
        return None  # Somebody has deleted it meanwhile.


@click.command()
@shelf_argument
@json_option
@exclusive_option
@program_options
def rewrite(name: str, as_json: bool, exclusive: bool) -> None:
    """Store the values again as the configuration says now, and say how many were stored.

    This changes the compression, the encryption or its key, the signature, or the serializer of a
    shelf that is in use. A value that is up to date is not written, so that an interrupted call can
    be repeated.
    """
    with opened(name, "w") as db:
        number = db.rewrite(progress=True, exclusive=exclusive)
        _report({"rewritten": number}, f"{_count(number, 'value')} rewritten", as_json=as_json)


def _report(fields: dict[str, int], message: str, *, as_json: bool) -> None:
    if as_json:
        print_json(fields)
    else:
        click.echo(message, err=True)
