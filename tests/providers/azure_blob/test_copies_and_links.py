"""Copies inside an account, and links to values."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import cshelve
from testbed.azurite import ACCESS_KEY, ACCOUNT
from testbed.faults import Answer
from tests.providers.azure_blob.rig import CONTAINER, AzureRig
from tests.rigs import unique_name

pytestmark = pytest.mark.azure

OF_JSON = {"use_versioning": False, "serializer": "json"}


def fetched(url: str) -> tuple[bytes, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return answer.read(), answer.headers["Content-Type"]


def test_a_copy_is_made_by_azure_and_keeps_its_content_type(azure: AzureRig) -> None:
    with cshelve.open_from_dict(azure.config(**OF_JSON)) as db:
        db["k"] = {"a": 1}
        with db.stats.measuring() as used:
            db.provider.copy("k", "l")
        assert used.requests == {"CopyBlob": 1}
        assert used.bytes_received == 0
        assert db["l"] == {"a": 1}
        assert db.provider.inspect("l").content_type == "application/json"


def test_a_copy_to_another_container_of_the_account_is_too(azure: AzureRig) -> None:
    name = unique_name()
    with (
        cshelve.open_from_dict(azure.config()) as source,
        cshelve.open_from_dict(azure.config(container_name=name)) as target,
    ):
        source.update({f"k{number}": number for number in range(20)})
        with target.stats.measuring() as used:
            assert cshelve.copy(source, target) is not None
        assert used.requests["CopyBlob"] == 20
        assert dict(target) == dict(source)
    azure.service.delete_container(name)


def test_a_source_is_signed_for_so_that_azure_may_read_it(azure: AzureRig) -> None:
    with cshelve.open_from_dict(azure.config()) as db:
        db["k"] = 1
        with azure.proxy.counting() as count:
            db.provider.copy("k", "l")
    [request] = count.requests
    source = request.headers["x-ms-copy-source"]
    assert "sig=" in source
    assert "sp=r&" in source
    assert request.headers["x-ms-requires-sync"].lower() == "true"


def test_a_source_has_the_signature_of_the_shelf(azure: AzureRig) -> None:
    from azure.storage.blob import generate_container_sas

    token = generate_container_sas(
        ACCOUNT,
        CONTAINER,
        account_key=ACCESS_KEY,
        permission="racwdl",
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    config = azure.config(auth_type="sas", access_key=None, sas_token=token)
    with cshelve.open_from_dict(config) as db:
        db["k"] = 1
        with azure.proxy.counting() as count:
            db.provider.copy("k", "l")
    [request] = count.requests
    assert request.headers["x-ms-copy-source"].endswith(f"/k?{token}")


@pytest.mark.parametrize("status", [403, 409, 413, 501])
def test_what_azure_does_not_copy_is_read_and_written(azure: AzureRig, status: int) -> None:
    fault = Answer(status, headers={"x-ms-error-code": "CannotVerifyCopySource"})
    with cshelve.open_from_dict(azure.config()) as db:
        db["k"] = 1
        with azure.proxy.inject(fault, method="PUT") as rule, db.stats.measuring() as used:
            db.provider.copy("k", "l")
        assert rule.hits == 1
        assert used.requests == {"CopyBlob": 1, "GetBlob": 1, "PutBlob": 1}
        assert db["l"] == 1


def test_a_link_returns_the_value_to_anybody(azure: AzureRig) -> None:
    with cshelve.open_from_dict(azure.config(**OF_JSON)) as db:
        for key in ("k", "a b/é?#%41&=+"):
            db[key] = {"a": 1}
            with db.stats.measuring() as used:
                url = db.presigned_url(key)
            assert not used.requests
            assert fetched(url) == (b'{"a":1}', "application/json")
        with pytest.raises(urllib.error.HTTPError):
            fetched(url.partition("?")[0])
        with pytest.raises(urllib.error.HTTPError):
            fetched(db.presigned_url("absent"))
        with pytest.raises(cshelve.ConfigurationError, match="7 days"):
            db.presigned_url("k", expires_seconds=8 * 24 * 3600)


def test_a_signature_signs_no_links(azure: AzureRig) -> None:
    token: dict[str, Any] = {"auth_type": "sas", "access_key": None, "sas_token": "sv=1&sig=x"}
    config = azure.config(**OF_JSON, **token, check_container=False)
    with (
        cshelve.open_from_dict(config) as db,
        pytest.raises(cshelve.UnsupportedOperationError, match="auth_type = sas"),
    ):
        db.presigned_url("k")
