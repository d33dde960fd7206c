"""Links to plain values, fetched as a browser fetches them."""

from __future__ import annotations

import io
import math
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

import cshelve
from cshelve.providers.aws_s3.provider import AwsS3
from cshelve.providers.in_memory import InMemory
from tests.providers.aws_s3.rig import each_engine
from tests.rigs import S3Rig

PLAIN: dict[str, Any] = {"use_versioning": False, "serializer": "bytes"}
AT_AWS: dict[str, Any] = {
    "provider": "aws-s3",
    "bucket_name": "bucket",
    "auth_type": "access_key",
    "key_id": "id",
    "key_secret": "secret",
    "check_bucket": False,
    "region_name": "eu-south-1",
    **PLAIN,
}


def fetched(link: str) -> tuple[bytes, str]:
    with urlopen(link) as answer:
        return answer.read(), answer.headers["Content-Type"]


@pytest.mark.s3
class TestALink:
    @each_engine
    def test_leads_to_the_value(self, engine: str, s3: S3Rig) -> None:
        with cshelve.open_from_dict(s3.config(engine=engine, **PLAIN)) as db:
            db["a/é ?+%2f"] = b"hello"
            assert fetched(db.presigned_url("a/é ?+%2f"))[0] == b"hello"
            view = db.prefix("a/")
            assert fetched(view.presigned_url("é ?+%2f"))[0] == b"hello"

    def test_leads_to_json_with_its_type(self, s3: S3Rig) -> None:
        config = s3.config(use_versioning=False, serializer="json")
        with cshelve.open_from_dict(config) as db:
            db["k"] = {"a": [1]}
            assert fetched(db.presigned_url("k")) == (b'{"a":[1]}', "application/json")

    def test_is_made_without_a_request_and_of_what_is_not_there_too(self, s3: S3Rig) -> None:
        with cshelve.open_from_dict(s3.config(**PLAIN)) as db:
            with s3.proxy.counting() as seen:
                link = db.presigned_url("absent")
            assert seen.operations == []
            with pytest.raises(HTTPError) as caught:
                urlopen(link)
            assert caught.value.code == 404
            caught.value.close()

    def test_is_signed_by_version_4_for_as_long_as_is_said(self, s3: S3Rig) -> None:
        with cshelve.open_from_dict(s3.config(**PLAIN)) as db:
            query = parse_qs(urlsplit(db.presigned_url("k", expires_seconds=60)).query)
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == ["60"]
        assert query["X-Amz-SignedHeaders"] == ["host"]

    def test_is_made_of_a_shelf_that_only_reads(self, s3: S3Rig) -> None:
        config = s3.config(**PLAIN)
        with cshelve.open_from_dict(config) as db:
            db["k"] = b"v"
        with cshelve.open_from_dict(config, "r") as db:
            assert fetched(db.presigned_url("k"))[0] == b"v"

    @pytest.mark.parametrize("seconds", [0, -1, 604_801, math.nan, True, "60", None])
    def test_of_a_time_that_s3_refuses_is_refused(self, seconds: Any, s3: S3Rig) -> None:
        with (
            cshelve.open_from_dict(s3.config(**PLAIN)) as db,
            pytest.raises(cshelve.ConfigurationError, match="7 days"),
        ):
            db.presigned_url("k", expires_seconds=seconds)

    def test_of_a_key_that_s3_cannot_hold_is_refused(self, s3: S3Rig) -> None:
        with (
            cshelve.open_from_dict(s3.config(**PLAIN)) as db,
            pytest.raises(cshelve.KeyNotStorableError),
        ):
            db.presigned_url("")

    @pytest.mark.parametrize(
        "put_params",
        [
            {"SSECustomerKeyBase64": "a" * 43 + "=", "SSECustomerAlgorithm": "AES256"},
            {"RequestPayer": "requester"},
        ],
    )
    def test_that_would_need_a_header_is_refused(self, put_params: dict[str, str]) -> None:
        config = {"default": AT_AWS, "put_params": put_params}
        with (
            cshelve.open_from_dict(config) as db,
            pytest.raises(cshelve.UnsupportedOperationError, match="as a header"),
        ):
            db.presigned_url("k")

    def test_without_credentials_is_refused(self) -> None:
        config = {name: value for name, value in AT_AWS.items() if not name.startswith("key_")}
        with (
            cshelve.open_from_dict({"default": {**config, "auth_type": "anonymous"}}) as db,
            pytest.raises(cshelve.UnsupportedOperationError, match="anonymous"),
        ):
            db.presigned_url("k")

    def test_where_boto3_finds_no_credentials_says_so(self) -> None:
        config = {name: value for name, value in AT_AWS.items() if not name.startswith("key_")}
        with (
            cshelve.open_from_dict({"default": {**config, "auth_type": "default"}}) as db,
            pytest.raises(cshelve.AuthError, match="no usable credentials"),
        ):
            db.presigned_url("k")

    @pytest.mark.parametrize(
        ("bucket", "host"),
        [
            ("bucket", "bucket.s3.eu-south-1.amazonaws.com"),
            ("a.bucket", "s3.eu-south-1.amazonaws.com"),
        ],
    )
    def test_names_the_regions_own_host(self, bucket: str, host: str) -> None:
        with cshelve.open_from_dict({"default": {**AT_AWS, "bucket_name": bucket}}) as db:
            assert urlsplit(db.presigned_url("k")).netloc == host

    def test_leaves_out_whose_bucket_it_is(self) -> None:
        config = {"default": AT_AWS, "put_params": {"ExpectedBucketOwner": "123456789012"}}
        with cshelve.open_from_dict(config) as db:
            assert "SignedHeaders=host&" in db.presigned_url("k")


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({}, "serializer pickle"),
        ({"default": {"serializer": "bytes"}}, "headers"),
        ({"default": {"serializer": "json"}}, "headers"),
        ({"default": {"use_versioning": False}}, "serializer pickle"),
        ({"default": {"serializer": "bytes", "checksum": True}}, "checksums"),
        ({"default": PLAIN, "compression": {"algorithm": "zlib"}}, "compressed"),
        (
            {"signing": {"algorithm": "hmac-sha256", "key": cshelve.generate_key()}},
            "sealed or signed",
        ),
        (
            {"default": PLAIN, "encryption": {"algorithm": "aes256", "key": "k" * 32}},
            "encrypted",
        ),
    ],
)
@pytest.mark.encryption
def test_where_the_object_is_not_the_plain_value_is_refused(
    sections: dict[str, dict[str, Any]], why: str
) -> None:
    with cshelve.open_provider(InMemory(exists=True), config=sections) as db:
        with pytest.raises(cshelve.UnsupportedOperationError, match=why) as caught:
            db.presigned_url("k")
        assert isinstance(caught.value, io.UnsupportedOperation)


def test_of_a_store_without_links_is_refused() -> None:
    with (
        cshelve.open_provider(InMemory(exists=True), config={"default": PLAIN}) as db,
        pytest.raises(cshelve.UnsupportedOperationError, match="memory: this store has no links"),
    ):
        db.presigned_url("k")


@pytest.mark.s3
def test_a_provider_by_itself_makes_links_too(s3: S3Rig) -> None:
    who = s3.server.admin
    store = AwsS3(
        s3.bucket,
        auth_type="access_key",
        key_id=who.access_key,
        key_secret=who.secret_key,
        endpoint_url=s3.proxy.endpoint_url,
        key_prefix="links",
    )
    store.put("k", b"raw")
    assert fetched(store.presigned_url("k", 60))[0] == b"raw"
    store.close()
