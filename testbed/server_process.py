"""Run a server as a child process: start it, read its log, stop it."""

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class ServerStartError(RuntimeError):
    """Raised if the server exited or did not respond; the message has the end of its log."""


class ServerProcess:
    """One child process with its own process group, writing to a log file."""

    def __init__(
        self, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._log = log
        self._environ = environ or {}
        # Appends, because the same command may have been started before.
        with log.open("ab") as output:
            # Its own session: Ctrl-C reaches only the tests, and kill() reaches its children.
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **self._environ},
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
        """Return the last lines of the server's log."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "the end of its log:\n" + "\n".join(text.splitlines()[-lines:])

    def again(self) -> "ServerProcess":
        """Start the same command once more, and append to the same log."""
        return ServerProcess(self._command, self._log, self._environ)

    def kill(self) -> None:
        """End the process and its children at once; a second call does nothing."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class LocalServer(ABC):
    """A server in a temporary directory; both are removed at the end of the ``with`` block.

    If the block never ends, they are removed when the interpreter that started them exits.
    """

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._process: ServerProcess | None = None
        self._owner = 0

    def start(self) -> Self:
        """Start the server and wait until it works; on failure, try once more on other ports."""
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
        # A forked child has the same object and exit handlers, but must not end the server.
        if os.getpid() == self._owner:
            atexit.unregister(self.stop)
            self._end()

    def crash(self) -> None:
        """Kill the server (SIGKILL) and keep its data on disk, for `recover`."""
        if self._process is not None:
            self._process.kill()

    def recover(self) -> None:
        """Restart the server after a crash, on the same ports and data, and wait until it works."""
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
        """Wait until clients can use the server, or raise ServerStartError."""

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
    """Return whether a GET of the URL currently gets a 2xx response."""
    # No proxy from the environment may be used between the tests and loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
