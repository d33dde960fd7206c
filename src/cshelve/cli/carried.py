"""A value outside of a shelf, as `export` writes it and `import` reads it.

Nothing here unpickles a class: a pickle that needs one is carried as it is.
"""

from __future__ import annotations

import io
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._values.expiry import is_over
from cshelve._values.serializers import (
    BytesSerializer,
    JsonSerializer,
    MsgpackSerializer,
    is_own,
    loads_by,
)
from cshelve._values.values import Values, checked_key, not_serialized
from cshelve.cli.output import is_json
from cshelve.codec import Decoded
from cshelve.codec.record import NEVER
from cshelve.codec.stage import Data, Pieces
from cshelve.exceptions import KeyNotFoundError, ValueTypeError

__all__ = ["SERIALIZERS", "Carried", "carried_from", "record_of", "time_from", "time_of"]

# A payload of these can be read by anyone, without a configuration and without running code.
READABLE = {each.name: each.letter for each in (JsonSerializer, MsgpackSerializer)}
SERIALIZERS = ("pickle", *READABLE)
BY_LETTER = {letter: name for name, letter in READABLE.items()}
BY_LETTER[BytesSerializer.letter_if_sealed] = BytesSerializer.name
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Carried(NamedTuple):
    """A key and its value."""

    key: str
    content: Any
    """The value, which is bytes or what JSON represents exactly; or the payload of any other."""
    serializer: str | None = None
    """The serializer of a payload; None if `content` is the value itself."""
    expires_at: float | None = None
    """In seconds since 1970; None to expire as the target is configured."""


def carried_from(values: Values, key: str, decoded: Decoded) -> Carried:
    """Return the value of a record of a shelf; raise a `RecordError` if it cannot be read."""
    letter, payload = decoded.letters.serializer, decoded.payload
    own = values.serializer
    serializer = own.name if is_own(own, letter) else BY_LETTER.get(letter, "")
    expires_at: float | None = decoded.expires_at
    if expires_at == NEVER and values.codec.expire_after_seconds is None:
        expires_at = None  # It would not expire where it came from either.
    value = _plain_data(payload) if serializer == "pickle" else values.loads(key, decoded)
    if type(value) is bytes or _is_exact(value):
        return Carried(key, value, None, expires_at)
    return Carried(key, bytes(payload), serializer, expires_at)


def record_of(values: Values, carried: Carried) -> bytes:
    """Return the record with which a shelf stores a value.

    Raises `KeyNotFoundError` if it has expired, and another `Error` if the shelf cannot store it.
    """
    key = checked_key(carried.key)
    expires_at = carried.expires_at
    if expires_at is None:
        expires_at = values.new_expiry()
    if expires_at != NEVER and is_over(expires_at):
        raise KeyNotFoundError(key)
    values.refuse_expiry(expires_at)
    return values.encode(key, _payload_for(values, carried), expires_at)


def _payload_for(values: Values, carried: Carried) -> Pieces:
    key, content, serializer, _ = carried
    own = values.serializer
    if serializer == "pickle":
        if own.name == serializer:
            return (content,)
        raise ValueTypeError(
            "the value is a pickle, which is not unpickled here: only a shelf with serializer = "
            f"pickle can store it, and this one has serializer = {own.name}"
        )
    if serializer is not None:
        # Read even if it is stored unchanged: whoever wrote the file may have made a mistake.
        value = loads_by(own, READABLE[serializer], content)
        if own.name == serializer:
            return (content,)
        content = value
    try:
        return values.dumps(key, content)
    except RecursionError as error:
        raise not_serialized(key, error) from None


def _plain_data(payload: Data) -> Any:
    """Return the value of a pickle that consists of plain data, else an object that is none."""
    try:
        return _PlainUnpickler(io.BytesIO(payload)).load()
    except Exception as error:
        # Broad because a damaged or hostile pickle may raise anything; it is carried as it is.
        if is_from_signal_handler(error):
            raise
        return NotImplemented


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that looks up no name, so that there is nothing that a pickle could call."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"needs {module}.{name}")


def _is_exact(value: object) -> bool:
    """Return whether JSON in UTF-8 represents a value exactly."""
    try:
        if not (_is_tree(value) and is_json(value)):
            return False
        # Text may have lone surrogates, and an integer more digits than Python converts.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _is_tree(value: object) -> bool:
    """Return whether no list or dict is in more than one place.

    JSON would write it twice. A pickle of some bytes can contain a list that would be written a
    million times.
    """
    seen: set[int] = set()
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, list | dict):
            if id(each) in seen:
                return False
            seen.add(id(each))
            left.extend(each.values() if isinstance(each, dict) else each)
    return True


def time_of(expires_at: float) -> str | None:
    """Return an expiry time as text in UTC, to the millisecond, as records have it; None: never."""
    if expires_at == NEVER:
        return None
    try:
        time = EPOCH + timedelta(milliseconds=round(expires_at * 1000))
    except OverflowError:
        time = datetime.max.replace(tzinfo=UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_from(written: object) -> float:
    """Return the expiry time of what `time_of` returned, or raise `ValueError`."""
    if written is None:
        return NEVER
    time = datetime.fromisoformat(written) if isinstance(written, str) else None
    if time is None or time.tzinfo is None:
        raise ValueError(
            "a time of expiry needs a date, a time and a time zone, as in 2026-03-01T12:00:00Z"
        )
    return (time - EPOCH).total_seconds()
