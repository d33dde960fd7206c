"""The pickle of a shelf, which contains what another process needs to open the shelf again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._config.sections import Sections
from cshelve._values.serializers import Deserialize, Serialize
from cshelve.exceptions import ConfigurationError, NotPicklableError

if TYPE_CHECKING:
    import logging

    from cshelve._shelf.shelf import CloudShelf

__all__ = ["OpenArguments", "PickledShelf"]


class OpenArguments(NamedTuple):
    """The arguments of a call to `open` that are about values."""

    protocol: int | None = None
    writeback: bool = False
    serializer: Serialize | None = None
    deserializer: Deserialize | None = None


class PickledShelf:
    """The configuration of a shelf, unchanged, and the other arguments of the call to `open`.

    References to environment variables stay references, so the other process needs the same
    variables.
    """

    def __init__(
        self,
        open_again: Callable[[Sections, OpenArguments], CloudShelf[Any]],
        config: Sections,
        arguments: OpenArguments,
        location: str,
    ) -> None:
        """`location` is the shelf's location in this process, for comparison."""
        self._open_again = open_again
        self._source = config.source
        self._contents = config.contents
        self._from_file = config.from_file
        self._from_url = config.from_url
        self._flag = config.flag
        self._call_params = config.call_params
        self._logger: logging.Logger | None = config.logger_of_call
        self._arguments = arguments  # Its functions are pickled by name, like all functions.
        self._location = location
        # The places of secrets that are written out, which prevent pickling.
        self._literal_secrets = config.literal_secrets()

    def reduced(self, prefix: str) -> tuple[Any, ...]:
        """Return the result of `__reduce__` for the shelf, or for its view under a prefix.

        Raises `NotPicklableError` if the pickle would contain a secret.
        """
        if self._literal_secrets:
            raise NotPicklableError(
                "a pickle of this shelf would contain a secret, which is written out in "
                f"{'; '.join(self._literal_secrets)}. Write `$` and the name of an environment "
                "variable instead, which the other process needs, too."
            )
        return _reopened, (self, prefix)

    def reopen(self) -> CloudShelf[Any]:
        """Open the shelf again, and return it; flag `n` becomes `w`, so it is not emptied again.

        Raises `ConfigurationError` if the configuration leads to another location here.
        """
        config = Sections(
            source=self._source,
            contents=self._contents,
            from_file=self._from_file,
            from_url=self._from_url,
            flag=("r" if self._flag.startswith("r") else "w") + self._flag[1:],
            call_params=self._call_params,
            logger=self._logger,
        )
        shelf = self._open_again(config, self._arguments)
        location = shelf.provider.location
        if location != self._location:
            shelf.close()
            raise ConfigurationError(
                f"{self._source}: the shelf was pickled as {self._location}, but here its "
                f"configuration leads to {location}, because of a relative path or a variable."
            )
        return shelf


def _reopened(pickled: PickledShelf, prefix: str) -> CloudShelf[Any]:
    """Open a pickled shelf, or its view under a prefix, and return it.

    Closing that view also closes the shelf that was opened for it.
    """
    shelf = pickled.reopen()
    return shelf._view(prefix, owns_parent=True) if prefix else shelf
