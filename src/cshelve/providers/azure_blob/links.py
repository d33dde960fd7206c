"""Links to one blob, with which anyone can read it until they expire: shared access signatures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from cshelve.exceptions import ConfigurationError, UnsupportedOperationError
from cshelve.providers.azure_blob.errors import AzureError

if TYPE_CHECKING:
    from cshelve.providers.azure_blob.requests import Requests

__all__ = ["READ_SECONDS", "bearer_token", "presigned_url", "readable_url"]

# How long Azure may read the source of a copy.
READ_SECONDS = 3600.0
# Azure's limit for a signature by a user delegation key; the same for all, to have one rule.
MOST_SECONDS = 7 * 24 * 60 * 60
# The clocks of servers differ.
SKEW = timedelta(minutes=5)
SCOPE = "https://storage.azure.com/.default"


def presigned_url(requests: Requests, name: str, expires_seconds: float) -> str:
    """Return a link to a blob."""
    is_number = isinstance(expires_seconds, int | float) and not isinstance(expires_seconds, bool)
    if not is_number or not 1 <= expires_seconds <= MOST_SECONDS:
        raise ConfigurationError(
            f"expires_seconds: a link is valid for 1 to {MOST_SECONDS:,} seconds (7 days), not "
            f"{expires_seconds!r:.40}."
        )
    try:
        url = signed_url(requests, name, expires_seconds) or _delegated_url(
            requests, name, expires_seconds
        )
    except AzureError as error:
        operation = "GetUserDelegationKey"
        raise requests.error(error, operation, name) from error
    if url is None:
        auth_type = requests.settings.auth_type
        raise UnsupportedOperationError(
            f"{requests.location}: a link is signed with an account's key, or for a user, and with "
            f"[default] auth_type = {auth_type} there is neither."
        )
    return url


def signed_url(requests: Requests, name: str, expires_seconds: float) -> str | None:
    """Return a link signed with the account's key; None if the key is not known."""
    key = getattr(requests.clients.service.credential, "account_key", None)
    return None if key is None else _url(requests, name, expires_seconds, account_key=key)


def readable_url(requests: Requests, name: str, expires_seconds: float) -> str:
    """Return an address with which Azure itself can read a blob, unless that needs a token."""
    settings = requests.settings
    if settings.auth_type == "sas":
        assert settings.secret is not None
        return f"{requests.blob(name).url}?{settings.secret.removeprefix('?')}"
    return signed_url(requests, name, expires_seconds) or requests.blob(name).url


def bearer_token(requests: Requests) -> str | None:
    """Return a token of a user or an application; None without one."""
    credential = requests.clients.service.credential
    if not hasattr(credential, "get_token"):
        return None
    token: str = credential.get_token(SCOPE).token
    return token


def _delegated_url(requests: Requests, name: str, expires_seconds: float) -> str | None:
    service = requests.clients.service
    if not hasattr(service.credential, "get_token"):
        return None
    now = datetime.now(UTC)
    until = now + timedelta(seconds=expires_seconds)
    operation = "GetUserDelegationKey"
    key = requests.send(operation, name, lambda: service.get_user_delegation_key(now - SKEW, until))
    return _url(requests, name, expires_seconds, user_delegation_key=key)


def _url(requests: Requests, name: str, expires_seconds: float, **key: Any) -> str:
    settings, blob = requests.settings, requests.blob(name)
    signature = generate_blob_sas(
        account_name=requests.clients.service.account_name,
        container_name=settings.container_name,
        blob_name=settings.prefix + name,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(seconds=expires_seconds),
        protocol="https" if urlsplit(blob.url).scheme == "https" else None,
        **key,
    )
    return f"{blob.url.partition('?')[0]}?{signature}"
