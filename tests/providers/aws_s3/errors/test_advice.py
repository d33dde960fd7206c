"""Advice looks at what the server said, and at what is set and where."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer
from tests.rigs import Place, S3Rig

pytestmark = pytest.mark.s3


def refused(s3: S3Rig, db: cshelve.CloudShelf, answer: Answer) -> cshelve.Error:
    """Return the error of a write that is answered so."""
    with (
        s3.proxy.inject(answer, operation="PutObject", times=None),
        pytest.raises(cshelve.Error) as caught,
    ):
        db["k"] = 1
    return caught.value


@pytest.fixture
def db(s3_place: Place) -> cshelve.CloudShelf:
    return s3_place.open()


@pytest.mark.parametrize(
    ("status", "code"), [(403, "QuotaExceeded"), (507, ""), (400, "XMinioStorageFull")]
)
def test_a_full_store_is_no_missing_permission(
    status: int, code: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    error = refused(s3, db, Answer(status, code, "The quota of this bucket is used up"))
    assert not isinstance(error, cshelve.AuthError)
    assert "no room left" in str(error)


def test_a_refused_encryption_key_names_its_permissions(s3: S3Rig, db: cshelve.CloudShelf) -> None:
    said = "User is not authorized to perform: kms:GenerateDataKey on resource arn:aws:kms:x"
    error = refused(s3, db, Answer(403, "AccessDenied", said))
    assert isinstance(error, cshelve.AuthError)
    assert "kms:Decrypt to read" in str(error)
    assert "s3:PutObject" not in str(error).replace(said, "")


def test_an_explicit_deny_is_not_contradicted(s3: S3Rig, db: cshelve.CloudShelf) -> None:
    said = "User is not authorized to perform: s3:PutObject with an explicit deny in a policy"
    error = refused(s3, db, Answer(403, "AccessDenied", said))
    assert isinstance(error, cshelve.AuthError)
    assert "a policy forbids it" in str(error)
    assert "probably" not in str(error)


def test_checksums_that_are_off_are_not_advised_to_be_turned_off(s3: S3Rig) -> None:
    config = s3.config()
    config["provider_params"]["config.request_checksum_calculation"] = "when_required"
    said = "Content-MD5 OR x-amz-checksum- HTTP header is required with Object Lock parameters"
    with Place(config).open() as db:
        error = refused(s3, db, Answer(400, "InvalidRequest", said))
    assert "= when_required" not in str(error)
    assert "Object Lock" in str(error)
    assert "AWS_REQUEST_CHECKSUM_CALCULATION" in str(error)


def test_an_answer_without_a_code_is_quoted_without_a_gap(
    s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    assert "the server responded with 413" in (said := str(refused(s3, db, Answer(413))))
    assert "413 ." not in said


def test_a_listing_that_is_taken_for_a_key_asks_about_the_address(s3: S3Rig) -> None:
    with (
        s3.proxy.inject(Answer(404, "NoSuchKey"), operation="ListObjectsV2", times=None),
        pytest.raises(cshelve.StorageError, match=r"bucket's name in \[provider_params\] endpoint"),
    ):
        Place(s3.config()).open("r")


@pytest.mark.parametrize(
    ("options", "environ", "place"),
    [
        ({}, {}, "[default] key_id and key_secret"),
        (
            {"auth_type": "default", "key_id": None, "key_secret": None},
            {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "wrong"},
            "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
    ],
)
def test_wrong_credentials_are_looked_for_where_they_come_from(
    options: dict[str, Any],
    environ: dict[str, str],
    place: str,
    s3: S3Rig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(cshelve.AuthError) as caught:
        Place(s3.config(**{"key_secret": "wrong", **options})).open("r")
    assert f"check {place}, and" in str(caught.value)


def test_an_option_in_the_wrong_section_is_told_the_right_one(s3: S3Rig) -> None:
    config = s3.config()
    config["default"]["endpoint_url"] = s3.proxy.endpoint_url
    with pytest.raises(
        cshelve.ConfigurationError, match=r"endpoint_url: .* here: write it under \[provider_params"
    ):
        Place(config).open("r")


@pytest.mark.parametrize("name", ["ab", "x"])
def test_a_bucket_name_that_is_too_short_is_not_sent(name: str, s3: S3Rig) -> None:
    with s3.proxy.counting() as seen, pytest.raises(cshelve.ConfigurationError, match="3 or more"):
        Place(s3.config(bucket_name=name)).open("r")
    assert seen.total == 0


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(
    "url",
    [
        "http://user:hush-hush@127.0.0.1:1",
        "http://127.0.0.1:1/?token=hush-hush",
        "http://127.0.0.1:1/#hush-hush",
        "http://127.0.0.1:1;token=hush-hush",
        "http://127.0.0.1:hush-hush",
        "user:hush-hush@127.0.0.1",
        "ftp://127.0.0.1/hush-hush",
    ],
)
def test_a_secret_in_the_address_of_a_variable_is_refused_and_not_shown(
    url: str,
    variable: str,
    s3: S3Rig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="cshelve")
    config = s3.config()
    del config["provider_params"]
    monkeypatch.setenv(variable, url)
    with pytest.raises(cshelve.ConfigurationError, match=f"the environment variable {variable}:"):
        Place(config).open("r")
    with pytest.raises(cshelve.ConfigurationError) as caught:
        Place(config).open("r")
    error: BaseException | None = caught.value
    while error is not None:
        assert "hush-hush" not in str(error)
        error = error.__cause__
    assert "hush-hush" not in caplog.text


@pytest.mark.parametrize("engine", ["auto", "boto3"])
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(
    "url", ["no address", "http://", "http://[::1", "http://localhost:99999", "http://a:port"]
)
def test_an_address_that_is_none_is_blamed_on_its_variable(
    url: str, variable: str, engine: str, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = s3.config(engine=engine)
    del config["provider_params"]
    monkeypatch.setenv(variable, url)
    with pytest.raises(
        cshelve.ConfigurationError, match=rf"environment variable {variable}: gives no addr"
    ):
        Place(config).open("r")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("endpoint_url = http://user:hush-hush@127.0.0.1:1", "has a user name"),
        ("endpoint_url = hush-hush", "gives no address"),
        (
            "services = ours\n[services ours]\ns3 =\n  endpoint_url = http://a/?token=hush-hush",
            "has a user name or a query",
        ),
    ],
)
@pytest.mark.parametrize("profile", ["default", "elsewhere"])
def test_an_address_of_a_profile_is_blamed_on_it_and_not_shown(
    profile: str,
    settings: str,
    problem: str,
    s3: S3Rig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "default" if profile == "default" else f"profile {profile}"
    (tmp_path / "config").write_text(f"[{name}]\n{settings}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", profile)
    config = s3.config(region_name="eu-west-1")
    del config["provider_params"]
    with pytest.raises(
        cshelve.ConfigurationError,
        match=rf"endpoint_url of the profile '{profile}' in ~/\.aws/config: {problem}",
    ) as caught:
        Place(config).open("r")
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("engine", ["auto", "boto3"])
def test_a_server_that_is_not_there_is_looked_for_where_its_address_comes_from(
    engine: str, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = s3.config(total_max_attempts=1, engine=engine)
    config["provider_params"]["endpoint_url"] = "http://127.0.0.1:1"
    with pytest.raises(cshelve.StorageError, match=r"check \[provider_params\] endpoint_url\.$"):
        Place(config).open("r")
    del config["provider_params"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(
        cshelve.StorageError, match=r"check the environment variable AWS_ENDPOINT_URL\.$"
    ):
        Place(config).open("r")


class TestAKeyOfRandomBytes:
    """Server-side encryption with a key of the caller's: bytes are none that a text could hold."""

    KEY = os.urandom(32)
    OPTIONS = ("SSECustomerKey", "SSECustomerKeyBase64")

    @pytest.mark.parametrize("option", OPTIONS)
    def test_is_sent_as_it_is(self, option: str, s3: S3Rig) -> None:
        written = base64.b64encode(self.KEY).decode()
        value = self.KEY if option == "SSECustomerKey" else written
        config = s3.config()
        config["put_params"] = {"SSECustomerAlgorithm": "AES256", option: value}
        with Place(config).open() as db, s3.proxy.counting() as seen:
            db["k"] = 1
            assert db["k"] == 1
        header = "x-amz-server-side-encryption-customer-key"
        assert {each.headers[header] for each in seen.requests} == {written}

    @pytest.mark.parametrize(
        ("params", "problem"),
        [
            ({"SSECustomerKeyBase64": "no base64!"}, "is not base64"),
            ({"SSECustomerKeyBase64": "AAAA"}, "has to be 32 bytes in base64, not 3"),
            ({"SSECustomerKeyBase64": "A" * 44, "SSECustomerKey": b"k" * 32}, "key once"),
        ],
    )
    def test_has_to_be_one(self, params: dict[str, str | bytes], problem: str, s3: S3Rig) -> None:
        config = s3.config()
        config["put_params"] = {"SSECustomerAlgorithm": "AES256", **params}
        with pytest.raises(cshelve.ConfigurationError, match=problem):
            Place(config).open()
