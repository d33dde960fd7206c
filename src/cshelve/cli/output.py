"""How commands print what they found."""

from __future__ import annotations

import base64
import json
import pprint
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cshelve.providers.stats import Stats

__all__ = [
    "as_json",
    "is_json",
    "line",
    "print_json",
    "print_value",
    "printable",
    "size_text",
    "stats_line",
    "time_text",
    "value_fields",
    "write_bytes",
]

MOST_PARTS = 1_000_000
MOST_LEVELS = 100
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def line(text: str) -> None:
    """Print a line of data. (`click.echo` would remove control characters in a pipe.)"""
    sys.stdout.write(f"{text}\n")


def print_json(fields: dict[str, Any]) -> None:
    """Print an object on one line."""
    line(as_json(fields))


def as_json(fields: dict[str, Any]) -> str:
    """Return an object as one line of JSON; times are in UTC, in the format of ISO 8601."""
    return json.dumps(fields, ensure_ascii=not _is_utf8(), default=_time_or_fail)


def _time_or_fail(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    raise TypeError(f"{type(value).__name__} is not in JSON")


def time_text(time: datetime) -> str:
    """Return a time in UTC with seconds, as in `2026-03-01T12:00:00Z`."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def size_text(size_bytes: float) -> str:
    """Return a size with a unit, such as `1.5 KiB`."""
    for unit in UNITS:
        if size_bytes < 1024 or unit == UNITS[-1]:
            break
        size_bytes /= 1024
    return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"


def printable(text: str) -> str:
    """Return a text for a line of output: on a terminal, without characters that control it.

    Anyone who can write to a shelf chooses its keys, and a terminal obeys some of them.
    """
    if not sys.stdout.isatty() or text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def print_value(value: Any) -> None:
    """Print a value for a reader: text and bytes as they are, others as JSON or Python's repr."""
    if isinstance(value, bytes | bytearray) and not sys.stdout.isatty():
        write_bytes(bytes(value))
    elif isinstance(value, str):
        line("\n".join(printable(line) for line in value.split("\n")))
    else:
        fields = value_fields(value)
        if "value" in fields:
            line(json.dumps(fields["value"], ensure_ascii=not _is_utf8(), indent=2))
        else:
            line(pprint.pformat(value))


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output, behind what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def _is_utf8() -> bool:
    return sys.stdout.encoding.lower().replace("-", "") == "utf8"


def _refuse_endless(value: Any) -> None:
    """Raise an error for a value that would be printed for ever.

    A pickle of 300 bytes can be a list that contains itself, or lists that contain the same list
    twice, forty levels deep.
    """
    rest = [(value, 0)]
    for _ in range(MOST_PARTS):
        if not rest:
            return
        each, level = rest.pop()
        if level > MOST_LEVELS:
            break
        if isinstance(each, dict):
            each = [*each.keys(), *each.values()]
        if isinstance(each, list | tuple | set | frozenset):
            rest.extend((part, level + 1) for part in each)
    raise click.ClickException(
        f"the value is not printed, as it has more than {MOST_PARTS:,} parts or {MOST_LEVELS} "
        "levels: use --raw, or Python."
    )


def value_fields(value: Any) -> dict[str, Any]:
    """Return a value as a field of a JSON object: `value`, `base64` for bytes, or `repr`."""
    if isinstance(value, bytes | bytearray):
        return {"base64": base64.b64encode(value).decode()}
    _refuse_endless(value)
    if is_json(value):
        return {"value": value}
    return {"repr": repr(value)}


def is_json(value: Any) -> bool:
    """Return whether JSON represents a value exactly, so that reading it again returns the same."""
    if isinstance(value, dict):
        return type(value) is dict and all(
            type(key) is str and is_json(each) for key, each in value.items()
        )
    if type(value) is list:
        return all(map(is_json, value))
    if type(value) is float:
        return value - value == 0  # JSON has neither NaN nor the infinities.
    return value is None or type(value) in (str, int, bool)


def stats_line(stats: Stats) -> str:
    """Return the requests and bytes of a shelf as one line."""
    number = sum(stats.requests.values())
    each = ", ".join(f"{name} {times}" for name, times in stats.requests.most_common())
    parts = [
        f"{number} request{'' if number == 1 else 's'}{f' ({each})' if each else ''}",
        f"{size_text(stats.bytes_sent)} sent",
        f"{size_text(stats.bytes_received)} received",
        f"{stats.waited_seconds:.2f} s waited",
    ]
    if stats.retries:
        parts.append(f"{stats.retries} retries")
    if stats.engine is not None:
        parts.append(f"engine {stats.engine}")
        parts.append(f"about ${stats.cost().total:.6f}")
    return ", ".join(parts)
