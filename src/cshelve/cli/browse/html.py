"""Pages from templates: whatever is filled in is escaped, unless it is marked as HTML already.

Keys and values may be a stranger's, so there is no other way from a text to a page than `fill`.
"""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from string import Template
from urllib.parse import urlencode

__all__ = ["Html", "asset", "escaped_lines", "fill", "joined", "link", "visible"]

FOLDER = Path(__file__).parent / "templates"


class Html(str):
    """A text that is HTML already, and is not escaped again."""

    __slots__ = ()


def visible(text: str, keep: str = "") -> str:
    """Return a text in which characters that are not seen, or that change the order, are escaped.

    A key could otherwise look like another one.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else repr(each)[1:-1] for each in text
    )


def escaped(text: object) -> Html:
    """Return a text as HTML, for the content of an element or for an attribute in quotes."""
    return text if isinstance(text, Html) else Html(html.escape(visible(str(text))))


def escaped_lines(text: str) -> Html:
    """Return a text of many lines as HTML, for the content of `pre`."""
    return Html(html.escape(visible(text, keep="\n\t")))


def fill(template: str, **fields: object) -> Html:
    """Return a template with its fields, each escaped: a file's name, or the template itself."""
    made = _template(template) if template.endswith(".html") else Template(template)
    return Html(made.substitute({name: escaped(field) for name, field in fields.items()}))


def joined(parts: list[Html]) -> Html:
    """Return pieces of HTML one after the other."""
    return Html("".join(parts))


def link(page: str, **query: str) -> str:
    """Return the relative address of a page; keys are in its query, where any text may be.

    (In a path, browsers resolve `..` and drop empty segments.)
    """
    given = {name: text for name, text in query.items() if text}
    return f"{page}?{urlencode(given)}" if given else page


@cache
def _template(name: str) -> Template:
    return Template((FOLDER / name).read_text("utf-8"))


@cache
def asset(name: str) -> bytes:
    """Return a file that is sent as it is."""
    return (FOLDER / name).read_bytes()
