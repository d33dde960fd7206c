"""The logger of a shelf; `logging` is imported only when there is something to log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["logger_or_own"]


def logger_or_own(given: logging.Logger | None) -> logging.Logger:
    """Return the given logger, or the default one, named `cshelve`."""
    if given is not None:
        return given
    # Imported late: it takes a third of the time of all other imports that opening a shelf needs.
    import logging

    return logging.getLogger("cshelve")
