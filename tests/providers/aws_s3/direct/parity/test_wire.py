"""The direct engine sends what boto3 sends, seen by a server."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from cshelve.providers.aws_s3.clients import Call
from cshelve.providers.aws_s3.direct.engine import Engine
from cshelve.providers.aws_s3.plain import PlainSource, plain_source
from tests.providers.aws_s3.direct.parity.comparison import Boto3, unreported, without_own
from tests.providers.aws_s3.direct.parity.configurations import at, plain
from tests.providers.aws_s3.direct.parity.wanted import ODD_KEY, OF_KEYS

pytestmark = [pytest.mark.s3, pytest.mark.once]


class Listener:
    """Keeps the head of each request, which it answers by an ETag."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                head, end, body = data.partition(b"\r\n\r\n")
                self.seen.append(head + end)
                if b"100-continue" in head:
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                length = re.search(rb"(?i)content-length: *([0-9]+)", head)
                while length is not None and len(body) < int(length[1]):
                    body += connection.recv(65536)
                connection.sendall(
                    b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n'
                    b"Connection: close\r\n\r\n"
                )


def test_the_wire_shows_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What http.client and urllib3 make of botocore's requests, the other tests do not see."""
    listener = Listener()
    try:
        case = plain("", params=at(listener.url))
        settings = case.prepare(monkeypatch, tmp_path)
        source = plain_source(settings)
        assert isinstance(source, PlainSource)
        boto3 = Boto3(settings)
        engine = Engine(source, unreported, 10)
        for key in ("k", ODD_KEY, "..", "a/../b", "%zz", "é"):
            for wanted in OF_KEYS:
                given = boto3.parameters(wanted, key)
                call = Call(unreported, wanted.operation, key)
                made: Any = boto3.clients.client(call)
                with made as client:
                    client._make_api_call(wanted.operation, given)
                engine.send(engine.request(wanted.operation, key, wanted.parameters, wanted.body))
                by_boto3, ours = (on_the_wire(head) for head in listener.seen[-2:])
                assert ours == by_boto3, wanted
    finally:
        listener.close()


def on_the_wire(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Read a head, of which the names of headers may be in any case."""
    first, *fields = head.decode("ascii").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [field.split(": ", 1) if ": " in field else [field.rstrip(":"), ""] for field in fields]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs)
    assert headers["accept-encoding"] == "identity"
    return method, target, without_own(headers)
