"""Values as lines of JSON: `{"key": …, "value": …}`, with `base64` for bytes in place of `value`.

Values that JSON does not represent exactly are in `pickle`, `msgpack` or `json`, which have the
payload in Base64. `expires` has the time when a value expires, null if it never does.
"""

from __future__ import annotations

import base64
import json
from typing import Any, NoReturn

from cshelve.cli.carried import SERIALIZERS, Carried, time_from, time_of

__all__ = ["carried_in", "line_of"]

IN_BASE64 = ("base64", *SERIALIZERS)
CONTENTS = ("value", *IN_BASE64)
FIELDS = {"key", *CONTENTS, "expires"}


def line_of(carried: Carried, *, ascii_only: bool = False) -> bytes:
    """Return the line of a value, with its end."""
    content = carried.content
    fields: dict[str, Any] = {"key": carried.key}
    if isinstance(content, bytes):
        fields[carried.serializer or "base64"] = base64.b64encode(content).decode()
    else:
        fields["value"] = content
    if carried.expires_at is not None:
        fields["expires"] = time_of(carried.expires_at)
    return f"{json.dumps(fields, ensure_ascii=ascii_only)}\n".encode()


def carried_in(line: bytes) -> Carried:
    """Return the value of a line, or raise `ValueError` with what is wrong with it."""
    fields = _parsed(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("key"), str):
        raise ValueError('expected an object with a key, as in {"key": "ada", "value": 1815}')
    if unknown := sorted(fields.keys() - FIELDS):
        raise ValueError(f"there is no field {unknown[0]!r:.40}")
    present = [each for each in CONTENTS if each in fields]
    if len(present) != 1:
        raise ValueError(f"expected one of the fields {', '.join(CONTENTS)}")
    (kind,) = present
    content = fields[kind] if kind == "value" else _decoded(kind, fields[kind])
    serializer = kind if kind in SERIALIZERS else None
    expires_at = time_from(fields["expires"]) if "expires" in fields else None
    return Carried(fields["key"], content, serializer, expires_at)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _decoded(field: str, written: object) -> bytes:
    try:
        if isinstance(written, str):
            return base64.b64decode(written, validate=True)
    except ValueError:
        pass
    raise ValueError(f"the field {field} is not in Base64")
