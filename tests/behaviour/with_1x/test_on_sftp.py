"""A folder on an SFTP server that 1.6 and we take turns at, with the configurations of 1.6."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import cshelve
from testbed.cshelve_1x import Cshelve1x
from testbed.openssh import OpenSSH
from tests.behaviour.with_1x.rig import AES, PLAIN, ZLIB, Settings, differing, opened, write

pytestmark = [pytest.mark.old, pytest.mark.sftp]


class TestOnSftp:
    @pytest.fixture
    def folder(self, openssh: OpenSSH) -> Path:
        return openssh.new_folder()

    @pytest.fixture
    def server(self, openssh: OpenSSH, folder: Path) -> str:
        return "\n".join(
            [
                "provider = sftp",
                f"hostname = {openssh.hostname}",
                f"port = {openssh.port}",
                f"username = {openssh.username}",
                "auth_type = key_filename",
                f"key_filename = {openssh.key}",
                f"remote_path = {folder}/data",
                # 1.6 knows no host keys. We do, and would refuse another one.
                "accept_unknown_host_keys = true",
            ]
        )

    handful = pytest.mark.parametrize(
        "settings",
        [PLAIN, ZLIB, pytest.param(AES, marks=pytest.mark.encryption), Settings(use_pickle=False)],
        ids=str,
    )

    @handful
    def test_1x_reads_what_we_write(
        self, settings: Settings, old: Cshelve1x, tmp_path: Path, server: str
    ) -> None:
        ini = settings.ini(tmp_path, server)
        write(ini, settings.values)
        assert old.keys(ini) == set(settings.values)
        expected = settings.values_for_1x
        assert not differing(old.read(ini, expected), expected)

    @handful
    def test_we_read_what_1x_writes(
        self, settings: Settings, old: Cshelve1x, tmp_path: Path, server: str
    ) -> None:
        ini = settings.ini(tmp_path, server)
        old.write(ini, settings.values)
        with opened(ini) as db:
            assert not differing(dict(db), settings.values)

    def test_what_one_changes_is_changed_for_the_other(
        self, old: Cshelve1x, tmp_path: Path, server: str
    ) -> None:
        ini = PLAIN.ini(tmp_path, server)
        old.write(ini, {"Ab.txt": 1, "b/c": 1, "d": 1})
        with opened(ini, "w") as db:
            db["Ab.txt"] = 2
            db["b/c"] += 1
            del db["d"]
        assert old.keys(ini) == {"Ab.txt", "b/c"}
        assert old.read(ini, ["Ab.txt", "b/c"]) == {"Ab.txt": 2, "b/c": 2}
        old.delete(ini, "b/c")
        with opened(ini) as db:
            assert dict(db) == {"Ab.txt": 2}


class TestOptions:
    """Those of 1.6's documentation, in the sections that it reads them from."""

    @pytest.fixture
    def db(
        self, openssh: OpenSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[cshelve.CloudShelf]:
        ini = tmp_path / "sftp.ini"
        ini.write_text(
            f"""
            [default]
            provider = sftp
            hostname = {openssh.hostname}
            username = {openssh.username}
            auth_type = key_filename
            key_filename = $SFTP_KEY
            accept_unknown_host_keys = true

            [provider_params]
            port = {openssh.port}
            remote_path = {openssh.new_folder()}
            timeout = 20
            banner_timeout = 20
            auth_timeout = 20
            channel_timeout = 20
            """.replace(" " * 12, "")
        )
        monkeypatch.setenv("SFTP_KEY", str(openssh.key))
        shelf = cshelve.open(ini, "c", provider_params={"port": 1})
        assert isinstance(shelf, cshelve.CloudShelf)
        with closing(shelf):
            yield shelf

    def test_work_as_before(self, db: cshelve.CloudShelf) -> None:
        db["k"] = [1]
        assert dict(db) == {"k": [1]}

    def test_of_the_call_come_last(self, openssh: OpenSSH, tmp_path: Path) -> None:
        ini = tmp_path / "sftp.ini"
        ini.write_text(f"[default]\nprovider = sftp\nhostname = {openssh.hostname}\n")
        params = {
            "port": openssh.port,
            "username": openssh.username,
            "auth_type": "key_filename",
            "key_filename": str(openssh.key),
            "remote_path": str(openssh.new_folder()),
            "accept_unknown_host_keys": True,
        }
        with cshelve.open(ini, "c", provider_params=params) as db:
            db["k"] = 1
            assert dict(db) == {"k": 1}
