"""Create Azure's client, with the credentials that a configuration names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from azure.storage.blob import BlobServiceClient

from cshelve.exceptions import AuthArgumentError, ConfigurationError, MissingDependencyError
from cshelve.providers.azure_blob.transport import CountingTransport, transport_for

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from cshelve.providers.azure_blob.options import AzureSettings
    from cshelve.providers.base import Stats

__all__ = ["build_clients"]


def build_clients(
    settings: AzureSettings, stats: Stats
) -> tuple[BlobServiceClient, ContainerClient, CountingTransport]:
    """Return the client of the account, that of the container, and their transport."""
    params = dict(settings.client_params)
    inner = params.pop("transport", None) or transport_for(params, settings.concurrency)
    transport = CountingTransport(inner, stats)
    given = params.pop("credential", None)
    params |= {
        "transport": transport,
        # Each request is sent once: see `requests`.
        "retry_total": 0,
        "max_single_put_size": settings.single_put_bytes,
        "max_single_get_size": max(settings.single_get_bytes, settings.range_bytes),
    }
    problem = None
    try:
        if settings.auth_type == "connection_string":
            assert settings.secret is not None
            service = BlobServiceClient.from_connection_string(settings.secret, **params)
        else:
            credential = given or _credential(settings)
            service = BlobServiceClient(settings.account_url, credential=credential, **params)
        container = service.get_container_client(settings.container_name)
    except (ValueError, TypeError) as error:
        problem = _without(settings.secret, error)
    # Not raised in the `except`: the client's error, which may quote the secret, would be seen.
    if problem is not None:
        kind = AuthArgumentError if settings.secret else ConfigurationError
        raise kind(
            f"{settings.account or 'azure-blob'}: Azure's client cannot be created ({problem}); "
            f"check {settings.origin_of_secret}, [default] account_url and [provider_params]."
        )
    return service, container, transport


def _credential(settings: AzureSettings) -> Any:
    match settings.auth_type:
        case "access_key":
            return settings.secret
        case "sas":
            assert settings.secret is not None
            from azure.core.credentials import AzureSasCredential

            return AzureSasCredential(settings.secret.removeprefix("?"))
        case "passwordless":
            return _default_credential(logs=settings.logs_credentials)
        case _:
            return None


def _without(secret: str | None, error: Exception) -> str:
    """Return the text of an error, or only its class if the text contains a part of a secret."""
    parts = [part for part in re.split("[;=&?]", secret or "") if len(part) > 5]
    said = str(error)
    return type(error).__name__ if any(part in said for part in parts) else said


def _default_credential(*, logs: bool) -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise MissingDependencyError(
            "auth_type = passwordless needs the package azure-identity: "
            "pip install 'cshelve[azure-blob]'",
            name="azure.identity",
        ) from error
    return DefaultAzureCredential(logging_enable=logs)
