"""The web server of `cshelve browse`: on loopback, for whoever has the token, and read-only."""

from __future__ import annotations

import re
import secrets
import sys
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl, quote

from cshelve.cli.browse.html import visible
from cshelve.cli.browse.pages import Answer, Site

__all__ = ["Server"]

HOST = "127.0.0.1"
# The port is not checked: it differs behind `ssh -L`.
HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE)
MOST_QUERY_FIELDS = 10
HEADERS = {
    # No script at all, and nothing from elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # The address has the token.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
REFUSED = (
    b"403: use the whole address that `cshelve browse` printed. It has a token, which is new "
    b"each time.\n"
)
TEXT = "text/plain; charset=utf-8"


class Server(ThreadingTCPServer):
    """Serves a site on loopback until it is interrupted."""

    allow_reuse_address = True
    daemon_threads = True  # A browser that waits for something does not delay Ctrl-C.

    def __init__(self, site: Site, port: int) -> None:
        """Listen on a port, 0 for any that is free; raise `OSError` if it is in use."""
        self.site = site
        self.token = secrets.token_urlsafe(32)
        self._once = [secrets.token_urlsafe(32)]
        super().__init__((HOST, port), _Handler)
        self._origin = f"http://{HOST}:{self.server_address[1]}"
        self.address = f"{self._origin}/{self.token}/"
        """The address of the first page."""
        self.address_to_open = f"{self._origin}/{self._once[0]}"
        """An address that leads to the first page once. Other users of the machine can see the
        arguments of a browser's process; when they try the address, the browser has used it."""

    def is_token(self, text: str) -> bool:
        """Return whether a text is the token; this takes as long whatever is wrong with it."""
        return secrets.compare_digest(text.encode(), self.token.encode())

    def uses_once(self, text: str) -> bool:
        """Return whether a text is the token that is valid once, and make it invalid."""
        for once in self._once:
            if secrets.compare_digest(text.encode(), once.encode()):
                try:
                    self._once.remove(once)
                except ValueError:  # Another thread was faster.
                    return False
                return True
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the error of a connection, unless it is that the browser has closed it."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers the request of a connection."""

    server: Server
    timeout = 60
    server_version = "cshelve"
    sys_version = ""
    # For what is not HTTP.
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = TEXT

    # The base class refuses all other methods, with status 501.
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        token, slash, page = path[1:].partition("/")
        # A page of a stranger can have a name of its own that leads here (DNS rebinding).
        if HOSTS.fullmatch(self.headers.get("Host", "")):
            if self.server.is_token(token) and slash:
                self._send(self._answer(page, query))
                return
            if self.server.is_token(token) or (path and self.server.uses_once(path[1:])):
                self.send_response(HTTPStatus.SEE_OTHER)
                self.send_header("Location", f"/{self.server.token}/")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self._send(Answer(HTTPStatus.FORBIDDEN, REFUSED, TEXT))

    def _answer(self, page: str, query: str) -> Answer:
        site = self.server.site
        try:
            fields = parse_qsl(
                # The base class has decoded it as Latin-1.
                query.encode("latin-1").decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MOST_QUERY_FIELDS,
            )
        except ValueError as error:
            return site.problem(HTTPStatus.BAD_REQUEST, f"The address cannot be read: {error}")
        try:
            return site.answer(page, dict(fields))
        except Exception as error:  # noqa: BLE001
            # Broad, so that a mistake of this program is a page too, and the server goes on.
            _report(error)
            text = f"{type(error).__name__}: see the terminal where `cshelve browse` runs."
            return site.problem(HTTPStatus.INTERNAL_SERVER_ERROR, text)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(answer.length or len(answer.body)))
        if answer.file_name:
            self.send_header("Content-Disposition", _to_store_as(answer.file_name))
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.stream is None:
            self.wfile.write(answer.body)
            return
        try:
            answer.stream(_Body(self.wfile, answer.length))
        except Exception as error:  # noqa: BLE001
            # Broad, as above. The browser notices that the body is shorter than announced.
            if not isinstance(error, OSError):
                _report(error)

    def end_headers(self) -> None:
        """Add the headers of every answer, whatever it is."""
        for name, text in HEADERS.items():
            self.send_header(name, text)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the addresses have the token."""


def _report(error: Exception) -> None:
    """Print the traceback of an error, which may quote a stranger, for the terminal."""
    lines = "".join(traceback.format_exception(error))
    print(visible(lines, keep="\n"), file=sys.stderr, end="")


class _Body:
    """The body of a response, which must not become longer than its header has said."""

    def __init__(self, file: Any, length: int) -> None:
        self._file = file
        self._left = length

    def write(self, data: bytes) -> int:
        """Write all of the data; raise `ValueError` for more than was announced."""
        if len(data) > self._left:
            raise ValueError("the value has become longer since the download began")
        self._left -= len(data)
        self._file.write(data)
        return len(data)


def _to_store_as(file_name: str) -> str:
    """Return the header with which a browser stores a file, whatever its name contains."""
    # RFC 6266: the first form is for browsers that do not know the second one.
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"
