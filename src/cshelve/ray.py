"""Read and write shelves with Ray Data: `ShelfDatasource` and `ShelfDatasink`.

    pip install 'cshelve[ray]'

Each task of Ray reads a part of a shelf, or writes some rows to one. A row has the columns `key`
and `value`. The workers need cshelve too, and the environment variables that the configuration
names. Importing this module raises `MissingDependencyError` without Ray Data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from cshelve._shelf.lazy_shelf import LazyShelf
from cshelve.exceptions import ConfigurationError, MissingDependencyError

try:
    import pandas
    from ray.data import Datasink, Datasource
    from ray.data.block import BlockAccessor, BlockMetadata
    from ray.data.datasource import ReadTask
except ImportError as error:
    raise MissingDependencyError(
        "cshelve.ray needs Ray Data: pip install 'cshelve[ray]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from cshelve._shelf.partitions import Partition
    from cshelve._shelf.shelf import CloudShelf

__all__ = ["ShelfDatasink", "ShelfDatasource"]

COLUMNS = ("key", "value")
# As many as `db.partitions` lists in any case. They tell how large a small shelf is.
KEYS_TO_ESTIMATE = 10_000
# Ray puts blocks together until they are large enough. So a task holds few values beside those.
ROWS_PER_BLOCK = 64


# mypy does not look into Ray, whose types depend on what is installed.
class ShelfDatasource(Datasource):  # type: ignore[misc]
    """A Datasource of Ray Data whose rows are the pairs of a shelf.

    Ray asks for a number of tasks, and `db.partitions` finds as many parts, by listing some pages.
    Each task opens the shelf again, lists its part, and reads the values in parallel. Ray divides
    what a task reads into blocks while it reads, so a part need not fit into memory. Needs a shelf
    that can be pickled.

        words = ray.data.read_datasource(ShelfDatasource(db)).map(count_words).sum("words")
    """

    def __init__(self, db: CloudShelf[Any]) -> None:
        super().__init__()
        self._db = db
        # Ray asks several times. Keys that are written in between are in one of the parts, too.
        self._partitions = lru_cache(maxsize=1)(db.partitions)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._db,)

    def estimate_inmemory_data_size(self) -> int | None:
        """Return the size of all records; None for more than 10,000 in S3 or Google Cloud Storage.

        Ray reads a small shelf by fewer tasks then.
        """
        is_sought = self._db.provider.capabilities.lists_from_key
        limit = KEYS_TO_ESTIMATE if is_sought else None
        entries = self._db.entries()
        size = sum(entry.size_bytes for entry in islice(entries, limit))
        return size if next(entries, None) is None else None

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[Any]:
        """Return a task for each part of the shelf."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [
            ReadTask(partial(_blocks, part, per_task_row_limit), unknown)
            for part in self._partitions(parallelism)
        ]


class ShelfDatasink(Datasink):  # type: ignore[misc]  # as above
    """A Datasink of Ray Data that stores the column `value` of each row by its column `key`.

    Each task opens the shelf again, and stores its rows as `set_many` does. If one fails, its error
    is raised, and other rows may be stored. Ray may run a task twice, which stores the same keys
    again. If two rows have the same key, either value may stay. Needs a shelf that can be pickled.

        dataset.write_datasink(ShelfDatasink(target))
    """

    def __init__(self, target: CloudShelf[Any]) -> None:
        self._target = LazyShelf(target)

    def write(self, blocks: Iterable[Any], ctx: Any) -> None:
        """Store the rows of some blocks; Ray calls this in its tasks."""
        self._target.get().set_many(pair for block in blocks for pair in _pairs(block))


def _blocks(part: Partition[Any], limit: int | None) -> Iterator[pandas.DataFrame]:
    pairs = islice(part.items(), limit)
    while rows := list(islice(pairs, ROWS_PER_BLOCK)):
        # As objects: neither pandas nor Arrow may replace a value by one that is about equal.
        yield pandas.DataFrame(rows, columns=COLUMNS, dtype=object)


def _pairs(block: Any) -> Iterator[tuple[str, Any]]:
    rows = BlockAccessor.for_block(block)
    names = rows.column_names()
    if not set(names).issuperset(COLUMNS):
        raise ConfigurationError(
            f"ShelfDatasink: rows need the columns 'key' and 'value', and these have {names}."
        )
    for row in rows.iter_rows(public_row_format=True):
        yield row["key"], row["value"]
