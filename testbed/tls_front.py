"""TLS in front of a server without it, with its own certificate; bytes are passed on unchanged."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import urlsplit


def write_certificate(path: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1, which is its own CA, and its key beside it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "testbed")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.with_suffix(".key").write_bytes(private)
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class TlsFront:
    """Listens on loopback; a context manager. `show` changes the certificate of new connections."""

    def __init__(self, upstream_url: str, certificate: Path) -> None:
        upstream = urlsplit(upstream_url)
        self._upstream = (upstream.hostname or "127.0.0.1", upstream.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._open: list[socket.socket] = []
        self.show(certificate)

    @property
    def endpoint_url(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def show(self, certificate: Path) -> None:
        """Present this certificate from now on, and end the existing connections."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._context = context
        self._shut_down(self._open)

    def __enter__(self) -> Self:
        Thread(target=self._accept, name="tls-front", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shut_down([self._listener, *self._open])
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with (
            suppress(OSError),
            raw,
            self._context.wrap_socket(raw, server_side=True) as client,
            socket.create_connection(self._upstream) as server,
        ):
            self._open += [client, server]
            for each in (client, server):
                # A message in two pieces would wait for an acknowledgement of the first.
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join()

    def _shut_down(self, sockets: list[socket.socket]) -> None:
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends, then end the other."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
