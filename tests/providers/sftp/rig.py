"""Looks at a folder of OpenSSH's server round the provider."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cshelve.providers.paths import encode, name_at
from cshelve.providers.sftp.provider import Sftp
from testbed.openssh import OpenSSH

if TYPE_CHECKING:
    from testbed.odd_sftp import OddSftp


def on_server(server: OpenSSH, remote_path: str, **options: Any) -> Sftp:
    """Return a provider that logs in with the server's key."""
    return Sftp(
        **{
            "hostname": server.hostname,
            "port": server.port,
            "username": server.username,
            "remote_path": remote_path,
            "auth_type": "key_filename",
            "key_filename": str(server.key),
            "known_hosts": str(server.known_hosts),
            **options,
        }
    )


def on_odd_server(server: OddSftp, **options: Any) -> Sftp:
    """Return a provider for the folder `shelf` of asyncssh's server."""
    return Sftp(
        **{
            "hostname": server.hostname,
            "port": server.port,
            "username": server.username,
            "remote_path": "/shelf",
            "auth_type": "password",
            "password": server.password,
            "host_key_fingerprint": server.fingerprint,
            **options,
        }
    )


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def path_of(folder: Path, name: str) -> bytes:
    return os.path.join(os.fsencode(folder), encode(name, portable=False))


def read(folder: Path, name: str) -> bytes | None:
    """Return the value of a name, without the server."""
    path = path_of(folder, name)
    path = path + b"/%@" if os.path.isdir(path) else path
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def write(server: OpenSSH, folder: Path, name: str, data: bytes) -> None:
    """Write the value of a name, without the server, so that its user may change it."""
    path = path_of(folder, name)
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        os.makedirs(above)
        while above != os.fsencode(folder):
            server.own(above)
            above = os.path.dirname(above)
    with open(path, "wb") as file:
        file.write(data)
    server.own(path)


def names_in(folder: Path) -> set[str]:
    base = os.fsencode(folder)
    files = (
        os.path.relpath(os.path.join(directory, file), base)
        for directory, _, files in os.walk(base)
        for file in files
    )
    names = (name_at(path) for path in files if not path.startswith(b"%tmp/"))
    return {name for name in names if name is not None}
