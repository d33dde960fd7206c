"""`cp`, and what it has in common with `export` and `import`: a bar, a summary, how to continue."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from signal import SIGINT
from typing import Any

import click

import cshelve
from cshelve import BulkError, CloudShelf, DBDoesNotExistsError, Entry
from cshelve._concurrency.outcomes import Progress
from cshelve._concurrency.progress_bar import Bar, new_bar
from cshelve.cli.output import line, print_json, printable, size_text
from cshelve.cli.shelves import create_option, opened, program_options, without_code

__all__ = ["Transfer", "cp", "resumable"]

Shelf = CloudShelf[Any]

summary_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


class Transfer(Bar):
    """The bar of a transfer on a terminal, which also counts its keys."""

    def __init__(self, done: str, *, with_bar: bool = True) -> None:
        """`done` is what becomes of the keys, such as `copied`."""
        super().__init__(done)
        self._bar = new_bar(done) if with_bar else Bar(done)
        self._keys = 0

    def __call__(self, progress: Progress) -> None:
        self._keys = progress.done
        self._bar(progress)

    def close(self) -> None:
        self._bar.close()

    def run(self, act: Callable[[], int], *, prefix: str = "", as_json: bool = False) -> int:
        """Run an operation, which returns the number of keys done; return the exit status.

        This prints a line for each key that failed, and a summary. `prefix` precedes these keys.
        """
        failures: Mapping[str, Exception] = {}
        try:
            stored = act()
        except BulkError as error:
            stored, failures = error.stored or 0, error.failures
        finally:
            self.close()
        for key, failure in failures.items():
            reason = " ".join(str(failure).split())
            # Most errors begin with the key.
            name = "" if reason.startswith(repr(prefix + key)) else f"{prefix + key!r}: "
            click.echo(f"cshelve: {name}{reason}", err=True)
        skipped = max(0, self._keys - stored - len(failures))
        self._summarize(stored, skipped, len(failures), as_json=as_json)
        return 1 if failures else 0

    def _summarize(self, stored: int, skipped: int, failed: int, *, as_json: bool) -> None:
        if as_json:
            print_json({self.done: stored, "skipped": skipped, "failed": failed})
            return
        parts = [f"{stored} key{'' if stored == 1 else 's'} {self.done}"]
        parts += [f"{skipped} skipped"] if skipped else []
        parts += [f"{failed} failed"] if failed else []
        click.echo(", ".join(parts), err=True)


@contextmanager
def resumable() -> Iterator[None]:
    """If the block stops before its end, say which command continues with the rest."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"cshelve: interrupted. To continue, run: {_with_resume()}", err=True)
        raise click.exceptions.Exit(128 + SIGINT) from None
    except cshelve.Error as error:
        if error.about_shelf:
            click.echo(f"cshelve: stopped early. To continue, run: {_with_resume()}", err=True)
        raise


def _with_resume() -> str:
    command, *rest = sys.argv[1:]
    return shlex.join(
        ["cshelve", command, "--resume", *(each for each in rest if each != "--resume")]
    )


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option("--prefix", default="", help="Copy only the keys that begin with this.")
@create_option
@click.option("--resume", is_flag=True, help="Skip the keys that TARGET has already.")
@click.option("--verify", is_flag=True, help="Read each value again, and compare.")
@click.option(
    "--dry-run", is_flag=True, help="Print the keys that would be copied, and copy nothing."
)
@summary_option
@program_options
def cp(
    source: str,
    target: str,
    prefix: str,
    create: bool,
    resume: bool,
    verify: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Copy the keys of the shelf SOURCE to the shelf TARGET.

    The two may be in any stores. Keys stay the same, also with --prefix. A key that both have is
    overwritten, and other keys of TARGET stay. Values are written as TARGET is configured:
    compressed, encrypted, signed. They keep the time when they expire; expired values are skipped.
    Nothing is unpickled, unless the two shelves have different serializers; then a
    pickle that needs a class fails, as in `get`. Within one store, the server copies by itself
    if it can.

    Each value is written as a whole or not at all. After an interruption, the same command with
    --resume continues: it lists the keys of TARGET, and copies the others. It compares keys only,
    not values, so a value that has changed in SOURCE meanwhile is not copied again.

    A key that fails is reported, the others are copied, and the exit status is 1.
    """
    with opened(source, "r", "source") as origin:
        without_code(origin)
        if dry_run:
            existing = _keys_of(target, prefix, resume=resume, create=create)
            entries = origin.entries(prefix)
            _print_entries((each for each in entries if each.key not in existing), as_json=as_json)
            return 0
        with opened(target, "c" if create else "w", "target") as goal, resumable():
            transfer = Transfer("copied")

            def copy() -> int:
                sides = (origin.prefix(prefix), goal.prefix(prefix)) if prefix else (origin, goal)
                return cshelve.copy(*sides, progress=transfer, skip_existing=resume, verify=verify)

            return transfer.run(copy, prefix=prefix, as_json=as_json)


def _keys_of(target: str, prefix: str, *, resume: bool, create: bool) -> frozenset[str]:
    """Return the keys that a dry run would skip; fail if the target is missing, as a copy would."""
    try:
        with opened(target, "r", "target") as goal:
            keys = (each.key for each in goal.entries(prefix)) if resume else ()
            return frozenset(keys)
    except DBDoesNotExistsError:
        if create:
            return frozenset()
        raise


def _print_entries(entries: Iterator[Entry], *, as_json: bool) -> None:
    number = size_bytes = 0
    for entry in entries:
        number += 1
        size_bytes += entry.size_bytes
        if as_json:
            print_json(entry._asdict())
        else:
            line(printable(entry.key))
    keys = f"{number} key{'' if number == 1 else 's'}"
    click.echo(f"{keys}, {size_text(size_bytes)}, would be copied", err=True)
