"""`export` and `import`: shelves as lines of JSON, or as folders of files."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import IO, Any, cast

import click

from cshelve import CloudShelf, Error, KeyNotFoundError, KeyNotStorableError, RecordError
from cshelve._concurrency.outcomes import Outcome, Outcomes
from cshelve._shelf.copy_many import note, read_each
from cshelve._shelf.files import opened_to_write
from cshelve._values.values import Fetched
from cshelve.cli import folders
from cshelve.cli.carried import Carried, carried_from, record_of
from cshelve.cli.lines import carried_in, line_of
from cshelve.cli.shelves import create_option, opened, program_options, shelf_argument
from cshelve.cli.transfers import Transfer, resumable, summary_option
from cshelve.providers import Filesystem

__all__ = ["export", "import_"]

Shelf = CloudShelf[Any]
Write = Callable[[Carried], None]

LINES, FILES = "jsonl", "files"
format_option = click.option(
    "--format",
    "form",
    type=click.Choice((LINES, FILES)),
    help="Lines of JSON, or a folder with a file for each key.",
)


@click.command()
@shelf_argument
@click.argument("output", required=False)
@click.option("--prefix", default="", help="Export only the keys that begin with this.")
@format_option
@program_options
def export(name: str, output: str | None, prefix: str, form: str | None) -> int:
    """Write the keys and values of a shelf to OUTPUT, from which `import` reads them.

    By default, this writes a line of JSON for each key, to the file OUTPUT or to standard output:

    \b
        {"key": "users/ada", "value": {"born": 1815}}
        {"key": "logo", "base64": "iVBORw0KGgo="}
        {"key": "sessions/7", "value": "…", "expires": "2026-03-01T12:00:00.000Z"}
        {"key": "order", "pickle": "gASVGQ…"}

    Bytes are in `base64`. Values that JSON does not represent exactly, such as tuples and objects
    of classes, are in `pickle`: the serialized value in Base64, or `msgpack` or `json` in shelves
    with these serializers. No class is ever unpickled.

    With `--format files`, OUTPUT is a new or empty folder that gets a file for each key, at the
    path of the key: bytes as they are, text in KEY.txt, other values in KEY.json, KEY.pickle or
    KEY.msgpack, and in KEY.txt.expires, for example, when KEY.txt expires. What cannot be a file
    name, such as `..`, is encoded in it, so all files are in the folder.

    Values are decrypted and decompressed. Expired values are left out. A file appears when it is
    complete. A record that cannot be read is reported, the others are exported, and the exit status
    is 1.
    """
    if form == FILES and output is None:
        raise click.UsageError("--format files needs OUTPUT, the folder for the files.")
    if output == "-":
        output = None
    if output and form != FILES and os.path.isdir(output):
        raise click.UsageError(f"{output!r} is a folder: name a file, or pass --format files.")
    with opened(name, "r") as db:
        transfer = Transfer("exported", with_bar=output is not None or not sys.stdout.isatty())
        return transfer.run(lambda: _export(db, prefix, _written(output, form), transfer))


@contextmanager
def _written(output: str | None, form: str | None) -> Iterator[Write]:
    """Yield a function that writes a value; a file that this creates is complete or absent."""
    if output is None:
        # A terminal obeys some characters; in ASCII, JSON contains none of them.
        yield _lines_to(sys.stdout.buffer, ascii_only=sys.stdout.isatty())
        sys.stdout.buffer.flush()
    elif form == FILES:
        with folders.new_folder(output) as folder:
            yield partial(folders.write, folder)
    else:
        try:
            with opened_to_write(output) as raw, io.BufferedWriter(cast(io.RawIOBase, raw)) as file:
                yield _lines_to(file)
        except OSError as error:
            if not isinstance(error, Error):
                error.filename = error.filename or output  # Writing does not know it.
            raise


def _lines_to(file: IO[bytes], *, ascii_only: bool = False) -> Write:
    def write(carried: Carried) -> None:
        file.write(line_of(carried, ascii_only=ascii_only))

    return write


def _export(
    db: Shelf, prefix: str, written: AbstractContextManager[Write], transfer: Transfer
) -> int:
    values = db._plain_values
    outcomes = Outcomes("exported", progress=transfer)
    keys = values.provider.names(prefix)
    # The file is closed first, which may fail; only then do the outcomes report what failed.
    with outcomes, written as write, closing(read_each(values, keys, outcomes)) as read:
        for key, item in read:
            try:
                write(carried_from(values, key, values.decode_fetched(Fetched(key, item))))
            except (RecordError, KeyNotFoundError, KeyNotStorableError) as error:
                note(outcomes, key, error)
            else:
                outcomes.add(Outcome(key, None, len(item.data)))
    return outcomes.stored


@click.command("import")
@shelf_argument
@click.argument("source", required=False, metavar="[INPUT]")
@format_option
@create_option
@click.option("--resume", is_flag=True, help="Skip the keys that SHELF has already.")
@summary_option
@program_options
def import_(
    name: str, source: str | None, form: str | None, create: bool, resume: bool, as_json: bool
) -> int:
    """Store the keys and values that `export` has written.

    INPUT is a file with lines of JSON, or a folder; without it, lines are read from standard input.
    See `cshelve export --help` for what they contain. A line without `expires` expires as SHELF is
    configured; with `"expires": null`, it never does. Any folder can be imported: all files that do
    not end in .txt, .json, .msgpack, .pickle, .bytes or .expires are stored as bytes. A folder with
    symbolic links is refused.

    Values are written in parallel, each as a whole or not at all, as SHELF is configured:
    compressed, encrypted, signed. Existing keys are overwritten. Values that have expired are
    skipped.

    Import a `pickle` only from people you trust. It is stored unchanged, without being unpickled,
    and if SHELF is signed or encrypted, it is protected as if you had made it. A program that reads
    it runs its code. A shelf with another serializer refuses it.

    A key that fails is reported, the others are stored, and the exit status is 1. At a line that is
    wrong, the import ends.
    """
    with _opened_source(source, form) as found:
        flag = "c" if create else "w"
        with opened(name, flag) as db, resumable():
            transfer = Transfer("imported")
            act = partial(_import, db, found, transfer, resume=resume)
            status = transfer.run(act, as_json=as_json)
            if found.problem:
                raise click.ClickException(found.problem)
            return status


class Lines:
    """The values of lines of JSON; ends at a line that is wrong, and then has a problem."""

    problem = ""

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        self._lines = lines
        self._name = name

    def __iter__(self) -> Iterator[Carried]:
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue
            try:
                carried = carried_in(line)
            except ValueError as error:
                self.problem = f"{self._name}, line {number}: {error}"
                return
            yield carried


class Files:
    """The values in the files of a folder; a failed outcome for a file that cannot be read."""

    problem = ""

    def __init__(self, path: str) -> None:
        folders.refuse_what_is_no_value(path)
        self._folder = Filesystem(path)
        self._files = folders.files_of_keys(self._folder.names())

    def __iter__(self) -> Iterator[Carried | Outcome]:
        for key, (name, expires) in self._files.items():
            try:
                yield folders.carried_at(self._folder, key, name, expires=expires)
            except Error as error:
                yield Outcome(key, error)


@contextmanager
def _opened_source(source: str | None, form: str | None) -> Iterator[Lines | Files]:
    if source is None or source == "-":
        if form == FILES or sys.stdin.isatty():
            raise click.UsageError("name INPUT, a folder or a file with lines, or pipe lines in.")
        yield Lines(sys.stdin.buffer, "standard input")
    elif os.path.isdir(source):
        if form == LINES:
            raise click.UsageError(f"{source!r} is a folder, which has the format {FILES}.")
        yield Files(source)
    elif form == FILES:
        raise click.UsageError(f"{source!r} is no folder.")
    else:
        with open(source, "rb") as file:
            yield Lines(file, source)


def _import(db: Shelf, found: Lines | Files, transfer: Transfer, *, resume: bool) -> int:
    values = db._plain_values
    outcomes = Outcomes("imported", progress=transfer)
    existing = frozenset(db) if resume else frozenset()

    def records() -> Iterator[tuple[str, bytes]]:
        for each in found:
            if isinstance(each, Outcome):
                outcomes.add(each)
            elif each.key in existing:
                outcomes.add_bytes(0, keys=1)
            else:
                try:
                    record = record_of(values, each)
                except Error as error:
                    note(outcomes, each.key, error)
                else:
                    yield each.key, record

    with outcomes:
        outcomes.add_all(values.store_many(records()))
    return outcomes.stored
