"""asyncssh's own server, for what OpenSSH does not do on demand: passwords, faults, odd replies."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import asyncssh

__all__ = ["OddSftp"]

USERNAME, PASSWORD = "alice", "the password of the user"


class OddSftp:
    """A server in a thread, with a folder as its root, which does what the tests tell it to.

    `rules` maps the name of an operation of `asyncssh.SFTPServer` to what it does instead, once.
    """

    def __init__(self, root: Path, *, without: tuple[str, ...] = ()) -> None:
        self.root = root
        self.hostname, self.port = "127.0.0.1", 0
        self.username, self.password = USERNAME, PASSWORD
        self.seen: Counter[str] = Counter()
        self.rules: dict[str, Callable[[Any, Callable[[], Any]], Any]] = {}
        self.without = without
        self.hangs_at_authentication = False
        self.ignores_case = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncssh.SSHAcceptor | None = None
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._released = asyncio.Event()
        self._files: list[IO[bytes]] = []

    @property
    def fingerprint(self) -> str:
        return self._key.get_fingerprint()

    def lose_response(self, operation: str) -> None:
        """Carry out the next such operation, and break the connection instead of responding."""

        def act(server: _Server, carry_out: Callable[[], Any]) -> Any:
            carry_out()
            server.break_connection()

        self.rules[operation] = act

    def break_before(self, operation: str) -> None:
        """Break the connection instead of carrying out the next such operation."""
        self.rules[operation] = lambda server, _: server.break_connection()

    def refuse(self, operation: str, error: Exception) -> None:
        """Raise an error instead of carrying out the next such operation."""

        def act(*_: object) -> None:
            raise error

        self.rules[operation] = act

    def hang(self, operation: str) -> None:
        """Do not carry out the next such operation, nor respond to others, before `release`."""
        self.rules[operation] = lambda *_: self._released.wait()

    def hold(self, operation: str) -> None:
        """Carry out the next such operation, and all others, only after `release`."""

        async def act(_: object, carry_out: Callable[[], Any]) -> Any:
            await self._released.wait()
            return carry_out()

        self.rules[operation] = act

    def release(self) -> None:
        """Respond again."""
        self._loop.call_soon_threadsafe(self._released.set)

    def meanwhile(self, operation: str, function: Callable[[], object]) -> None:
        """Call a function before the next such operation, as if another client acted then."""

        def act(_: object, carry_out: Callable[[], Any]) -> Any:
            function()
            return carry_out()

        self.rules[operation] = act

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._in_loop(self._listen())
        self.port = self._server.get_port()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for file in self._files:
            file.close()

    def _in_loop(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.hostname,
            0,
            server_host_keys=[self._key],
            server_factory=lambda: _Login(self),
            sftp_factory=lambda channel: _Server(channel, self),
            allow_scp=False,
            gss_host=None,
            login_timeout=0,
        )

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.abort()
        await self._server.wait_closed()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Login(asyncssh.SSHServer):
    def __init__(self, odd: OddSftp) -> None:
        self._odd = odd

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._odd._connections.append(conn)

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        if self._odd.hangs_at_authentication:
            await asyncio.sleep(3600)
        return (username, password) == (USERNAME, PASSWORD)


class _Server(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], odd: OddSftp) -> None:
        super().__init__(channel, chroot=os.fsencode(odd.root))
        self._odd = odd

    def map_path(self, path: bytes) -> bytes:
        return super().map_path(path.lower() if self._odd.ignores_case else path)

    def break_connection(self) -> None:
        self.connection.abort()

    def _do(self, operation: str, *arguments: Any) -> Any:
        """Carry out an operation, or what a rule says instead."""
        carry_out = self._open if operation == "open" else getattr(super(), operation)
        self._odd.seen[operation] += 1
        if operation in self._odd.without:
            raise asyncssh.SFTPOpUnsupported(f"there is no {operation}")
        rule = self._odd.rules.pop(operation, None)
        if rule is None:
            return carry_out(*arguments)
        return rule(self, lambda: carry_out(*arguments))

    def _open(self, *arguments: Any) -> Any:
        file: Any = super().open(*arguments)
        # asyncssh does not close what is open when a connection breaks.
        self._odd._files.append(file)
        return file

    def open(self, *arguments: Any) -> Any:
        return self._do("open", *arguments)

    def read(self, *arguments: Any) -> Any:
        return self._do("read", *arguments)

    def write(self, *arguments: Any) -> Any:
        return self._do("write", *arguments)

    def fsync(self, *arguments: Any) -> Any:
        return self._do("fsync", *arguments)

    def stat(self, *arguments: Any) -> Any:
        return self._do("stat", *arguments)

    def posix_rename(self, *arguments: Any) -> Any:
        return self._do("posix_rename", *arguments)

    def rename(self, *arguments: Any) -> Any:
        return self._do("rename", *arguments)

    def link(self, *arguments: Any) -> Any:
        return self._do("link", *arguments)

    def remove(self, *arguments: Any) -> Any:
        return self._do("remove", *arguments)
