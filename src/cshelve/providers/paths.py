"""Map names to paths, and paths to names; for the providers that store a value in a file.

A name is split at `/`, and each segment is one component of the path, verbatim where possible::

    users/42        users/42
    a b%20c.txt     a b%20c.txt

A segment that cannot be a component, or that looks like one of the marks below, is *marked*: `%=`,
then its UTF-8 bytes, each as `%XX` unless it is one of `a-z 0-9 _ -`. A segment longer than 240
bytes is marked too, and split into directories `%+…` and a last component `%-…`::

    (empty)         %=                      a//b            a/%=/b
    ../x            %=%2E%2E/x              /etc            %=/etc
    (300 times a)   %+aaa…/%-aaa…

If the path of a name is a directory, the file `%@` in it holds the name's value. `%tmp` at the top
belongs to the providers: temporary files, and values on their way into a directory. The file
systems of Windows and macOS allow fewer names: they do not distinguish `A` from `a`, and Windows
refuses `:` and `con`. There (`portable`), such segments are marked as well. Every system decodes
marked segments alike, so a folder may be moved between systems.

No two names share a path, whichever system wrote it. Paths here are relative to the folder. They
are bytes, so that they do not depend on the locale.
"""

from __future__ import annotations

import os
import re
import unicodedata

from cshelve.exceptions import KeyNotStorableError

__all__ = [
    *("IN_DIRECTORY", "INSIDE", "MOVING", "SCRATCH", "TWO_STEPS", "WHERE"),
    *("encode", "is_same_everywhere", "is_verbatim", "may_hold", "name_at", "paths", "staging_of"),
]

IN_DIRECTORY = b"%@"
INSIDE = b"/" + IN_DIRECTORY
SCRATCH = b"%tmp"
# A value that is being moved lies in a directory of `%tmp` that begins with `moving-`. The file
# `where` in it contains the path that the value belongs to.
MOVING = b"moving-"
WHERE = b"/where"
# While this file is in `%tmp`, a value may be in such a directory.
TWO_STEPS = SCRATCH + b"/two-steps"

# Most file systems allow 255 bytes.
_LONGEST_COMPONENT = 240
_PIECE = _LONGEST_COMPONENT - 2

_MARKS = frozenset({"%=", "%+", "%-", "%@", "%t"})
_UNMARKED_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_NOT_ON_WINDOWS = re.compile(
    r'[\x00-\x1f<>:"|?*\\]|[. ]\Z'
    r"|\A(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z)",
    re.IGNORECASE,
)
# Names whose path is the same on every system, as for nearly all names: one match decides that.
_SAME_EVERYWHERE = re.compile(
    r"(?:(?!con|prn|aux|nul|com|lpt)[a-z0-9_-]{1,200}(?:\.[a-z0-9_-]{1,19})?(?:/(?!\Z)|\Z))+"
)


def encode(name: str, *, portable: bool) -> bytes:
    """Return the path of a name, or raise `KeyNotStorableError` if UTF-8 cannot encode it."""
    try:
        if _SAME_EVERYWHERE.fullmatch(name):
            return name.encode("ascii")
        return b"/".join(_component(segment, portable) for segment in name.split("/"))
    except UnicodeEncodeError as error:
        raise KeyNotStorableError(
            f"{name!r} contains a lone surrogate, which UTF-8 cannot encode"
        ) from error


def paths(name: str, *, portable: bool) -> tuple[bytes, ...]:
    """Return the path of a name, then the paths at which another system or 1.x may have written it.

    Raises `KeyNotStorableError` if UTF-8 cannot encode the name.
    """
    own = encode(name, portable=portable)
    if _SAME_EVERYWHERE.fullmatch(name):
        return (own,)
    found = [own]
    foreign = encode(name, portable=not portable)
    if foreign != own and _can_be_here(foreign.decode()):
        found.append(foreign)
    verbatim = name.encode()
    if verbatim not in (own, foreign) and name_at(verbatim) == name:
        found.append(verbatim)
    return tuple(found)


def name_at(path: bytes) -> str | None:
    """Return the name whose value is in the file at a path; None if no name has this path."""
    path = path.removesuffix(INSIDE)
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return None
    name = _decode(text)
    if name is not None and path in (encode(name, portable=True), encode(name, portable=False)):
        return name
    # cshelve 1.x wrote every name verbatim.
    return text if _can_be_here(text) else None


def staging_of(path: bytes) -> bytes:
    """Return the directory that holds the file of a path while it is moved in two steps."""
    from hashlib import sha256  # Rarely needed.

    return SCRATCH + b"/" + MOVING + sha256(path).hexdigest()[:32].encode()


def is_same_everywhere(name: str) -> bool:
    """Return whether every system and version writes a name at the same path, which equals it."""
    return _SAME_EVERYWHERE.fullmatch(name) is not None


def is_verbatim(segment: str, *, portable: bool) -> bool:
    """Return whether a segment of a name is written verbatim in its path."""
    if segment in ("", ".", "..") or segment[:2] in _MARKS or "\0" in segment:
        return False
    # macOS finds a file by any Unicode form of its name, so only one form may be verbatim.
    if not (segment.isascii() or unicodedata.is_normalized("NFC", segment)):
        return False
    if portable and (_NOT_ON_WINDOWS.search(segment) or segment.casefold() != segment):
        return False
    return len(segment) * 4 <= _LONGEST_COMPONENT or len(segment.encode()) <= _LONGEST_COMPONENT


def may_hold(directory: bytes, prefix: str) -> bool:
    """Return whether names that begin with `prefix` may have files in or below a directory."""
    try:
        text = directory.decode()
    except UnicodeDecodeError:
        return False
    # A part of a long segment decodes to None, and may be the beginning of any name.
    return any(
        reading is None or f"{reading}/".startswith(prefix) or prefix.startswith(f"{reading}/")
        for reading in (text, _decode(text))
    )


def _component(segment: str, portable: bool) -> bytes:
    if is_verbatim(segment, portable=portable):
        return segment.encode()
    marked = "".join(
        chr(byte) if byte in _UNMARKED_BYTES else f"%{byte:02X}" for byte in segment.encode()
    ).encode("ascii")
    if len(marked) <= _PIECE:
        return b"%=" + marked
    pieces = [marked[start : start + _PIECE] for start in range(0, len(marked), _PIECE)]
    return b"/".join([*(b"%+" + piece for piece in pieces[:-1]), b"%-" + pieces[-1]])


def _decode(path: str) -> str | None:
    """Return the name of a path that `encode` returned.

    For any other path, return a text or None, neither of which means anything.
    """
    segments = []
    pieces = ""
    for component in path.split("/"):
        mark, rest = component[:2], component[2:]
        if mark == "%+":
            pieces += rest
            continue
        segment = _unmark(pieces + rest) if mark in ("%-", "%=") else component
        if segment is None:
            return None
        segments.append(segment)
        pieces = ""
    return None if pieces else "/".join(segments)


def _unmark(marked: str) -> str | None:
    raw = re.sub(
        rb"%([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), marked.encode()
    )
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _can_be_here(path: str) -> bool:
    """Return whether a path is below the folder, not in `%tmp`, and not a device of Windows."""
    components = path.split("/")
    if components[0] == SCRATCH.decode() or "\0" in path:
        return False
    return not any(
        component in ("", ".", "..") or (os.name == "nt" and _NOT_ON_WINDOWS.search(component))
        for component in components
    )
