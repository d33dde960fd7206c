"""Serializers, which turn Python objects into payloads and back, before the codec's stages.

A record has a letter for its serializer, so that readers need not guess it. Only pickles and plain
bytes have no letter, as in cshelve 1.x.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._config.options import Option, boolean, text, word
from cshelve.codec.record import JSON
from cshelve.codec.stage import Data, Pieces
from cshelve.exceptions import (
    ClassNotFoundError,
    ConfigurationError,
    CorruptRecordError,
    DataProcessingSignatureError,
    MissingDependencyError,
    RecordError,
    UntrustedRecordError,
    ValueTypeError,
)

if TYPE_CHECKING:
    from cshelve._config.sections import Section
    from cshelve._values.unpickling import UnpickleOnly

__all__ = [
    "BytesSerializer",
    "Deserialize",
    "PickleSerializer",
    "PlainPickleSerializer",
    "Serialize",
    "Serializer",
    "agree",
    "is_own",
    "loads_by",
    "serializer_from",
]

Serialize = Callable[[Any, int], bytes]
Deserialize = Callable[[bytes], Any]


class Serializer(Protocol):
    """Turns a value into bytes and back. Safe in many threads."""

    name: str
    letter: bytes
    letter_if_sealed: bytes
    """The letter in sealed and signed records, which 1.x cannot read anyway."""
    is_exact: bool
    """Whether a value that is written and read again always equals the original."""
    content_type: str | None
    """The media type of the payloads; None if other programs cannot read them."""

    def dumps(self, value: Any) -> Pieces:
        """Return the payload of a value; raise whatever the value's own pickling raises."""

    def loads(self, payload: Data) -> Any:
        """Return the value of a payload, or raise a `RecordError`."""


class PickleSerializer:
    """Pickle, as in `shelve`. Reading a pickle can run code: only read trusted pickles, or limit
    what may be unpickled."""

    name = "pickle"
    letter = b""
    letter_if_sealed = b""
    is_exact = True
    content_type: str | None = None

    def __init__(self, protocol: int | None = None, only: UnpickleOnly | None = None) -> None:
        self.protocol = checked_protocol(protocol)
        self.only = only
        """The limits for unpickling and pickling; None if there are none."""

    def dumps(self, value: Any) -> Pieces:
        # `pickle.dumps` would copy the data; a pickler writes large bytes objects without a copy.
        pieces = _Pieces()
        if self.only is None:
            pickle.Pickler(pieces, self.protocol).dump(value)
        else:
            self.only.dump(value, pieces, self.protocol)
        return pieces.made

    def loads(self, payload: Data) -> Any:
        try:
            return pickle.loads(payload) if self.only is None else self.only.loads(payload)
        except Exception as error:
            # Broad, since unpickling calls the constructors of any class, which may raise
            # anything, a KeyError included. Damaged pickles raise nearly everything too, such as
            # a MemoryError for a wrong length.
            if is_from_signal_handler(error):
                raise
            # Not kept in a variable: the error, its traceback and this frame would form a cycle.
            raise self._failure(payload, error)  # noqa: B904  # it has its cause

    def _failure(self, payload: Data, error: Exception) -> RecordError:
        """Return the error for a pickle that can't be read."""
        if self.only is None:
            if isinstance(error, ImportError | AttributeError):
                from cshelve._values.unpickling import first_class_missing

                if (missing := first_class_missing(payload)) is not None:
                    return missing
        elif isinstance(error, UntrustedRecordError | ClassNotFoundError):
            return error
        failure = _unreadable("unpickled", error)
        failure.__cause__ = error
        return failure


class PlainPickleSerializer(PickleSerializer):
    """Pickle that raises the original errors of unpickling, as `shelve` does."""

    def loads(self, payload: Data) -> Any:
        return pickle.loads(payload)


class _Pieces:
    """A file object for a pickler that keeps each written piece."""

    def __init__(self) -> None:
        self.made: list[bytes] = []

    def write(self, data: Any) -> None:
        # A mutable piece is copied: its owner could change it before it is stored.
        self.made.append(data if type(data) is bytes else bytes(data))


class BytesSerializer:
    """Plain bytes, stored unchanged: `serializer = bytes`, or `use_pickle = false`."""

    name = "bytes"
    letter = b""
    letter_if_sealed = b"B"
    is_exact = True
    content_type: str | None = None

    def dumps(self, value: Any) -> Pieces:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise ValueTypeError(
                "with serializer = bytes, or use_pickle = false, a value has to be bytes, not "
                f"{type(value).__name__}"
            )
        return (value if type(value) is bytes else bytes(value),)

    def loads(self, payload: Data) -> bytes:
        return bytes(payload)


class JsonSerializer:
    """JSON in UTF-8, with the rules of the module `json`: a tuple is read back as a list.

    NaN and the infinities are refused, since JSON does not have them.
    """

    name = "json"
    letter = JSON
    letter_if_sealed = JSON
    is_exact = False
    content_type: str | None = "application/json"

    def __init__(self) -> None:
        import json

        self._json = json

    def dumps(self, value: Any) -> Pieces:
        try:
            text = self._json.dumps(
                value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            )
            return (text.encode(),)
        except (TypeError, ValueError, RecursionError) as error:
            failure = _not_serializable(self.name, error)
        # Raised here, so that the error, which may contain the whole text, is not its context.
        raise failure

    def loads(self, payload: Data) -> Any:
        try:
            text = str(payload, "utf-8")
            # Another program may have uploaded it with a byte-order mark.
            return self._json.loads(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            failure = _unreadable("read as JSON", error)
        raise failure  # Not in the `except` block, as above.


class MsgpackSerializer:
    """MessagePack, for values of exactly its types; all others, such as tuples, are refused."""

    name = "msgpack"
    letter = b"M"
    letter_if_sealed = b"M"
    is_exact = True
    content_type: str | None = None

    def __init__(self) -> None:
        try:
            import msgpack
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "serializer = msgpack needs the package msgpack: pip install 'cshelve[msgpack]'",
                name=error.name,
            ) from error
        self._msgpack: Any = msgpack

    def dumps(self, value: Any) -> Pieces:
        try:
            return (self._msgpack.packb(value, strict_types=True),)
        except (TypeError, ValueError, OverflowError) as error:
            failure = _not_serializable(self.name, error)
        # Raised here, so that the error, which may contain values, is not its context.
        raise failure

    def loads(self, payload: Data) -> Any:
        try:
            return self._msgpack.unpackb(payload, strict_map_key=False)
        except (self._msgpack.UnpackException, ValueError, TypeError) as error:
            failure = _unreadable("read as MessagePack", error)
        raise failure  # Not in the `except` block, as above.


class FunctionsSerializer:
    """The program's own two functions, `serializer(obj, protocol)` and `deserializer(data)`."""

    name = "the program's own serializer"
    letter = b"f"
    letter_if_sealed = b"f"
    is_exact = True
    content_type: str | None = None

    def __init__(
        self, serialize: Serialize, deserialize: Deserialize, protocol: int | None
    ) -> None:
        self._serialize = serialize
        self._deserialize = deserialize
        self.functions = serialize, deserialize
        self._protocol = checked_protocol(protocol)

    def dumps(self, value: Any) -> Pieces:
        payload: object = self._serialize(value, self._protocol)
        if not isinstance(payload, bytes | bytearray | memoryview):
            raise ValueTypeError(
                f"the serializer has to return bytes, not {type(payload).__name__}"
            )
        return (payload if type(payload) is bytes else bytes(payload),)

    def loads(self, payload: Data) -> Any:
        try:
            return self._deserialize(bytes(payload))
        except Exception as error:
            # Broad, since the function may raise anything; only this key fails.
            if is_from_signal_handler(error):
                raise
            raise _unreadable("read by the deserializer", error) from error


def class_names(value: object) -> tuple[str, ...]:
    """Return the names of classes in a list, or in a text with commas between them."""
    written = value if isinstance(value, list | tuple) else text(value).split(",")
    names = (text(each).strip() for each in written)
    return tuple(name for name in names if name)


# The serializers that can read values without any configuration.
_BY_LETTER: dict[bytes, Callable[[], Serializer]] = {
    BytesSerializer.letter_if_sealed: BytesSerializer,
    JsonSerializer.letter: JsonSerializer,
    MsgpackSerializer.letter: MsgpackSerializer,
}

_NAMES = ("pickle", "bytes", "json", "msgpack")
SERIALIZER = Option("serializer", word, "pickle", "How to convert values to bytes.", choices=_NAMES)
USE_PICKLE = Option(
    "use_pickle", boolean, True, "Whether to pickle values; `false` means `serializer = bytes`."
)
UNPICKLE_ONLY: Option[tuple[str, ...] | None] = Option(
    "unpickle_only",
    class_names,
    None,
    "The classes that may be unpickled: `basic`, `datetime`, `numpy`, `pandas`, or `module.Class`.",
    literal=True,
)
OPTIONS: tuple[Option[Any], ...] = (SERIALIZER, USE_PICKLE, UNPICKLE_ONLY)


def is_own(serializer: Serializer, letter: bytes) -> bool:
    """Return whether a record with this letter, or without one, was written by this serializer."""
    return letter in (serializer.letter, serializer.letter_if_sealed)


def agree(serializer: Serializer, other: Serializer) -> bool:
    """Return whether each of two serializers reads what the other one writes."""
    if isinstance(serializer, FunctionsSerializer) and isinstance(other, FunctionsSerializer):
        return serializer.functions == other.functions
    return serializer.name == other.name


def loads_by(serializer: Serializer, letter: bytes, payload: Data) -> Any:
    """Return the value of a payload, read by the serializer that its letter stands for.

    This is the given serializer, or one that needs no configuration. Raises
    `DataProcessingSignatureError` if there is none. If the given serializer has a letter, a payload
    without one is refused, since it might be an attacker's pickle.
    """
    if is_own(serializer, letter):
        return serializer.loads(payload)
    if not letter:
        raise DataProcessingSignatureError(
            f"the record is not marked as written by {serializer.name}, as every record of this "
            "shelf is: it contains a pickle or plain bytes, and is not read"
        )
    if letter not in _BY_LETTER:
        raise DataProcessingSignatureError(
            "the record was written by a program's own serializer: pass its serializer and "
            "deserializer to open()"
        )
    try:
        reader = _BY_LETTER[letter]()
    except MissingDependencyError as error:
        raise DataProcessingSignatureError(f"the record cannot be read: {error}") from error
    return reader.loads(payload)


def serializer_from(
    default: Section,
    protocol: int | None,
    serialize: Serialize | None,
    deserialize: Deserialize | None,
) -> Serializer:
    """Return the serializer that `[default] serializer`, `use_pickle` or the call's functions set.

    Raises `ConfigurationError` if these do not go together.
    """
    name = _name_from(default)
    only = _unpickle_only(default, "the call's functions" if serialize or deserialize else name)
    if serialize is None and deserialize is None:
        return _named(name or "pickle", protocol, only)
    if serialize is None or deserialize is None:
        given, absent = ("serializer", "deserializer")[:: 1 if deserialize is None else -1]
        raise ConfigurationError(f"the call gives a {given} and no {absent}: give both or neither.")
    if not callable(serialize) or not callable(deserialize):
        raise ConfigurationError(
            "serializer and deserializer have to be functions; write the name of a serializer in "
            "the configuration, as [default] serializer."
        )
    if name is not None:
        option = USE_PICKLE if default.written(SERIALIZER) is None else SERIALIZER
        raise ConfigurationError(
            f"{default.where(option)}the call has functions for that, but the configuration says "
            f"{name}: remove one of them."
        )
    return FunctionsSerializer(serialize, deserialize, protocol)


def checked_protocol(protocol: int | None) -> int:
    """Return a pickle protocol, or the default for None.

    Raises `ConfigurationError` for a protocol that this Python does not have.
    """
    protocol = pickle.DEFAULT_PROTOCOL if protocol is None else protocol
    if not isinstance(protocol, int) or protocol > pickle.HIGHEST_PROTOCOL:
        raise ConfigurationError(
            f"protocol: this Python pickles up to protocol {pickle.HIGHEST_PROTOCOL}, "
            f"not {protocol}."
        )
    # As in `pickle`, a negative number is the highest protocol.
    return pickle.HIGHEST_PROTOCOL if protocol < 0 else protocol


def _name_from(default: Section) -> str | None:
    """Return the name of the configured serializer, from either option; None if none is set."""
    name, uses_pickle = default.take(SERIALIZER), default.take(USE_PICKLE)
    as_in_1x = "pickle" if uses_pickle else "bytes"
    if default.written(SERIALIZER) is None:
        return None if uses_pickle else as_in_1x
    if default.written(USE_PICKLE) is not None and name != as_in_1x:
        raise default.error(SERIALIZER, f"is {name}, but use_pickle says {as_in_1x}.")
    return name


def _unpickle_only(default: Section, serializer: str | None) -> UnpickleOnly | None:
    """Return the limits of `unpickle_only`; None if it is not set."""
    names = default.take(UNPICKLE_ONLY)
    if names is None:
        return None
    if serializer not in (None, "pickle"):
        raise default.error(
            UNPICKLE_ONLY, f"only pickles need a limit, and {serializer} reads none: remove it."
        )
    from cshelve._values.unpickling import UnpickleOnly

    return default.read(UNPICKLE_ONLY, lambda _: UnpickleOnly(names), names)


def _named(name: str, protocol: int | None, only: UnpickleOnly | None) -> Serializer:
    match name:
        case "bytes":
            return BytesSerializer()
        case "json":
            return JsonSerializer()
        case "msgpack":
            return MsgpackSerializer()
        case _:
            return PickleSerializer(protocol, only)


def _not_serializable(name: str, error: Exception) -> ValueTypeError:
    return ValueTypeError(f"the value can't be written with serializer = {name}: {error}")


# The errors in which pickle itself names a missing module or name.
_ABOUT_NAMES = (ImportError, AttributeError, EOFError, pickle.UnpicklingError)


def _unreadable(done: str, error: Exception) -> CorruptRecordError:
    """Return the error for a payload that can't be read, without quoting the payload."""
    # If the traceback continues below our own frame, a class of the value raised the error, and its
    # message may contain the value.
    is_pickles = error.__traceback__ is not None and error.__traceback__.tb_next is None
    said = f": {error}" if is_pickles and isinstance(error, _ABOUT_NAMES) else ""
    return CorruptRecordError(f"the value can't be {done}: {type(error).__name__}{said}")
