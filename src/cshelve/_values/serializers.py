"""Serializers, which turn Python objects into payloads and back, before the codec's stages.

Pickles and plain bytes have no letter in a record, as in cshelve 1.x. Every other serializer has
one, so that its payloads are never guessed at.
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
    """Whether every value that can be written is equal to what is read later."""
    content_type: str | None
    """The media type of the payloads, if other programs can read them."""

    def dumps(self, value: Any) -> Pieces:
        """Return the payload of a value, raising whatever the value's own pickling raises."""

    def loads(self, payload: Data) -> Any:
        """Return the value of a payload, or raise a `RecordError`."""


class PickleSerializer:
    """Pickle, as in `shelve`. Reading a pickle can run code: read only what you trust, or name what
    may be unpickled."""

    name = "pickle"
    letter = b""
    letter_if_sealed = b""
    is_exact = True
    content_type: str | None = None

    def __init__(self, protocol: int | None = None, only: UnpickleOnly | None = None) -> None:
        self.protocol = checked_protocol(protocol)
        self.only = only
        """What may be unpickled, and pickled; None for anything."""

    def dumps(self, value: Any) -> Pieces:
        # Not `pickle.dumps`, which copies: a pickler writes large bytes objects as they are.
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
            # In no variable, which would make a cycle of the error, its traceback and this frame.
            raise self._failure(payload, error)  # noqa: B904  # it has its cause

    def _failure(self, payload: Data, error: Exception) -> RecordError:
        """Return the error of a pickle that can't be read."""
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
    """Pickle with the errors that unpickling raises, as they are, as in `shelve`."""

    def loads(self, payload: Data) -> Any:
        return pickle.loads(payload)


class _Pieces:
    """A file for a pickler, which keeps each piece that is written to it."""

    def __init__(self) -> None:
        self.made: list[bytes] = []

    def write(self, data: Any) -> None:
        # Copied if it is mutable, as its owner could change it before it is stored.
        self.made.append(data if type(data) is bytes else bytes(data))


class BytesSerializer:
    """Plain bytes, stored as they are: `serializer = bytes`, or `use_pickle = false`."""

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
    """JSON in UTF-8, as the module `json` writes it: a tuple is read as a list.

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
            # Others may have uploaded it, with a byte-order mark.
            return self._json.loads(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            failure = _unreadable("read as JSON", error)
        raise failure  # Not in the `except` block, as above.


class MsgpackSerializer:
    """MessagePack, for values of exactly its types: others, tuples included, are refused."""

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
            # Broad, since the function may raise anything; it is the failure of this key alone.
            if is_from_signal_handler(error):
                raise
            raise _unreadable("read by the deserializer", error) from error


def class_names(value: object) -> tuple[str, ...]:
    """Read names of classes: a list, or a text with commas between them."""
    written = value if isinstance(value, list | tuple) else text(value).split(",")
    names = (text(each).strip() for each in written)
    return tuple(name for name in names if name)


# The serializers that can read without any configuration.
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
    """Return the value of a payload, read by the serializer of its letter.

    That is the given serializer, or one that needs no configuration. Raises
    `DataProcessingSignatureError` if there is none. A payload without a letter is refused if the
    given serializer has one, since it might be a pickle that somebody else stored.
    """
    if is_own(serializer, letter):
        return serializer.loads(payload)
    if not letter:
        raise DataProcessingSignatureError(
            f"the record does not say that it was written by {serializer.name}, as every record "
            "of this shelf does: it contains a pickle or plain bytes, and is not guessed at"
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
    """Make what `[default] serializer` or `use_pickle` names, or the call's functions."""
    name = _name_from(default)
    only = _unpickle_only(default, "the call's functions" if serialize or deserialize else name)
    if serialize is None and deserialize is None:
        return _named(name or "pickle", protocol, only)
    if serialize is None or deserialize is None:
        given, absent = ("serializer", "deserializer")[:: 1 if deserialize is None else -1]
        raise ConfigurationError(f"the call gives a {given} and no {absent}: give both or neither.")
    if not callable(serialize) or not callable(deserialize):
        raise ConfigurationError(
            "serializer and deserializer are functions; one by name is written in the "
            "configuration, as [default] serializer."
        )
    if name is not None:
        option = USE_PICKLE if default.written(SERIALIZER) is None else SERIALIZER
        raise ConfigurationError(
            f"{default.where(option)}the call has functions for that, and the configuration "
            f"says {name}: take one of them out."
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
    """Read which serializer the configuration names, in the words of 1.x or in ours."""
    name, uses_pickle = default.take(SERIALIZER), default.take(USE_PICKLE)
    as_in_1x = "pickle" if uses_pickle else "bytes"
    if default.written(SERIALIZER) is None:
        return None if uses_pickle else as_in_1x
    if default.written(USE_PICKLE) is not None and name != as_in_1x:
        raise default.error(SERIALIZER, f"is {name}, and use_pickle says {as_in_1x}.")
    return name


def _unpickle_only(default: Section, serializer: str | None) -> UnpickleOnly | None:
    """Read what may be unpickled, where that is limited."""
    names = default.take(UNPICKLE_ONLY)
    if names is None:
        return None
    if serializer not in (None, "pickle"):
        raise default.error(
            UNPICKLE_ONLY, f"only pickles need a limit, and {serializer} reads none: take it out."
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


# The errors by which pickle itself says which module or name is missing.
_ABOUT_NAMES = (ImportError, AttributeError, EOFError, pickle.UnpicklingError)


def _unreadable(done: str, error: Exception) -> CorruptRecordError:
    """Return the error of a payload that can't be read, without quoting the payload."""
    # If the traceback goes on below our own frame, a class of the value raised the error, and its
    # message may contain the value.
    is_pickles = error.__traceback__ is not None and error.__traceback__.tb_next is None
    said = f": {error}" if is_pickles and isinstance(error, _ABOUT_NAMES) else ""
    return CorruptRecordError(f"the value can't be {done}: {type(error).__name__}{said}")
