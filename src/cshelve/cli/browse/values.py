"""What is shown of a value: an image, text, data, the instructions of a pickle, or its bytes."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from typing import Any, NamedTuple

from cshelve import CloudShelf, RecordError, UntrustedRecordError
from cshelve._values.serializers import PickleSerializer, is_own
from cshelve.cli.browse.data import MOST_CHARACTERS, outline
from cshelve.cli.browse.html import Html, escaped_lines, visible
from cshelve.codec import Decoded

__all__ = ["MOST_BYTES", "Shown", "bytes_of", "image_type", "shown_value"]

# A larger record is not read to be shown, and a larger value is only shown in part.
MOST_BYTES = 8 << 20
MOST_DUMPED_BYTES = 16 << 10
MOST_CHARACTERS_A_LINE = 400
# By their first bytes alone, since a name or a content type may be a stranger's. Not SVG, which
# can contain scripts.
IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
ADVICE = (
    "To unpickle it, start `cshelve browse` with --unpickle, if you trust everyone who can write "
    "to the shelf."
)


class Shown(NamedTuple):
    """What the page of a key shows of its value."""

    kind: str
    """What it is, in a word or two."""
    content: Html
    """Empty for an image, which is an address of its own."""
    problem: str = ""
    """Why the value itself cannot be shown."""
    is_damaged: bool = False
    """Whether the problem is the value, and not only that nobody has allowed to unpickle it."""
    instructions: Html = Html("")
    """The instructions of its pickle, if it is one and could be read."""


def shown_value(db: CloudShelf[Any], key: str) -> Shown:
    """Return what to show of a value; read it by one request, or raise the error of that."""
    values = db._plain_values
    decoded, _ = values.read_record(key)
    payload = bytes(decoded.payload)
    is_pickle = _is_pickle(db, decoded)
    if len(payload) > MOST_BYTES:
        what = "The value is too large to be shown as a whole."
        return Shown("pickle" if is_pickle else "bytes", dump(payload), what)
    try:
        value = values.loads(key, decoded)
    except Exception as error:  # noqa: BLE001
        # Broad, since unpickling calls constructors, which may raise anything; a local shelf
        # raises their errors as they are.
        return _unreadable(payload, error, is_pickle=is_pickle)
    kind, content = _kind_and_content(value, decoded.letters.serializer)
    return Shown(kind, content, instructions=instructions(payload) if is_pickle else Html(""))


def bytes_of(db: CloudShelf[Any], key: str) -> bytes:
    """Return the bytes of a value to store in a file: of bytes and text, or else its payload."""
    values = db._plain_values
    decoded, _ = values.read_record(key)
    try:
        value = values.loads(key, decoded)
    except Exception:  # noqa: BLE001
        # Broad as above; the payload can be had without unpickling.
        value = None
    if type(value) is str:
        return value.encode(errors="surrogatepass")
    return bytes(value if type(value) in (bytes, bytearray) else decoded.payload)


def image_type(value: object) -> str | None:
    """Return the media type of the bytes of an image that browsers show; None of all others."""
    if type(value) not in (bytes, bytearray):
        return None
    head = bytes(value[:12])  # type: ignore[index]  # It is bytes.
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "image/webp"
    return next((media_type for start, media_type in IMAGES if head.startswith(start)), None)


def _is_pickle(db: CloudShelf[Any], decoded: Decoded) -> bool:
    serializer = db._plain_values.serializer
    return isinstance(serializer, PickleSerializer) and is_own(
        serializer, decoded.letters.serializer
    )


def _unreadable(payload: bytes, error: Exception, *, is_pickle: bool) -> Shown:
    is_refused = isinstance(error, UntrustedRecordError)
    problem = str(error) if isinstance(error, RecordError) else f"{type(error).__name__}: {error}"
    if is_refused:
        problem = f"{problem}. {ADVICE}"
    if is_pickle:
        return Shown("pickle", instructions(payload), problem, not is_refused)
    return Shown("bytes", dump(payload), problem, not is_refused)


def _kind_and_content(value: Any, letter: bytes) -> tuple[str, Html]:
    if type(value) in (bytes, bytearray):
        if (media_type := image_type(value)) is not None:
            return media_type.removeprefix("image/").upper(), Html("")
        text = _text_of(bytes(value))
        return ("bytes", dump(value)) if text is None else ("text in bytes", _cut(text))
    if type(value) is str:
        return "text", _cut(value)
    is_json = letter == b"j"
    return "JSON" if is_json else type(value).__name__, outline(value, is_json=is_json)


def _text_of(data: bytes) -> str | None:
    """Return bytes as text if that is what they look like; None if not."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    start = _lines(text[:1000])
    return text if start and visible(start, keep="\n\t") == start else None


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _cut(text: str) -> Html:
    shown = _lines(text[:MOST_CHARACTERS])
    if len(text) > MOST_CHARACTERS:
        shown += f"\n… and {len(text) - MOST_CHARACTERS:,} characters"
    return escaped_lines(shown)


def dump(data: bytes | bytearray) -> Html:
    """Return the beginning of some bytes as numbers and characters, 16 a line."""
    lines = list(_dumped(data[:MOST_DUMPED_BYTES]))
    if len(data) > MOST_DUMPED_BYTES:
        lines.append(f"… and {len(data) - MOST_DUMPED_BYTES:,} bytes")
    return escaped_lines("\n".join(lines))


def _dumped(data: bytes | bytearray) -> Iterator[str]:
    for at in range(0, len(data), 16):
        line = data[at : at + 16]
        characters = "".join(chr(each) if 32 <= each < 127 else "·" for each in line)
        yield f"{at:08x}  {line[:8].hex(' '):<23}  {line[8:].hex(' '):<23}  {characters}"


class _Room(io.StringIO):
    """A text of limited length, and with lines of limited length."""

    def write(self, text: str) -> int:
        if len(text) > MOST_CHARACTERS_A_LINE:
            text = f"{text[:MOST_CHARACTERS_A_LINE]}… {len(text):,} characters"
        if self.tell() > MOST_CHARACTERS:
            raise _FullError
        return super().write(text)


class _FullError(Exception):
    """Raised when enough is written."""


def instructions(payload: bytes) -> Html:
    """Return the instructions of a pickle, which nothing here carries out."""
    text = _Room()
    try:
        pickletools.dis(payload, text)
    except _FullError:
        return escaped_lines(f"{text.getvalue()}\n… and more")
    except Exception as error:  # noqa: BLE001
        # Broad, since nothing is certain about the bytes: they need not be a pickle.
        return escaped_lines(f"{text.getvalue()}\nThis is no whole pickle: {error!s:.200}")
    return escaped_lines(text.getvalue())
