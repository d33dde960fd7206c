"""`filesystem`: one file a key in a folder, readable by anything that reads files.

- Where a name's file lies: `paths.py`. Where `a` and `a/b` are both there, `a` is a directory and
  its value lies in `a/%@`; it stays there until it is deleted.
- A value is written to a temporary file in `%tmp` and renamed onto its place, so nobody ever sees
  half of one. Nothing is flushed to the disk first: a process that is killed loses nothing, a
  power cut may take the writes of the last seconds. (`fsync` would make each write some five times
  as slow, and still not say when the directory is written.)
- Writers of one name wait for each other, in this process and in others, on one of 256 locks in
  `%tmp/locks`. Readers wait for nobody.
- A symbolic link is whoever put it there speaking: a link to a file is read like a file and
  replaced or deleted as a link; names below a link to a directory are read and written where it
  leads, but not listed, and so never purged. A name by itself cannot leave the folder.
- Not proven on Windows. On a file system that ignores case, files of cshelve 1.x with capitals in
  their names answer to small ones as well, as they always did.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Self, TypeVar

from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    ConfigurationError,
    ConflictError,
    CreateRefusedError,
    DBDoesNotExistsError,
    KeyNotFoundError,
    KeyNotStorableError,
    StorageError,
)
from cshelve.providers.base import Capabilities, Entry, Item, Outcome, Provider
from cshelve.providers.bulk import delete_each
from cshelve.providers.filesystem.folder import (
    ABSENT,
    ATTEMPTS,
    INSIDE,
    NAME_REFUSED,
    Folder,
    at,
    dated_after,
    move_onto,
    read_file,
    status_of,
    version_of,
)
from cshelve.providers.filesystem.key_encoding import KeyEncoding, encoding_from
from cshelve.providers.filesystem.paths import (
    SCRATCH,
    encode,
    is_verbatim,
    may_hold,
    name_at,
    paths,
)

if TYPE_CHECKING:
    from cshelve._config.sections import Sections

__all__ = ["Filesystem"]

T = TypeVar("T")

_ADVICE = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room in the quota of this user",
    errno.EROFS: "it is mounted read-only",
    errno.EACCES: "let this user read and write it",
    errno.EPERM: "let this user read and write it",
    errno.EFBIG: "the value is larger than a file may be here",
}


class Filesystem(Provider):
    """A shelf in a folder. Every write is atomic, between processes too; conditions are exact.

    A write costs a new file and a rename, a read one open; a listing reads directories only.

        with cshelve.open_provider(Filesystem("notes")) as db:
            db["greeting"] = "hello"
    """

    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=True)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        concurrency: int = 1,
        encoding: str = "utf-8",
        _named: bool = True,
        _portable: bool = sys.platform in ("win32", "darwin"),
    ) -> None:
        """Touch nothing yet; the folder is created when a shelf is opened with flag `c` or `n`.

        `encoding` is how keys become file names. Measured, more `concurrency` makes small reads and
        writes slower, as they do not wait for the disk.
        """
        super().__init__(concurrency=concurrency)
        self._location = os.path.abspath(os.path.expanduser(folder))
        self._folder = Folder(self._location)
        self._named = _named
        self._keys = KeyEncoding(encoding)
        self._portable = _portable

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        """Take `folder_path` and `encoding` from `[default]` or `[provider_params]`."""
        sections = [config.section("default"), config.section("provider_params"), config.call()]
        folders = [section.text("folder_path") for section in sections]
        encodings = [encoding_from(section) for section in sections]
        folder = next(filter(None, folders), None)
        return cls(
            folder or ".",
            _named=folder is not None,
            encoding=next(filter(None, encodings), "utf-8"),
        )

    @property
    def location(self) -> str:
        return self._location

    def exists(self) -> bool:
        try:
            return stat.S_ISDIR(os.stat(self._folder.base).st_mode)
        except ABSENT:
            return False
        except OSError as error:
            raise self._failure(error, "the folder", "looked at") from error

    def create(self) -> None:
        try:
            os.makedirs(self._folder.base, exist_ok=True)
        except OSError as error:
            refused = isinstance(error, PermissionError)
            raise (CreateRefusedError if refused else CanNotCreateDBError)(
                f"The folder {self._location} could not be created: {error.strerror}"
            ) from error
        self._folder.sweep()

    def close(self) -> None:
        """Do nothing: no file stays open between two calls."""

    def get(self, name: str) -> Item:
        item = self._read(name, read_file)
        if item is None:
            self.stats.count("get")
            raise KeyNotFoundError(name)
        self.stats.count("get", received=len(item.data))
        return item

    def contains(self, name: str) -> bool:
        self.stats.count("contains")
        return self._read(name, status_of) is not None

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self.stats.count("put", sent=len(data))
        places = self._places(name)
        try:
            temporary, status = self._folder.write_temporary(data)
            try:
                return self._bring_in(name, places, temporary, status, if_absent, if_version)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                self._folder.remove_empty_above(places[0])
                raise
        except StorageError:
            raise
        except OSError as error:
            raise self._failure(error, name, "written") from error

    def _bring_in(
        self,
        name: str,
        places: Sequence[bytes],
        temporary: bytes,
        status: os.stat_result,
        if_absent: bool,
        if_version: str | None,
    ) -> str:
        """Move a written file to where a name is kept, if the condition holds."""
        for _ in range(ATTEMPTS):
            with self._folder.locked(self._keys.filed(name)):
                found = self._search(places, status_of)
                self._refuse(name, found, if_absent, if_version)
                status = dated_after(found, temporary, status)
                if move_onto(temporary, places[0]):
                    self._unlink(places[1:])
                    return version_of(status)
            # Not while the name is locked: it may take the lock of another one.
            self._folder.make_directories_above(places[0])
        raise StorageError(f"{name!r}: something in {self._location} is in its way")

    def delete(self, name: str, *, if_version: str | None = None) -> bool:
        self.stats.count("delete")
        try:
            places = self._places(name)
            with self._folder.locked(self._keys.filed(name)):
                found = self._search(places, status_of)
                if found is None:
                    return False
                self._refuse(name, found, False, if_version)
                # The one that is read goes last, else an older value would show for a moment.
                self._unlink(places[1:])
                self._folder.unlink(places[0])
                return True
        except KeyNotStorableError:
            return False
        except StorageError:
            raise
        except OSError as error:
            raise self._failure(error, name, "deleted") from error

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        self.stats.count("entries")
        return islice(self._entries(prefix), limit)

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        self.stats.count("entries")
        return islice((name for name, _ in self._walk(prefix)), limit)

    def purge(self) -> Generator[Outcome]:
        """Delete every name, and the directories that this leaves empty; links are not followed.

        Raises `ConfigurationError` where the folder is only the current one by default.
        """
        if not self._named:
            raise ConfigurationError(
                f"This would delete all files in the current folder, {self._location}: write"
                " `folder_path = .` in [default] if that is meant, else the path of another folder"
            )
        yield from delete_each(self, self.names())
        self._folder.sweep()

    def _read(self, name: str, look: Callable[[bytes], T]) -> T | None:
        """Look for a name without keeping anybody waiting; tell an absent folder from a name."""
        try:
            found = at(self._own_path(name), look)
            if found is not None:
                return found
            places = self._places(name)
            if len(places) > 1:
                found = self._search(places, look)
            if found is None and os.path.exists(self._folder.two_step_mark):
                # It may just be on its way into a directory. Where the lock cannot be had, as in a
                # folder that is read-only to us, the first answer has to do.
                with suppress(OSError), self._folder.locked(self._keys.filed(name)):
                    found = self._search(places, look)
        except KeyNotStorableError:
            return None
        except StorageError:
            raise
        except OSError as error:
            raise self._failure(error, name, "read") from error
        if found is None and not self.exists():
            raise self._no_folder()
        return found

    def _search(self, places: Sequence[bytes], look: Callable[[bytes], T]) -> T | None:
        """Look for a file in the places of a name, its own first."""
        for path in places:
            found = at(path, look)
            if found is not None and (path == places[0] or self._is_spelled_so(path)):
                return found
        # A writer may have moved it to its own place meanwhile.
        return at(places[0], look) if len(places) > 1 else None

    def _is_spelled_so(self, path: bytes) -> bool:
        """Tell a file from one of which the name differs in case, where the system does not."""
        if not self._portable:
            return True
        directory = self._folder.base
        for component in path[len(directory) :].split(b"/"):
            with suppress(*ABSENT):
                if component not in os.listdir(directory):
                    return False
            directory = os.path.join(directory, component)
        return True

    def _unlink(self, places: Sequence[bytes]) -> None:
        """Remove what another system or version left of a name."""
        for path in places:
            if at(path, status_of) and self._is_spelled_so(path):
                self._folder.unlink(path)

    def _entries(self, prefix: str) -> Iterator[Entry]:
        for name, path in self._walk(prefix):
            status = at(path, status_of)
            if status is not None:
                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                yield Entry(name, status.st_size, modified)

    def _walk(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Give the names that begin with `prefix`, each with the path of its file."""
        if not self.exists():
            raise self._no_folder()
        # Names seen at a place that is not their own; a writer may just be moving them there.
        elsewhere: set[str] = set()
        filed_prefix = self._keys.filed(prefix)
        directories: list[tuple[bytes, str | None]] = [(b"", "")]
        while directories:
            directory, text = directories.pop()
            for entry in self._scan(directory):
                path = directory + entry.name
                verbatim = self._verbatim(text, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if path != SCRATCH and may_hold(path, filed_prefix):
                        directories.append((path + b"/", verbatim and verbatim + "/"))
                elif _is_file(entry):
                    filed = verbatim or name_at(path)
                    name = None if filed is None else self._keys.unfiled(filed)
                    if (
                        filed is None
                        or name is None
                        or not name.startswith(prefix)
                        or name in elsewhere
                    ):
                        continue
                    if verbatim is None and not self._is_own_place(filed, path):
                        if at(self._own_path(name), status_of) is not None:
                            continue
                        elsewhere.add(name)
                    yield name, entry.path

    def _verbatim(self, directory: str | None, component: bytes) -> str | None:
        """Give the name of a file that is its path as it stands, as nearly all are."""
        if directory is None:
            return None
        try:
            segment = component.decode()
        except UnicodeDecodeError:
            return None
        return directory + segment if is_verbatim(segment, portable=self._portable) else None

    def _is_own_place(self, filed: str, path: bytes) -> bool:
        return path.removesuffix(INSIDE) == encode(filed, portable=self._portable)

    def _scan(self, directory: bytes) -> list[os.DirEntry[bytes]]:
        """Read a directory at one go, so that files may come and go while the caller works."""
        try:
            with os.scandir(self._folder.base + directory) as found:
                # Some systems show a file twice that is replaced meanwhile.
                return list({entry.name: entry for entry in found}.values())
        except ABSENT:
            return []
        except OSError as error:
            raise self._failure(error, os.fsdecode(directory), "listed") from error

    def _own_path(self, name: str) -> bytes:
        return self._folder.base + encode(self._keys.filed(name), portable=self._portable)

    def _places(self, name: str) -> list[bytes]:
        """Give the paths at which a name may be: the one where it belongs, then any others."""
        filed = self._keys.filed(name)
        return [self._folder.base + path for path in paths(filed, portable=self._portable)]

    def _refuse(
        self, name: str, found: os.stat_result | None, if_absent: bool, if_version: str | None
    ) -> None:
        if if_absent and found is not None:
            raise ConflictError(f"{name!r} is already in {self._location}")
        if if_version is not None and (found is None or version_of(found) != if_version):
            raise ConflictError(f"{name!r} in {self._location} was changed since it was read")

    def _failure(self, error: OSError, name: str, done: str) -> Exception:
        """Say what the system's error means for a shelf, and what can be done about it."""
        if isinstance(error, FileNotFoundError) and not self.exists():
            return self._no_folder()
        what = f"{name!r} in {self._location} could not be {done}: {error.strerror or error}"
        if error.errno in NAME_REFUSED:
            return KeyNotStorableError(f"{what}; only a shorter or plainer key helps")
        advice = _ADVICE.get(error.errno or 0)
        kind = AuthError if isinstance(error, PermissionError) else StorageError
        return kind(f"{what}; {advice}" if advice else what)

    def _no_folder(self) -> DBDoesNotExistsError:
        return DBDoesNotExistsError(
            f"The folder {self._location} is not there: open the shelf with flag 'c' to create it"
        )


def _is_file(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # links that lead to each other
        return False
