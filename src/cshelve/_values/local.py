"""The values of a local shelf: bare pickles in the files of `shelve`."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.outcomes import Outcomes
from cshelve._values.values import Fetched, Values
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.base import Item

if TYPE_CHECKING:
    from cshelve._values.serializers import PickleSerializer
    from cshelve.codec import Codec
    from cshelve.providers.dbm import Dbm

__all__ = ["LocalValues"]


class LocalValues(Values):
    """Values that are read and written without records, and without versions if not needed.

    A file operation takes a microsecond or two. The work that `Values` does besides reading and
    pickling would take twice as long as `shelve` needs altogether.
    """

    provider: Dbm
    unreadable = Exception  # Unpickling may raise anything.

    def __init__(
        self,
        provider: Dbm,
        serializer: PickleSerializer,
        codec: Codec,
        *,
        read_only: bool = False,
        prefix: str = "",
    ) -> None:
        super().__init__(provider, serializer, codec, read_only=read_only, prefix=prefix)
        self._protocol = serializer.protocol
        self.database = provider.database

    def read(self, key: str) -> Any:
        try:
            data = self.provider.read(self.prefix + key)
        except KeyNotFoundError:
            raise KeyNotFoundError(key) from None  # The caller's key, without the prefix.
        return pickle.loads(data)

    read_latest = read

    def fetch_many(self, keys: Iterable[str], outcomes: Outcomes) -> Generator[Fetched]:
        """Read keys one after the other, in the thread of the caller."""
        for name in self._names(keys, outcomes):
            item = None
            with suppress(KeyNotFoundError):
                item = Item(self.provider.read(name), "")
            yield Fetched(name.removeprefix(self.prefix), item)

    def load(self, fetched: Fetched) -> Any:
        if fetched.item is None:
            raise KeyNotFoundError(fetched.key)
        return pickle.loads(fetched.item.data)

    def write(
        self,
        key: str,
        value: Any,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        """Store a value; return its version if there is a condition, otherwise an empty text.

        Values of a local shelf never expire.
        """
        if self.read_only or if_absent or if_version is not None:
            return super().write(key, value, if_absent=if_absent, if_version=if_version)
        try:
            payload = pickle.dumps(value, self._protocol)
        except Exception:
            self.dumps(key, value)  # Raises the same error, with a note about the key.
            raise
        self.provider.write(self.prefix + key, payload)
        return ""
