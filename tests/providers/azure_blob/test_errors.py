"""Refusals of Azure that Azurite does not give: each is an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cshelve
from testbed.faults import Answer
from tests.providers.azure_blob.rig import AzureRig, without_pauses
from tests.rigs import Place

pytestmark = pytest.mark.azure

REFUSALS: dict[str, tuple[int, type[cshelve.Error], str]] = {
    "AuthenticationFailed": (403, cshelve.AuthError, r"check \[default\] access_key"),
    "InvalidAuthenticationInfo": (401, cshelve.AuthError, "has expired"),
    "AuthorizationPermissionMismatch": (403, cshelve.AuthError, "the firewall of the account"),
    "KeyBasedAuthenticationNotPermitted": (403, cshelve.AuthError, "passwordless"),
    "ContainerBeingDeleted": (409, cshelve.DBDoesNotExistsError, "ContainerBeingDeleted"),
    "ContainerDisabled": (403, cshelve.DBDoesNotExistsError, "ContainerDisabled"),
    "ResourceNotFound": (404, cshelve.StorageError, "404"),
    "BlobArchived": (409, cshelve.StorageError, "rehydrate"),
    "LeaseIdMissing": (412, cshelve.StorageError, "holds a lease"),
    "BlobImmutableDueToPolicy": (409, cshelve.StorageError, "a policy makes"),
    "InvalidUri": (400, cshelve.KeyNotStorableError, "cannot hold such a key"),
    "InvalidHeaderValue": (400, cshelve.StorageError, "api_version"),
    "ServerBusy": (503, cshelve.StorageError, "throttled"),
    "InternalError": (500, cshelve.StorageError, "responded with 500"),
    "NotImplemented": (501, cshelve.StorageError, "responded with 501"),
}


@pytest.fixture
def db(azure: AzureRig) -> Iterator[cshelve.CloudShelf]:
    place = Place(azure.config(total_max_attempts=2))
    db = place.open()
    db["k"] = "value"
    with without_pauses():
        yield db
    place.close()


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_says_what_to_do(azure: AzureRig, db: cshelve.CloudShelf, code: str) -> None:
    status, kind, said = REFUSALS[code]
    fault = Answer(status, headers={"x-ms-error-code": code})
    with azure.proxy.inject(fault, times=None):
        for act in (lambda: db["k"], lambda: db.__setitem__("k", 1), lambda: db.setdefault("k", 1)):
            with pytest.raises(kind, match=said) as caught:
                act()
            assert type(caught.value) is kind
            assert "'k' in az://" in str(caught.value)
            assert not isinstance(caught.value, KeyError)
    assert db["k"] == "value"


@pytest.mark.parametrize("body", [b"", b"<html>a page</html>", b"{}"])
def test_a_404_that_does_not_say_what_is_absent_is_no_missing_key(
    azure: AzureRig, db: cshelve.CloudShelf, body: bytes
) -> None:
    with azure.proxy.inject(Answer(404, body=body), times=None):
        for act in (lambda: db["k"], lambda: "k" in db, lambda: db.provider.contains("k")):
            with pytest.raises(cshelve.StorageError, match="404"):
                act()


def test_a_server_that_is_no_azure_stores_nothing_and_has_nothing(
    azure: AzureRig, db: cshelve.CloudShelf
) -> None:
    page = Answer(200, headers={"Content-Type": "text/html"}, body=b"<html>Welcome</html>")
    with azure.proxy.inject(page, times=None):
        for act in (
            lambda: db["k"],
            lambda: db.__setitem__("k", 1),
            lambda: db.replace("k", 1, None),
            lambda: list(db),
            lambda: db.update(a=1),
            lambda: db.delete_many(["k"]),
            lambda: db.info("k"),
        ):
            with pytest.raises(cshelve.Error) as caught:
                act()
            assert not isinstance(caught.value, KeyError)


def test_creating_a_container_that_is_refused_says_so(azure: AzureRig) -> None:
    config = azure.config(container_name="refused")
    for code, kind in (
        ("AuthorizationPermissionMismatch", cshelve.CreateRefusedError),
        ("ContainerBeingDeleted", cshelve.CanNotCreateDBError),
    ):
        fault = Answer(403 if "Auth" in code else 409, headers={"x-ms-error-code": code})
        with azure.proxy.inject(fault, method="PUT"), pytest.raises(kind, match="refused"):
            cshelve.open_from_dict(config)


def test_a_container_that_another_program_creates_meanwhile_is_there(azure: AzureRig) -> None:
    fault = Answer(409, headers={"x-ms-error-code": "ContainerAlreadyExists"})
    with azure.proxy.inject(fault, method="PUT"):
        cshelve.open_from_dict(azure.config(container_name="meanwhile")).close()


class TestFlags:
    def test_that_create_nothing_refuse_an_absent_container(self, azure: AzureRig) -> None:
        for flag in ("r", "w"):
            with pytest.raises(cshelve.DBDoesNotExistsError, match="flag 'c' would create it"):
                cshelve.open_from_dict(azure.config(container_name="absent"), flag)
        assert not azure.service.get_container_client("absent").exists()

    def test_n_empties_the_shelf_and_no_other(self, azure: AzureRig) -> None:
        one, other = azure.config(), azure.config()
        for config in (one, other):
            with cshelve.open_from_dict(config) as db:
                db["k"] = 1
        with cshelve.open_from_dict(one, "n") as db:
            assert not db
        with cshelve.open_from_dict(other, "r") as db:
            assert dict(db) == {"k": 1}
            with pytest.raises(cshelve.ReadOnlyError):
                db["k"] = 2
