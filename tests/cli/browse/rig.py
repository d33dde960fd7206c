"""Start `cshelve browse`, and ask it for pages as a browser does."""

from __future__ import annotations

import html
import http.client
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cshelve.cli.browse.html import link
from tests.cli.rig import Started, started, written
from tests.rigs import wait_until

LINK = re.compile(r'<a class="(?:folder|key)" href="([^"]*)"><bdi>(.*?)</bdi>')
TAG = re.compile(r"<[^>]*>")


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """What a reader sees of it."""
        return html.unescape(TAG.sub("", self.body.decode()))

    @property
    def names(self) -> list[str]:
        """The names in a listing."""
        return [html.unescape(name) for _, name in LINK.findall(self.body.decode())]

    def address_of(self, name: str) -> str:
        """Return where the row with a name leads."""
        found = {
            html.unescape(shown): address for address, shown in LINK.findall(self.body.decode())
        }
        return html.unescape(found[name])


@dataclass
class Browsing:
    """A program that runs, and the address that it has printed."""

    program: Started
    address: str

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def root(self) -> str:
        """The path of the first page, with the token."""
        return urlsplit(self.address).path

    def request(self, path: str, method: str = "GET", host: str | None = "127.0.0.1") -> Response:
        """Send a request with any path and host, and return its response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True)
            if host is not None:
                connection.putheader("Host", host)
            connection.endheaders()
            response = connection.getresponse()
            return Response(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()

    def get(self, page: str = "", **query: str) -> Response:
        """Return the response of a page of the shelf."""
        return self.request(self.root + link(page, **query))

    def follow(self, address: str) -> Response:
        """Return the response of a link in a page of the shelf."""
        return self.request(self.root + address.removeprefix("."))

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C, and return the exit status and what was printed besides the address."""
        self.program.send_signal(signal.SIGINT)
        done = self.program.end()
        return done.returncode, done.stderr.decode()


@contextmanager
def browsing(shelf: object, *options: str, env: dict[str, str] | None = None) -> Iterator[Browsing]:
    """Run `cshelve browse` while the block runs."""
    with started("browse", shelf, "--no-open", *options, env=env) as program:
        yield Browsing(program, address_of(program))


def address_of(program: Started) -> str:
    """Return the address that a program prints when it can be browsed."""
    wait_until(lambda: written(program.output).endswith(b"\n") or not program.process.is_alive())
    address = written(program.output).decode().strip()
    assert address, program.end()
    return address


def folder_url(path: Path) -> str:
    """Return the address of a shelf in a folder."""
    return f"file://{path}/shelf"
