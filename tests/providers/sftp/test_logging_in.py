"""Logging in, trusting the server, and waiting for it."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cshelve
from cshelve.providers.sftp.provider import Sftp
from testbed.openssh import PASSPHRASE, OpenSSH
from tests.providers.sftp.rig import on_odd_server

if TYPE_CHECKING:
    from testbed.odd_sftp import OddSftp

Opened = Callable[..., Sftp]


def refusal(provider: Sftp, kind: type[cshelve.Error] = cshelve.StorageError) -> str:
    """Return the message of the error of a request; it concerns the whole shelf."""
    with closing(provider), pytest.raises(kind) as caught:
        provider.get("k")
    assert caught.value.about_shelf
    assert not isinstance(caught.value, KeyError)
    return str(caught.value)


class TestAKey:
    def test_logs_in(self, store: Sftp) -> None:
        assert store.exists()

    def test_may_have_a_passphrase(self, openssh: OpenSSH, opened: Opened) -> None:
        store = opened(key_filename=str(openssh.locked_key), passphrase=PASSPHRASE)
        assert store.exists()

    def test_with_another_passphrase_is_refused(self, openssh: OpenSSH, opened: Opened) -> None:
        wrong = opened(key_filename=str(openssh.locked_key), passphrase="wrong")
        assert "the passphrase is wrong" in refusal(wrong, cshelve.AuthArgumentError)

    def test_says_that_it_needs_a_passphrase(self, openssh: OpenSSH, opened: Opened) -> None:
        said = refusal(opened(key_filename=str(openssh.locked_key)), cshelve.AuthArgumentError)
        assert "needs a passphrase" in said

    def test_that_is_missing_is_refused(self, tmp_path: Path, opened: Opened) -> None:
        said = refusal(opened(key_filename=str(tmp_path / "none")), cshelve.AuthArgumentError)
        assert "No such file" in said

    def test_that_is_none_is_refused(self, tmp_path: Path, opened: Opened) -> None:
        (tmp_path / "text").write_text("not a key")
        said = refusal(opened(key_filename=str(tmp_path / "text")), cshelve.AuthArgumentError)
        assert "this is not a private key" in said

    def test_that_the_server_does_not_know_is_refused(self, tmp_path: Path, opened: Opened) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")]
        subprocess.run(command, check=True)
        said = refusal(opened(key_filename=str(tmp_path / "key")), cshelve.AuthError)
        assert "does not let" in said
        assert "key_filename" in said


class TestAnAgent:
    @pytest.fixture
    def agent(self, openssh: OpenSSH, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        shown = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True)
        variables = dict(re.findall(r"(\w+)=([^;]+);", shown.stdout))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield
        os.kill(int(variables["SSH_AGENT_PID"]), signal.SIGTERM)

    def test_logs_in(self, agent: None, openssh: OpenSSH, opened: Opened) -> None:
        subprocess.run(["ssh-add", "-q", openssh.key], check=True)
        assert opened(auth_type="agent", key_filename=None).exists()

    def test_without_keys_is_refused(self, agent: None, opened: Opened) -> None:
        said = refusal(opened(auth_type="agent", key_filename=None), cshelve.AuthArgumentError)
        assert "ssh-add" in said

    def test_that_is_not_there_is_refused(
        self, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        said = refusal(opened(auth_type="agent", key_filename=None), cshelve.AuthArgumentError)
        assert "SSH_AUTH_SOCK" in said


class TestAPassword:
    def test_logs_in(self, over_odd: Sftp) -> None:
        assert over_odd.exists()

    def test_that_is_wrong_is_refused_and_not_shown(self, odd: OddSftp) -> None:
        said = refusal(on_odd_server(odd, password="a wrong one"), cshelve.AuthError)
        assert "check username and password" in said
        assert "a wrong one" not in said


class TestTheServer:
    def test_that_is_unknown_is_refused(self, tmp_path: Path, opened: Opened) -> None:
        (tmp_path / "hosts").touch()
        said = refusal(opened(known_hosts=str(tmp_path / "hosts")))
        assert "its host key is not in" in said
        assert "SHA256:" in said

    def test_is_trusted_by_its_fingerprint(self, openssh: OpenSSH, opened: Opened) -> None:
        assert opened(known_hosts=None, host_key_fingerprint=openssh.fingerprint).exists()

    def test_with_another_fingerprint_is_refused(self, opened: Opened) -> None:
        said = refusal(opened(known_hosts=None, host_key_fingerprint="SHA256:" + "x" * 43))
        assert "host_key_fingerprint is SHA256:xxx" in said

    def test_that_is_unknown_is_accepted_with_a_warning_each_time(
        self, tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "hosts").touch()
        for _ in range(2):
            store = opened(known_hosts=str(tmp_path / "hosts"), accept_unknown_host_keys=True)
            with caplog.at_level(logging.WARNING, "cshelve"):
                assert store.exists()
        warnings = [r for r in caplog.records if "host key is unknown" in r.message]
        assert len(warnings) == 2

    def test_whose_key_has_changed_is_refused_even_then(
        self, openssh: OpenSSH, tmp_path: Path, opened: Opened
    ) -> None:
        public = (openssh.directory / "key.pub").read_text().split()[1]
        hosts = tmp_path / "hosts"
        hosts.write_text(f"[127.0.0.1]:{openssh.port} ssh-ed25519 {public}\n")
        said = refusal(opened(known_hosts=str(hosts), accept_unknown_host_keys=True))
        assert "differs from the one in" in said

    def test_is_looked_up_in_the_files_of_ssh(
        self, openssh: OpenSSH, tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh/known_hosts").write_text(openssh.known_hosts.read_text())
        monkeypatch.setenv("HOME", str(tmp_path))
        assert opened(known_hosts=None).exists()

    def test_in_a_file_that_is_missing_is_an_error(self, tmp_path: Path, opened: Opened) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"known_hosts = .*No such file"):
            opened(known_hosts=str(tmp_path / "none")).exists()


class TestWaiting:
    @pytest.fixture
    def silent(self) -> Iterator[dict[str, Any]]:
        """A server that accepts connections, and never says anything."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield {"hostname": "127.0.0.1", "port": server.getsockname()[1]}

    def test_for_the_banner_ends(self, silent: dict[str, Any], opened: Opened) -> None:
        said = refusal(opened(**silent, banner_timeout=0.2))
        assert "no banner received in banner_timeout = 0.2 seconds" in said

    def test_for_the_authentication_ends(self, odd: OddSftp) -> None:
        odd.hangs_at_authentication = True
        said = refusal(on_odd_server(odd, auth_timeout=0.3))
        assert "no user authenticated in auth_timeout = 0.3 seconds" in said

    def test_for_a_server_that_is_not_there_is_an_error(self, opened: Opened) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert "could not connect" in refusal(opened(port=port))

    def test_for_a_server_of_another_kind_is_an_error(self, opened: Opened) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def speak() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.recv(1000)

            store = opened(port=server.getsockname()[1], banner_timeout=5)
            with ThreadPoolExecutor(1) as pool:
                speaking = pool.submit(speak)
                assert "could not connect" in refusal(store)
                speaking.result()

    def test_stops_an_operation_on_many_keys_at_once(self, opened: Opened) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        outcomes = list(opened(port=port).put_many((f"{n}", b"") for n in range(1000)))
        assert len(outcomes) < 100
        assert outcomes[0].ends_all()
