"""Opening files so that an exception of a signal handler leaves none of them open.

Python calls signal handlers after a call has returned and before its result is kept: a descriptor
that `os.open` has just returned would be lost. Handlers are not called within one call of a
function written in C, such as the `extend` of a list.
"""

from __future__ import annotations

import os

__all__ = ["close_last", "open_into"]


def open_into(opened: list[int], path: bytes, flags: int) -> None:
    """Open a path and append its descriptor to a list, at once.

    The caller closes, in a `finally`, what is in the list.
    """
    opened.extend(map(os.open, (path,), (flags,), (0o666,)))


def close_last(opened: list[int]) -> None:
    """Close the last descriptor of a list and remove it from there, at once.

    So a second call never closes a number that has become another file's.
    """
    any(map(os.close, map(opened.pop, (-1,))))
