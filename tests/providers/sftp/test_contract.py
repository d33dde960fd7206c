"""The provider keeps the contract, on OpenSSH's server."""

from __future__ import annotations

from pathlib import Path

import pytest

from cshelve.providers.sftp.provider import Sftp
from cshelve.testing import ProviderContract
from testbed.openssh import OpenSSH
from tests.providers.sftp import rig


class TestSftp(ProviderContract):
    many = 450  # OpenSSH lists a hundred at a time.

    @pytest.fixture(autouse=True)
    def _a_folder(self, openssh: OpenSSH, folder: Path) -> None:
        self.server, self.folder = openssh, folder

    def make_provider(self) -> Sftp:
        return rig.on_server(self.server, str(self.folder))

    def absent_provider(self) -> Sftp:
        return rig.on_server(self.server, str(self.folder.with_name("absent")))

    def raw_read(self, name: str) -> bytes | None:
        return rig.read(self.folder, name)

    def raw_write(self, name: str, data: bytes) -> None:
        rig.write(self.server, self.folder, name, data)

    def raw_names(self) -> set[str]:
        return rig.names_in(self.folder)

    def write_neighbours(self) -> None:
        for path in ("shelf2/name", "shelf.txt", "name"):
            neighbour = self.folder.parent / path
            neighbour.parent.mkdir(exist_ok=True)
            neighbour.write_bytes(b"theirs")

    def neighbours_are_whole(self) -> bool:
        return all((self.folder.parent / p).exists() for p in ("shelf2/name", "shelf.txt", "name"))
