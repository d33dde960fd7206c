"""The bar of `progress=True`: tqdm's if it is installed, else a line on a terminal.

If standard error is not a terminal, there is no bar, except in a notebook.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.signals import is_from_signal_handler

if TYPE_CHECKING:
    from cshelve._concurrency.outcomes import Progress

__all__ = ["Bar", "new_bar", "size_text"]

BAR_CHARACTERS = 30
# The time between two drawings of the plain bar, as in tqdm.
SECONDS_BETWEEN = 0.1
UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


class Bar:
    """A progress callback that draws nothing; the base of the other bars.

    A bar appears with the first key, so an operation on no keys shows none.
    """

    def __init__(self, done: str) -> None:
        self.done = done
        """The participle for the bar, such as `written`."""

    def __call__(self, progress: Progress) -> None:
        """Show the progress of the operation."""

    def close(self) -> None:
        """Show the final state; a second call does nothing."""


def new_bar(done: str) -> Bar:
    """Return the best bar that can be shown here."""
    in_notebook = _is_notebook()
    if not (in_notebook or _is_terminal()):
        return Bar(done)
    try:
        tqdm = import_module("tqdm.auto").tqdm
    except ImportError:
        return PlainBar(done)
    return TqdmBar(done, tqdm)


class TqdmBar(Bar):
    """A bar of tqdm's."""

    def __init__(self, done: str, tqdm: Any) -> None:
        super().__init__(done)
        self._tqdm = tqdm
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = self._new(progress)
        bar = self._bar
        if progress.total_bytes is None:
            bar.set_postfix_str(size_text(progress.bytes), refresh=False)
            bar.update(progress.done - bar.n)
        else:  # One large value.
            bar.update(progress.bytes - bar.n)

    def _new(self, progress: Progress) -> Any:
        if progress.total_bytes is None:
            return self._tqdm(total=progress.total, desc=self.done, unit=" keys")
        return self._tqdm(total=progress.total_bytes, desc=self.done, unit="B", unit_scale=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class PlainBar(Bar):
    """A line on standard error that is written again and again."""

    def __init__(self, done: str) -> None:
        super().__init__(done)
        self._last: Progress | None = None
        self._drawn_at = 0.0
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        self._last = progress
        now = time.monotonic()
        if now - self._drawn_at >= SECONDS_BETWEEN:
            self._drawn_at = now
            self._draw(progress)

    def close(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            self._draw(last, end="\n")

    def _draw(self, progress: Progress, end: str = "") -> None:
        line = _line(self.done, progress)
        # The blanks overwrite the rest of a longer line before.
        text = f"\r{line.ljust(self._width)}{end}"
        self._width = len(line)
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError) as error:
            # A closed terminal or stream is no failure of the operation.
            if is_from_signal_handler(error):
                raise


def size_text(size_bytes: int) -> str:
    """Return a size as people write it, in decimal units."""
    if size_bytes < 1000:
        return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"
    size, unit = float(size_bytes), 0
    # 999,950 bytes would be rounded to 1000.0 kB.
    while size >= 999.95 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {UNITS[unit]}"


def _line(done: str, progress: Progress) -> str:
    size = size_text(progress.bytes)
    if progress.total_bytes:  # One large value.
        part, numbers = progress.bytes / progress.total_bytes, size_text(progress.total_bytes)
        numbers = f"{size} of {numbers}"
    elif progress.total:
        part = progress.done / progress.total
        keys = "key" if progress.total == 1 else "keys"
        numbers = f"{progress.done:,} of {progress.total:,} {keys}, {size}"
    else:
        keys = "key" if progress.done == 1 else "keys"
        return f"{done}: {progress.done:,} {keys}, {size}"
    part = min(1.0, part)
    bar = ("#" * int(part * BAR_CHARACTERS)).ljust(BAR_CHARACTERS)
    return f"{done}: {part:4.0%} |{bar}| {numbers}"


def _is_terminal() -> bool:
    """Return whether standard error is a terminal; there is none in a windowed program."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # It is closed.
        return False


def _is_notebook() -> bool:
    """Return whether IPython runs this program in a kernel, as for a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")
