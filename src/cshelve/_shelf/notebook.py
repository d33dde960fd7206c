"""How notebooks show a shelf, and complete keys after `db["`, without reading values."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._concurrency.progress_bar import size_text
from cshelve._concurrency.signals import is_from_signal_handler

if TYPE_CHECKING:
    from datetime import datetime

    from cshelve._shelf.shelf import CloudShelf
    from cshelve._values.values import Values

__all__ = ["html_of", "key_completions"]

SHOWN_KEYS = 20
# As many as one request lists in S3.
COMPLETED_KEYS = 1000
# In S3, a key may have 1,024 bytes.
LONGEST_KEY_SHOWN = 80

MUTED = "opacity: .7"
LEFT = "text-align: left"
RIGHT = "text-align: right; font-variant-numeric: tabular-nums"


class _Row(NamedTuple):
    key: str
    size_bytes: int | None = None
    modified: datetime | None = None


def html_of(shelf: CloudShelf[Any]) -> str:
    """Return a table of the first keys of a shelf. One request; an error is shown, not raised."""
    values = shelf._plain_values
    if not shelf._is_open():
        return f"<div>{_titled(f'CloudShelf in {values.location}')}<div>It is closed.</div></div>"
    engine = getattr(values.provider, "engine", None)
    about = f"engine {engine}" if isinstance(engine, str) else ""
    head = _titled(f"CloudShelf in {values.location}", about)
    try:
        return f"<div>{head}{_table(_first_rows(values))}</div>"
    except Exception as error:
        # Broad, since a notebook would show a traceback in place of the shelf, whatever failed.
        if is_from_signal_handler(error):
            raise
        said = escape(f"{type(error).__name__}: {error}")
        return f"<div>{head}<div>Its keys cannot be listed: {said}</div></div>"


def key_completions(shelf: CloudShelf[Any]) -> list[str]:
    """Return the first keys, or none if they cannot be listed. One request."""
    try:
        return list(shelf._values.list_keys(limit=COMPLETED_KEYS))
    except Exception as error:
        # Broad, since a traceback in the middle of typing would help nobody.
        if is_from_signal_handler(error):
            raise
        return []


def _first_rows(values: Values) -> list[_Row]:
    """Return one more key than is shown, to find out whether there are more."""
    limit = SHOWN_KEYS + 1
    if values.provider.like_shelve:  # Its listing would read each value for the size.
        return [_Row(key) for key in values.list_keys(limit=limit)]
    listed = values.provider.entries(values.prefix, limit=limit)
    return [
        _Row(entry.name.removeprefix(values.prefix), entry.size_bytes, entry.modified)
        for entry in islice(listed, limit)
    ]


def _table(rows: list[_Row]) -> str:
    if not rows:
        return "<div>It is empty.</div>"
    has_sizes = rows[0].size_bytes is not None
    titles = [("Key", LEFT), *([("Size", RIGHT), ("Written (UTC)", LEFT)] if has_sizes else [])]
    head = "".join(f'<th style="{style}">{title}</th>' for title, style in titles)
    body = "".join(_row(row) for row in rows[:SHOWN_KEYS])
    more = ""
    if len(rows) > SHOWN_KEYS:
        more = f'<div style="{MUTED}">The first {SHOWN_KEYS} keys; there are more.</div>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _row(row: _Row) -> str:
    cells = [f'<td style="{LEFT}"><code>{escape(_shown(row.key))}</code></td>']
    if row.size_bytes is not None:
        cells.append(f'<td style="{RIGHT}">{size_text(row.size_bytes)}</td>')
    if row.modified is not None:
        cells.append(f'<td style="{LEFT}">{row.modified:%Y-%m-%d %H:%M}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _shown(key: str) -> str:
    """Return a key in one line; escape invisible characters and those that reverse the text."""
    text = key if key.isprintable() else repr(key)[1:-1]
    return f"{text[:LONGEST_KEY_SHOWN]}…" if len(text) > LONGEST_KEY_SHOWN else text


def _titled(title: str, about: str = "") -> str:
    more = f' <span style="{MUTED}">({escape(about)})</span>' if about else ""
    return f"<div><b>{escape(title)}</b>{more}</div>"
