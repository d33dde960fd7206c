"""A TCP relay that limits the bytes per second of each connection, in each direction.

    python -m benchmarks.throttle HOST PORT MB_A_SECOND

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
def throttled(host: str, port: int, megabytes_a_second: float) -> Iterator[str]:
    """Run a relay to this server, and yield the URL to use instead of the server's."""
    arguments = [host, str(port), str(megabytes_a_second)]
    command = [sys.executable, "-m", "benchmarks.throttle", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def serve(host: str, port: int, bytes_a_second: float) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((host, port))
            for source, target in ((client, server), (server, client)):
                arguments = (source, target, bytes_a_second)
                threading.Thread(target=relay, args=arguments, daemon=True).start()


def relay(source: socket.socket, target: socket.socket, bytes_a_second: float) -> None:
    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    due = 0.0
    with suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
            # Capacity that was not used while idle does not accumulate.
            due = max(due, time.monotonic()) + len(piece) / bytes_a_second
            time.sleep(max(0.0, due - time.monotonic()))
    # If either side ends the connection, the other direction has to end too.
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) * 1e6)
