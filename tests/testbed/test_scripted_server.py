"""The scripted server sends what it is told, byte for byte, and keeps what it was sent."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.scripted_server import (
    CLOSE,
    READ_BODY,
    RESET,
    SILENCE,
    Answer,
    ScriptedRequest,
    ScriptedServer,
    drip,
)

GET = b"GET /a%2fb?x=%41 HTTP/1.1\r\nHOST: h\r\nx-B:  two \r\nx-a: 1\r\n\r\n"
PUT = b"PUT /k HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def connect(server: ScriptedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 5)


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def ask(server: ScriptedServer, request: bytes = GET) -> bytes:
    """Send a request on a connection of its own, and read until the server closes."""
    with connect(server) as client:
        client.sendall(request)
        return read_all(client)


def test_requests_are_kept_as_they_came(server: ScriptedServer) -> None:
    server.answers(EMPTY, [EMPTY, CLOSE], [EMPTY, CLOSE])
    with connect(server) as client:
        client.sendall(GET)
        assert client.recv(65536) == EMPTY
        client.sendall(PUT)
        assert read_all(client) == EMPTY
    chunked = b"4;ext=1\r\nbody\r\n0\r\nTrailer: t\r\n\r\n"
    ask(server, b"PUT /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + chunked)
    first, second, third = server.requests
    assert (first.method, first.target, first.head, first.body) == ("GET", "/a%2fb?x=%41", GET, b"")
    assert first.headers == [("HOST", "h"), ("x-B", "two"), ("x-a", "1")]
    assert first.header("X-b") == "two"
    assert first.header("absent") == ""
    assert [second.body, third.body] == [b"body", chunked]
    assert [request.connection for request in server.requests] == [0, 0, 1]
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 299 Odd  Reason\r\nx-LOWER: a\r\nX-Dup: 1\r\nx-dup: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: t\r\n\r\n",
        EMPTY + b"stray",
        b"not HTTP",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
    ],
)
def test_answers_are_sent_as_they_are(server: ScriptedServer, answer: bytes) -> None:
    server.answers([answer, CLOSE])
    assert ask(server) == answer


def test_a_dripping_answer_comes_in_single_bytes(server: ScriptedServer) -> None:
    server.answers([*drip(EMPTY, 0.01), CLOSE])
    with connect(server) as client:
        client.sendall(GET)
        pieces = list(iter(lambda: client.recv(65536), b""))
    assert b"".join(pieces) == EMPTY
    # Two may come together where this process is not scheduled for a moment.
    assert len(pieces) > len(EMPTY) / 2


def test_a_reset_comes_after_what_was_read(server: ScriptedServer) -> None:
    server.answers([b"HTTP/1.1 200 OK\r\n", 0.1, RESET])
    with connect(server) as client:
        client.sendall(GET)
        assert client.recv(65536) == b"HTTP/1.1 200 OK\r\n"
        with pytest.raises(ConnectionResetError):
            client.recv(65536)


def test_an_idle_connection_is_closed_after_its_answer(server: ScriptedServer) -> None:
    server.answers([EMPTY, 0.1, CLOSE], [EMPTY, CLOSE])
    with connect(server) as client:
        client.sendall(GET)
        before = time.monotonic()
        assert client.recv(65536) == EMPTY
        assert client.recv(65536) == b""
        assert time.monotonic() - before > 0.05
    assert ask(server) == EMPTY


def test_it_answers_before_it_has_read_the_body() -> None:
    head = b"PUT /k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    proceed = b"HTTP/1.1 100 Continue\r\n\r\n"
    script: list[Answer] = [[proceed, READ_BODY, EMPTY], EMPTY, [EMPTY, CLOSE]]
    with ScriptedServer(script, reads_bodies=False) as server, connect(server) as client:
        client.sendall(head)
        assert client.recv(65536) == proceed
        client.sendall(b"body")
        assert client.recv(65536) == EMPTY
        client.sendall(head)
        assert client.recv(65536) == EMPTY
        assert server.requests[1].body == b""
        # What was left unread is no part of the next request.
        client.sendall(b"late" + GET)
        assert read_all(client) == EMPTY
    assert [request.body for request in server.requests] == [b"body", b"late", b""]
    assert server.requests[2].head == GET


def test_the_end_lets_go_of_what_is_never_answered() -> None:
    with ScriptedServer([[b"HTTP/1.1", SILENCE]]) as server:
        clients = [connect(server), connect(server)]
        clients[0].sendall(GET)
        assert clients[0].recv(65536) == b"HTTP/1.1"
        # The script has no answer for this one.
        clients[1].sendall(GET)
        clients[1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            clients[1].recv(65536)
    for client in clients:
        client.settimeout(5)
        assert client.recv(65536) == b""
        client.close()


def test_a_script_can_be_a_function() -> None:
    def script(number: int, request: ScriptedRequest) -> Answer:
        return [b"%d %s" % (number, request.target.encode()), CLOSE]

    with ScriptedServer(script) as server:
        assert [ask(server), ask(server, PUT)] == [b"0 /a%2fb?x=%41", b"1 /k"]


def test_it_speaks_tls(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from testbed.tls_front import write_certificate

    certificate = tmp_path / "certificate.pem"
    write_certificate(certificate)
    with ScriptedServer([EMPTY, [EMPTY, RESET]], certificate) as server:
        assert server.endpoint_url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        with context.wrap_socket(
            connect(server), server_hostname="127.0.0.1", suppress_ragged_eofs=False
        ) as client:
            client.sendall(GET)
            assert client.recv(65536) == EMPTY
            client.sendall(PUT)
            # Python's ssl takes a reset for an end without close_notify.
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                read_all(client)
        # Who does not know the certificate breaks off, and the server goes on.
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(connect(server), server_hostname="127.0.0.1")
    assert [request.body for request in server.requests] == [b"", b"body"]
