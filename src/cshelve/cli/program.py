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
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # What reads the output, such as `head`, has ended. Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED  # As click does, which meets it first if the output is long.
    except cshelve.KeyNotFoundError as error:
        return _failed(error, KEY_IS_MISSING)
    except (cshelve.Error, OSError) as error:
        return _failed(error, FAILED)


def _failed(error: Exception, status: int) -> int:
    if is_debugging():
        traceback.print_exception(error)
    elif isinstance(error, cshelve.KeyNotFoundError):
        print(f"cshelve: there is no key {error.args[0]!r}", file=sys.stderr)
    else:
        print(f"cshelve: {' '.join(str(error).split())}", file=sys.stderr)
    return status
