"""A dataset for PyTorch whose samples are the values of a shelf.

It needs no package: PyTorch accepts any object with these methods as a map-style dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from cshelve.exceptions import KeyNotFoundError

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from cshelve._shelf.shelf import CloudShelf
else:
    Dataset = Generic  # Only type checkers want PyTorch's class, which would have to be imported.

__all__ = ["ShelfDataset"]

V = TypeVar("V")


# mypy does not look into PyTorch, whose types depend on what is installed.
class ShelfDataset(Dataset[V]):  # type: ignore[misc]
    """A map-style dataset: the values of a shelf by the positions of their keys.

    Pass it to `torch.utils.data.DataLoader`, which reads each batch by one call of `__getitems__`.
    The keys are listed once, here, and sorted, unless you pass them. Workers that are forked share
    the list; others receive it in a pickle, which needs a shelf that can be pickled.

        loader = DataLoader(ShelfDataset(db), batch_size=64, shuffle=True, num_workers=4)
    """

    def __init__(self, db: CloudShelf[V], keys: Iterable[str] | None = None) -> None:
        self.db = db
        self.keys: Sequence[str] = sorted(db.keys()) if keys is None else list(keys)
        """The keys, in the order of their positions."""

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.keys)

    def __getitem__(self, index: int) -> V:
        """Return the value at a position, by one request; raise `KeyNotFoundError` if it is gone.

        Raises `IndexError` behind the last position.
        """
        return self.db[self.keys[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[V]:
        """Return the values at many positions, which are read in parallel.

        Raises `KeyNotFoundError` if one of the keys was deleted.
        """
        keys = [self.keys[index] for index in indices]
        # Of a key that is sampled twice, the value is read once.
        found = dict(self.db.get_many(dict.fromkeys(keys)))
        for key in keys:
            if key not in found:
                raise KeyNotFoundError(key)
        return [found[key] for key in keys]
