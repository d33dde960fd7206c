"""List the names in a folder, whose directories are read several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from cshelve.providers.base import Entry
from cshelve.providers.paths import (
    INSIDE,
    SCRATCH,
    encode,
    is_same_everywhere,
    may_hold,
    name_at,
)

if TYPE_CHECKING:
    import asyncssh

    from cshelve.providers.sftp.session import Found

__all__ = ["Asking", "listed", "time_of"]

# How many entries of a directory are read at first, if only a few names are wanted.
FEW = 100
_TYPE_BITS, _FILE, _DIRECTORY = 0o170000, 0o100000, 0o040000


class Asking(NamedTuple):
    """What a listing asks of the server. Paths are relative to the folder."""

    entries: Callable[[Sequence[bytes], int | None], list[list[Found] | None]]
    """Returns the entries of directories, at least so many of each; None if one is absent."""
    staged: Callable[[], list[tuple[bytes, bytes]]]
    """Returns the path of each value on its way into a directory, and the path of its file."""
    statuses: Callable[[Sequence[bytes]], list[asyncssh.SFTPAttrs | None]]
    """Returns the attributes of files; None where there is none."""
    width: int
    """How many directories to read at the same time."""


def listed(ask: Asking, prefix: str, start_after: str | None, limit: int | None) -> Iterator[Entry]:
    """Yield the entries of the names that begin with a prefix, as `Provider.entries` does."""
    if start_after is not None:
        found = sorted(
            (entry for entry in _walk(ask, prefix, None) if entry.name > start_after),
            key=lambda entry: entry.name,
        )
        yield from found[:limit]
        return
    if limit is None:
        yield from _walk(ask, prefix, None)
        return
    yield from _first_of(ask, prefix, limit)


def _first_of(ask: Asking, prefix: str, limit: int) -> Iterator[Entry]:
    """Yield as many entries as the limit allows.

    A directory may be very long, so only its beginning is read, unless too few names are in it.
    """
    most, was_cut = limit + FEW, False

    def entries(paths: Sequence[bytes], most: int | None) -> list[list[Found] | None]:
        nonlocal was_cut
        found = ask.entries(paths, most)
        was_cut = was_cut or any(each is not None and len(each) == most for each in found)
        return found

    seen: set[str] = set()
    for entry in islice(_walk(ask._replace(entries=entries), prefix, most), limit):
        seen.add(entry.name)
        yield entry
    if len(seen) < limit and was_cut:
        rest = (entry for entry in _walk(ask, prefix, None) if entry.name not in seen)
        yield from islice(rest, limit - len(seen))


def _walk(ask: Asking, prefix: str, most: int | None) -> Iterator[Entry]:
    """Yield the entries of the names that begin with a prefix, each once."""
    elsewhere: set[str] = set()
    yield from _staged(ask, prefix, elsewhere)
    directories, width = [_beginning(prefix)], 1
    while directories:
        some = directories[-width:]
        del directories[-width:]
        width = min(2 * width, ask.width)
        for directory, found in zip(some, ask.entries(some, most), strict=True):
            below, files = _sorted_out(directory, found or (), prefix)
            directories += below
            yield from _own(ask, files, elsewhere)


def _staged(ask: Asking, prefix: str, elsewhere: set[str]) -> Iterator[Entry]:
    """Yield the entries of values that are on their way into a directory."""
    staged = [(name_at(where), path) for where, path in ask.staged()]
    wanted = [(name, path) for name, path in staged if name and name.startswith(prefix)]
    statuses = ask.statuses([path for _, path in wanted]) if wanted else []
    for (name, _), attrs in zip(wanted, statuses, strict=True):
        if attrs is not None and name is not None and name not in elsewhere:
            elsewhere.add(name)
            yield _entry(name, attrs)


def _beginning(prefix: str) -> bytes:
    """Return the directory that contains every name with a prefix, with a slash; empty for all."""
    directory = prefix[: prefix.rfind("/") + 1]
    # Other names may have several paths.
    return directory.encode() if is_same_everywhere(directory.removesuffix("/")) else b""


class _File(NamedTuple):
    path: bytes
    name: str
    attrs: asyncssh.SFTPAttrs


def _sorted_out(
    directory: bytes, found: Sequence[Found], prefix: str
) -> tuple[list[bytes], list[_File]]:
    """Return the directories and the files among entries that may belong to a prefix."""
    directories, files = [], []
    for entry in found:
        path, kind = directory + entry.name, (entry.attrs.permissions or 0) & _TYPE_BITS
        if kind == _DIRECTORY:
            if path != SCRATCH and may_hold(path, prefix):
                directories.append(path + b"/")
        elif kind == _FILE:
            name = name_at(path)
            if name is not None and name.startswith(prefix):
                files.append(_File(path, name, entry.attrs))
    return directories, files


def _own(ask: Asking, files: Sequence[_File], elsewhere: set[str]) -> Iterator[Entry]:
    """Yield the entries of files, without those whose name has another file that is read first."""
    foreign = [file for file in files if not _is_own_place(file)]
    own = ask.statuses([encode(file.name, portable=False) for file in foreign]) if foreign else []
    shadowed = {file.path for file, attrs in zip(foreign, own, strict=True) if attrs is not None}
    apart = {file.path for file in foreign}
    for path, name, attrs in files:
        if path in shadowed or name in elsewhere:
            continue
        if path in apart:
            elsewhere.add(name)
        yield _entry(name, attrs)


def _is_own_place(file: _File) -> bool:
    return file.path.removesuffix(INSIDE) == encode(file.name, portable=False)


def _entry(name: str, attrs: asyncssh.SFTPAttrs) -> Entry:
    return Entry(name, attrs.size or 0, time_of(attrs), None)


def time_of(attrs: asyncssh.SFTPAttrs) -> datetime:
    """Return when a file was written."""
    return datetime.fromtimestamp(attrs.mtime or 0, UTC)
