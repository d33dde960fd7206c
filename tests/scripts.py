"""Small programs that tests run by themselves, in a fresh interpreter and with a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import cshelve

FOLDERS = [Path(cshelve.__file__).parents[1], Path(__file__).parents[1]]
# What each program begins with: the configuration is its first argument.
BEGINNING = """
import json, sys
config, arguments = json.loads(sys.argv[1]), json.loads(sys.argv[2])
"""
# For programs that tell how much memory they had, in bytes, at the most. Not `ru_maxrss` where
# there is better: it begins at what the process had that started this one.
PEAK = """
import pathlib, resource

def peak():
    status = pathlib.Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
"""


def run_script(
    program: str,
    config: dict[str, dict[str, Any]] | None = None,
    *,
    seconds: float = 30,
    environ: dict[str, str] | None = None,
    arguments: Any = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program that finds `config` and `arguments`, and give what it printed and its status.

    One that does not end in time fails the test, with what it printed so far.
    """
    command = [sys.executable, "-c", BEGINNING + dedent(program)]
    path = os.pathsep.join(map(str, FOLDERS))
    try:
        return subprocess.run(
            [*command, json.dumps(config), json.dumps(arguments)],
            env={**os.environ, "PYTHONPATH": path, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"no end after {seconds} seconds: {error.stdout!r} {error.stderr!r}")


def result_of(program: str, config: dict[str, dict[str, Any]] | None = None, **options: Any) -> Any:
    """Run a program and give what its last line says, as JSON; it has to end well."""
    ended = run_script(program, config, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])
