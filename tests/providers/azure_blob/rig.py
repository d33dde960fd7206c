"""What the tests of `azure-blob` share: one container of Azurite, and a client of its own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from testbed.azurite import ACCESS_KEY, ACCOUNT
from tests.rigs import unique_name

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.storage.blob import BlobServiceClient, ContainerClient

    from testbed.azurite import Azurite
    from testbed.fault_proxy import FaultProxy

CONTAINER = "cshelve-tests"


@dataclass
class AzureRig:
    """One container of a running server, seen through the proxy that counts and injects faults."""

    server: Azurite
    proxy: FaultProxy
    service: BlobServiceClient
    """Azure's own client, straight to the server: round the code under test and the proxy."""

    @property
    def container(self) -> ContainerClient:
        return self.service.get_container_client(CONTAINER)

    @property
    def account_url(self) -> str:
        """The address of the account behind the proxy."""
        return f"{self.proxy.endpoint_url}/{ACCOUNT}"

    def config(self, **default: Any) -> dict[str, dict[str, Any]]:
        """Write the configuration of a shelf under a prefix of its own, behind the proxy.

        An option that is None is left out.
        """
        return azure_config(self.account_url, **default)


def azure_config(account_url: str, /, **default: Any) -> dict[str, dict[str, Any]]:
    options = {
        "provider": "azure-blob",
        "account_url": account_url,
        "auth_type": "access_key",
        "access_key": ACCESS_KEY,
        "container_name": CONTAINER,
        "key_prefix": unique_name(),
        **default,
    }
    return {"default": {name: value for name, value in options.items() if value is not None}}


@contextmanager
def without_pauses() -> Iterator[None]:
    """Send the next attempt of a request at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cshelve.providers.azure_blob.requests.PAUSE_SECONDS", 0)
        patch.setattr("cshelve.providers.azure_blob.requests.THROTTLED_PAUSE_SECONDS", 0)
        yield


class FakeCredential:
    """A credential whose tokens Azurite accepts: it does not check their signature."""

    def __init__(self, audience: str = "https://storage.azure.com") -> None:
        self._audience = audience
        self.asked = 0

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        from azure.core.credentials import AccessToken

        self.asked += 1
        now = int(time.time())
        claims = {
            "aud": self._audience,
            "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 3600,
            "ver": "1.0",
        }
        parts = [{"alg": "HS256", "typ": "JWT"}, claims, "no signature"]
        token = ".".join(_encoded(json.dumps(part)) for part in parts)
        return AccessToken(token, now + 3600)


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
