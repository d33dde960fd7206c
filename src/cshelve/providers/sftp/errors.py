"""Turn the errors of asyncssh into cshelve's, with advice."""

from __future__ import annotations

import asyncssh

from cshelve.exceptions import (
    AuthError,
    DBDoesNotExistsError,
    Error,
    KeyNotStorableError,
    StorageError,
)

__all__ = ["ABSENT", "LOST", "ConnectionLostError", "failure_of", "no_folder"]


class ConnectionLostError(Exception):
    """The connection broke, or a response did not arrive in time: nobody knows what was done."""


ABSENT = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory)
# The errors of a connection that is of no more use.
LOST = (
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.ConnectionLost,
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    ConnectionError,
)
# What OpenSSH says of a path that is too long, and others of one with characters that they refuse.
_NAME_REFUSED = (asyncssh.SFTPBadMessage, asyncssh.SFTPInvalidFilename)
_ADVICE: tuple[tuple[type[asyncssh.SFTPError], str], ...] = (
    (asyncssh.SFTPPermissionDenied, "let this user read and write it"),
    (asyncssh.SFTPWriteProtect, "it is mounted read-only"),
    (
        asyncssh.SFTPOpUnsupported,
        "without posix-rename@openssh.com, the server cannot replace a file atomically",
    ),
    (asyncssh.SFTPNoSpaceOnFilesystem, "make room on the server's disk"),
    (asyncssh.SFTPQuotaExceeded, "make room in the quota of this user"),
    (
        asyncssh.SFTPFailure,
        "the server gives no other reason: its disk or the quota of this user may be full",
    ),
)


def failure_of(error: Exception, what: str) -> Error:
    """Return the error to raise for an error of an operation; `what` begins its message."""
    if isinstance(error, _NAME_REFUSED):
        return KeyNotStorableError(f"{what}: {_text_of(error)}; use a shorter or plainer key")
    if isinstance(error, ConnectionLostError | TimeoutError):
        return StorageError(f"{what}: {error}")
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "")
    refused = isinstance(error, asyncssh.SFTPPermissionDenied | asyncssh.SFTPWriteProtect)
    kind = AuthError if refused else StorageError
    return kind(f"{what}: {_text_of(error)}" + (f"; {advice}" if advice else ""))


def no_folder(location: str) -> DBDoesNotExistsError:
    """Return the error to raise if the folder of the shelf does not exist."""
    return DBDoesNotExistsError(
        f"The folder {location} does not exist: open the shelf with flag 'c' to create it"
    )


def _text_of(error: Exception) -> str:
    return getattr(error, "reason", "") or str(error) or type(error).__name__
