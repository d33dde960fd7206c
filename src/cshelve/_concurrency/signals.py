"""Whether an error comes from a signal handler of the program's, which may raise anywhere."""

from __future__ import annotations

import signal

__all__ = ["is_from_signal_handler"]


def is_from_signal_handler(error: BaseException) -> bool:
    """Return whether a signal handler has raised an error.

    A program's handler of SIGALRM may raise whatever it likes, a `TimeoutError` most likely, in the
    middle of ours. That is no failure of what we do, and has to reach the program.
    """
    codes = set()
    trace = error.__traceback__
    while trace is not None:
        codes.add(trace.tb_frame.f_code)
        trace = trace.tb_next
    return any(_code_of(signal.getsignal(number)) in codes for number in signal.valid_signals())


def _code_of(handler: object) -> object:
    """Return the code of a handler: a function, a method, a partial or an object to be called."""
    handler = getattr(handler, "func", handler)
    handler = getattr(handler, "__func__", handler)
    by_class = getattr(type(handler), "__call__", None)  # noqa: B004  # it is not asked whether
    return getattr(handler, "__code__", getattr(by_class, "__code__", None))
