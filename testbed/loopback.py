"""A guard for test processes: no connection leaves this machine."""

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CONNECTING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_depth = 0
_installed = False


class NotLoopback(RuntimeError):  # noqa: N818
    """Raised if code in a test process tries to reach another host."""


@contextmanager
def refuse_other_hosts() -> Iterator[None]:
    """Raise NotLoopback, in any thread, when Python code connects to or looks up another host.

    Native clients that don't use Python's sockets are not detected.
    """
    global _depth
    _install()
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def _install() -> None:
    # An audit hook and no patched socket class: it also sees sockets made, subclassed or
    # imported before the guard, and asyncio's. It can't be removed, hence the depth.
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _depth:
        return
    if event in _CONNECTING:
        _, address = arguments
        # AF_UNIX addresses are strings or bytes, and a connected socket sends to None.
        if isinstance(address, tuple) and address:
            _check(address[0], event)
    elif event == "socket.getaddrinfo":
        _check(arguments[0], event)


def _check(host: object, event: str) -> None:
    if not _is_loopback(host):
        raise NotLoopback(f"{event} to {host!r}: tests talk to servers on loopback only")


def _is_loopback(host: object) -> bool:
    name = host.decode("latin-1") if isinstance(host, bytes | bytearray) else host
    if name in (None, "", "localhost"):
        return True
    if not isinstance(name, str):
        # AF_NETLINK and the like: numbers, which are no hosts.
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False
