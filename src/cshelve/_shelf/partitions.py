"""Parts of a shelf, which other processes can read at the same time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cshelve._concurrency.parallel import map_in_order
from cshelve._shelf.key_space import LAST, between
from cshelve._shelf.lazy_shelf import LazyShelf
from cshelve._shelf.read_many import OnError
from cshelve._shelf.sampling import KEYS_PER_PAGE, ends_of, spans_of
from cshelve._values.values import Values
from cshelve.exceptions import ConfigurationError

if TYPE_CHECKING:
    from cshelve._shelf.shelf import CloudShelf

__all__ = ["Partition", "partitions_of"]

# A shelf with fewer pages than this is listed as a whole.
PAGES_TO_SAMPLE = 10
SLASH = "/"
CHECKS_AT_ONCE = 16

V = TypeVar("V")


class Partition(Generic[V]):
    """The pairs of a shelf whose keys lie between two texts, in the order of their UTF-8 bytes.

    Every key of the shelf is in exactly one of the partitions that `db.partitions` returned, also
    if it is written later. A partition is small and can be pickled if the shelf can; another
    process opens the shelf again with its configuration, once it is used. Iterating yields pairs.
    """

    def __init__(
        self, shelf: CloudShelf[V], after: str | None, until: str | None, *, is_sought: bool
    ) -> None:
        self._lazy_shelf = LazyShelf(shelf)
        self.after = after
        """The keys are after this one, which need not exist; None for the first partition."""
        self.until = until
        """The keys are not after this one; None for the last partition."""
        self._is_sought = is_sought
        """Whether the store lists the keys after a text only."""

    @property
    def shelf(self) -> CloudShelf[V]:
        """The shelf that this is a part of; another process opens it here.

        Close it when you are done in another process.
        """
        return self._lazy_shelf.get()

    def __repr__(self) -> str:
        where = f"after {self.after!r} until {self.until!r}"
        return f"<cshelve.Partition of {self._lazy_shelf!r}, {where}>"

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return type(self).__name__, self._lazy_shelf.__dask_tokenize__(), self.after, self.until

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self.items()

    def __len__(self) -> int:
        """Return the number of keys, expired ones included, by a listing of this part.

        `list(part)` calls this, too; `list(part.items())` saves the listing.
        """
        return sum(1 for _ in self.keys())

    def __bool__(self) -> bool:
        """Return whether there are any keys, by one page of the listing."""
        return any(True for _ in self.keys())

    def keys(self) -> Generator[str]:
        """Yield the keys; this sends a request for each page of this part of the listing.

        Stores that cannot start a listing behind a key are listed as a whole first.
        """
        return self.shelf._while_open(self._listed(self.shelf._plain_values))

    def items(self, *, on_error: OnError = "raise") -> Iterator[tuple[str, Any]]:
        """Yield the pairs, which are read in parallel as by `get_many`."""
        return self.shelf.get_many(self.keys(), on_error=on_error)

    def partitions(self, n: int) -> list[Partition[V]]:
        """Return up to `n` parts of this part, found as by `db.partitions`."""
        return _split(self, checked_number(n))

    def _listed(self, values: Values) -> Iterator[str]:
        if self._is_sought:
            return self._sought(values)
        return iter(sorted(filter(self._has, values.list_keys())))

    def _sought(self, values: Values) -> Iterator[str]:
        # A server with another order has all keys of the part before the first one behind it, too:
        # otherwise, the shelf would not have been divided here.
        for key in values.list_keys(start_after=self.after):
            if self.until is not None and key > self.until:
                return
            yield key

    def _has(self, key: str) -> bool:
        is_after = self.after is None or key > self.after
        return is_after and (self.until is None or key <= self.until)


def partitions_of(shelf: CloudShelf[V], n: int) -> list[Partition[V]]:
    """Return up to `n` partitions of a shelf, and at least one."""
    is_sought = shelf.provider.capabilities.lists_from_key
    return _split(Partition(shelf, None, None, is_sought=is_sought), checked_number(n))


def checked_number(n: int) -> int:
    """Return the number of partitions; raise `ConfigurationError` if it is not above zero."""
    if not isinstance(n, int) or n < 1:
        raise ConfigurationError(f"partitions: n is a number of 1 or more, not {n!r}.")
    return n


def _split(whole: Partition[V], n: int) -> list[Partition[V]]:
    if n == 1:
        return [whole]
    values = whole.shelf._plain_values
    parts = divided(whole, n) if whole._is_sought else None
    if parts is None:
        unsought = Partition(whole.shelf, whole.after, whole.until, is_sought=False)
        parts = _cut(unsought, _exact_ends(list(unsought._listed(values)), n))
    return parts


def divided(
    whole: Partition[V], n: int, *, most_keys: int | None = None
) -> list[Partition[V]] | None:
    """Return up to `n` parts, by a few pages; None if the server's order is another one.

    With `most_keys`, return more parts if they would have more keys.
    """
    ends = _sampled_ends(whole, whole.shelf._plain_values, n, most_keys)
    return None if ends is None else _cut(whole, ends)


def _cut(whole: Partition[V], ends: list[str]) -> list[Partition[V]]:
    return [
        Partition(whole.shelf, after, until, is_sought=whole._is_sought)
        for after, until in pairwise([whole.after, *ends, whole.until])
    ]


def _sampled_ends(
    whole: Partition[Any], values: Values, n: int, most_keys: int | None
) -> list[str] | None:
    if whole.after is not None and not _are_in_order(values, [whole.after]):
        return None
    limit = PAGES_TO_SAMPLE * KEYS_PER_PAGE
    first = list(values.list_keys(start_after=whole.after, limit=limit))
    if first != sorted(first):
        return None
    until = LAST if whole.until is None else whole.until
    is_whole = len(first) < limit or first[-1] > until
    if is_whole:
        # If all of them are in order, so are the listings that begin between them.
        return _exact_ends(first[: bisect_right(first, until)], n)

    def page_after(key: str) -> list[str]:
        return list(values.list_keys(start_after=key, limit=KEYS_PER_PAGE))

    spans = spans_of(first, page_after, n, until)
    if spans is None:
        return None
    if most_keys is not None:
        n = max(n, sum(span.keys for span in spans) // most_keys)
    ends = ends_of(spans, n)
    return ends if _are_in_order(values, ends) else None


def _exact_ends(keys: list[str], n: int) -> list[str]:
    """Return where the parts of all keys end, which are in order."""
    positions = {len(keys) * part // n for part in range(1, n)} - {0}
    return [between(keys[at - 1], keys[at]) for at in sorted(positions)]


def _are_in_order(values: Values, ends: list[str]) -> bool:
    """Return whether the keys behind each of these texts are those that are listed behind it.

    SeaweedFS lists the folder `a` before `a-b`, although `/` is after `-`. That matters only where
    a part ends in such a folder, or beside it.
    """
    folders = {end[:at] for end in ends for at, each in enumerate(end) if at and each <= SLASH} | {
        end for end in ends if not end.endswith(LAST)
    }
    checked = map_in_order(partial(_is_in_order, values), folders, CHECKS_AT_ONCE)
    with closing(checked):
        return all(answer for _, answer in checked)


def _is_in_order(values: Values, folder: str) -> bool:
    """Return whether a folder is listed behind the keys beside it that are before it."""
    if next(values.under(folder + SLASH).list_keys(limit=1), None) is None:
        return True
    # What is between these two is beside the folder, and before it.
    beside = next(values.list_keys(start_after=f"{folder}\x1f{LAST}", limit=1), None)
    if beside is None or not folder < beside < folder + SLASH:
        return True
    found = next(values.list_keys(start_after=f"{folder}.{LAST}", limit=1), None)
    return found is not None and found.startswith(folder + SLASH)
