"""Each option of `aws-s3`: what it does at the wire or to the client, and how mistakes are told."""

from __future__ import annotations

import functools
import json
import threading
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import Loader

import cshelve
from cshelve.providers.aws_s3.session import loader_of
from testbed.faults import Answer
from testbed.moto import Moto
from testbed.seaweedfs import Identity
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]


def provider_of(config: dict[str, Any], flag: str = "c", **call: Any) -> Any:
    """Open a shelf without sending anything, and give its provider."""
    config["default"].setdefault("check_bucket", False)
    return cshelve.open_from_dict(config, flag, **call)._objects.records.provider


def client_config(provider: Any) -> Any:
    return provider._requests.clients.meta.config


class TestPrefix:
    @pytest.mark.parametrize("written", ["{}", "{}/", "{}//"])
    def test_is_joined_by_exactly_one_slash(self, written: str, s3: S3Rig) -> None:
        config = s3.config()
        prefix = config["default"]["key_prefix"]
        config["default"]["key_prefix"] = written.format(prefix)
        Place(config).open()["k"] = 1
        found = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix + "/")["Contents"]
        assert [each["Key"] for each in found] == [f"{prefix}/k"]

    def test_a_neighbour_that_begins_alike_is_not_in_it(self, s3: S3Rig) -> None:
        config = s3.config()
        prefix = config["default"]["key_prefix"]
        s3.client.put_object(Bucket=s3.bucket, Key=f"{prefix}le/k", Body=b"")
        shelf = Place(config).open()
        assert list(shelf) == []
        assert "le/k" not in shelf

    @pytest.mark.parametrize("written", ["/", "//"])
    def test_of_nothing_but_slashes_is_refused(self, written: str, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="key_prefix: is nothing but slashes"):
            Place(s3.config(key_prefix=written)).open("n")

    def test_the_consoles_marker_is_no_key_of_it_and_stays(self, s3: S3Rig) -> None:
        config = s3.config()
        marker = config["default"]["key_prefix"] + "/"
        s3.client.put_object(Bucket=s3.bucket, Key=marker, Body=b"")
        shelf = Place(config).open()
        assert not shelf
        assert len(shelf) == 0
        shelf["k"] = 1
        shelf.clear()
        assert s3.client.head_object(Bucket=s3.bucket, Key=marker)

    def test_a_shelf_may_have_the_whole_bucket(self, s3: S3Rig, moto: Moto) -> None:
        moto.client().create_bucket(Bucket="whole")
        config = s3.config(moto.admin, bucket_name="whole", key_prefix=None)
        config["provider_params"]["endpoint_url"] = moto.endpoint_url
        shelf = Place(config).open()
        shelf["k"] = 1
        assert list(shelf) == ["k"]
        assert shelf._objects.records.provider.location == "s3://whole"


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
        options = {"auth_type": "profile", "key_id": None, "key_secret": None}
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
            provider_of(s3.config(auth_type=None))

    def test_an_unknown_one_names_the_closest(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthTypeError, match=r"did you mean access_key\?"):
            provider_of(s3.config(auth_type="accesskey"))

    @pytest.mark.parametrize("option", ["profile_name"])
    def test_an_option_of_another_type_is_refused(self, option: str, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthArgumentError, match=f"{option}: does not go with"):
            provider_of(s3.config(**{option: "x"}))

    def test_a_stale_profile_of_the_environment_is_named_as_that(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "stale")
        with pytest.raises(cshelve.AuthArgumentError, match=r"AWS_PROFILE: .*stale"):
            provider_of(s3.config())

    @pytest.mark.parametrize("option", ["key_id", "key_secret", "session_token"])
    @pytest.mark.parametrize("value", ["hush\n", " hush", "hu\x00sh"])
    def test_white_space_in_a_credential_is_refused_without_showing_it(
        self, option: str, value: str, s3: S3Rig
    ) -> None:
        with pytest.raises(cshelve.AuthArgumentError, match=option) as caught:
            provider_of(s3.config(**{option: value}))
        assert "hu" not in str(caught.value)

    def test_a_profile_needs_its_name(self, s3: S3Rig) -> None:
        config = s3.config(auth_type="profile", key_id=None, key_secret=None)
        with pytest.raises(cshelve.AuthArgumentError, match="profile_name"):
            provider_of(config)


class TestCreatingTheBucket:
    @pytest.mark.parametrize(
        ("region", "constraint"), [("eu-west-3", b"eu-west-3"), ("us-east-1", None), (None, None)]
    )
    def test_sends_the_region_as_location_constraint(
        self, region: str | None, constraint: bytes | None, s3: S3Rig, moto: Moto
    ) -> None:
        bucket = f"in-{region or 'default'}".lower()
        shelf = Place(s3.config(bucket_name=bucket, region_name=region))
        with s3.proxy.counting() as seen:
            shelf.open("c")
        (create,) = [each for each in seen.requests if each.operation == "CreateBucket"]
        if constraint is None:
            assert b"LocationConstraint" not in create.body
        else:
            assert b"<LocationConstraint>" + constraint in create.body
        s3.client.delete_bucket(Bucket=bucket)

    def test_that_somebody_else_created_meanwhile_is_content(self, s3: S3Rig) -> None:
        place = Place(s3.config())
        absent = Answer(404, "NoSuchBucket")
        s3.proxy.inject(absent, operation="ListObjectsV2", times=SENT_IF_REFUSED)
        s3.proxy.inject(Answer(409, "BucketAlreadyOwnedByYou"), operation="CreateBucket")
        assert not place.open("c")

    def test_that_is_somebody_elses_can_not_be_created(self, s3: S3Rig) -> None:
        place = Place(s3.config())
        absent = Answer(404, "NoSuchBucket")
        s3.proxy.inject(absent, operation="ListObjectsV2", times=SENT_IF_REFUSED)
        s3.proxy.inject(Answer(409, "BucketAlreadyExists"), operation="CreateBucket")
        s3.proxy.inject(Answer(403, "AccessDenied"), operation="ListObjectsV2", times=None)
        with pytest.raises(cshelve.CanNotCreateDBError, match="CreateBucket"):
            place.open("c")

    def test_n_without_check_bucket_creates_it_when_the_listing_says_so(self, s3: S3Rig) -> None:
        place = Place(s3.config(bucket_name="made-by-n", check_bucket=False))
        with s3.proxy.counting() as seen:
            place.open("n")
        assert seen.operations == [*["ListObjectsV2"] * SENT_IF_REFUSED, "CreateBucket"]
        s3.client.delete_bucket(Bucket="made-by-n")


class TestClientConfig:
    def test_ours_where_the_user_says_nothing(self, s3: S3Rig) -> None:
        config = client_config(provider_of(s3.config()))
        assert (config.connect_timeout, config.read_timeout) == (10, 20)
        assert config.retries == {"mode": "standard", "total_max_attempts": 5}
        assert config.max_pool_connections == 32

    def test_our_own_options(self, s3: S3Rig) -> None:
        options = {
            "connect_timeout_seconds": "1.5",
            "read_timeout_seconds": 7,
            "total_max_attempts": "3",
            "concurrency": "64",
        }
        config = client_config(provider_of(s3.config(**options)))
        assert (config.connect_timeout, config.read_timeout) == (1.5, 7)
        assert config.retries["total_max_attempts"] == 3
        assert config.max_pool_connections == 64

    def test_the_users_config_goes_before_ours(self, s3: S3Rig) -> None:
        config = s3.config(read_timeout_seconds=7)
        config["provider_params"] |= {
            "config.read_timeout": "9",
            "config.retries.max_attempts": "1",
            "config.retries.mode": "legacy",
            "config.s3.addressing_style": "path",
            "config.tcp_keepalive": "yes",
            "config.user_agent_extra": "007",
        }
        made = client_config(provider_of(config))
        assert made.read_timeout == 9
        assert made.retries == {"total_max_attempts": 2, "mode": "legacy"}
        assert made.s3["addressing_style"] == "path"
        assert made.tcp_keepalive is True
        assert made.user_agent_extra == "007"

    def test_our_attempts_stay_where_the_user_says_only_the_mode(self, s3: S3Rig) -> None:
        config = s3.config(total_max_attempts=6)
        config["provider_params"]["config.retries.mode"] = "adaptive"
        made = client_config(provider_of(config))
        assert made.retries == {"mode": "adaptive", "total_max_attempts": 6}

    def test_config_of_call_and_file_are_merged_and_the_file_wins(self, s3: S3Rig) -> None:
        from botocore.config import Config

        config = s3.config()
        config["provider_params"] |= {
            "config.read_timeout": 9,
            "config.s3.addressing_style": "path",
        }
        of_call = Config(
            read_timeout=3,
            connect_timeout=4,
            s3={"addressing_style": "virtual", "payload_signing_enabled": True},
        )
        provider = provider_of(config, provider_params={"config": of_call})
        made = client_config(provider)
        assert (made.read_timeout, made.connect_timeout) == (9, 4)
        assert made.s3["addressing_style"] == "path"
        assert made.s3["payload_signing_enabled"] is True

    def test_the_calls_values_are_python_values(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CSHELVE_TEST", "looked-up")
        params = {"aws_session_token": "$CSHELVE_TEST"}
        provider = provider_of(s3.config(), provider_params=params)
        assert provider._settings.client_params["aws_session_token"] == "$CSHELVE_TEST"

    def test_the_files_region_wins_over_the_calls(self, s3: S3Rig) -> None:
        params = {"region_name": "eu-west-1"}
        provider = provider_of(s3.config(region_name="eu-west-3"), provider_params=params)
        assert provider._requests.clients.meta.region_name == "eu-west-3"

    def test_booleans_and_paths_have_their_types(self, s3: S3Rig) -> None:
        config = s3.config()
        config["provider_params"] |= {"use_ssl": "no", "verify": "false"}
        assert provider_of(config)._requests.clients.meta.endpoint_url.startswith("http://")
        config["provider_params"]["verify"] = "certificate-authorities.pem"
        assert provider_of(config)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("endpoint_ur", "x", r"endpoint_ur: .*did you mean endpoint_url\?"),
            ("endpoint", "x", "no such parameter"),
            ("config.read_timout", "1", r"config\.read_timout: .*did you mean read_timeout\?"),
            ("config.read_timeout", "soon", "is a number"),
            ("config.read_timeout.x", "1", "has no names of its own"),
            ("config.s3", "path", r"config\.s3\.<name>"),
            ("config.s3.adressing_style", "path", r"did you mean addressing_style\?"),
            ("config.proxies_config.proxy_ca", "x", "no such name"),
            ("ENDPOINT_URL", "x", r"did you mean endpoint_url\?"),
            ("endpoint_url", "http://user:hush@localhost:9000", "user name"),
            ("aws_session_token", 5, "is a text"),
            ("config.read_timeout", "nan", "is a number"),
            ("config.tcp_keepalive", "perhaps", "is true or false"),
            ("config.s3.addressing_style", "sideways", "addressing"),
            ("config", "x", r"config\.<name> = value"),
            ("use_ssl", "perhaps", "is true or false"),
            ("endpoint_url", "127.0.0.1:9000", "begins with http"),
            ("endpoint_url", "http://", "Invalid endpoint"),
        ],
    )
    def test_a_mistake_is_told_before_any_request(
        self, name: str, value: object, message: str, s3: S3Rig
    ) -> None:
        config = s3.config()
        config["provider_params"][name] = value
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.ConfigurationError, match=r"\[provider_params\]") as caught,
        ):
            Place(config).open()
        import re

        assert re.search(message, str(caught.value))
        assert seen.total == 0

    def test_a_mistake_in_the_call_is_told_as_the_calls(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"the call to open.*endpoint_url"):
            provider_of(s3.config(), provider_params={"endpoint_ur": "x"})

    def test_a_key_given_twice_and_differently_is_an_error(self, s3: S3Rig) -> None:
        config = s3.config()
        config["provider_params"]["aws_access_key_id"] = "other"
        with pytest.raises(cshelve.AuthArgumentError, match="aws_access_key_id") as caught:
            provider_of(config)
        assert "other" not in str(caught.value)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("concurrency", "0"),
            ("concurrency", "many"),
            ("total_max_attempts", 0),
            ("read_timeout_seconds", "-1"),
            ("connect_timeout_seconds", "inf"),
            ("check_bucket", "perhaps"),
        ],
    )
    def test_a_number_out_of_range(self, option: str, value: Any, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=rf"\[default\] {option}: "):
            provider_of(s3.config(**{option: value}))


class TestPutParams:
    def config(self, s3: S3Rig, **params: Any) -> dict[str, Any]:
        return {**s3.config(), "put_params": params}

    def test_go_on_every_put(self, s3: S3Rig) -> None:
        params = {
            "StorageClass": "STANDARD",
            "ContentType": "application/x-pickle",
            "Metadata.team": "blue",
            "Tagging": "a=b",
        }
        shelf = Place(self.config(s3, **params)).open()
        with s3.proxy.counting() as seen:
            shelf["k"] = 1
            shelf.update(m=2)
            shelf.setdefault("n", 3)
            shelf.modify("k", lambda value: value + 1)
        puts = [each for each in seen.requests if each.operation == "PutObject"]
        assert {put.key.rpartition("/")[2] for put in puts}.issuperset({"k", "m", "n"})
        for put in puts:
            assert put.headers["x-amz-storage-class"] == "STANDARD"
            assert put.headers["Content-Type"] == "application/x-pickle"
            assert put.headers["x-amz-meta-team"] == "blue"
            assert put.headers["x-amz-tagging"] == "a=b"

    def test_encryption_of_the_server_is_asked_for(self, s3: S3Rig) -> None:
        params = {
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": "alias/mine",
            "BucketKeyEnabled": "true",
        }
        shelf = Place(self.config(s3, **params)).open()
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}), operation="PutObject")
        with s3.proxy.counting() as seen:
            shelf["k"] = 1
        headers = seen.requests[0].headers
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/mine"
        assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"

    def test_who_pays_and_whose_bucket_go_on_every_request(self, s3: S3Rig) -> None:
        params = {"RequestPayer": "requester", "ExpectedBucketOwner": "123456789012"}
        shelf = Place(self.config(s3, **params)).open()
        with s3.proxy.counting() as seen:
            shelf["k"] = 1
            assert shelf["k"] == 1
            assert "k" in shelf
            assert list(shelf) == ["k"]
            del shelf["k"]
            shelf["k"] = 1
            shelf.clear()
        assert {each.operation for each in seen.requests} == {
            *("PutObject", "GetObject", "HeadObject", "ListObjectsV2"),
            *("DeleteObject", "DeleteObjects"),
        }
        for each in seen.requests:
            assert each.headers["x-amz-request-payer"] == "requester"
            assert each.headers["x-amz-expected-bucket-owner"] == "123456789012"

    def test_a_customers_key_goes_on_reads_too(self, s3: S3Rig) -> None:
        params = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
        shelf = Place(self.config(s3, **params)).open()
        header = "x-amz-server-side-encryption-customer-algorithm"
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}), operation="PutObject")
        s3.proxy.inject(Answer(404, "NoSuchKey"), operation="GetObject")
        with s3.proxy.counting() as seen:
            shelf["k"] = 1
            shelf.get("k")
            "k" in shelf  # noqa: B015
            list(iter(shelf))
        with_key = [each.operation for each in seen.requests if header in each.headers]
        assert with_key == ["PutObject", "GetObject", "HeadObject"]

    @pytest.mark.parametrize(
        "name",
        [
            *("Bucket", "Key", "Body", "IfMatch", "IfNoneMatch", "ContentLength", "ContentMD5"),
            *("ChecksumCRC32", "ChecksumSHA256"),
        ],
    )
    def test_what_a_put_is_made_of_is_refused(self, name: str, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=rf"\[put_params\] {name}: .*itself"):
            Place(self.config(s3, **{name: "x"})).open()

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"StorageClas": "x"}, r"StorageClas: PutObject has none such \(did you mean Storage"),
            (
                {"storageclass": "x"},
                r"storageclass: PutObject has none such \(did you mean Storage",
            ),
            ({"Metadata": "x"}, r"Metadata\.<name>"),
            ({"StorageClass.x": "x"}, "has no names of its own"),
            ({"BucketKeyEnabled": "perhaps"}, "is true or false"),
            ({"StorageClass": 5}, "refuses the type"),
        ],
    )
    def test_a_mistake_is_told_before_any_request(
        self, params: dict[str, Any], message: str, s3: S3Rig
    ) -> None:
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.ConfigurationError, match=message),
        ):
            Place(self.config(s3, **params)).open()
        assert seen.total == 0

    def test_option_names_in_a_file_keep_their_case(self, s3: S3Rig, tmp_path: Path) -> None:
        default = "\n".join(f"{k} = {v}" for k, v in s3.config()["default"].items())
        path = tmp_path / "shelf.ini"
        path.write_text(
            f"[default]\n{default}\n[provider_params]\nendpoint_url = {s3.proxy.endpoint_url}\n"
            "[put_params]\nContentType = text/x-odd\n"
        )
        with cshelve.open(path) as db, s3.proxy.counting() as seen:
            db["k"] = 1
        assert seen.requests[0].headers["Content-Type"] == "text/x-odd"


def test_clients_are_built_one_at_a_time(s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3.session

    inside, most = 0, 0
    build = boto3.session.Session.client

    @functools.wraps(build)
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            return build(self, *args, **kwargs)
        finally:
            inside -= 1

    monkeypatch.setattr(boto3.session.Session, "client", counted)
    configs = [s3.config(engine="boto3") for _ in range(6)]
    threads = [threading.Thread(target=provider_of, args=(each,)) for each in configs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_no_session_of_botos_is_shared(s3: S3Rig) -> None:
    import boto3

    provider_of(s3.config())
    assert boto3.DEFAULT_SESSION is None


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
            signer = db._objects.records.provider._requests.clients.credentials()  # type: ignore[attr-defined]
            assert signer.method == "assume-role"

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
            signer = db._objects.records.provider._requests.clients.credentials()  # type: ignore[attr-defined]
            assert signer.method == "assume-role-with-web-identity"

    def test_the_profile_of_the_configuration_wins(
        self, config: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "absent")
        config["default"] |= {"auth_type": "profile", "profile_name": "mine"}
        config["provider_params"]["region_name"] = "us-east-1"
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1


class TestDataFiles:
    """boto3's data about S3, which botocore's loader reads once in a process."""

    def test_are_shared_by_all_shelves(self, s3: S3Rig) -> None:
        models = [provider_of(s3.config())._requests.clients.meta.service_model for _ in range(2)]
        assert models[0]._service_description is models[1]._service_description

    def test_may_be_in_folders_of_the_users(
        self, tmp_path: Path, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """botocore's variable AWS_DATA_PATH: a model of S3 that has an operation more."""
        model = Loader().load_service_model("s3", "service-2")
        model["operations"]["HeadAll"] = {**model["operations"]["HeadBucket"], "name": "HeadAll"}
        folder = tmp_path / "s3" / "2099-01-01"
        folder.mkdir(parents=True)
        (folder / "service-2.json").write_text(json.dumps(model))
        rules = Loader().load_service_model("s3", "endpoint-rule-set-1")
        (folder / "endpoint-rule-set-1.json").write_text(json.dumps(rules))
        monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
        provider = provider_of(s3.config())
        assert "HeadAll" in provider._requests.clients.meta.service_model.operation_names
        monkeypatch.delenv("AWS_DATA_PATH")
        provider = provider_of(s3.config())
        assert "HeadAll" not in provider._requests.clients.meta.service_model.operation_names

    def test_do_not_pile_up(self, s3: S3Rig) -> None:
        provider_of(s3.config())
        before = list(loader_of(botocore.session.get_session()).search_paths)
        for _ in range(3):
            provider_of(s3.config())
        assert loader_of(botocore.session.get_session()).search_paths == before
