"""Open files so that an exception of a signal handler leaves none of them open.

Python calls signal handlers after a call has returned and before its result is kept: a descriptor
that `os.open` has just returned would be lost. Handlers are not called within one call of a
function written in C, such as the `extend` of a list.
"""

from __future__ import annotations

import os

__all__ = ["close_last", "open_into"]


def open_into(opened: list[int], path: bytes, flags: int) -> None:
    """Open a path and append its descriptor to a list, at once.

    The caller closes the descriptors in the list, in a `finally`.
    """
    opened.extend(map(os.open, (path,), (flags,), (0o666,)))


def close_last(opened: list[int]) -> None:
    """Close the last descriptor of a list and remove it from there, at once.

    A second call therefore never closes a number that has been reused for another file.
    """
    any(map(os.close, map(opened.pop, (-1,))))
