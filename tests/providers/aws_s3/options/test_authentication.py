"""`auth_type` and what goes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer
from testbed.moto import Moto
from testbed.seaweedfs import Identity
from tests.providers.aws_s3.options.rig import provider_from
from tests.providers.aws_s3.rig import clients_of
from tests.rigs import Place, S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]


class TestAuthTypes:
    def test_access_key_with_a_session_token(self, s3: S3Rig) -> None:
        shelf = Place(s3.config(session_token="a-token", check_bucket=False)).open()
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}))
        with s3.proxy.counting() as seen:
            "k" in shelf  # noqa: B015
        assert seen.requests[0].headers["X-Amz-Security-Token"] == "a-token"

    def test_a_session_token_of_sts(self, s3: S3Rig, moto: Moto) -> None:
        import boto3

        sts = boto3.session.Session().client(
            "sts",
            endpoint_url=moto.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        given = sts.get_session_token()["Credentials"]
        who = Identity(given["AccessKeyId"], given["SecretAccessKey"])
        config = s3.config(who, session_token=given["SessionToken"], bucket_name="with-token")
        config["provider_params"]["endpoint_url"] = moto.endpoint_url
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
            assert db["k"] == 1

    def test_default_is_botos_own_chain(self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.server.admin.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.server.admin.secret_key)
        config = s3.config(auth_type="default", key_id=None, key_secret=None)
        Place(config).open()["k"] = 1

    def test_profile(self, s3: S3Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "credentials").write_text(
            f"[mine]\naws_access_key_id = {s3.server.admin.access_key}\n"
            f"aws_secret_access_key = {s3.server.admin.secret_key}\n"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        options: dict[str, Any] = {"auth_type": "profile", "key_id": None, "key_secret": None}
        Place(s3.config(**options, profile_name="mine")).open()["k"] = 1
        with pytest.raises(cshelve.AuthArgumentError, match=r"profile_name: .*yours"):
            Place(s3.config(**options, profile_name="yours")).open()

    def test_anonymous_signs_nothing(self, s3: S3Rig) -> None:
        config = s3.config(auth_type="anonymous", key_id=None, key_secret=None, check_bucket=False)
        shelf = Place(config).open()
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}))
        with s3.proxy.counting() as seen:
            "k" in shelf  # noqa: B015
        assert "Authorization" not in seen.requests[0].headers

    def test_none_at_all_is_an_error(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthTypeError, match=r"\[default\] auth_type: .*required"):
            provider_from(s3.config(auth_type=None))

    def test_an_unknown_one_names_the_closest(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthTypeError, match=r"did you mean access_key\?"):
            provider_from(s3.config(auth_type="accesskey"))

    def test_an_option_of_another_type_is_refused(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthArgumentError, match="profile_name: does not go with"):
            provider_from(s3.config(profile_name="x"))

    def test_a_stale_profile_of_the_environment_is_named_as_that(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "stale")
        with pytest.raises(cshelve.AuthArgumentError, match=r"AWS_PROFILE: .*stale"):
            provider_from(s3.config())

    @pytest.mark.parametrize("option", ["key_id", "key_secret", "session_token"])
    @pytest.mark.parametrize("value", ["hush\n", " hush", "hu\x00sh"])
    def test_white_space_in_a_credential_is_refused_without_showing_it(
        self, option: str, value: str, s3: S3Rig
    ) -> None:
        with pytest.raises(cshelve.AuthArgumentError, match=option) as caught:
            provider_from(s3.config(None, **{option: value}))
        assert "hu" not in str(caught.value)

    def test_a_profile_needs_its_name(self, s3: S3Rig) -> None:
        config = s3.config(auth_type="profile", key_id=None, key_secret=None)
        with pytest.raises(cshelve.AuthArgumentError, match="profile_name"):
            provider_from(config)


class TestRoles:
    """Credentials that boto3 gets from another service, in place of one by moto."""

    @pytest.fixture
    def config(
        self, moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> dict[str, dict[str, Any]]:
        moto.client().create_bucket(Bucket="of-a-role")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.endpoint_url)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        (tmp_path / "config").write_text(
            "[profile mine]\naws_access_key_id = id\naws_secret_access_key = secret\n"
            "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/reader\n"
            "source_profile = mine\nregion = us-east-1\n"
        )
        return {
            "default": {"provider": "aws-s3", "bucket_name": "of-a-role", "auth_type": "default"},
            "provider_params": {"endpoint_url": moto.endpoint_url},
        }

    def test_of_a_profile(self, config: dict[str, dict[str, Any]]) -> None:
        config["default"] |= {"auth_type": "profile", "profile_name": "role"}
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
            assert db["k"] == 1
            assert clients_of(db).credentials().method == "assume-role"

    def test_of_a_token(
        self, config: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "token").write_text("token")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
            assert db["k"] == 1
            assert clients_of(db).credentials().method == "assume-role-with-web-identity"

    def test_the_profile_of_the_configuration_wins(
        self, config: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "absent")
        config["default"] |= {"auth_type": "profile", "profile_name": "mine"}
        config["provider_params"]["region_name"] = "us-east-1"
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
