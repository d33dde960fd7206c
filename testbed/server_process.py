"""A server run as a child process: its start, its log, its end."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class ServerStartError(RuntimeError):
    """The server exited or stayed silent; the message holds the end of its log."""


class ServerProcess:
    """One child process with its own process group, writing to a log file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = command
        self._log = log
        # Appended: the same command may have been started before.
        with log.open("ab") as output:
            # Its own session: Ctrl-C reaches only the tests, and kill() reaches its children.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Poll until ready; raise ServerStartError if the process ends or time runs out."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            code = self._process.poll()
            if code is not None:
                raise ServerStartError(f"exited with code {code}; {self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerStartError(f"not ready in {timeout_seconds} s; {self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of what the server wrote."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "the end of its log:\n" + "\n".join(text.splitlines()[-lines:])

    def again(self) -> "ServerProcess":
        """Start the same command once more, writing on in the same log."""
        return ServerProcess(self._command, self._log)

    def kill(self) -> None:
        """End the process and its children at once; a second call does nothing."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class LocalServer(ABC):
    """A server in a temporary directory, both gone at the end of the ``with`` block.

    If the block never ends, they go with the interpreter that started them.
    """

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._process: ServerProcess | None = None
        self._owner = 0

    def start(self) -> Self:
        """Start, once more on other ports if the first start fails, and wait until it works."""
        self._owner = os.getpid()
        atexit.register(self.stop)
        try:
            try:
                self._start_once()
            except ServerStartError:
                self._end()
                self._start_once()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Kill the server and remove everything it left; a second call does nothing."""
        # A forked child has the same object and exit handlers: the server isn't its to end.
        if os.getpid() == self._owner:
            atexit.unregister(self.stop)
            self._end()

    def crash(self) -> None:
        """Kill the server (SIGKILL) and leave what it has on disk, for `recover`."""
        if self._process is not None:
            self._process.kill()

    def recover(self) -> None:
        """Start it again after a crash, on the same ports and data, and wait until it works."""
        if self._process is None:
            raise RuntimeError("it was never started, or is stopped")
        self._process.kill()
        self._process = self._process.again()
        self._wait_until_ready(self._process)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def _launch(self, directory: Path) -> ServerProcess:
        """Start the process on new ports."""

    @abstractmethod
    def _wait_until_ready(self, process: ServerProcess) -> None:
        """Return when a client can work; raise ServerStartError."""

    def _start_once(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="testbed-"))
        self._process = self._launch(self._directory)
        self._wait_until_ready(self._process)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


def answers_ok(url: str) -> bool:
    """Whether a GET of the address gives a 2xx answer now."""
    # No proxy from the environment may come between the tests and loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
