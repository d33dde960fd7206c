"""OpenSSH's sshd as the SFTP server, run by an ordinary user, who logs in with a key."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from testbed.ports import free_ports
from testbed.server_process import LocalServer, ServerProcess

__all__ = ["PASSPHRASE", "OpenSSH", "find_sshd"]

PASSPHRASE = "the passphrase of the second key"
_READY_SECONDS = 20.0
# Who runs the server if root runs the tests, so that permissions mean something. (sshd does not let
# `nobody` log in.)
_ORDINARY_USER = "daemon"
_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
PidFile {directory}/pid
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
UseDNS no
MaxSessions 64
MaxStartups 200
LogLevel ERROR
"""


def find_sshd() -> Path:
    """Return the path of the server; raise FileNotFoundError if it is not installed."""
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        raise FileNotFoundError("no sshd here: `apt-get install openssh-server` installs it")
    return Path(found)


class OpenSSH(LocalServer):
    """A running sshd.

    `key` is the path of the private key that logs in, and `locked_key` of one that `PASSPHRASE`
    protects. `known_hosts` is the path of a file with the server's host key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.username = _ORDINARY_USER if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.hostname = "127.0.0.1"
        self.port = 0
        self._places = 0

    @property
    def directory(self) -> Path:
        assert self._directory is not None
        return self._directory

    @property
    def key(self) -> Path:
        return self.directory / "key"

    @property
    def locked_key(self) -> Path:
        return self.directory / "locked_key"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the host key, as `ssh-keygen -l` prints it."""
        shown = _keygen("-l", "-f", self.directory / "host_key.pub")
        return shown.split()[1]

    def new_folder(self) -> Path:
        """Create an empty folder that belongs to the user who logs in."""
        self._places += 1
        folder = self.directory / "places" / str(self._places) / "shelf"
        folder.mkdir(parents=True)
        for each in (folder.parent, folder):
            self.own(each)
        return folder

    def own(self, path: Path | bytes) -> None:
        """Let a file or folder belong to the user who logs in."""
        if os.getuid() == 0:
            user = pwd.getpwnam(self.username)
            os.chown(path, user.pw_uid, user.pw_gid)

    def drop_connections(self) -> None:
        """End every session at once, as a restart of the server or a broken network does."""
        assert self._process is not None
        for child in _children_of(self._process.pid):
            for each in (*_children_of(child), child):
                try:
                    os.kill(each, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def _launch(self, directory: Path) -> ServerProcess:
        [self.port] = free_ports(1)
        directory.chmod(0o755)
        _keygen("-q", "-t", "ed25519", "-N", "", "-f", directory / "host_key")
        _keygen("-q", "-t", "ed25519", "-N", "", "-f", directory / "key")
        _keygen("-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", directory / "locked_key")
        public = [(directory / f"{name}.pub").read_text() for name in ("key", "locked_key")]
        (directory / "authorized_keys").write_text("".join(public))
        host_key = " ".join((directory / "host_key.pub").read_text().split()[:2])
        (directory / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}\n")
        config = directory / "sshd_config"
        config.write_text(_CONFIG.format(port=self.port, directory=directory))
        for each in directory.iterdir():
            self.own(each)
        self.own(directory)
        command = [str(find_sshd()), "-D", "-e", "-f", str(config)]
        if os.getuid() == 0:
            user = pwd.getpwnam(self.username)
            ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
            command = ["setpriv", *ids, *command]
        return ServerProcess(command, directory / "log")

    def _wait_until_ready(self, process: ServerProcess) -> None:
        process.wait_until(self._sends_its_banner, _READY_SECONDS)

    def _sends_its_banner(self) -> bool:
        try:
            with socket.create_connection((self.hostname, self.port), timeout=1) as probe:
                return probe.recv(8).startswith(b"SSH-2.0-")
        except OSError:
            return False


def _keygen(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["ssh-keygen", *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return done.stdout


def _children_of(process: int) -> list[int]:
    shown = Path(f"/proc/{process}/task/{process}/children")
    return [int(each) for each in shown.read_text().split()] if shown.exists() else []
