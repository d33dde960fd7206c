"""Free ports on loopback."""

import os
import random
import socket
from contextlib import ExitStack, suppress

# Below those that systems give to clients, which would take one between the choice and its use.
_FIRST, _LAST = 10_000, 32_000
# Processes that choose at the same moment, as those of a test run do, choose among other ports.
_SHARES = 32


def free_ports(count: int) -> list[int]:
    """Return distinct free ports on 127.0.0.1; another process may take one at any time."""
    candidates = list(range(_FIRST + os.getpid() % _SHARES, _LAST, _SHARES))
    random.SystemRandom().shuffle(candidates)
    ports: list[int] = []
    with ExitStack() as stack:
        for port in candidates:
            if len(ports) == count:
                break
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):  # It is taken.
                probe.bind(("127.0.0.1", port))
                ports.append(port)
    if len(ports) < count:
        raise OSError(f"fewer than {count} free ports from {_FIRST} to {_LAST}")
    return ports
