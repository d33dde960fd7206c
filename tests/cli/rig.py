"""Run the installed program in a pipe or on a terminal, and see what it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

import pexpect

from cshelve.cli import main
from tests import rigs
from tests.forks import FORKS

# In the folder of the interpreter, where pip installs it.
PROGRAM = str(Path(sys.executable).with_name("cshelve"))
# What a terminal understands besides text: colours, and the position of the cursor.
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**more: str) -> dict[str, str]:
    """Return an environment for the program, in which output is UTF-8 and a line is wide."""
    return {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "100", "LINES": "40", **more}


def run(
    *args: object, stdin: bytes = b"", env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the program with its output in pipes, and return what it printed and its status.

    The process is forked from one that has imported everything, which saves most of its time. With
    a `PYTHONPATH` of its own, the installed program is started.
    """
    if env and "PYTHONPATH" in env:
        return subprocess.run(
            [PROGRAM, *map(str, args)],
            input=stdin,
            capture_output=True,
            env=environment(**env),
            cwd=cwd,
            timeout=120,
            check=False,
        )
    with started(*args, stdin=stdin, env=env, cwd=cwd) as program:
        return program.end()


@dataclass
class Started:
    """A program that was forked and runs, and the files that it prints to."""

    command: list[str]
    process: BaseProcess
    output: IO[bytes]
    errors: IO[bytes]

    def send_signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self) -> subprocess.CompletedProcess[bytes]:
        """Wait for its end, and return what it printed and its status."""
        self.process.join(120)
        status = self.process.exitcode
        assert status is not None
        return subprocess.CompletedProcess(
            self.command, status, written(self.output), written(self.errors)
        )


def written(file: IO[bytes]) -> bytes:
    """Return what a file has, without moving the position at which its writers go on."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


@contextmanager
def started(
    *args: object, stdin: bytes = b"", env: dict[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Started]:
    """Run the program while the block runs, forked from a process that has imported everything."""
    command = [PROGRAM, *map(str, args)]
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        streams = [DupFd(file.fileno()) for file in files]
        settings = environment(**(env or {}))
        process = FORKS.Process(target=_main, args=(command, settings, str(cwd or "."), streams))
        process.start()
        try:
            yield Started(command, process, files[1], files[2])
        finally:
            process.kill()
            process.join()
            process.close()


def _main(
    command: list[str], settings: dict[str, str], cwd: str, streams: list[Any]
) -> None:  # pragma: no cover  # in another process
    """Become the program: take its arguments, environment, folder, and standard streams."""
    for number, stream in enumerate(streams):
        os.dup2(stream.detach(), number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  # until the end
        for number, mode in enumerate(("r", "w", "w"))
    )
    sys.argv = command
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(cwd)
    # A warning is not an error for the users of the program.
    warnings.resetwarnings()
    main()


def output(*args: object, status: int = 0, **options: Any) -> str:
    """Run the program, check its status, and return its standard output."""
    done = run(*args, **options)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout.decode()


def errors(*args: object, status: int = 1, **options: Any) -> str:
    """Run the program, check its status, and return its standard error."""
    done = run(*args, **options)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stderr.decode()


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def on_terminal(*args: object, **options: Any) -> Iterator[pexpect.spawn[str]]:
    """Run the program on a terminal of 100 columns while the block runs."""
    child = pexpect.spawn(
        PROGRAM,
        [str(arg) for arg in args],
        env=environment(**options.pop("env", {})),
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 100),
        **options,
    )
    try:
        yield child
    finally:
        child.close(force=True)


def screen(*args: object, status: int = 0, **options: Any) -> str:
    """Run the program on a terminal to its end, and return what it showed, without colours."""
    with on_terminal(*args, **options) as child:
        shown: str = child.read()
        child.wait()
        assert child.exitstatus == status, shown
    return ESCAPE.sub("", shown).replace("\r\n", "\n")


def ini_file(path: Path, config: dict[str, dict[str, Any]]) -> Path:
    """Write a configuration as a file, in which the values are literal, and return its path."""
    lines = []
    for section, options in config.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {value}" for name, value in options.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def s3_ini(path: Path, s3: rigs.S3Rig, **default: Any) -> Path:
    """Write the configuration of a shelf in S3, under a prefix of its own."""
    return ini_file(path, s3.config(**default))
