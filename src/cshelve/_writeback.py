"""The writeback cache: values that callers hold and may change, until they are written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from weakref import WeakSet

from cshelve._forks import PerProcess
from cshelve._turns import Turns
from cshelve.codec.stage import Pieces

__all__ = ["Cached", "Watch", "WritebackCache", "digest_of"]


@dataclass(eq=False, slots=True)
class Cached:
    """A value, and what its serialized form was when the store had it last."""

    value: Any
    digest: bytes | None = None
    """None until the store has it."""
    is_changed: bool = False
    """Whether it was found to differ; it stays so until it is written."""


@dataclass(eq=False)
class Watch:
    """The names that this shelf has written or deleted since it was made."""

    written: set[str] = field(default_factory=set)


class WritebackCache(MutableMapping[str, Any]):
    """Values by name, in the order in which they came. A shelf and its prefix views share one.

    What is compared to find out whether a value was changed is a digest of its serialized form,
    then and now; never the stored bytes, as one value may have many pickles. `turns` keeps those
    apart who read, write and keep the value of one name.
    """

    def __init__(
        self,
        *,
        is_on: bool = False,
        limit: int | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.is_on = is_on
        self.logger = logger or logging.getLogger("cshelve")
        self.limit = limit
        self.turns = Turns()
        self._entries: dict[str, Cached] = {}
        self._watches: WeakSet[Watch] = WeakSet()
        self._locks = PerProcess(threading.Lock)

    def __getitem__(self, name: str) -> Any:
        return self._entries[name].value

    def __setitem__(self, name: str, value: Any) -> None:
        """Keep a value that the store does not have, so that the next `sync` writes it."""
        self._entries[name] = Cached(value, is_changed=True)

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        self._entries.clear()

    @property
    def is_in_use(self) -> bool:
        """Tell whether values are kept, or were before the shelf's `writeback` was turned off."""
        return self.is_on or bool(self._entries)

    def is_over_limit(self) -> bool:
        """Tell whether something has to go."""
        return self.limit is not None and len(self._entries) > self.limit

    def keep(self, name: str, entry: Cached, digest: bytes) -> None:
        """Keep a value whose serialized form, of which this is the digest, the store has."""
        entry.digest = digest
        entry.is_changed = False
        if self._entries.get(name) is not entry:
            self.forget(name)  # So that the new one stands behind all others.
            self._entries[name] = entry

    def forget(self, name: str) -> None:
        """Drop what is kept of a name, if anything is."""
        self._entries.pop(name, None)

    def drop(self, name: str, entry: Cached) -> None:
        """Drop an entry, unless another has taken its place meanwhile."""
        if self._entries.get(name) is entry:
            self.forget(name)

    def watch(self) -> Watch:
        """Begin to note which names are written, for one who reads many of them meanwhile."""
        watch = Watch()
        if self.is_on:
            with self._locks.get():
                self._watches.add(watch)
        return watch

    def note_write(self, name: str) -> None:
        """Take note that what others read of a name before is no longer what the store has."""
        if self._watches:
            with self._locks.get():
                for watch in self._watches:
                    watch.written.add(name)

    def entry(self, name: str) -> Cached | None:
        """Give what is kept of a name."""
        return self._entries.get(name)

    def entries(self, prefix: str = "") -> list[tuple[str, Cached]]:
        """Give the entries of the names that begin so, the oldest first, as they are now."""
        return [pair for pair in list(self._entries.items()) if pair[0].startswith(prefix)]


def digest_of(payload: Pieces) -> bytes:
    """Tell a serialized form from any other, in 16 bytes."""
    digest = blake2b(digest_size=16)
    for piece in payload:
        digest.update(piece)
    return digest.digest()
