"""A page of a folder: the keys that begin with a prefix, those with a further slash as folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from cshelve import CloudShelf, Entry

__all__ = ["Page", "Row", "page_of"]

ROWS = 200
# A page ends early after so many keys (each folder that is skipped counts for as many as two pages
# of a listing): nobody waits for more than about twenty requests.
MOST_KEYS = 20_000
# So many keys of a folder are read before it is skipped. Small folders cost no request.
KEYS_BEFORE_SKIP = 1000
COST_OF_SKIP = 2000
# No key is known to be behind it.
LAST = "\U0010ffff"


class Row(NamedTuple):
    """A key, or a folder, which stands for all keys that begin with its name."""

    name: str
    entry: Entry | None
    """None for a folder."""


class Page(NamedTuple):
    """The rows of a page, and where the next one begins."""

    rows: list[Row]
    next_after: str | None
    """What to pass as `after` for the next page; None if there are no more rows."""


def page_of(db: CloudShelf[Any], prefix: str, after: str = "", rows: int = ROWS) -> Page:
    """Return a page of the rows that begin with a prefix, after the position of another page.

    Sends a request for each 1,000 keys, and two for each folder with more keys than that.
    """
    return _Listing(db, prefix, after).page(rows)


class _Listing:
    """The rows of one page, which are listed lazily.

    Two orders of keys occur. In the order of their bytes, `a-b` is before `a/c`. SeaweedFS lists
    the tree of its folders, where `a/c` comes first; behind `a` it omits everything in `a/`.
    """

    def __init__(self, db: CloudShelf[Any], prefix: str, after: str) -> None:
        self._db = db
        self._prefix = prefix
        self._after = after
        self._shown = {after.removesuffix(LAST)}
        self._cost = 0

    def page(self, most_rows: int) -> Page:
        rows: list[Row] = []
        for row in self._rows():
            is_full = len(rows) >= most_rows or self._cost > MOST_KEYS
            if rows and is_full and _may_part(rows[-1].name, row.name):
                return Page(rows, _position_behind(rows[-1]))
            rows.append(row)
            self._shown.add(row.name)
        return Page(rows, None)

    def _rows(self) -> Iterator[Row]:
        """Yield the rows; a folder is skipped when it has shown to be large."""
        source = self._entries(self._after)
        folder, keys_in_folder = "", 0
        while (entry := next(source, None)) is not None:
            self._cost += 1
            row = self._row_of(entry)
            if row.name not in self._shown:
                yield row
            if row.entry:
                continue
            keys_in_folder = keys_in_folder + 1 if row.name == folder else 1
            folder = row.name
            # Only once: if a server goes back into the folder, its keys are read to the end.
            if keys_in_folder == KEYS_BEFORE_SKIP:
                self._cost += COST_OF_SKIP
                source = iter(self._behind(folder))

    def _behind(self, folder: str) -> Iterable[Entry]:
        """Return the entries behind a folder, in either order."""
        tree = self._entries(folder[:-1])
        first = next(tree, None)
        # In the order of bytes, this is a key of the folder, or one that was shown before it.
        if first is not None and (first.key.startswith(folder) or self._was_shown(first)):
            return self._entries(folder + LAST)
        return chain(() if first is None else (first,), tree)

    def _was_shown(self, entry: Entry) -> bool:
        return self._row_of(entry).name in self._shown or entry.key <= self._after

    def _row_of(self, entry: Entry) -> Row:
        slash = entry.key.find("/", len(self._prefix))
        # A key that ends in its only slash is shown in the folder of that name.
        return Row(entry.key, entry) if slash < 0 else Row(entry.key[: slash + 1], None)

    def _entries(self, after: str) -> Iterator[Entry]:
        # With a position, even "", every store lists in an order.
        return self._db.entries(self._prefix, start_after=after)


def _may_part(last: str, following: str) -> bool:
    """Return whether a page may end between two rows, whichever order the store has.

    If it ended between `a` and `a/`, SeaweedFS would omit the folder on the next page. If it ended
    between `a/` and `a-b`, the next page would begin behind both in the order of bytes.
    """
    return following != f"{last}/" and last < following


def _position_behind(row: Row) -> str:
    return row.name if row.entry else row.name + LAST
