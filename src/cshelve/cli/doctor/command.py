"""Run the checks of `cshelve doctor`, and print what they found."""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from cshelve.cli.doctor.checks import Check, Finding, Own, Result, Subject, findings
from cshelve.cli.doctor.common import CONFIGURING, checks_of_store
from cshelve.cli.output import line, print_json, printable, stats_line
from cshelve.cli.shelves import is_debugging, json_option, program_options, shelf_argument
from cshelve.options import PROVIDER
from cshelve.providers.base import FLAGS

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["doctor"]

COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
# On a narrower terminal, a table has no room for what was found.
LEAST_COLUMNS = 60


@click.command()
@shelf_argument
@click.option(
    "--flag",
    type=click.Choice(list(FLAGS)),
    default="r",
    show_default=True,
    help="Check what cshelve.open needs with this flag.",
)
@json_option
@program_options
def doctor(name: str, flag: str, as_json: bool) -> int:
    """Check whether a shelf can be used, and say what to change if not.

    Checks the configuration, the way to the store, the credentials, each permission that the flag
    needs, and how long requests take. A check that depends on one that failed is skipped.

    With the default flag, r, nothing is written. With the others, a key of the doctor's own,
    `cshelve-doctor-…`, is written and removed again, even after Ctrl-C. Nothing is created, and
    nothing else is deleted, not even with flag n.

    Exit status: 0 if all that the flag needs holds, 1 if something failed or could not be tried.
    """
    subject = Subject(name, flag)
    found: list[Finding] = []
    with _printing(found, as_json=as_json), closing(_examined(subject)) as examined:
        for finding in examined:
            found.append(finding)
            if as_json:
                print_json(_fields(finding))
            elif not _has_table():
                line(_lines(finding))
            sys.stdout.flush()
            if is_debugging() and finding.error is not None:
                traceback.print_exception(finding.error)
    return _conclusion(subject, found)


def _examined(subject: Subject) -> Generator[Finding]:
    """Yield the findings of all checks, and remove the doctor's key in the end."""
    try:
        yield from findings(subject, _checks(subject))
    except BaseException:
        if error := subject.remove_key(is_cut_off=True):
            click.echo(f"cshelve: {_not_removed(subject, error)}", err=True)
        raise
    else:
        if error := subject.remove_key():
            detail = _not_removed(subject, error)
            yield Finding("clean-up", Result("failed", detail, "delete this key"), error)
    finally:
        if subject.opened is not None:
            if click.get_current_context().meta["cshelve.stats"]:
                click.echo(stats_line(subject.opened.stats), err=True)
            subject.opened.close()


def _not_removed(subject: Subject, error: Exception) -> str:
    return f"the key {subject.key!r} could not be removed: {' '.join(str(error).split())}"


def _checks(subject: Subject) -> Iterator[Check]:
    yield from CONFIGURING
    # By now, these have run.
    if subject.opened is not None:
        assert subject.config is not None
        subject.own = _own_of(subject.config.take(PROVIDER))
    yield from checks_of_store(subject)


def _own_of(provider: str) -> Own:
    """Return the checks of a store of its own, if it has any."""
    if provider == "aws-s3":
        from cshelve.cli.doctor.s3 import OWN

        return OWN
    return Own()


@contextmanager
def _printing(found: list[Finding], *, as_json: bool) -> Iterator[None]:
    """On a terminal, show a table at the end, and until then that something happens."""
    if as_json or not _has_table():
        yield
        return
    from rich.console import Console

    try:
        with Console(stderr=True).status("Checking…"):
            yield
    finally:
        if found:
            Console().print(_table(found))


def _has_table() -> bool:
    """Return whether the output is a terminal that is wide enough for a table."""
    return sys.stdout.isatty() and shutil.get_terminal_size().columns >= LEAST_COLUMNS


def _table(found: list[Finding]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("", "Check", "What was found"):
        table.add_column(heading, no_wrap=heading != "What was found")
    for name, result, _ in found:
        text = Text(printable(result.detail))
        if result.advice:
            text.append(f"\n→ {printable(result.advice)}", "bold")
        table.add_row(Text(result.status, COLOURS[result.status]), name, text)
    return table


def _lines(finding: Finding) -> str:
    result = finding.result
    found = f"{result.status:<8} {finding.check}: {printable(result.detail)}"
    return f"{found}\n         to change: {printable(result.advice)}" if result.advice else found


def _fields(finding: Finding) -> dict[str, object]:
    result = finding.result
    return {
        "check": finding.check,
        "status": result.status,
        "detail": result.detail,
        "advice": result.advice or None,
        "seconds": result.seconds,
    }


def _conclusion(subject: Subject, found: list[Finding]) -> int:
    """Print whether all that the flag needs holds, and return the exit status."""
    failed = [each.check for each in found if each.result.status == "failed"]
    # What depends on a place that does not exist yet could not be tried either.
    untried = [each.check for each in found if each.result.status == "skipped"]
    if failed:
        click.echo(f"cshelve: failed: {', '.join(failed)}", err=True)
    elif untried:
        click.echo(f"cshelve: could not be tried: {', '.join(untried)}", err=True)
    else:
        more = "; nothing was written: --flag w tries writes too" if subject.flag == "r" else ""
        click.echo(f"cshelve: all that flag {subject.flag} needs holds{more}", err=True)
    return 1 if failed or untried else 0
