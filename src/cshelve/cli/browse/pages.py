"""The pages of a shelf: what each address answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from cshelve import (
    AuthError,
    CloudShelf,
    DBDoesNotExistsError,
    Error,
    Info,
    KeyNotFoundError,
    RecordError,
    UnsupportedOperationError,
)
from cshelve.cli.browse.html import Html, asset, fill, joined, link
from cshelve.cli.browse.listing import Page, Row, page_of
from cshelve.cli.browse.values import MOST_BYTES, Shown, bytes_of, image_type, shown_value
from cshelve.cli.output import size_text, time_text

__all__ = ["Answer", "Site"]

HTML = "text/html; charset=utf-8"
ASSETS = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
Shelf = CloudShelf[Any]
Query = dict[str, str]


class Answer(NamedTuple):
    """What is sent for a request."""

    status: HTTPStatus
    body: bytes
    content_type: str = HTML
    file_name: str = ""
    """If there is one, a browser stores the body under it, and does not show it."""
    stream: Callable[[Any], None] | None = None
    """Writes the body to a file in place of `body`, exactly `length` bytes."""
    length: int = 0


class Site:
    """Answers requests by reading a shelf. Safe in many threads."""

    def __init__(self, location: str, shelf: Callable[[], AbstractContextManager[Shelf]]) -> None:
        """`shelf` returns the shelf for one request."""
        self._location = location
        self._shelf = shelf

    def answer(self, page: str, query: Query) -> Answer:
        """Return the answer of a page; a failure is a page too."""
        if page in ASSETS:
            return Answer(HTTPStatus.OK, asset(page), ASSETS[page])
        pages = {"": self._list, "value": self._value, "image": _image, "download": _download}
        if page not in pages:
            return self.problem(HTTPStatus.NOT_FOUND, "There is no such page.")
        try:
            with self._shelf() as db:
                return pages[page](db, query)
        except KeyNotFoundError as error:
            return self._missing(str(error.args[0]), has_expired=error.expired_version is not None)
        except Error as error:
            return self.problem(_status_of(error), str(error))

    def problem(self, status: HTTPStatus, text: str) -> Answer:
        """Return a page that says what is wrong."""
        content = fill("problem.html", title=status.phrase, text=text)
        return self._answer(status.phrase, "", content, status)

    def _missing(self, key: str, *, has_expired: bool) -> Answer:
        status = HTTPStatus.GONE if has_expired else HTTPStatus.NOT_FOUND
        text = "The value of this key has expired." if has_expired else "There is no such key."
        content = fill("problem.html", title=key, text=text)
        return self._answer(key, _folder_of(key), content, status, last=key)

    def _list(self, db: Shelf, query: Query) -> Answer:
        prefix, after = query.get("prefix", ""), query.get("after", "")
        page = page_of(db, prefix, after)
        return self._answer(prefix or self._location, prefix, _listing(page, prefix, after))

    def _value(self, db: Shelf, query: Query) -> Answer:
        key = query.get("key", "")
        info = db.info(key)
        shown, status = _shown(db, info)
        content = _value_content(info, shown)
        return self._answer(key, _folder_of(key), content, status, last=key)

    def _answer(
        self,
        title: str,
        prefix: str,
        content: Html,
        status: HTTPStatus = HTTPStatus.OK,
        last: str = "",
    ) -> Answer:
        page = fill(
            "page.html",
            title=title,
            location=self._location,
            crumbs=_crumbs(self._location, prefix, last),
            prefix=prefix,
            content=content,
        )
        # A pickled text may have surrogates, which UTF-8 has not.
        return Answer(status, page.encode(errors="backslashreplace"))


def _image(db: Shelf, query: Query) -> Answer:
    value = db[query.get("key", "")]
    media_type = image_type(value)
    if media_type is None:
        raise UnsupportedOperationError("the value is not an image that browsers show safely")
    return Answer(HTTPStatus.OK, bytes(value), media_type)


def _download(db: Shelf, query: Query) -> Answer:
    key = query.get("key", "")
    file_name = key.rsplit("/", 1)[-1] or "value"
    octets = "application/octet-stream"
    if _is_plain(db):
        info = db.info(key)
        return Answer(
            HTTPStatus.OK,
            b"",
            octets,
            file_name,
            stream=lambda file: db.download(key, file),
            length=info.size_bytes,
        )
    return Answer(HTTPStatus.OK, bytes_of(db, key), octets, file_name)


def _is_plain(db: Shelf) -> bool:
    """Return whether the objects are the values and nothing else, so that they can be streamed."""
    from cshelve._shelf.files import _why_not_plain

    return _why_not_plain(db._plain_values, ("bytes",)) is None


def _status_of(error: Error) -> HTTPStatus:
    match error:
        case AuthError():
            return HTTPStatus.FORBIDDEN
        case DBDoesNotExistsError():
            return HTTPStatus.NOT_FOUND
        case RecordError() | UnsupportedOperationError():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case OSError():
            return HTTPStatus.BAD_GATEWAY
        case ValueError() | TypeError():
            return HTTPStatus.BAD_REQUEST
        case _:
            return HTTPStatus.INTERNAL_SERVER_ERROR


def _folder_of(key: str) -> str:
    return key[: key.rfind("/") + 1]


def _crumbs(location: str, prefix: str, last: str) -> Html:
    """Return the way to a folder or a key, with a link for each part."""
    made = [fill("crumb.html", address=link("."), name=location)]
    start = 0
    while (slash := prefix.find("/", start)) >= 0:
        address = link(".", prefix=prefix[: slash + 1])
        made.append(fill("crumb.html", address=address, name=prefix[start : slash + 1]))
        start = slash + 1
    here = last[start:] if last else prefix[start:]
    if here:
        shown = here if last else f"{here}…"
        made.append(fill('<li aria-current="page"><bdi>$name</bdi></li>', name=shown))
    return joined(made)


def _listing(page: Page, prefix: str, after: str) -> Html:
    rows = joined([_row(row, prefix) for row in page.rows])
    if not page.rows:
        more = " more" if after else ""
        begin = f" that begin with {prefix!r}" if prefix else ""
        return fill("empty.html", text=f"There are no{more} keys{begin}.")
    return fill("listing.html", rows=rows, pages=joined(list(_pages(page, prefix, after))))


def _pages(page: Page, prefix: str, after: str) -> Iterator[Html]:
    if after:
        yield fill("link.html", address=link(".", prefix=prefix), text="First page")
    if page.next_after is not None:
        address = link(".", prefix=prefix, after=page.next_after)
        yield fill("link.html", address=address, text="Next page")


def _row(row: Row, prefix: str) -> Html:
    # The part behind the folder that is shown; the whole name would repeat it in each row.
    # (A key may be named like the folder itself.)
    name = row.name[len(_folder_of(prefix)) :] or row.name
    if row.entry is None:
        return fill("folder.html", address=link(".", prefix=row.name), name=name)
    return fill(
        "key.html",
        address=link("value", key=row.name),
        name=name,
        size=size_text(row.entry.size_bytes),
        modified=_time(row.entry.modified),
    )


def _shown(db: Shelf, info: Info) -> tuple[Shown, HTTPStatus]:
    """Return what to show of a value; what is known of a key is shown whatever this is."""
    unreadable = HTTPStatus.UNPROCESSABLE_ENTITY
    if info.size_bytes > MOST_BYTES:
        problem = f"With {size_text(info.size_bytes)}, it is too large to be shown."
        return Shown("large value", Html(""), problem), HTTPStatus.OK
    try:
        shown = shown_value(db, info.key)
    except KeyNotFoundError as error:
        if error.expired_version is None:
            raise
        return Shown("expired value", Html(""), "The value has expired."), HTTPStatus.GONE
    except RecordError as error:
        return Shown("unreadable record", Html(""), str(error)), unreadable
    return shown, unreadable if shown.is_damaged else HTTPStatus.OK


def _value_content(info: Info, shown: Shown) -> Html:
    key = info.key
    kind = shown.kind
    content = Html("")
    if kind in ("PNG", "JPEG", "GIF", "WEBP"):
        content = fill("image.html", address=link("image", key=key), name=key)
    elif shown.content:
        # Numbers and instructions are in columns.
        layout = "columns" if kind in ("bytes", "pickle") else "lines"
        content = fill("content.html", layout=layout, content=shown.content)
    problem = fill("note.html", text=shown.problem) if shown.problem else Html("")
    behind = Html("")
    if shown.instructions:
        behind = fill("instructions.html", content=shown.instructions)
    return fill(
        "value.html",
        key=key.removeprefix(_folder_of(key)) or key,
        kind=kind,
        size=size_text(info.size_bytes),
        modified=_time(info.modified),
        download=link("download", key=key),
        problem=problem,
        content=content,
        instructions=behind,
        properties=joined([_property(*each) for each in _properties(info)]),
    )


def _properties(info: Info) -> Iterator[tuple[str, object]]:
    """Yield what is known of how a value is stored, as `cshelve stat` shows it."""
    yield "key", info.key
    yield "stored size", f"{info.size_bytes:,} bytes"
    yield "modified", _time(info.modified)
    yield "version", info.version
    yield "record", "yes" if info.is_record else "no: the object is the bare value"
    for name in ("serializer", "compression", "encryption", "signature"):
        yield name, getattr(info, name) or "none"
    if info.key_id:
        yield "key id", info.key_id
    yield "expires", _time(info.expires) if info.expires else "never"
    yield "checksum", "yes" if info.checksum else "no"
    if info.content_type:
        yield "content type", info.content_type
    for name, text in info.metadata.items():
        yield f"metadata: {name}", text


def _property(name: str, text: object) -> Html:
    return fill("property.html", name=name, text=text)


def _time(time: datetime) -> Html:
    text = time_text(time)
    shown = text.replace("T", " ").removesuffix("Z")
    return fill('<time datetime="$text">$shown</time>', text=text, shown=shown)
