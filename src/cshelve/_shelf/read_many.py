"""Read many keys lazily, in parallel and in order, and continue after a bad record.

`on_error` decides what happens with a record that cannot be read. All other failures are raised.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, ValuesView
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from cshelve._concurrency.outcomes import Outcomes
from cshelve._values.values import Fetched, Values
from cshelve.exceptions import ConfigurationError, KeyNotFoundError

if TYPE_CHECKING:
    import logging

    from cshelve._shelf.shelf import CloudShelf

__all__ = ["Items", "Loading", "OnError", "Pairs", "ValuesOfShelf", "checked_on_error"]

OnError = Literal["raise", "skip", "return"]
ON_ERROR = ("raise", "skip", "return")


def checked_on_error(on_error: str) -> OnError:
    """Return `on_error`; raise `ConfigurationError` unless it is an allowed value."""
    match on_error:
        case "raise" | "skip" | "return":
            return on_error
    raise ConfigurationError(f"on_error: is one of {', '.join(ON_ERROR)}, not {on_error!r:.40}.")


V = TypeVar("V")


class Loading:
    """Makes pairs of what was fetched, and decides what becomes of records that cannot be read.

    With `on_error`, their errors are skipped (the first one is logged) or take the place of values.
    """

    def __init__(
        self, values: Values, logger: Callable[[], logging.Logger], on_error: OnError = "raise"
    ) -> None:
        self.values = values
        self._logger = logger
        self._on_error = on_error
        self._has_skipped = False

    def pair(self, fetched: Fetched) -> tuple[str, Any] | None:
        """Return a pair, or None if the key is absent or left out.

        Raises the error of a record that cannot be read, an instance of `values.unreadable`, if
        `on_error` says so, and any other failure.
        """
        try:
            return fetched.key, self.values.load(fetched)
        except KeyNotFoundError:
            return None  # The key is absent, or was deleted since it was listed.
        except self.values.unreadable as error:
            if self._on_error == "return":
                return fetched.key, error
            if self._on_error == "skip":
                self._note_skipped(error)
                return None
            raise

    def _note_skipped(self, error: BaseException) -> None:
        """Log the first record that is left out, and no others, as there may be very many."""
        if not self._has_skipped:
            self._has_skipped = True
            self._logger().warning(
                "a record is left out, like all others that cannot be read: %s", error
            )


class Pairs(Iterator[tuple[str, Any]]):
    """An iterator over the pairs of keys, in order, without absent keys. Use it in one thread only.

    Unlike a generator, it can continue after raising a `RecordError`. Any other failure ends the
    iteration. Once it is closed or garbage collected, it starts no more requests, and leaves no
    thread behind.
    """

    def __init__(
        self,
        loading: Loading,
        keys: Iterable[str],
        outcomes: Outcomes,
        refuse_if_closed: Callable[[], None],
    ) -> None:
        self._loading = loading
        self._outcomes = outcomes
        self._refuse_if_closed = refuse_if_closed
        self._fetched = loading.values.fetch_many(keys, outcomes)

    def __next__(self) -> tuple[str, Any]:
        while True:
            fetched = self._next()
            try:
                pair = self._loading.pair(fetched)
            except BaseException as error:
                if not isinstance(error, self._loading.values.unreadable):
                    self.close()
                raise
            if pair is not None:
                return pair

    def close(self) -> None:
        """Start no more requests, and wait for those in flight."""
        self._outcomes.close()
        self._fetched.close()

    def _next(self) -> Fetched:
        try:
            self._refuse_if_closed()
            fetched = next(self._fetched)
            size_bytes = 0 if fetched.item is None else len(fetched.item.data)
            self._outcomes.add_bytes(size_bytes, keys=1)
        except BaseException:
            self.close()
            raise
        return fetched


class Items(ItemsView[str, V]):
    """The view that `items()` returns."""

    _mapping: CloudShelf[V]

    def __init__(self, shelf: CloudShelf[V], on_error: OnError) -> None:
        super().__init__(shelf)
        self._on_error = on_error

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self._mapping._pairs(on_error=self._on_error)


class ValuesOfShelf(ValuesView[V]):
    """The view that `values()` returns."""

    _mapping: CloudShelf[V]

    def __init__(self, shelf: CloudShelf[V], on_error: OnError) -> None:
        super().__init__(shelf)
        self._on_error = on_error

    def __iter__(self) -> Iterator[V]:
        return _Seconds(self._mapping._pairs(on_error=self._on_error))

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)


class _Seconds(Iterator[Any]):
    """An iterator over the second item of each pair, which can continue after an error."""

    def __init__(self, pairs: Iterator[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def __next__(self) -> Any:
        return next(self._pairs)[1]
