"""Decide whether a server's host key is trusted."""

from __future__ import annotations

import logging
import os

import asyncssh
from asyncssh.known_hosts import SSHKnownHosts

from cshelve.exceptions import ConfigurationError
from cshelve.providers.sftp.options import PORT, SftpSettings

__all__ = ["HostKeys"]

SYSTEM_FILES = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


class HostKeys:
    """The host keys that a shelf trusts."""

    def __init__(self, settings: SftpSettings, logger: logging.Logger) -> None:
        self._settings = settings
        self._logger = logger
        try:
            self.known = asyncssh.import_known_hosts(_text_of(settings))
        except ValueError as error:
            raise ConfigurationError(
                f"{settings.location}: there is a wrong line in {self._files()}: {error}"
            ) from error
        """The keys in the files of known hosts; asyncssh accepts these by itself."""
        self.problem: str | None = None
        """Why the last key was refused."""

    def accepts(self, host: str, address: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Return whether to trust a key that is not in the files of known hosts."""
        fingerprint = key.get_fingerprint()
        self.problem = None
        if self._settings.fingerprint is not None:
            if fingerprint != self._settings.fingerprint:
                self.problem = (
                    f"its host key has the fingerprint {fingerprint}, and host_key_fingerprint is "
                    f"{self._settings.fingerprint}. Either the server has a new key, or this is "
                    "another server"
                )
        elif any(_keys_of(self.known, host, address, port)):
            self.problem = (
                f"its host key ({fingerprint}) differs from the one in {self._files()}. Either the "
                "server has a new key, or this is another server: ask its administrator"
            )
        elif not self._settings.accepts_unknown:
            self.problem = (
                f"its host key is not in {self._files()}. If {fingerprint} is the server's "
                "fingerprint, write that as host_key_fingerprint, or connect once with `ssh`"
            )
        else:
            self._logger.warning(
                "%s: connected to a server whose host key is unknown (%s), as "
                "accept_unknown_host_keys is set: anybody on the way could read and change all "
                "values. Write the fingerprint as host_key_fingerprint instead",
                self._settings.location,
                fingerprint,
            )
        return self.problem is None

    def _files(self) -> str:
        return self._settings.known_hosts or " or ".join(SYSTEM_FILES)


def _text_of(settings: SftpSettings) -> str:
    """Return the text of the files of known hosts; raise an error for a file that is missing."""
    if settings.fingerprint is not None:
        return ""
    if settings.known_hosts is not None:
        try:
            return _read(settings.known_hosts)
        except OSError as error:
            raise ConfigurationError(
                f"{settings.location}: the file known_hosts = {settings.known_hosts} cannot be "
                f"read: {error.strerror}"
            ) from error
    texts = []
    for path in SYSTEM_FILES:
        try:
            texts.append(_read(os.path.expanduser(path)))
        except OSError:
            continue  # As for ssh, these files need not exist.
    return "\n".join(texts)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _keys_of(known: SSHKnownHosts, host: str, address: str, port: int) -> list[object]:
    """Return the keys and authorities that the files have for a server, on any port or its own."""
    found = known.match(host, address, None if port == PORT.default else port)
    return [key for keys in found[:2] for key in keys]
