"""How a shelf is opened again in another process: what its pickle carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._config.sections import Sections
from cshelve._values.serializers import Deserialize, Serialize
from cshelve.exceptions import ConfigurationError, NotPicklableError

if TYPE_CHECKING:
    import logging

    from cshelve._shelf.shelf import CloudShelf

__all__ = ["Call", "Recipe"]


class Call(NamedTuple):
    """What a call to `open` said of values, beside the configuration."""

    protocol: int | None = None
    writeback: bool = False
    serializer: Serialize | None = None
    deserializer: Deserialize | None = None


class Recipe:
    """The configuration as it was written, and what else the call to `open` said.

    References to the environment stay references, so the worker's environment has to have them.
    """

    def __init__(
        self,
        opener: Callable[[Sections, Call], CloudShelf],
        config: Sections,
        call: Call,
        location: str,
    ) -> None:
        """Take what was opened by which function; `location` is where that led to."""
        self._opener = opener
        self._source = config.source
        self._contents = config.contents
        self._from_file = config.from_file
        self._flag = config.flag
        self._call_params = config.call_params
        self._logger: logging.Logger | None = config.logger_of_call
        self._call = call  # Functions in it are pickled by name, as all functions are.
        self._location = location
        # Where secrets are written out, so that there can be no pickle.
        self._literal_secrets = config.literal_secrets()

    def reduced(self, prefix: str) -> tuple[Any, ...]:
        """Give what `__reduce__` has to give for the shelf, or for its view under a prefix.

        Raises `NotPicklableError` if a secret would be in the pickle.
        """
        if self._literal_secrets:
            raise NotPicklableError(
                "a pickle of this shelf would carry a secret, which is written out in "
                f"{'; '.join(self._literal_secrets)}. Write `$` and the name of an environment "
                "variable instead, which the other process has to have too."
            )
        return _reopened, (self, prefix)

    def reopen(self) -> CloudShelf:
        """Open the shelf, which exists: what was opened with `n` must not be emptied again."""
        config = Sections(
            source=self._source,
            contents=self._contents,
            from_file=self._from_file,
            flag="r" if self._flag == "r" else "w",
            call_params=self._call_params,
            logger=self._logger,
        )
        shelf = self._opener(config, self._call)
        location = shelf._location
        if location != self._location:
            shelf.close()
            raise ConfigurationError(
                f"{self._source}: the shelf was pickled as {self._location}, and here its "
                f"configuration leads to {location}: by a relative path, or a variable."
            )
        return shelf


def _reopened(recipe: Recipe, prefix: str) -> CloudShelf:
    """Open a pickled shelf; of a prefix view, the shelf that it belongs to is closed with it."""
    shelf = recipe.reopen()
    if not prefix:
        return shelf
    return shelf._view(shelf._objects.under(prefix), shelf, owns_parent=True)
