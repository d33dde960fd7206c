"""Each way to authenticate works, and what it does not allow is an `AuthError` that says so."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import cshelve
from testbed.azurite import ACCESS_KEY, ACCOUNT, Azurite
from tests.providers.azure_blob.rig import (
    CONTAINER,
    AzureRig,
    FakeCredential,
    azure_config,
)
from tests.rigs import unique_name

pytestmark = pytest.mark.azure

# Of the right form, but not the account's.
WRONG_KEY = "AAAA" + ACCESS_KEY[4:]


def use(config: dict[str, dict[str, Any]], flag: str = "c", **arguments: Any) -> None:
    """Do what a shelf does, and read it with another one."""
    with cshelve.open_from_dict(config, flag, **arguments) as db:
        db["k"] = [1]
        db.update({"a": 1, "b": 2})
        db.modify("k", lambda value: [*value, 2])
        db.copy("k", "copied")
        db.delete_many(["a", "b"])
    with cshelve.open_from_dict(config, "r", **arguments) as db:
        assert dict(db) == {"k": [1, 2], "copied": [1, 2]}


def signature(permissions: str, hours: int = 1) -> str:
    """Sign for the container of the tests."""
    from azure.storage.blob import generate_container_sas

    return generate_container_sas(
        ACCOUNT,
        CONTAINER,
        account_key=ACCESS_KEY,
        permission=permissions,
        expiry=datetime.now(UTC) + timedelta(hours=hours),
    )


class TestSecrets:
    @pytest.fixture(params=["access_key", "connection_string", "sas"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def secret(self, kind: str, azure: AzureRig) -> str:
        secrets = {
            "access_key": ACCESS_KEY,
            "connection_string": azure.server.connection_string,
            "sas": signature("racwdl"),
        }
        return secrets[kind]

    @pytest.fixture
    def config(self, kind: str, azure: AzureRig) -> dict[str, dict[str, Any]]:
        return azure.config(auth_type=kind, access_key=None)

    @pytest.fixture
    def option(self, kind: str) -> str:
        return "sas_token" if kind == "sas" else kind

    def test_may_be_in_the_variable_of_environment_key(
        self, config: dict[str, dict[str, Any]], secret: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_TEST", secret)
        config["default"]["environment_key"] = "SECRET_OF_THE_TEST"
        use(config)
        with cshelve.open_from_dict(config) as db, pickle.loads(pickle.dumps(db)) as again:
            assert again["k"] == [1, 2]

    def test_may_be_in_the_variable_that_its_option_names(
        self,
        config: dict[str, dict[str, Any]],
        option: str,
        secret: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_TEST", secret)
        config["default"][option] = "$SECRET_OF_THE_TEST"
        use(config)

    def test_that_is_written_out_is_not_pickled(
        self, config: dict[str, dict[str, Any]], option: str, secret: str
    ) -> None:
        config["default"][option] = secret
        with cshelve.open_from_dict(config) as db:
            assert secret not in repr(db) + db.provider.location
            with pytest.raises(cshelve.NotPicklableError, match=option):
                pickle.dumps(db)

    def test_that_is_missing_is_an_error_that_says_what_to_write(
        self, config: dict[str, dict[str, Any]], option: str
    ) -> None:
        with pytest.raises(cshelve.AuthArgumentError, match=rf"{option} = \$NAME"):
            cshelve.open_from_dict(config)
        config["default"]["environment_key"] = "NO_SUCH_VARIABLE"
        with pytest.raises(cshelve.AuthArgumentError, match="NO_SUCH_VARIABLE"):
            cshelve.open_from_dict(config)

    def test_that_is_no_secret_is_not_in_the_error(
        self, config: dict[str, dict[str, Any]], option: str
    ) -> None:
        config["default"][option] = "no-secret-at-all"
        with pytest.raises(cshelve.AuthError) as caught:
            cshelve.open_from_dict(config)
        assert "no-secret-at-all" not in str(caught.value)


def test_a_wrong_key_is_an_auth_error_and_says_where_it_is_from(azure: AzureRig) -> None:
    for flag in ("r", "c"):
        with pytest.raises(cshelve.AuthError, match=r"check \[default\] access_key") as caught:
            cshelve.open_from_dict(azure.config(access_key=WRONG_KEY), flag)
        assert WRONG_KEY not in str(caught.value)


def test_a_signature_may_begin_with_its_question_mark(azure: AzureRig) -> None:
    token = f"?{signature('racwdl')}"
    use(azure.config(auth_type="sas", access_key=None, sas_token=token))


def test_a_signature_for_reading_does_not_write(azure: AzureRig) -> None:
    config = azure.config()
    use(config)
    reading = azure.config(
        auth_type="sas",
        access_key=None,
        sas_token=signature("rl"),
        key_prefix=config["default"]["key_prefix"],
    )
    with cshelve.open_from_dict(reading, "w") as db:
        assert db["k"] == [1, 2]
        with pytest.raises(cshelve.AuthError, match="does not permit this operation"):
            db["k"] = 2
        with pytest.raises(cshelve.BulkError) as caught:
            db.delete_many(["k"])
        assert isinstance(caught.value.failures["k"], cshelve.AuthError)


def test_without_the_right_to_list_a_shelf_opens_unchecked(azure: AzureRig) -> None:
    config = azure.config(auth_type="sas", access_key=None, sas_token=signature("racwd"))
    with pytest.raises(cshelve.AuthError):
        cshelve.open_from_dict(config)
    config["default"]["check_container"] = "false"
    with cshelve.open_from_dict(config) as db:
        db["k"] = 1
        assert db["k"] == 1


def test_a_signature_that_has_expired_is_an_auth_error(azure: AzureRig) -> None:
    config = azure.config(auth_type="sas", access_key=None, sas_token=signature("rl", -1))
    with pytest.raises(cshelve.AuthError, match="has expired"):
        cshelve.open_from_dict(config)


class TestAnonymous:
    @pytest.fixture
    def public(self, azure: AzureRig) -> dict[str, dict[str, Any]]:
        """Return the configuration of a container that everybody may read, with one key."""
        name = unique_name()
        azure.service.create_container(name, public_access="container")
        with cshelve.open_from_dict(azure.config(container_name=name, key_prefix="p")) as db:
            db["k"] = 1
        return azure.config(
            container_name=name, key_prefix="p", auth_type="anonymous", access_key=None
        )

    def test_reads_what_is_public(self, public: dict[str, dict[str, Any]]) -> None:
        with cshelve.open_from_dict(public, "r") as db:
            assert dict(db) == {"k": 1}
            assert "absent" not in db

    def test_does_not_write(self, public: dict[str, dict[str, Any]]) -> None:
        with cshelve.open_from_dict(public, "w") as db:
            with pytest.raises(cshelve.AuthError):
                db["k"] = 2
            with pytest.raises(cshelve.UnsupportedOperationError, match="anonymous"):
                db.provider.presigned_url("k", 60)

    def test_does_not_read_what_is_private(self, azure: AzureRig) -> None:
        config = azure.config(auth_type="anonymous", access_key=None)
        for flag in ("r", "c", "n"):
            with pytest.raises(cshelve.AuthError, match="anonymous"):
                cshelve.open_from_dict(config, flag)


@pytest.fixture(scope="module")
def server_of_tokens() -> Iterator[Azurite]:
    try:
        server = Azurite(oauth=True)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with server:
        yield server


class TestPasswordless:
    @pytest.fixture
    def config(self, server_of_tokens: Azurite) -> dict[str, dict[str, Any]]:
        server = server_of_tokens
        config = azure_config(server.account_url, auth_type="passwordless", access_key=None)
        return {**config, "provider_params": {"connection_verify": str(server.certificate)}}

    def test_uses_the_credential_of_the_call(self, config: dict[str, dict[str, Any]]) -> None:
        credential = FakeCredential()
        use(config, provider_params={"credential": credential})
        # One for each shelf, one for Azure to read the source of the copy, one for the batch.
        assert credential.asked <= 4

    def test_uses_the_credential_that_azure_identity_finds(
        self, config: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        logs: list[bool] = []

        def found(*, logging_enable: bool) -> FakeCredential:
            logs.append(logging_enable)
            return FakeCredential()

        monkeypatch.setattr("azure.identity.DefaultAzureCredential", found)
        use({**config, "logging": {"credentials": True}})
        assert logs == [True, True]

    def test_without_credentials_says_how_to_get_some(
        self, config: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from azure.identity import CredentialUnavailableError

        class NoCredential:
            def __init__(self, **_: object) -> None: ...

            def get_token(self, *_: object, **__: object) -> None:
                raise CredentialUnavailableError(message="nothing was found")

        monkeypatch.setattr("azure.identity.DefaultAzureCredential", NoCredential)
        with pytest.raises(cshelve.AuthError, match=r"no usable.*nothing was found.*az login"):
            cshelve.open_from_dict(config)

    def test_with_a_token_for_another_service_is_an_auth_error(
        self, config: dict[str, dict[str, Any]]
    ) -> None:
        credential = FakeCredential("https://management.azure.com")
        with pytest.raises(cshelve.AuthError):
            cshelve.open_from_dict(config, provider_params={"credential": credential})

    def test_with_an_unknown_certificate_says_where_to_name_it(
        self, config: dict[str, dict[str, Any]]
    ) -> None:
        del config["provider_params"]
        config["default"]["total_max_attempts"] = 1
        with pytest.raises(cshelve.StorageError, match="connection_verify"):
            cshelve.open_from_dict(config, provider_params={"credential": FakeCredential()})

    def test_needs_https(self, azure: AzureRig) -> None:
        config = azure.config(auth_type="passwordless", access_key=None)
        with pytest.raises(cshelve.ConfigurationError, match="HTTPS"):
            cshelve.open_from_dict(config, provider_params={"credential": FakeCredential()})

    def test_cannot_be_pickled_with_an_object_of_the_call(
        self, config: dict[str, dict[str, Any]]
    ) -> None:
        with (
            cshelve.open_from_dict(config, provider_params={"credential": FakeCredential()}) as db,
            pytest.raises(cshelve.NotPicklableError),
        ):
            pickle.dumps(db)

    def test_goes_with_no_secret(self, config: dict[str, dict[str, Any]]) -> None:
        for option in ("access_key", "sas_token", "connection_string", "environment_key"):
            wrong = {**config, "default": {**config["default"], option: "x"}}
            with pytest.raises(cshelve.AuthArgumentError, match=f"{option}.*does not go with"):
                cshelve.open_from_dict(wrong)
