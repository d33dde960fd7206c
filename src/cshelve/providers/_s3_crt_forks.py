"""What a forked child must never free: the Common Runtime's clients of its parent.

Freeing one waits for its threads, which are not there in the child, and the child dies of it with a
segmentation fault, at whatever moment its collector finds a shelf that nobody uses any more. So a
child keeps them until it ends, and even then: an interpreter frees what modules hold.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any

__all__ = ["never_free_in_children"]

# Of the process and not of a shelf: a shelf that is garbage is found by nobody else.
_clients: weakref.WeakSet[Any] = weakref.WeakSet()
_of_this_thread = threading.local()


def never_free_in_children(client: Any) -> None:
    """Have children that are forked from now on keep this client, without keeping it here."""
    _clients.add(client)


def _hold() -> None:
    # Before the fork: what else there is to do in a child may collect garbage first.
    _of_this_thread.held = list(_clients)


def _let_go() -> None:
    _of_this_thread.held = []


def _keep_for_ever() -> None:
    for client in _of_this_thread.held:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
    _let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_keep_for_ever)
