"""From Python objects to payloads and back: the outermost step, before any transformation."""

from __future__ import annotations

import pickle
from typing import Any, Protocol

from cshelve.codec.stage import Data
from cshelve.exceptions import ConfigurationError, CorruptRecordError, ValueTypeError

__all__ = ["BytesSerializer", "PickleSerializer", "Serializer"]


class Serializer(Protocol):
    """Turn a value into bytes and back. Safe in many threads."""

    def dumps(self, value: Any) -> bytes:
        """Make the payload of a value, raising what the value's own pickling raises."""

    def loads(self, payload: Data) -> Any:
        """Make a value of a payload, or raise a `RecordError`."""


class PickleSerializer:
    """Pickle, as in `shelve`. Reading a pickle can run code: read only what you trust."""

    def __init__(self, protocol: int | None = None) -> None:
        protocol = pickle.DEFAULT_PROTOCOL if protocol is None else protocol
        if not isinstance(protocol, int) or protocol > pickle.HIGHEST_PROTOCOL:
            raise ConfigurationError(
                f"protocol: this Python pickles up to protocol {pickle.HIGHEST_PROTOCOL}, "
                f"not {protocol}."
            )
        self._protocol = protocol

    def dumps(self, value: Any) -> bytes:
        return pickle.dumps(value, self._protocol)

    def loads(self, payload: Data) -> Any:
        try:
            return pickle.loads(payload)
        except Exception as error:
            # Broad because unpickling runs the constructors of anybody's classes, which may raise
            # anything, a KeyError included; and damaged pickles raise nearly everything too, a
            # MemoryError for a length that was never there among it.
            raise CorruptRecordError(
                f"the value can't be unpickled: {type(error).__name__}: {error}"
            ) from error


class BytesSerializer:
    """`use_pickle = false`: values are bytes and are stored as they are given."""

    def dumps(self, value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise ValueTypeError(
                f"with use_pickle = false a value is bytes, not {type(value).__name__}"
            )
        return bytes(value)

    def loads(self, payload: Data) -> bytes:
        return bytes(payload)
