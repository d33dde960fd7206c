"""The logger that a shelf speaks by, which is imported when there is something to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["logger_or_own"]


def logger_or_own(given: logging.Logger | None) -> logging.Logger:
    """Return the logger that the call to `open` named, or our own."""
    if given is not None:
        return given
    # Only now, as it is a third of what else has to be imported to open a shelf.
    import logging

    return logging.getLogger("cshelve")
