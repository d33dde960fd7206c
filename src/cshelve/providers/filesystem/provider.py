"""`filesystem`: one file for each key in a folder, readable by any program that reads files.

- `paths.py` maps names to paths. If both `a` and `a/b` exist, `a` is a directory and its value is
  in `a/%@`; it stays there until it is deleted.
- A value is written to a temporary file in `%tmp` and renamed to its path, so readers never see
  half a value. Nothing is flushed to the disk first: if the process is killed, no write that has
  returned is lost, but a power cut may lose the writes of the last seconds. (`fsync` would make
  each write about five times slower, and would still not guarantee that the directory is written.)
- If the file system cannot exchange two paths, writing `a/b` moves the value of `a` by two renames,
  through a directory in `%tmp` that also records the path of `a`. If the process is killed between
  the two, reading and listing find the value there. Opening the shelf for writing puts it back, or
  removes it if `a` was written since, and also removes temporary files that were not written to for
  a day.
- Writers of one name wait for each other, in this process and in others, on one of 256 locks in
  `%tmp/locks`. Readers take no lock, except for missing names in folders whose file system cannot
  exchange two paths (see `_read`).
- Symbolic links are trusted. A link to a file is read like a file, and replaced or deleted as a
  link. Names below a link to a directory are read and written in its target, but not listed, and
  so never purged. Without links, no name leads out of the folder.
- This is not tested on Windows. On a file system that ignores case, files of cshelve 1.x with
  capitals in their names are also found under names in lower case, as in 1.x.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self, TypeVar

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._config.options import Option, text
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
from cshelve.providers.base import Capabilities, Details, Entry, Item, Outcome, Provider
from cshelve.providers.filesystem.folder import (
    ABSENT,
    ATTEMPTS,
    NAME_REFUSED,
    Folder,
    Quietly,
    at,
    dated_after,
    make_directory,
    move_onto,
    open_file,
    read_file,
    read_head,
    status_of,
    version_of,
)
from cshelve.providers.filesystem.key_encoding import KeyEncoding, encoding_name
from cshelve.providers.paths import (
    INSIDE,
    SCRATCH,
    encode,
    is_verbatim,
    may_hold,
    name_at,
    paths,
)
from cshelve.providers.streams import PIECE_BYTES, Source, Target

if TYPE_CHECKING:
    from cshelve._config.sections import Sections

__all__ = ["Filesystem"]

T = TypeVar("T")

# Enough of a record to contain its expiry time.
HEAD_BYTES = 64
FOLDER_PATH = Option("folder_path", text, None, "The folder; by default, the current one.")
ENCODING = Option(
    "encoding", encoding_name, "utf-8", "How to decode the UTF-8 bytes of a key to its file name."
)

_ADVICE = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room in the quota of this user",
    errno.EROFS: "it is mounted read-only",
    errno.EACCES: "let this user read and write it",
    errno.EPERM: "let this user read and write it",
    errno.EFBIG: "the value is larger than a file may be here",
}


class Filesystem(Provider):
    """Stores each value in a file of a folder.

    A write is atomic, even for other processes, and a conditional write never overwrites a change
    that it has not seen. A write creates a file and renames it, a read opens one file, and a
    listing of names reads only directories. Many threads and processes may use the same folder.

        db = cshelve.open_provider(Filesystem("notes"))

    `named` is false for a folder that is used only by default: it cannot be purged. `encoding` is
    the option of the same name in cshelve 1.x.
    """

    options: ClassVar[tuple[Option[Any], ...]] = (
        FOLDER_PATH,
        ENCODING,
        *(each._replace(section="provider_params") for each in (FOLDER_PATH, ENCODING)),
    )
    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=True)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        concurrency: int = 1,
        named: bool = True,
        encoding: str = "utf-8",
        _portable: bool = sys.platform in ("win32", "darwin"),
    ) -> None:
        # By default one: threads made small reads and writes slower when measured, since the disk
        # does not take most of the time.
        super().__init__(concurrency=concurrency)
        self._location = os.path.abspath(os.path.expanduser(text(folder)))
        self._folder = Folder(self._location)
        self._named = named
        self._keys = KeyEncoding(encoding)
        self._portable = _portable

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        """Return a provider with the options `folder_path` and `encoding`.

        They are read from `[default]`, `[provider_params]` or the parameters of the call, in this
        order. Without a `folder_path`, the current folder is used.
        """
        default, params = config.section("default"), config.section("provider_params")
        sections = (default, params, config.call)
        folders = [section.take(FOLDER_PATH) for section in sections]
        encodings = [section.take(ENCODING._replace(default="")) for section in sections]
        folder = next(filter(None, folders), None)
        encoding = next(filter(None, encodings), ENCODING.default)
        return cls(folder or ".", named=folder is not None, encoding=encoding)

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
            make_directory(self._folder.base)
        except OSError as error:
            if is_from_signal_handler(error):
                raise
            refused = isinstance(error, PermissionError)
            raise (CreateRefusedError if refused else CanNotCreateDBError)(
                f"The folder {self._location} could not be created: {error.strerror}"
            ) from error
        self._folder.sweep()

    def prepare(self, flag: str) -> None:
        """Check, create or empty the folder, and clean up after killed processes.

        With flag `r`, there is no clean-up.
        """
        super().prepare(flag)
        if flag != "r":
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

    def get_if_changed(self, name: str, version: str) -> Item | None:
        """Return the item, or None if the status of the file has this version."""

        def read(path: bytes) -> Item:
            status = status_of(path)
            return Item(b"", version) if version_of(status) == version else read_file(path)

        item = self._read(name, read)
        self.stats.count("get", received=0 if item is None else len(item.data))
        if item is None:
            raise KeyNotFoundError(name)
        return None if item.version == version else item

    def who_asks(self) -> str:
        return f"folder\n{self._location}\n{self._keys.name}"

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        """Read the beginning of the file, and its status."""
        found = self._read(name, lambda path: read_head(path, head_bytes))
        head, status = found or (b"", None)
        self.stats.count("inspect", received=len(head))
        if status is None:
            raise KeyNotFoundError(name)
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return Details(name, status.st_size, modified, version_of(status), head)

    def contains(self, name: str) -> bool:
        self.stats.count("contains")
        return self._read(name, status_of) is not None

    def expires_at(self, name: str) -> float | None:
        self.stats.count("contains")
        found = self._read(name, lambda path: read_head(path, HEAD_BYTES))
        return None if found is None else self.expiry_in(found[0])

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self.stats.count("put", sent=len(data))
        return self._store(name, (data,), if_absent, if_version)

    def upload(self, name: str, source: Source) -> str:
        """Store the contents of a file, piece by piece."""
        sent = 0

        def pieces() -> Iterator[bytes]:
            nonlocal sent
            for piece in source.pieces():
                yield piece
                sent += len(piece)
                source.moved(len(piece))

        version = self._store(name, pieces())
        self.stats.count("put", sent=sent)
        return version

    def download(self, name: str, target: Target) -> None:
        """Write a value to a file, piece by piece, even if a writer replaces it meanwhile."""
        file = self._read(name, open_file)
        received = 0
        if file is not None:
            with file:
                received = self._copy(name, file, target)
        self.stats.count("get", received=received)
        if file is None:
            raise KeyNotFoundError(name)

    def _copy(self, name: str, file: BinaryIO, target: Target) -> int:
        size, copied = os.fstat(file.fileno()).st_size, 0
        target.begun(size)
        try:
            while piece := file.read(PIECE_BYTES):
                target.write(piece)
                copied += len(piece)
        except OSError as error:
            raise self._failure(error, name, "read") from error
        if copied != size:
            raise StorageError(
                f"{name!r} in {self._location} is {size} bytes long, and {copied} could be read: "
                "another program is writing to it"
            )
        return copied

    def _store(
        self,
        name: str,
        pieces: Iterable[bytes],
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str:
        places = self._places(name)
        try:
            temporary, status = self._folder.write_temporary(pieces)
            try:
                return self._bring_in(name, places, temporary, status, if_absent, if_version)
            except BaseException:
                with Quietly():
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
        """Move a temporary file to the path of a name if the condition holds; return the version.

        Raises `ConflictError` if it does not hold.
        """
        for _ in range(ATTEMPTS):
            with self._folder.locked(self._keys.filed(name)) as lock, lock:
                stagings = self._folder.stagings_of(places)
                found = self._search(places, status_of, stagings)
                self._refuse(name, found, if_absent, if_version)
                status = dated_after(found, temporary, status)
                if move_onto(temporary, places[0]):
                    # Only once the new value is in place, so that there is a value at any time.
                    self._folder.forget(stagings)
                    self._unlink(places[1:])
                    return version_of(status)
            # Only after the lock is released: this may need another lock, and locks must not nest.
            self._folder.make_directories_above(places[0])
        raise StorageError(
            f"{name!r} could not be written to {self._location} in {ATTEMPTS} attempts: something "
            "is in the way at its path, or another program removes its directories each time"
        )

    def delete(self, name: str, *, if_version: str | None = None) -> bool:
        self.stats.count("delete")
        try:
            places = self._places(name)
            with self._folder.locked(self._keys.filed(name)) as lock, lock:
                stagings = self._folder.stagings_of(places)
                found = self._search(places, status_of, stagings)
                if found is None:
                    return False
                self._refuse(name, found, False, if_version)
                # The path that is read first is deleted last: otherwise, an older value would
                # appear for a moment.
                self._folder.forget(stagings)
                self._unlink(places[1:])
                self._folder.unlink(places[0])
                return True
        except KeyNotStorableError:
            return False
        except StorageError:
            raise
        except OSError as error:
            raise self._failure(error, name, "deleted") from error

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        self.stats.count("entries")
        return islice(self._entries(prefix, start_after), limit)

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        self.stats.count("entries")
        return islice((name for name, _ in self._files(prefix, start_after)), limit)

    def guard_purge(self, deleting: Generator[Outcome]) -> Generator[Outcome]:
        """Refuse to delete all files of the current folder if no folder was named.

        That raises a `ConfigurationError`.
        """
        if not self._named:
            raise ConfigurationError(
                f"This would delete all files in the current folder, {self._location}: to do that, "
                "write `folder_path = .` in [default]; otherwise write the path of another folder"
            )
        yield from deleting
        self._folder.sweep()

    def _read(self, name: str, look: Callable[[bytes], T]) -> T | None:
        """Call `look` with the file of a name, and return its result; None if the name is absent.

        Readers take no lock, unless the name is not found and a writer may be moving its file in
        two steps. Raises `DBDoesNotExistsError` if the folder itself is absent.
        """
        try:
            found = at(self._own_path(name), look)
            if found is not None:
                return found
            places = self._places(name)
            if len(places) > 1:
                found = self._search(places, look)
            if found is None and (stagings := self._folder.stagings_of(places)):
                # A writer may be moving the file into a directory. If the lock cannot be acquired,
                # as in a read-only folder, look without it.
                with Quietly(), self._folder.locked(self._keys.filed(name)) as lock, lock:
                    found = self._search(places, look, stagings)
                if found is None:
                    found = self._search(places, look, stagings)
        except KeyNotStorableError:
            return None
        except StorageError:
            raise
        except OSError as error:
            raise self._failure(error, name, "read") from error
        if found is None and not self.exists():
            raise self._no_folder()
        return found

    def _search(
        self, places: Sequence[bytes], look: Callable[[bytes], T], stagings: Sequence[bytes] = ()
    ) -> T | None:
        """Call `look` with the first file of a name that is found; None if there is none.

        `places` are the paths where the file may be, its own path first, and `stagings` are the
        directories in which a killed process may have left it.
        """
        for path in places:
            found = at(path, look)
            if found is not None and (path == places[0] or self._is_spelled_so(path)):
                return found
        # A writer may have moved the file to its own path meanwhile.
        if len(places) > 1 and (found := at(places[0], look)) is not None:
            return found
        for staging in stagings:
            if (found := at(staging + INSIDE, look)) is not None:
                return found
        # Without the lock, a writer may have moved the file on meanwhile.
        return at(places[0], look) if stagings else None

    def _is_spelled_so(self, path: bytes) -> bool:
        """Return whether a path has exactly this spelling on disk.

        A file system that ignores case also finds files whose names differ in case.
        """
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
        """Remove the files that another system or version wrote for a name."""
        for path in places:
            if at(path, status_of) and self._is_spelled_so(path):
                self._folder.unlink(path)

    def _entries(self, prefix: str, start_after: str | None) -> Iterator[Entry]:
        for name, path in self._files(prefix, start_after):
            status = at(path, status_of) or at(self._own_path(name), status_of)
            if status is not None:
                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                yield Entry(name, status.st_size, modified, version_of(status))

    def _files(self, prefix: str, start_after: str | None) -> Iterator[tuple[str, bytes]]:
        """Yield what `_walk` does; after a name, in their order, for which all are found first."""
        found = self._walk(prefix)
        if start_after is not None:
            found = iter(sorted(each for each in found if each[0] > start_after))
        yield from found

    def _walk(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yield the names that begin with `prefix`, each with the path of its file."""
        if not self.exists():
            raise self._no_folder()
        # Names that were found at a path other than their own. A writer may move them to their own
        # path during the listing, but each is yielded only once.
        elsewhere: set[str] = set()
        filed_prefix = self._keys.filed(prefix)
        for relative, path in self._folder.staged():
            name = self._name_at(relative)
            if name is not None and name.startswith(prefix):
                elsewhere.add(name)
                yield name, path
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

    def _name_at(self, path: bytes) -> str | None:
        filed = name_at(path)
        return None if filed is None else self._keys.unfiled(filed)

    def _verbatim(self, directory: str | None, component: bytes) -> str | None:
        """Return the name of a file if it equals the path, as nearly always; otherwise None."""
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
        """Return all entries of a directory, as a list: it may change while the caller iterates."""
        try:
            with os.scandir(self._folder.base + directory) as found:
                # Some systems list a file twice if it is replaced meanwhile.
                return list({entry.name: entry for entry in found}.values())
        except ABSENT:
            return []
        except OSError as error:
            raise self._failure(error, os.fsdecode(directory), "listed") from error

    def _own_path(self, name: str) -> bytes:
        return self._folder.base + encode(self._keys.filed(name), portable=self._portable)

    def _places(self, name: str) -> list[bytes]:
        """Return the paths at which the file of a name may be, its own path first."""
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
        """Return the error to raise for an `OSError`, with advice if possible.

        Raises the `OSError` again if it came from a signal handler of the program.
        """
        if is_from_signal_handler(error):
            try:
                raise error
            finally:
                # Otherwise, the error and this frame in its traceback would refer to each other,
                # and keep the value that was being written until the garbage is collected.
                del error
        if isinstance(error, FileNotFoundError) and not self.exists():
            return self._no_folder()
        what = f"{name!r} in {self._location} could not be {done}: {error.strerror or error}"
        if error.errno in NAME_REFUSED:
            return KeyNotStorableError(f"{what}; use a shorter or plainer key")
        advice = _ADVICE.get(error.errno or 0)
        kind = AuthError if isinstance(error, PermissionError) else StorageError
        return kind(f"{what}; {advice}" if advice else what)

    def _no_folder(self) -> DBDoesNotExistsError:
        return DBDoesNotExistsError(
            f"The folder {self._location} does not exist: open the shelf with flag 'c' to create it"
        )


def _is_file(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_file()
    except OSError as error:  # For links that form a loop.
        if is_from_signal_handler(error):
            raise
        return False
