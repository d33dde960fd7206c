"""The options of `sftp`, and the frozen object that holds their values."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cshelve._config.options import Option, boolean, integer, seconds, text, word
from cshelve._config.sections import Section, Sections
from cshelve.exceptions import AuthArgumentError, AuthTypeError, ConfigurationError
from cshelve.providers.base import DEFAULT_CONCURRENCY, MOST_CONCURRENCY

__all__ = ["OPTIONS", "SftpSettings", "settings_from"]

T = TypeVar("T")

HOSTNAME = Option("hostname", text, "", "The server's name or address.", required=True)
PORT = Option("port", integer, 22, "The server's port.", least=1, most=65535)
USERNAME = Option("username", text, "", "The user to log in as.", required=True)
REMOTE_PATH = Option(
    "remote_path", text, "", "The folder; a relative path begins at the user's home."
)
# The options that each way to authenticate requires, and those that it allows.
AUTH_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "password": (("password",), ()),
    "key_filename": (("key_filename",), ("passphrase",)),
    "agent": ((), ()),
}
AUTH_TYPE = Option(
    "auth_type", word, "", "How to authenticate.", required=True, choices=tuple(AUTH_TYPES)
)
CREDENTIALS = (
    Option("password", text, None, "The user's password; with `password`.", secret=True),
    Option("key_filename", text, None, "The file of a private key; with `key_filename`."),
    Option("passphrase", text, None, "The passphrase of the private key.", secret=True),
)
KNOWN_HOSTS = Option(
    "known_hosts",
    text,
    None,
    "A file of trusted host keys, instead of `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.",
)
FINGERPRINT = Option(
    "host_key_fingerprint",
    text,
    None,
    "The fingerprint of the only host key to trust, such as `SHA256:…`.",
)
ACCEPT_UNKNOWN = Option(
    "accept_unknown_host_keys",
    boolean,
    False,
    "Whether to connect, with a warning, to a server whose host key is unknown.",
)
TIMEOUT = Option(
    "timeout", seconds, 30.0, "Seconds to wait for the connection, and for the next response."
)
BANNER_TIMEOUT = Option(
    "banner_timeout", seconds, 15.0, "Seconds to wait for the SSH banner of the server."
)
AUTH_TIMEOUT = Option("auth_timeout", seconds, 30.0, "Seconds to wait for the authentication.")
CHANNEL_TIMEOUT = Option(
    "channel_timeout", seconds, 30.0, "Seconds to wait until the server has started SFTP."
)
CONCURRENCY = Option(
    "concurrency",
    integer,
    DEFAULT_CONCURRENCY,
    "The most operations in flight at once.",
    least=1,
    most=MOST_CONCURRENCY,
)
_OF_1X: tuple[Option[Any], ...] = (
    *(HOSTNAME, PORT, USERNAME, REMOTE_PATH, AUTH_TYPE, *CREDENTIALS),
    *(ACCEPT_UNKNOWN, TIMEOUT, BANNER_TIMEOUT, AUTH_TIMEOUT, CHANNEL_TIMEOUT),
)
OPTIONS: tuple[Option[Any], ...] = (
    *_OF_1X,
    *(KNOWN_HOSTS, FINGERPRINT, CONCURRENCY),
    # cshelve 1.x also reads its options from there.
    *(each._replace(section="provider_params", required=False) for each in _OF_1X),
)


@dataclass(frozen=True, eq=False)
class SftpSettings:
    """All settings of a shelf on an SFTP server."""

    hostname: str
    port: int
    username: str
    remote_path: str
    """The folder, without a slash at its end, except the root's; empty for the user's home."""
    auth_type: str
    password: str | None = field(repr=False)
    key_filename: str | None
    passphrase: str | None = field(repr=False)
    known_hosts: str | None
    fingerprint: str | None
    accepts_unknown: bool
    timeout: float
    banner_timeout: float
    auth_timeout: float
    channel_timeout: float
    concurrency: int

    @property
    def host(self) -> str:
        """The user and the server, as in a URL."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        port = "" if self.port == PORT.default else f":{self.port}"
        return f"{self.username}@{host}{port}"

    @property
    def location(self) -> str:
        """The URL of the folder."""
        path = self.remote_path if self.remote_path.startswith("/") else f"/~/{self.remote_path}"
        return f"sftp://{self.host}{path}"


def settings_from(config: Sections) -> SftpSettings:
    """Read and check every option of the provider; raise `ConfigurationError` for a wrong one."""
    read = _Reader(config)
    auth_type = read.take(AUTH_TYPE, error=AuthTypeError)
    needed, allowed = AUTH_TYPES[auth_type]
    credentials: dict[str, str | None] = {}
    for option in CREDENTIALS:
        is_needed = option.name in needed
        value = read.take(option, required=is_needed, error=AuthArgumentError)
        if value is not None and not is_needed and option.name not in allowed:
            problem = f"does not go with auth_type = {auth_type}."
            raise AuthArgumentError(read.where(option) + problem)
        credentials[option.name] = value
    known_hosts, fingerprint = read.take(KNOWN_HOSTS), read.take(FINGERPRINT)
    accepts_unknown = read.take(ACCEPT_UNKNOWN)
    if fingerprint is not None:
        if not fingerprint.startswith("SHA256:") or len(fingerprint) != len("SHA256:") + 43:
            problem = "is SHA256: and 43 characters, as `ssh-keygen -l` and `ssh` print it."
            raise config.error(FINGERPRINT, problem)
        if known_hosts is not None or accepts_unknown:
            problem = "makes known_hosts and accept_unknown_host_keys meaningless; remove them."
            raise config.error(FINGERPRINT, problem)
    return SftpSettings(
        hostname=_hostname(read),
        port=read.take(PORT),
        username=read.take(USERNAME),
        remote_path=_remote_path(read),
        auth_type=auth_type,
        password=credentials["password"],
        key_filename=_expanded(credentials["key_filename"]),
        passphrase=credentials["passphrase"],
        known_hosts=_expanded(known_hosts),
        fingerprint=fingerprint,
        accepts_unknown=accepts_unknown,
        timeout=read.take(TIMEOUT),
        banner_timeout=read.take(BANNER_TIMEOUT),
        auth_timeout=read.take(AUTH_TIMEOUT),
        channel_timeout=read.take(CHANNEL_TIMEOUT),
        concurrency=read.take(CONCURRENCY),
    )


class _Reader:
    """Reads options from `[default]`, `[provider_params]` or the call, in this order."""

    def __init__(self, config: Sections) -> None:
        default = config.section("default")
        self._first = default
        self._others: tuple[Section, ...] = (config.section("provider_params"), config.call)

    def where(self, option: Option[Any]) -> str:
        return self._holder_of(option).where(option)

    def take(
        self,
        option: Option[T],
        *,
        required: bool = False,
        error: type[ConfigurationError] = ConfigurationError,
    ) -> T:
        return self._holder_of(option).take(option, required=required, error=error)

    def _holder_of(self, option: Option[Any]) -> Section:
        """Return the first section that has the option; `[default]` if none has it."""
        if option.name not in self._first.options() and option in _OF_1X:
            for section in self._others:
                if option.name in section.options():
                    return section
        return self._first


def _hostname(read: _Reader) -> str:
    name = read.take(HOSTNAME).removeprefix("[").removesuffix("]")
    if "/" in name or "@" in name or name != name.strip() or "\0" in name:
        problem = "is only the name or address of the server, such as files.example.com."
        raise ConfigurationError(read.where(HOSTNAME) + problem)
    return name


def _remote_path(read: _Reader) -> str:
    path = read.take(REMOTE_PATH)
    problem = ""
    if "\0" in path:
        problem = "contains a null character."
    elif path == "~" or path.startswith("~/"):
        problem = "begins with ~; leave that out: a relative path begins at the user's home."
    else:
        try:
            path.encode()
        except UnicodeEncodeError:
            problem = "has half of a character in it, which UTF-8 cannot encode."
    if problem:
        raise ConfigurationError(read.where(REMOTE_PATH) + problem)
    return path.rstrip("/") or path[:1]


def _expanded(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(os.path.expanduser(path))
