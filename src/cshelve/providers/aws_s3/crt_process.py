"""What a process has of AWS's Common Runtime until it ends: a loop of events, and its clients.

None of it is ever freed. To free a client is to wait for its threads, which are not there in a
forked child: that dies of it with a segmentation fault, at whatever moment its collector finds a
shelf that nobody uses any more. And a thread that ends cannot stay attached, see `stay_attached`.
So the shelves of a process share clients, one for all that have the same terms; each
has two threads.
"""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

from awscrt.io import (
    ClientBootstrap,
    ClientTlsContext,
    DefaultHostResolver,
    EventLoopGroup,
    TlsContextOptions,
)
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RetryConfig

from cshelve._forks import PerProcess

__all__ = ["Terms", "client_for", "stay_attached"]

# A client has one connection for each 0.4 of these at most, which is out of the way: what flies at
# once is bounded by each shelf for itself.
THROUGHPUT_GBPS = 400.0
PAUSE_BEFORE_RETRY_MS = 50

_of_this_thread = threading.local()


class Terms(NamedTuple):
    """What all requests that go by one client have in common.

    That the port is one of them is in no documentation: a client knows its servers by their names
    alone, and what is for one port would go to another.
    """

    port: int
    is_secure: bool
    ca_path: str | None
    """The file of authorities to trust; None for no check of certificates."""
    connect_seconds: float

    def as_of_now(self) -> tuple[object, ...]:
        """Tell this one from others, and from itself with another version of the file."""
        if not self.is_secure or self.ca_path is None:
            return (self,)
        file = os.stat(self.ca_path)
        return self, file.st_mtime_ns, file.st_size


def client_for(terms: Terms) -> Any:
    """Give this process's client, made now if need be. Safe in many threads."""
    return _clients.get().get(terms)


def stay_attached() -> None:
    """Let the Common Runtime's thread that this callback runs in stay known to the interpreter.

    Otherwise each callback makes the thread known and forgets it again, for which it takes a lock
    that is not the interpreter's main one. A child that is forked at that moment has the lock and
    not the thread, and hangs before it runs any Python
    (https://github.com/python/cpython/blob/v3.11.7/Modules/posixmodule.c, PyOS_AfterFork_Child).
    """
    if not hasattr(_of_this_thread, "is_attached"):
        # Takes longer to import than all that is ours here, and has no use until now.
        import ctypes

        # One more than there are releases. What a thread has for itself is gone when it is
        # forgotten, so this is done once.
        ctypes.pythonapi.PyGILState_Ensure()
        _of_this_thread.is_attached = True


class _Clients:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[object, ...], Any] = {}
        self._bootstrap: Any = None

    def get(self, terms: Terms) -> Any:
        key = terms.as_of_now()
        with self._lock:
            if self._bootstrap is None:
                # Of our own: the static one of the Common Runtime would hang in a forked child. One
                # loop is as fast as several are: each callback waits for the interpreter's lock.
                loops = EventLoopGroup(1)
                self._bootstrap = ClientBootstrap(loops, DefaultHostResolver(loops))
                _never_free(self._bootstrap)
            if key not in self._made:
                self._made[key] = self._make(terms)
                _never_free(self._made[key])
            return self._made[key]

    def _make(self, terms: Terms) -> Any:
        """Make a client that sends each request once, and once more after a failure if it has not
        lately done so: that cannot be denied it.
        """
        mode = S3RequestTlsMode.ENABLED if terms.is_secure else S3RequestTlsMode.DISABLED
        return S3Client(
            bootstrap=self._bootstrap,
            # For the record only: each request has its own with its signature.
            region="us-east-1",
            tls_mode=mode,
            tls_connection_options=_tls(terms.ca_path) if terms.is_secure else None,
            throughput_target_gbps=THROUGHPUT_GBPS,
            connect_timeout_ms=max(1, int(terms.connect_seconds * 1000)),
            retry_config=S3RetryConfig(
                max_retries=1,
                initial_bucket_capacity=1,
                backoff_scale_factor_ms=PAUSE_BEFORE_RETRY_MS,
            ),
        )


_clients = PerProcess(_Clients)


def _tls(ca_path: str | None) -> Any:
    options = TlsContextOptions()
    if ca_path is None:
        options.verify_peer = False
    else:
        options.override_default_trust_store_from_path(ca_filepath=ca_path)
    return ClientTlsContext(options).new_connection_options()


def _never_free(thing: Any) -> None:
    """Keep a thing until this process has ended, and in its children until these have.

    A reference that Python knows of is not enough, as an interpreter that ends frees what modules
    hold.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
