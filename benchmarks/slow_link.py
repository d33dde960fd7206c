"""A TCP relay on loopback that delays all bytes in both directions, as a distance does.

    python -m benchmarks.slow_link PORT MILLISECONDS

prints its port, and forwards connections to the other port until it is terminated. The bandwidth is
not limited. It is a process of its own, so that it does not compete for the interpreter with the
program that is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["slow_link"]


@contextmanager
def slow_link(port: int, milliseconds: float) -> Iterator[int]:
    """Run a relay to a port, whose round trips take this time; yield the port to use instead."""
    command = [sys.executable, "-m", "benchmarks.slow_link", str(port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def _main(port: int, seconds: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        ways = (_forward(reader, back, seconds / 2), _forward(there, writer, seconds / 2))
        await asyncio.gather(*ways)
        for each in (writer, back):
            each.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Pass on what arrives, each piece after the delay; the pieces do not wait for each other."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while data := await reader.read(2**16):
            loop.call_later(seconds, writer.write, data)
        await asyncio.sleep(seconds)
        writer.write_eof()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2]) / 1000))
