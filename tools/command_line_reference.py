"""Write docs/command-line.md: what the examples print, and the help of each command.

::

    python -m tools.command_line_reference

The examples run in a new folder, one after the other, with the installed program. Times and
versions, which differ each time, are replaced by fixed ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from cshelve.cli.program import program

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"
COMMAND = "python -m tools.command_line_reference"
EXAMPLE = re.compile(r"(<!-- run -->\n```console\n)(.*?)(```\n)", re.DOTALL)
HELP = re.compile(r"(<!-- help: (\w+) -->\n).*?(<!-- end of help -->)", re.DOTALL)
WIDTH = 90
DIFFERENT = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-11-29T12:00:00Z"),
    (re.compile(r"(\"version\": \"|version +)[0-9a-f-]+"), r"\g<1>2d21be-18ec5cd67351165b-37"),
    (re.compile(r"\d\.\d\d s waited"), "0.00 s waited"),
)


def updated(page: str) -> str:
    """Return a page with new output and help; raise `ValueError` if a command has no help in it."""
    shown = {name for _, name, _ in HELP.findall(page)}
    if missing := sorted(set(program.commands) - shown):
        raise ValueError(f"no help is shown for the commands {', '.join(missing)}")
    page = HELP.sub(lambda place: f"{place[1]}{_help(place[2])}{place[3]}", page)
    with tempfile.TemporaryDirectory() as folder:
        return EXAMPLE.sub(_runner(Path(folder)), page)


def _help(name: str) -> str:
    """Return the help of a command as Markdown."""
    command = program.commands[name]
    parent = click.Context(program, info_name="cshelve", **program.context_settings)
    context = click.Context(command, parent, name, terminal_width=WIDTH, max_content_width=WIDTH)
    return f"```text\n{command.get_help(context)}\n```\n"


def _runner(folder: Path) -> Callable[[re.Match[str]], str]:
    def transcript(place: re.Match[str]) -> str:
        commands = re.findall(r"^\$ (.*)$", place[2], re.MULTILINE)
        return "".join([place[1], *(_run(each, folder) for each in commands), place[3]])

    return transcript


def _run(command: str, folder: Path) -> str:
    """Run a line in a shell, and return the line and what it prints."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={"PATH": path, "PYTHONUTF8": "1", "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = done.stdout.decode()
    for pattern, fixed in DIFFERENT:
        output = pattern.sub(fixed, output)
    return f"$ {command}\n{output}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
