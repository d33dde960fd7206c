"""Reading many keys: lazily, in parallel, in order, and able to go on after a bad record.

`on_error` says what becomes of a record that cannot be read. All other failures are raised.
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

__all__ = ["Items", "OnError", "Pairs", "ValuesOfShelf", "checked_on_error"]

OnError = Literal["raise", "skip", "return"]
ON_ERROR = ("raise", "skip", "return")


def checked_on_error(on_error: str) -> OnError:
    """Return what to do with a record that cannot be read, or raise a `ConfigurationError`."""
    match on_error:
        case "raise" | "skip" | "return":
            return on_error
    raise ConfigurationError(f"on_error: is one of {', '.join(ON_ERROR)}, not {on_error!r:.40}.")


V = TypeVar("V")


class Pairs(Iterator[tuple[str, Any]]):
    """The pairs of these keys, in their order, without those that are absent. For one thread.

    It is a class and no generator, so that it goes on with the next key after a `RecordError`,
    whether that was raised, skipped (the first one is logged) or returned in the place of a value;
    any other failure is the end. Once it is closed or dropped, it begins nothing more and leaves no
    thread.
    """

    def __init__(
        self,
        values: Values,
        keys: Iterable[str],
        outcomes: Outcomes,
        refuse_if_closed: Callable[[], None],
        logger: Callable[[], logging.Logger],
        on_error: OnError = "raise",
    ) -> None:
        self._values = values
        self._outcomes = outcomes
        self._refuse_if_closed = refuse_if_closed
        self._logger = logger
        self._on_error = on_error
        self._has_skipped = False
        self._fetched = values.fetch_many(keys, outcomes)

    def __next__(self) -> tuple[str, Any]:
        while True:
            fetched = self._next()
            try:
                return fetched.key, self._values.load(fetched)
            except KeyNotFoundError:
                continue  # It was absent, or deleted since it was taken.
            except BaseException as error:
                if not isinstance(error, self._values.unreadable):
                    self.close()
                    raise
                if self._on_error == "return":
                    return fetched.key, error
                if self._on_error == "skip":
                    self._note_skipped(error)
                    continue
                raise

    def close(self) -> None:
        """Begin nothing more, and wait for what is in flight."""
        self._fetched.close()

    def _note_skipped(self, error: BaseException) -> None:
        """Log the first record that is left out: there may be as many as there are keys."""
        if not self._has_skipped:
            self._has_skipped = True
            self._logger().warning(
                "left out, as is every other record that cannot be read: %s", error
            )

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
    """What `items()` returns."""

    _mapping: CloudShelf[V]

    def __init__(self, shelf: CloudShelf[V], on_error: OnError) -> None:
        super().__init__(shelf)
        self._on_error = on_error

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self._mapping._pairs(on_error=self._on_error)


class ValuesOfShelf(ValuesView[V]):
    """What `values()` returns."""

    _mapping: CloudShelf[V]

    def __init__(self, shelf: CloudShelf[V], on_error: OnError) -> None:
        super().__init__(shelf)
        self._on_error = on_error

    def __iter__(self) -> Iterator[V]:
        return _Seconds(self._mapping._pairs(on_error=self._on_error))

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)


class _Seconds(Iterator[Any]):
    """The second of each pair; a class, so that it goes on after an error."""

    def __init__(self, pairs: Iterator[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def __next__(self) -> Any:
        return next(self._pairs)[1]
