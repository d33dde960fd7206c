"""Nothing reaches another host while tests run."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from testbed.loopback import NotLoopback, refuse_other_hosts


@pytest.mark.parametrize("host", ["198.51.100.7", "s3.amazonaws.com", "2001:db8::1"])
def test_other_hosts_are_refused(host: str) -> None:
    with refuse_other_hosts(), pytest.raises(NotLoopback, match=host):
        socket.create_connection((host, 80), timeout=0.1)


def test_loopback_is_not_refused() -> None:
    with refuse_other_hosts(), socket.create_server(("127.0.0.1", 0)) as listener:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, listener.getsockname()[1]), timeout=5).close()


def test_the_guard_ends() -> None:
    # In a process of its own, as the whole suite runs under the guard. Connecting a datagram socket
    # sends nothing.
    program = (
        "import socket; from testbed.loopback import refuse_other_hosts\n"
        "with refuse_other_hosts(): pass\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('198.51.100.7', 9))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
