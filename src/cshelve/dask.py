"""Read and write shelves with Dask: `to_bag`, `to_delayed` and `from_bag`.

    pip install 'cshelve[dask]'

Each task of Dask reads or writes one part of a shelf. The workers need cshelve too, and the
environment variables that the configuration names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from cshelve._shelf.lazy_shelf import LazyShelf
from cshelve.exceptions import MissingDependencyError

if TYPE_CHECKING:
    from dask.bag import Bag
    from dask.delayed import Delayed

    from cshelve._shelf.partitions import Partition
    from cshelve._shelf.shelf import CloudShelf

__all__ = ["from_bag", "to_bag", "to_delayed"]

# As many as a small cluster can work on, with some to spare if they are uneven.
DEFAULT_PARTITIONS = 32


def to_bag(db: CloudShelf[Any], npartitions: int = DEFAULT_PARTITIONS) -> Bag:
    """Return a `dask.bag` of the pairs of a shelf, in up to `npartitions` partitions.

    Lists a few pages to find the parts, as `db.partitions` does. When the bag is computed, each
    task opens the shelf again, lists its part, reads the values in parallel, and holds the pairs in
    memory. Processes need a shelf that can be pickled. Raises `MissingDependencyError` without
    Dask.

        words = to_bag(db).map(lambda pair: len(pair[1].split())).sum().compute()
    """
    bag = _bag_module()
    parts = db.partitions(npartitions)
    return bag.from_sequence(parts, partition_size=1).map_partitions(_pairs)


def to_delayed(db: CloudShelf[Any], npartitions: int = DEFAULT_PARTITIONS) -> list[Delayed]:
    """Return a `dask.delayed` object for each part of a shelf, which is a list of its pairs.

    Costs what `to_bag` does, and raises the same errors.
    """
    delayed: list[Delayed] = to_bag(db, npartitions).to_delayed()
    return delayed


def from_bag(bag: Bag, target: CloudShelf[Any]) -> int:
    """Compute a `dask.bag` of pairs, store them in a shelf, and return their number.

    Each task stores its partition as `set_many` does, with the shelf opened again. If one fails,
    its error is raised, and the pairs of other partitions may be stored. Dask may run a task twice,
    which stores the same keys again. If two partitions have the same key, either value may stay.

        from_bag(to_bag(db).map(lambda pair: (pair[0], len(pair[1]))), lengths)
    """
    _bag_module()
    stored: int = bag.map_partitions(partial(_store, LazyShelf(target))).sum().compute()
    return stored


def _pairs(parts: Iterable[Partition[Any]]) -> list[tuple[str, Any]]:
    # A list, as Dask may have to send it to another worker.
    return [pair for part in parts for pair in part.items()]


def _store(target: LazyShelf[Any], pairs: Iterable[tuple[str, Any]]) -> list[int]:
    stored = 0

    def counted() -> Iterator[tuple[str, Any]]:
        nonlocal stored
        for pair in pairs:
            yield pair
            stored += 1

    target.get().set_many(counted())
    return [stored]


def _bag_module() -> Any:
    try:
        import dask.bag
    except ImportError as error:
        raise MissingDependencyError(
            "cshelve.dask needs Dask: pip install 'cshelve[dask]'", name=error.name
        ) from error
    return dask.bag
