"""A shelf that another process opens where it is first used, not where it is unpickled.

Clusters unpickle what belongs to a task before they run the task, some of them in the scheduler. An
error at that place, such as a variable that a worker lacks, is not reported as that of the task:
Dask waits for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cshelve._shelf.pickling import PickledShelf, reopened

if TYPE_CHECKING:
    from cshelve._shelf.shelf import CloudShelf

__all__ = ["LazyShelf"]

V = TypeVar("V")


class LazyShelf(Generic[V]):
    """A shelf that is opened by the first `get` after unpickling."""

    def __init__(self, shelf: CloudShelf[V] | None, *pickled: Any) -> None:
        """`pickled` are the configuration and the prefix of a shelf that is not open here."""
        self._shelf = shelf
        self._pickled: tuple[PickledShelf, str] | tuple[()] = pickled

    def __repr__(self) -> str:
        if not self._pickled:
            return repr(self._shelf)
        pickled, prefix = self._pickled
        return f"<cshelve.CloudShelf in {pickled.location}, prefix {prefix!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        pickled = self._pickled
        if self._shelf is not None:
            _, pickled = self._shelf.__reduce__()
        return type(self), (None, *pickled)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        if not self._pickled:
            return self.get().__dask_tokenize__()
        pickled, prefix = self._pickled
        return "CloudShelf", pickled.token(), prefix

    def get(self) -> CloudShelf[V]:
        """Return the shelf; raise what opening it raises."""
        if self._shelf is None:
            self._shelf = reopened(*self._pickled)
        return self._shelf
