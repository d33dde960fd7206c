"""How a shelf is opened again in another process: what its pickle carries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._config import Sections
from cshelve._serializers import Deserialize, Serialize
from cshelve.exceptions import ConfigurationError, NotPicklableError

if TYPE_CHECKING:
    from cshelve._shelf import CloudShelf

__all__ = ["Call", "Recipe"]


class Call(NamedTuple):
    """What a call to `open` said of values, beside the configuration."""

    protocol: int | None = None
    writeback: bool = False
    serializer: Serialize | None = None
    deserializer: Deserialize | None = None


@dataclass(frozen=True, eq=False)
class Recipe:
    """The configuration as it was written, and what else the call to `open` said.

    References to the environment stay references, so the worker's environment has to have them.
    """

    opener: Callable[[Sections, Call], CloudShelf]
    source: str
    contents: Mapping[str, Mapping[str, object]] = field(repr=False)
    from_file: bool
    flag: str
    call_params: Mapping[str, object] = field(repr=False)
    logger: logging.Logger
    call: Call
    """Functions in it are pickled by name, as all functions are."""
    location: str
    literal_secrets: list[str]
    """Where secrets are written out, so that there can be no pickle."""

    def reduced(self, prefix: str) -> tuple[Any, ...]:
        """Give what `__reduce__` has to give for the shelf, or for its view under a prefix.

        Raises `NotPicklableError` if a secret would be in the pickle.
        """
        if self.literal_secrets:
            raise NotPicklableError(
                "a pickle of this shelf would carry a secret, which is written out in "
                f"{'; '.join(self.literal_secrets)}. Write `$` and the name of an environment "
                "variable instead, which the other process has to have too."
            )
        return _reopened, (self, prefix)

    def reopen(self) -> CloudShelf:
        """Open the shelf, which exists: what was opened with `n` must not be emptied again."""
        config = Sections(
            source=self.source,
            contents=self.contents,
            from_file=self.from_file,
            flag="r" if self.flag == "r" else "w",
            call_params=self.call_params,
            logger=self.logger,
        )
        shelf = self.opener(config, self.call)
        location = shelf._location
        if location != self.location:
            shelf.close()
            raise ConfigurationError(
                f"{self.source}: the shelf was pickled as {self.location}, and here its "
                f"configuration leads to {location}: by a relative path, or a variable."
            )
        return shelf


def _reopened(recipe: Recipe, prefix: str) -> CloudShelf:
    """Open a pickled shelf; of a prefix view, the shelf that it belongs to is closed with it."""
    shelf = recipe.reopen()
    if not prefix:
        return shelf
    return shelf._view(shelf._objects.under(prefix), shelf, owns_parent=True)
