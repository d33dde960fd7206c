"""`sftp`: one file for each key in a folder of a server, in the layout of the filesystem provider.

- A value is written to a temporary file in `%tmp` and renamed to its path by the extension
  `posix-rename@openssh.com`, so readers never see half a value. `if_absent` links the temporary
  file to the path instead, which fails if the path exists.
- No request of SFTP compares a version and then writes, so `if_version` is refused. The version of
  a value is a hash of its data: sizes and times, in whole seconds, would not tell values apart.
- One connection for each process, opened by the first request, carries all requests, pipelined. A
  thread runs asyncssh's event loop. If the connection breaks, an operation continues once on a new
  one: first, it finds out what was done.
- asyncio and asyncssh, which are slow to import, are imported with the first request.
"""

from __future__ import annotations

import hashlib
import logging
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.permits import Permit, Permits
from cshelve._config.sections import Sections
from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    ConditionsNotSupportedError,
    ConfigurationError,
    CreateRefusedError,
    KeyNotFoundError,
    KeyNotStorableError,
    StorageError,
)
from cshelve.providers.base import (
    DEFAULT_CONCURRENCY,
    Capabilities,
    Details,
    Entry,
    Item,
    Outcome,
    Provider,
)
from cshelve.providers.paths import paths
from cshelve.providers.sftp.listing import Asking, listed, time_of
from cshelve.providers.sftp.options import OPTIONS, SftpSettings, settings_from
from cshelve.providers.streams import Source, Target

if TYPE_CHECKING:
    from cshelve.providers.sftp.remote import Act, Remote
    from cshelve.providers.sftp.session import OpenedFile

__all__ = ["Sftp"]

T = TypeVar("T")

# Enough of a record to contain its expiry time.
HEAD_BYTES = 64


class Sftp(Provider):
    """Stores each value in a file of a folder on a server that speaks SFTP, such as OpenSSH.

    A write is atomic, even for other programs, and `if_absent` never replaces a value. The server
    cannot compare versions: a write or delete with `if_version` raises
    `ConditionsNotSupportedError`. Safe in many threads, which share one connection.

        db = cshelve.open_provider(
            Sftp("files.example.com", "alice", "/srv/notes", auth_type="agent")
        )
    """

    options: ClassVar = OPTIONS
    capabilities = Capabilities(
        conditional_put=False,
        conditional_delete=False,
        delete_reports=True,
        copies=True,
        if_absent_only=True,
    )

    def __init__(
        self,
        hostname: str,
        username: str,
        remote_path: str = "",
        *,
        auth_type: str,
        port: int = 22,
        concurrency: int = DEFAULT_CONCURRENCY,
        logger: logging.Logger | None = None,
        **options: Any,
    ) -> None:
        """Set the options; each argument is the option of the same name in a configuration.

        `options` are any other options, such as `password` or `host_key_fingerprint`. A `$` in a
        value has no special meaning here. Sends nothing. Raises `ConfigurationError` for options
        that are missing or unknown, or that do not go together.
        """
        default = dict(
            hostname=hostname,
            username=username,
            remote_path=remote_path,
            auth_type=auth_type,
            port=port,
            concurrency=concurrency,
            **options,
        )
        given = {name: value for name, value in default.items() if value is not None}
        config = Sections("Sftp", {"default": given}, from_file=False, flag="c", logger=logger)
        config.declare(self.options)
        config.refuse_unknown()
        self._set_up(settings_from(config), config.logger)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        provider = cls.__new__(cls)
        provider._set_up(settings_from(config), config.logger)
        return provider

    def _set_up(self, settings: SftpSettings, logger: logging.Logger) -> None:
        super().__init__(concurrency=settings.concurrency)
        self._settings = settings
        self._permits = PerProcess(lambda: Permits(settings.concurrency))
        stats = self.stats

        def remote() -> Remote:
            from cshelve.providers.sftp.remote import Remote

            return Remote(settings, stats, logger)

        self._remotes = PerProcess(remote)
        # For a provider that nobody closes. It has no reference to the provider.
        weakref.finalize(self, _close, self._remotes)

    @property
    def location(self) -> str:
        return self._settings.location

    def exists(self) -> bool:
        return self._run("the folder could not be looked at", lambda it: it.folder.exists)

    def create(self) -> None:
        what = f"The folder {self.location} could not be created"
        try:
            self._run(what, lambda it: it.folder.create)
        except StorageError as error:
            if error.about_shelf:  # The connection could not be opened.
                raise
            kind = CreateRefusedError if isinstance(error, AuthError) else CanNotCreateDBError
            raise kind(str(error)) from error.__cause__

    def prepare(self, flag: str) -> None:
        """Check, create or empty the folder, and clean up after killed clients.

        With flag `r`, there is no clean-up.
        """
        super().prepare(flag)
        if flag != "r":
            self._run("the folder could not be cleaned up", lambda it: it.folder.sweep)

    def close(self) -> None:
        """Close the connection, and end its thread. A later request opens another one."""
        _close(self._remotes)

    def get(self, name: str) -> Item:
        data = self._find(name, lambda it, places: partial(it.folder.read, places))
        if data is None:
            raise KeyNotFoundError(name)
        return Item(data, _version_of(data))

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        """Read the beginning of the file, and its attributes.

        The version is None, since it is a hash of all of the data.
        """
        found = self._head(name, head_bytes)
        if found is None:
            raise KeyNotFoundError(name)
        return Details(name, found.size, time_of(found.attrs), None, found.head)

    def contains(self, name: str) -> bool:
        return self._find(name, lambda it, places: partial(it.folder.status_of, places)) is not None

    def expires_at(self, name: str) -> float | None:
        """Return when a value expires, by its first bytes."""
        found = self._head(name, HEAD_BYTES)
        return None if found is None else self.expiry_in(found.head)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        places = paths(name, portable=False)
        if if_version is not None:
            raise self._no_versions(name)
        if if_absent:
            self._put_new(name, places, data)
        else:
            self._run(self._what(name, "written"), lambda it: it.putting(places, data))
        return _version_of(data)

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        if if_version is not None:
            raise self._no_versions(name)
        try:
            places = paths(name, portable=False)
        except KeyNotStorableError:
            return False
        return self._run(self._what(name, "deleted"), lambda it: it.deleting(places))

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Yield the entry of each file; this reads each directory, several at the same time."""
        ask = partial(self._run, f"{self.location} could not be listed")
        asking = Asking(
            lambda paths, most: ask(lambda it: partial(it.folder.directories, paths, most)),
            lambda: ask(lambda it: it.folder.staged),
            lambda paths: ask(lambda it: partial(it.folder.statuses, paths)),
            self.concurrency,
        )
        return listed(asking, prefix, start_after, limit)

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        return (entry.name for entry in self.entries(prefix, start_after=start_after, limit=limit))

    def guard_purge(self, deleting: Generator[Outcome]) -> Generator[Outcome]:
        """Refuse to delete all files of the user's home, or of the whole server.

        That raises a `ConfigurationError`.
        """
        if self._settings.remote_path in ("", ".", "/"):
            raise ConfigurationError(
                f"This would delete all files in {self.location}: write the remote_path of a "
                "folder for this shelf alone"
            )
        yield from deleting
        self._run(f"{self.location} could not be cleaned up", lambda it: it.folder.sweep)

    def upload(self, name: str, source: Source) -> str:
        """Store the contents of a file, piece by piece; only a few of them are in memory.

        If the connection breaks meanwhile, this raises `StorageError`, and nothing is stored.
        """
        places = paths(name, portable=False)
        what = self._what(name, "written")
        hashed = hashlib.sha256()
        file = self._run(what, lambda it: it.begin)
        try:
            for piece in source.pieces():
                hashed.update(piece)
                self._wait(what, partial(file.write, piece))
                source.moved(len(piece))
            self._wait(what, file.finish)
        except BaseException:
            with suppress(StorageError):
                self._wait(what, file.abandoned)
            raise
        self._run(what, lambda it: it.moving_in(file, places))
        return hashed.hexdigest()

    def download(self, name: str, target: Target) -> None:
        """Write a value to a file, piece by piece, even if a writer replaces it meanwhile."""
        what = self._what(name, "read")
        file = self._find(name, lambda it, places: partial(it.folder.open, places))
        if file is None:
            raise KeyNotFoundError(name)
        try:
            target.begun(file.size)
            target.write(file.head)
            while pieces := self._wait(what, file.more):
                for piece in pieces:
                    target.write(piece)
        finally:
            self._wait(what, file.ended)

    def shares_store(self, other: Provider) -> bool:
        """Return whether another provider logs in to the same server as the same user."""
        return isinstance(other, Sftp) and other._settings.host == self._settings.host

    def copy(
        self,
        source: str,
        target: str,
        *,
        if_version: str | None = None,
        origin: Provider | None = None,
    ) -> None:
        """Let the server copy the file, or read and write it if the server cannot.

        With `if_version`, the source is read, as its version is a hash of its data.
        """
        origin = self if origin is None else origin
        what = self._what(source, "copied")
        if not isinstance(origin, Sftp) or not self._run(what, lambda it: it.can_copy):
            super().copy(source, target, if_version=if_version, origin=origin)
            return
        theirs = origin._settings.remote_path
        old, new = paths(source, portable=False), paths(target, portable=False)
        if not self._run(what, lambda it: it.copying(theirs, old, new, if_version)):
            raise KeyNotFoundError(source)

    def _head(self, name: str, size_bytes: int) -> OpenedFile | None:
        return self._find(name, lambda it, places: partial(it.folder.head, places, size_bytes))

    def _find(
        self, name: str, choose: Callable[[Remote, Sequence[bytes]], Act[T | None]]
    ) -> T | None:
        """Return what an act of the server returns for a name; None if no path can be its."""
        try:
            places = paths(name, portable=False)
        except KeyNotStorableError:
            return None
        return self._run(self._what(name, "read"), lambda it: choose(it, places))

    def _put_new(self, name: str, places: Sequence[bytes], data: bytes) -> None:
        remote = self._remotes.get()
        what = self._what(name, "created")
        with self._permit():
            remote.put_new(places, data, what)

    def _run(self, what: str, choose: Callable[[Remote], Act[T]]) -> T:
        """Run an act, and translate its errors; `what` begins a message.

        The act may run twice: see `Connection.run`.
        """
        refuse_if_stopped()
        with self._permit():
            remote = self._remotes.get()
            return remote.run(what, choose(remote))

    def _wait(self, what: str, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine method of a file that is open, in the same connection."""
        return self._remotes.get().wait(what, act)

    def _permit(self) -> Permit:
        return Permit(self._permits.get())

    def _what(self, name: str, done: str) -> str:
        return f"{name!r} in {self.location} could not be {done}"

    def _no_versions(self, name: str) -> ConditionsNotSupportedError:
        return ConditionsNotSupportedError(
            f"{name!r} in {self.location}: SFTP has no request that compares the version of a file "
            "and changes it in one step, so another writer's change could be lost"
        )


def _version_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _close(remotes: PerProcess[Remote]) -> None:
    """Close the connection of this process, if there is one."""
    remote = remotes.drop()
    if remote is not None:
        remote.close()
