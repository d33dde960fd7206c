"""The program: its commands, and the status it exits with."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from io import TextIOWrapper

import click

import cshelve
from cshelve.cli import configurations, exchange, reading, transfers, writing
from cshelve.cli.browse import browse
from cshelve.cli.doctor.command import doctor
from cshelve.cli.policy import policy
from cshelve.cli.shelves import KEY_IS_MISSING, is_debugging

__all__ = ["program", "run"]

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 a key is missing.",
)
@click.version_option(cshelve.__version__, prog_name="cshelve", message="%(prog)s %(version)s")
def program() -> None:
    """Look into shelves, change them, copy them, and check how they are configured.

    SHELF is a configuration file (shelf.ini), a URL (s3://bucket/prefix) or the path of a local
    shelf. Data goes to standard output, and everything else to standard error.
    """


COMMANDS = (
    *(reading.ls, reading.get, reading.cat, reading.stat, reading.du),
    *(writing.put, writing.rm, writing.expire, writing.rewrite),
    *(transfers.cp, exchange.export, exchange.import_),
    *(configurations.check, configurations.init, configurations.keygen),
    browse,
    *(doctor, policy),
)
for command in COMMANDS:
    program.add_command(command)


def run() -> None:
    """Run the command line that the process was started with, and exit."""
    sys.exit(_status())


def _status() -> int:
    _open_closed_streams()
    _end_as_after_ctrl_c()
    # A character that the encoding of the output lacks is shown by its number.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = program.main(prog_name="cshelve", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        print("cshelve: interrupted", file=sys.stderr)
        return INTERRUPTED
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _failed(error, error.exit_code)
    except BrokenPipeError:
        # What reads the output, such as `head`, has ended.
        _flush_or_drop()
        return FAILED  # As click does, which meets it first if the output is long.
    except cshelve.KeyNotFoundError as error:
        return _failed(error, KEY_IS_MISSING)
    except Exception as error:  # noqa: BLE001
        # Broad because an error is one line here, also one of a kind that nobody expected.
        _flush_or_drop()
        return _failed(error, FAILED)


def _open_closed_streams() -> None:
    """Open the standard streams that the caller has closed, as with `>&-`.

    Else the next file or connection would get their number, and what is printed would go there.
    Reading standard input and writing standard output fail then, as they would in other programs.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY), encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _end_as_after_ctrl_c() -> None:
    """Let SIGTERM, and a terminal that is closed, remove what is half done, as Ctrl-C does."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores SIGHUP.
            signal.signal(number, signal.default_int_handler)


def _flush_or_drop() -> None:
    """Write the rest of the output, or drop it if that fails: Python would complain at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(error: Exception, status: int) -> int:
    if is_debugging():
        traceback.print_exception(error)
    elif isinstance(error, cshelve.KeyNotFoundError):
        print(f"cshelve: there is no key {error.args[0]!r}", file=sys.stderr)
    else:
        print(f"cshelve: {' '.join(_reason(error).split())}", file=sys.stderr)
    return status


def _reason(error: Exception) -> str:
    if isinstance(error, cshelve.Error | click.ClickException):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename is not None else ""
        return f"{name}{error.strerror}"
    notes = "; ".join(["", *getattr(error, "__notes__", ())])
    return f"{type(error).__name__}: {error}{notes} (--debug shows where)"
