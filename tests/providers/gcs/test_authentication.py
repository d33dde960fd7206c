"""Ways to authenticate, the options that go with them, and links that are signed with them."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import cshelve
from cshelve.providers import Gcs
from testbed.scripted_server import Answer, ScriptedRequest, ScriptedServer
from tests.providers.gcs.wire import asked_by, error, media, response
from tests.rigs import GcsRig

pytestmark = pytest.mark.gcs

PLAIN: dict[str, Any] = {"use_versioning": False, "serializer": "bytes"}


class Google:
    """A server that issues tokens, and accepts the last one."""

    def __init__(self) -> None:
        self.issued = 0
        self.asked: list[str] = []
        self.authorizations: list[str] = []

    def __call__(self, _: int, request: ScriptedRequest) -> Answer:
        asked = asked_by(request)
        self.asked.append(asked.path)
        if asked.path == "/token":
            self.issued += 1
            return response(
                200,
                {"access_token": f"token-{self.issued}", "expires_in": 3600},
                {"Content-Type": "application/json"},
            )
        self.authorizations.append(asked.headers.get("authorization", ""))
        if self.authorizations[-1] != f"Bearer token-{self.issued}":
            return error(401, "Invalid Credentials")
        if asked.path.startswith("/download/"):
            return media(b"value")
        return response(200, {})


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
def server(google: Google) -> Iterator[ScriptedServer]:
    with ScriptedServer(google) as server:
        yield server


@pytest.fixture(scope="module")
def private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def key_file(private_key: str, server: ScriptedServer, tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    content = {
        "type": "service_account",
        "project_id": "ours",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "shelf@ours.iam.gserviceaccount.com",
        "token_uri": f"{server.endpoint_url}/token",
    }
    path.write_text(json.dumps(content))
    return path


def config_of(server: ScriptedServer, **default: Any) -> dict[str, dict[str, Any]]:
    return {
        "default": {"provider": "gcs", "bucket_name": "bucket", **default},
        "provider_params": {"client_options.api_endpoint": server.endpoint_url},
    }


class TestAServiceAccount:
    def test_gets_a_token_once(
        self, google: Google, server: ScriptedServer, key_file: Path
    ) -> None:
        config = config_of(server, auth_type="service_account", credentials_file=str(key_file))
        with cshelve.open_from_dict(config, "r", provider_params={}) as db:
            assert db.provider.get("a").data == db.provider.get("b").data == b"value"
        assert google.issued == 1
        assert set(google.authorizations) == {"Bearer token-1"}

    def test_renews_a_token_that_is_refused(
        self, google: Google, server: ScriptedServer, key_file: Path
    ) -> None:
        config = config_of(server, auth_type="service_account", credentials_file=str(key_file))
        with cshelve.open_from_dict(config, "r") as db:
            google.issued = 5
            assert db.provider.get("a").data == b"value"
        assert google.authorizations[-2:] == ["Bearer token-1", "Bearer token-6"]

    def test_gets_one_token_for_all_threads(
        self, google: Google, server: ScriptedServer, key_file: Path
    ) -> None:
        provider = Gcs(
            "bucket",
            auth_type="service_account",
            credentials_file=str(key_file),
            api_endpoint=server.endpoint_url,
        )
        for issued in (1, 2):
            found = list(provider.get_many(f"k{number}" for number in range(50)))
            assert {item and item.data for _, item in found} == {b"value"}
            assert google.issued == issued
            # Of the past: google-auth renews it before the next request.
            provider._requests.connection._credentials.expiry = datetime(2020, 1, 1)
        provider.close()

    def test_of_the_environment_is_the_default(
        self,
        google: Google,
        server: ScriptedServer,
        key_file: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
        url = f"gs://bucket?provider_params.client_options.api_endpoint={server.endpoint_url}"
        with cshelve.open(url, "r") as db:
            assert db.provider.get("a").data == b"value"
        assert google.issued == 1

    def test_creates_the_bucket_in_its_own_project(
        self, google: Google, server: ScriptedServer, key_file: Path
    ) -> None:
        config = config_of(server, auth_type="service_account", credentials_file=str(key_file))
        with cshelve.open_from_dict(config, "r") as db:
            db.provider.create()
        assert server.requests[-1].target == "/storage/v1/b?project=ours"

    def test_s_shelf_can_be_pickled_as_only_the_path_is_in_it(
        self, server: ScriptedServer, key_file: Path
    ) -> None:
        config = config_of(server, auth_type="service_account", credentials_file=str(key_file))
        with cshelve.open_from_dict(config, "r") as db:
            pickled = pickle.dumps(db)
        assert b"PRIVATE KEY" not in pickled
        with pickle.loads(pickled) as again:
            assert again.provider.get("a").data == b"value"

    @pytest.mark.parametrize("content", [None, "", "{}", '{"type": "authorized_user"}'])
    def test_s_wrong_file_is_named(
        self, content: str | None, server: ScriptedServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "key.json"
        if content is not None:
            path.write_text(content)
        config = config_of(server, auth_type="service_account", credentials_file=str(path))
        with pytest.raises(cshelve.AuthArgumentError, match=r"credentials_file: .*key\.json"):
            cshelve.open_from_dict(config)
        assert server.requests == []

    def test_whose_tokens_are_refused_is_an_auth_error(
        self, server: ScriptedServer, key_file: Path
    ) -> None:
        server.answers(response(400, {"error": "invalid_grant"}))
        config = config_of(server, auth_type="service_account", credentials_file=str(key_file))
        with pytest.raises(cshelve.AuthError, match="invalid_grant"):
            cshelve.open_from_dict(config)


class TestCredentials:
    def test_that_there_are_not_are_asked_for(self, server: ScriptedServer) -> None:
        with pytest.raises(cshelve.AuthError, match="gcloud auth application-default login"):
            cshelve.open_from_dict(config_of(server))
        assert server.requests == []

    def test_of_the_caller_are_used_and_not_pickled(
        self, google: Google, server: ScriptedServer
    ) -> None:
        from google.oauth2.credentials import Credentials

        google.issued = 9
        given = {"credentials": Credentials(token="token-9")}
        with cshelve.open_from_dict(config_of(server), "r", provider_params=given) as db:
            assert db.provider.get("a").data == b"value"
            with pytest.raises(cshelve.NotPicklableError):
                pickle.dumps(db)
        assert set(google.authorizations) == {"Bearer token-9"}

    def test_that_are_none_are_refused(self, server: ScriptedServer) -> None:
        given = {"credentials": "token-9"}
        with pytest.raises(cshelve.ConfigurationError, match="credentials"):
            cshelve.open_from_dict(config_of(server), provider_params=given)

    def test_are_not_sent_by_an_anonymous_shelf(self, server: ScriptedServer) -> None:
        with pytest.raises(cshelve.AuthError, match="Invalid Credentials"):
            cshelve.open_from_dict(config_of(server, auth_type="anonymous"))
        assert [request.header("Authorization") for request in server.requests] == [""]

    def test_are_not_sent_to_an_emulator_of_the_sdk(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.answers(response(200, {}))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint_url)
        with cshelve.open("gs://bucket/prefix", "r"):
            assert [request.header("Authorization") for request in server.requests] == [""]

    def test_of_netrc_are_none_of_ours(
        self, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hush\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        server.answers(response(200, {}))
        with cshelve.open_from_dict(config_of(server, auth_type="anonymous"), "r"):
            assert [request.header("Authorization") for request in server.requests] == [""]


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "kind", "problem"),
        [
            ({"bucket_name": ""}, cshelve.ConfigurationError, "bucket_name: must not be empty"),
            ({"bucket_name": "My Bucket"}, cshelve.ConfigurationError, "lower-case"),
            ({"bucket_name": "gs://bucket"}, cshelve.ConfigurationError, "key_prefix"),
            ({"key_prefix": "/app"}, cshelve.ConfigurationError, "begins with a slash"),
            ({"key_prefix": "///"}, cshelve.ConfigurationError, "whole bucket"),
            ({"key_prefix": "a\nb"}, cshelve.ConfigurationError, "line ends"),
            ({"key_prefix": "p" * 1023}, cshelve.ConfigurationError, "1,024"),
            ({"key_prefix": "\ud800"}, cshelve.ConfigurationError, "half of a character"),
            ({"auth_type": "magic"}, cshelve.AuthTypeError, "service_account"),
            ({"auth_type": "service_account"}, cshelve.AuthArgumentError, "credentials_file"),
            ({"credentials_file": "x"}, cshelve.AuthArgumentError, "auth_type = service_account"),
            ({"concurrency": 0}, cshelve.ConfigurationError, "must be 1 or more"),
            ({"key_id": "x"}, cshelve.ConfigurationError, "an option of aws-s3"),
        ],
    )
    def test_that_are_wrong_are_named(
        self, options: dict[str, Any], kind: type[cshelve.Error], problem: str
    ) -> None:
        config = {"default": {"provider": "gcs", "bucket_name": "bucket", **options}}
        with pytest.raises(kind, match=problem):
            cshelve.open_from_dict(config)

    @pytest.mark.parametrize(
        ("parameters", "problem"),
        [
            ({"endpoint_url": "http://x"}, "endpoint_url"),
            ({"client_options.api_endpoint": "localhost:9000"}, "http://"),
            ({"client_options.api_endpoint": "http://me:hush@localhost"}, "no user name"),
            ({"credentials": "x"}, "pass it to open"),
        ],
    )
    def test_of_the_client_are_checked_too(self, parameters: dict[str, Any], problem: str) -> None:
        config = {
            "default": {"provider": "gcs", "bucket_name": "bucket"},
            "provider_params": parameters,
        }
        with pytest.raises(cshelve.ConfigurationError, match=problem) as caught:
            cshelve.open_from_dict(config)
        assert "hush" not in str(caught.value)

    def test_in_code_are_those_of_a_configuration(self) -> None:
        provider = Gcs("bucket", key_prefix="$app/", concurrency=4)
        assert provider.location == "gs://bucket/$app"
        assert provider.concurrency == 4
        with pytest.raises(cshelve.ConfigurationError, match="did you mean"):
            Gcs("bucket", read_timeout_second=1)

    def test_of_a_bucket_in_capitals_is_refused(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="lower-case"):
            Gcs("Bucket")


class TestALink:
    def test_is_signed_by_version_4_without_a_request(
        self, server: ScriptedServer, key_file: Path
    ) -> None:
        config = config_of(
            server, auth_type="service_account", credentials_file=str(key_file), **PLAIN
        )
        with cshelve.open_from_dict(config, "r") as db:
            before = len(server.requests)
            link = db.presigned_url("a/é ?", expires_seconds=60)
            assert len(server.requests) == before
        assert urlsplit(link).path == "/bucket/a/%C3%A9%20%3F"
        query = parse_qs(urlsplit(link).query)
        assert query["X-Goog-Algorithm"] == ["GOOG4-RSA-SHA256"]
        assert query["X-Goog-Expires"] == ["60"]
        assert query["X-Goog-Credential"][0].startswith("shelf@ours.iam.gserviceaccount.com/")

    @pytest.mark.parametrize("seconds", [0, 604_801, True, "60", None])
    def test_of_a_time_that_google_refuses_is_refused(self, seconds: Any, gcs: GcsRig) -> None:
        with (
            cshelve.open_from_dict(gcs.config(**PLAIN)) as db,
            pytest.raises(cshelve.ConfigurationError, match="7 days"),
        ):
            db.presigned_url("k", expires_seconds=seconds)

    def test_needs_a_private_key(self, gcs: GcsRig) -> None:
        with (
            cshelve.open_from_dict(gcs.config(**PLAIN)) as db,
            pytest.raises(cshelve.UnsupportedOperationError, match="private key"),
        ):
            db.presigned_url("k")


def test_threads_that_begin_together_build_one_client(gcs: GcsRig) -> None:
    config = gcs.config()
    provider = Gcs(
        gcs.bucket,
        auth_type="anonymous",
        api_endpoint=config["provider_params"]["client_options.api_endpoint"],
    )
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(provider._requests.connection))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    provider.close()
