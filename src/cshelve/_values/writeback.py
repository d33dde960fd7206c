"""The writeback cache: values that callers hold and may change, until they are written."""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from cshelve._concurrency.key_locks import Turns
from cshelve._concurrency.per_process import PerProcess
from cshelve._logs import logger_or_own
from cshelve.codec.stage import Pieces

if TYPE_CHECKING:
    import logging
    from hashlib import blake2b

__all__ = ["Cached", "Watch", "WritebackCache"]


class Cached:
    """A value, and what its serialized form was when the store had it last."""

    __slots__ = ("digest", "is_changed", "value")

    def __init__(self, value: Any, *, is_changed: bool = False) -> None:
        self.value = value
        self.digest: bytes | None = None
        """None until the store has it."""
        self.is_changed = is_changed
        """Whether it was found to differ; it stays so until it is written."""


class Watch:
    """The names that this shelf has written or deleted since it was made."""

    def __init__(self) -> None:
        self.written: set[str] = set()


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
        self.limit = limit
        self._logger = logger
        self._new_digest: type[blake2b] | None = None
        self.is_on = is_on
        self.turns = Turns()
        self._entries: dict[str, Cached] = {}
        self._watches: WeakSet[Watch] = WeakSet()
        self._locks = PerProcess(threading.Lock)

    @property
    def is_on(self) -> bool:
        """Whether values that are read or written are kept."""
        return self._is_on

    @is_on.setter
    def is_on(self, is_on: bool) -> None:
        if is_on:
            self._get_ready()
        self._is_on = is_on

    @property
    def logger(self) -> logging.Logger:
        """What says that values could not be written."""
        return logger_or_own(self._logger)

    def __getitem__(self, name: str) -> Any:
        return self._entries[name].value

    def __setitem__(self, name: str, value: Any) -> None:
        """Keep a value that the store does not have, so that the next `sync` writes it."""
        self._get_ready()
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
        return self._is_on or bool(self._entries)

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

    def digest_of(self, payload: Pieces) -> bytes:
        """Tell a serialized form from any other, in 16 bytes; only where values are kept."""
        assert self._new_digest is not None
        digest = self._new_digest(digest_size=16)
        for piece in payload:
            digest.update(piece)
        return digest.digest()

    def _get_ready(self) -> None:
        """Import what it takes to keep values, and to say so if some were never written.

        Most shelves keep none, and at the end of the interpreter, when what was not closed says
        so, nothing can be imported any more.
        """
        if self._new_digest is None:
            from hashlib import blake2b

            self._new_digest = blake2b
            self._logger = self.logger
