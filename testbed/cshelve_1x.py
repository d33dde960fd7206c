"""cshelve 1.6.0 from the registry, in its own environment and process.

Both releases are named cshelve, so an interpreter can only have one of them. This module is
imported by the interpreter of this release, and run as a program (``python -m testbed.cshelve_1x``)
by the interpreter of the other.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import pickle
import select
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from testbed.environments import ROOT, own_surroundings, python_in
from testbed.loopback import refuse_other_hosts

__all__ = ["VERSION", "Cshelve1x", "RefusedBy1x", "find_python"]

VERSION = "1.6.0"
"""The version that the Makefile installs."""
_ANSWER_SECONDS = 60.0


class RefusedBy1x(Exception):  # noqa: N818
    """An error from 1.x, as `name of the class: text`; its class is only importable there."""


def find_python() -> Path:
    """Return the interpreter of 1.x's environment; raise FileNotFoundError if it is missing."""
    return python_in(".venv-1.x")


class Cshelve1x:
    """A process that opens shelves with 1.x, in the caller's directory and environment.

    Each call opens the shelf that an ini file describes, and closes it again. Values consist of
    builtin types. Not safe for use from several threads.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [find_python(), "-m", "testbed.cshelve_1x"],
            cwd=ROOT,
            env=own_surroundings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            version = self._ask("version")
            if version != VERSION:
                raise RuntimeError(
                    f"the environment of cshelve {VERSION} holds {version}: remove .venv-1.x, and "
                    "`make test` makes it anew"
                )
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        # Also closes its pipes, even if they still contain data.
        self._process.communicate()

    def write(self, ini: Path, values: Mapping[str, object], flag: str = "c") -> None:
        self._ask("write", str(ini), flag, dict(values))

    def read(self, ini: Path, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of these keys; raise for the first key that can't be read."""
        values: dict[str, Any] = self._ask("read", str(ini), "r", list(keys))
        return values

    def keys(self, ini: Path) -> set[str]:
        keys: set[str] = self._ask("keys", str(ini), "r")
        return keys

    def delete(self, ini: Path, key: str) -> None:
        self._ask("delete", str(ini), "w", key)

    def _ask(self, operation: str, *arguments: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        pickle.dump((os.getcwd(), dict(os.environ), operation, arguments), stdin)
        stdin.flush()
        # The response is one pickle, which is read completely: nothing stays in this buffer.
        if not select.select([stdout], [], [], _ANSWER_SECONDS)[0]:
            raise TimeoutError(f"cshelve {VERSION} gave no response in {_ANSWER_SECONDS} s")
        refusal, answer = pickle.load(stdout)
        if refusal is not None:
            raise RefusedBy1x(refusal)
        return answer


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Carry out one request after the other until the input ends."""
    open_shelf = importlib.import_module("cshelve").open
    while True:
        try:
            directory, environment, operation, arguments = pickle.load(requests)
        except EOFError:
            return
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        refusal = answer = None
        try:
            answer = _do(open_shelf, operation, *arguments)
        except Exception as error:  # noqa: BLE001 - the caller decides.
            refusal = f"{type(error).__name__}: {error}"
        pickle.dump((refusal, answer), answers)
        answers.flush()


def _do(
    open_shelf: Callable[..., Any],
    operation: str,
    ini: str = "",
    flag: str = "",
    what: Any = None,
) -> object:
    if operation == "version":
        return importlib.metadata.version("cshelve")
    with open_shelf(ini, flag) as db:
        match operation:
            case "write":
                for key, value in what.items():
                    db[key] = value
            case "read":
                return {key: db[key] for key in what}
            case "keys":
                return set(db)
            case "delete":
                del db[what]
    return None


def _main() -> None:
    # Keeps other output out of the responses.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with refuse_other_hosts():
        _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main()
