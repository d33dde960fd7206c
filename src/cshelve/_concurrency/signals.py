"""Recognize errors that the program's signal handlers raise in the middle of our code."""

from __future__ import annotations

import signal

__all__ = ["is_from_signal_handler"]


def is_from_signal_handler(error: BaseException) -> bool:
    """Return whether a signal handler of the program raised an error.

    A handler of SIGALRM may raise any error in the middle of our code, most likely a
    `TimeoutError`. Such an error is not a failure of our operation, and has to reach the program.
    """
    codes = set()
    trace = error.__traceback__
    while trace is not None:
        codes.add(trace.tb_frame.f_code)
        trace = trace.tb_next
    return any(_code_of(signal.getsignal(number)) in codes for number in signal.valid_signals())


def _code_of(handler: object) -> object:
    """Return the code of a handler: a function, method, partial or object with `__call__`."""
    handler = getattr(handler, "func", handler)
    handler = getattr(handler, "__func__", handler)
    by_class = getattr(type(handler), "__call__", None)  # noqa: B004  # not to ask if it has one
    return getattr(handler, "__code__", getattr(by_class, "__code__", None))
