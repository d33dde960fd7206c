"""A TCP relay that limits the bytes per second, of each connection or of all, in each direction.

    python -m benchmarks.throttle HOST PORT MB_A_SECOND [in-all]

prints its port, and relays until it is terminated. It is a separate process, so that it does not
compete for the interpreter with the program that is measured.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE_BYTES = 1 << 17


@contextmanager
def throttled(
    host: str, port: int, megabytes_a_second: float, *, in_all: bool = False
) -> Iterator[str]:
    """Run a relay to this server, and yield the URL to use instead of the server's.

    With `in_all`, all connections share the limit.
    """
    arguments = [host, str(port), str(megabytes_a_second), *(["in-all"] if in_all else [])]
    command = [sys.executable, "-m", "benchmarks.throttle", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


class Pace:
    """When the next bytes are due, in one direction."""

    def __init__(self, bytes_a_second: float) -> None:
        self._bytes_a_second = bytes_a_second
        self._due = 0.0
        self._lock = threading.Lock()

    def wait(self, count: int) -> None:
        """Wait as long as these bytes take, and those of others before them."""
        with self._lock:
            # Capacity that was not used while idle does not accumulate.
            now = time.monotonic()
            self._due = due = max(self._due, now) + count / self._bytes_a_second
        time.sleep(max(0.0, due - now))


def serve(host: str, port: int, bytes_a_second: float, *, in_all: bool) -> None:
    shared = Pace(bytes_a_second), Pace(bytes_a_second)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((host, port))
            own = Pace(bytes_a_second), Pace(bytes_a_second)
            sides = ((client, server), (server, client))
            for (source, target), pace in zip(sides, shared if in_all else own, strict=True):
                arguments = (source, target, pace)
                threading.Thread(target=relay, args=arguments, daemon=True).start()


def relay(source: socket.socket, target: socket.socket, pace: Pace) -> None:
    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
            pace.wait(len(piece))
    # If either side ends the connection, the other direction has to end too.
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) * 1e6, in_all="in-all" in sys.argv)
