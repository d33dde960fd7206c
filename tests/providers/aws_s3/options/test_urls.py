"""A bucket by its URL, with options."""

from __future__ import annotations

import pickle

import pytest

import cshelve
from tests.rigs import ENGINE, S3Rig, provider_of, unique_name

pytestmark = [pytest.mark.s3, pytest.mark.once]


@pytest.fixture(autouse=True)
def credentials(s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.server.admin.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.server.admin.secret_key)


def url_of(s3: S3Rig, prefix: str, options: str = "") -> str:
    endpoint = f"endpoint_url={s3.proxy.endpoint_url}&engine={ENGINE}"
    return f"s3://{s3.bucket}/{prefix}?{endpoint}{options}"


def test_takes_the_endpoint_the_region_and_the_serializer(s3: S3Rig) -> None:
    prefix = unique_name()
    with cshelve.open(url_of(s3, prefix, "&region_name=eu-west-1&serializer=json")) as db:
        db["k"] = {"a": 1}
        assert db["k"] == {"a": 1}
    stored = s3.client.get_object(Bucket=s3.bucket, Key=f"{prefix}/k")["Body"].read()
    assert b'"a"' in stored


def test_wins_over_the_call(s3: S3Rig) -> None:
    params = {"endpoint_url": "http://127.0.0.1:1", "region_name": "eu-west-2"}
    with cshelve.open(url_of(s3, unique_name()), provider_params=params) as db:
        db["k"] = 1


def test_is_decoded(s3: S3Rig) -> None:
    prefix = unique_name()
    with cshelve.open(url_of(s3, f"{prefix}%2F100%25+$x#y")) as db:
        db["k"] = 1
        assert provider_of(db).location == f"s3://{s3.bucket}/{prefix}/100%+$x#y"
    assert s3.client.head_object(Bucket=s3.bucket, Key=f"{prefix}/100%+$x#y/k")


def test_a_shelf_from_it_can_be_pickled(s3: S3Rig) -> None:
    with cshelve.open(url_of(s3, f"{unique_name()}$x", "&serializer=json"), "n") as db:
        db["k"] = 1
        with pickle.loads(pickle.dumps(db)) as again:
            assert again["k"] == 1
            assert provider_of(again).location == provider_of(db).location


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("bucket_name=x", r"\[default\] bucket_name: the option is given twice"),
        ("key_prefix=x", r"\[default\] key_prefix: the option is given twice"),
        ("endpoint_url=http://x", r"\[provider_params\] endpoint_url: the option is given twice"),
        ("provider_params.endpoint_url=x", r"endpoint_url: the option is given twice"),
        ("put_params.StorageKlass=x", r"StorageKlass"),
        ("provider_params.endpoint=x", r"no such parameter \(did you mean endpoint_url"),
    ],
)
def test_options_are_checked_as_in_a_file(option: str, problem: str, s3: S3Rig) -> None:
    with pytest.raises(cshelve.ConfigurationError, match=problem):
        cshelve.open(url_of(s3, unique_name(), f"&{option}"))
