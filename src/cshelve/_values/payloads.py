"""The attribute `dict` of a shelf, which maps encoded keys to payloads, as in `shelve`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping

from cshelve._values.values import Values
from cshelve.codec.stage import Data

__all__ = ["Payloads"]


class Payloads(MutableMapping[bytes, Data]):
    """A mapping of UTF-8 keys to serialized values; it raises an error once the shelf is closed.

    cshelve does not use this mapping. It is for programs that use the `dict` of a `shelve.Shelf`.
    """

    def __init__(self, values: Callable[[], Values]) -> None:
        """`values` returns the shelf's `Values`, and raises an error once the shelf is closed."""
        self._values = values

    def __getitem__(self, key: bytes) -> Data:
        return self._values().read_record(key.decode())[0].payload

    def __setitem__(self, key: bytes, payload: Data) -> None:
        values = self._values()
        values.refuse_if_read_only("write", key.decode())
        record = values.encode(key.decode(), (payload,), values.new_expiry())
        values.store(key.decode(), record)

    def __delitem__(self, key: bytes) -> None:
        self._values().delete(key.decode())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self._values().contains(key.decode())

    def __iter__(self) -> Iterator[bytes]:
        return (key.encode() for key in self._values().list_keys())

    def __len__(self) -> int:
        return sum(1 for _ in self._values().list_keys())
