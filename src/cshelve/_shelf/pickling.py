"""The pickle of a shelf, which contains what another process needs to open the shelf again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._config.sections import Sections
from cshelve._shelf.shared_providers import is_plain, surroundings
from cshelve._values.serializers import Deserialize, Serialize
from cshelve.exceptions import ConfigurationError, NotPicklableError

if TYPE_CHECKING:
    import logging

    from cshelve._shelf.shelf import CloudShelf

__all__ = ["OpenAgain", "OpenArguments", "PickledShelf", "reopened"]


class OpenArguments(NamedTuple):
    """The arguments of a call to `open` that are about values."""

    protocol: int | None = None
    writeback: bool = False
    serializer: Serialize | None = None
    deserializer: Deserialize | None = None


OpenAgain = Callable[[Sections, OpenArguments, Hashable | None], "CloudShelf[Any]"]
"""Opens the shelf of a configuration, with a provider that those with the same key share."""


class PickledShelf:
    """The configuration of a shelf, unchanged, and the other arguments of the call to `open`.

    References to environment variables stay references, so the other process needs the same
    variables.
    """

    def __init__(
        self,
        open_again: OpenAgain,
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
        self.location = location
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
        return reopened, (self, prefix)

    def token(self) -> tuple[Any, ...]:
        """Return what makes two shelves equal for Dask: all that is pickled."""
        flags = (self._from_file, self._from_url, self._flag, self.location)
        contents = {name: dict(options) for name, options in self._contents.items()}
        return (self._source, contents, dict(self._call_params), *flags, *self._arguments)

    def sharing_key(self) -> Hashable | None:
        """Return what makes two shelves share a provider in one process; None if they must not.

        Objects and functions among the parameters are not compared, and may not be shared.
        """
        *plain, serializer, deserializer = self.token()
        if not is_plain(plain):
            return None
        logger = self._logger
        return repr(plain), logger, serializer, deserializer, surroundings()

    def reopen(self) -> CloudShelf[Any]:
        """Open the shelf again, and return it; flag `n` becomes `w`, so it is not emptied again.

        It shares its provider with other shelves that were pickled with the same configuration.
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
        shelf = self._open_again(config, self._arguments, self.sharing_key())
        location = shelf.provider.location
        if location != self.location:
            shelf.close()
            raise ConfigurationError(
                f"{self._source}: the shelf was pickled as {self.location}, but here its "
                f"configuration leads to {location}, because of a relative path or a variable."
            )
        return shelf


def reopened(pickled: PickledShelf, prefix: str) -> CloudShelf[Any]:
    """Open a pickled shelf, or its view under a prefix, and return it.

    Closing that view also closes the shelf that was opened for it.
    """
    shelf = pickled.reopen()
    return shelf._view(prefix, owns_parent=True) if prefix else shelf
