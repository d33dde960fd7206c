"""The bucket, which may be created, and the prefix of the keys in it."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import Answer
from testbed.moto import Moto
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig, provider_of

pytestmark = [pytest.mark.s3, pytest.mark.once]


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

    @pytest.mark.parametrize("written", ["/{}", "//{}", "/{}/"])
    def test_that_begins_with_a_slash_is_refused(self, written: str, s3: S3Rig) -> None:
        config = s3.config()
        config["default"]["key_prefix"] = written.format(config["default"]["key_prefix"])
        with pytest.raises(cshelve.ConfigurationError, match="key_prefix: begins with a slash"):
            Place(config).open("n")
        with pytest.raises(cshelve.ConfigurationError, match="key_prefix: begins with a slash"):
            cshelve.open(f"s3://{s3.bucket}/{written.format('x')}")

    @pytest.mark.parametrize("check_bucket", [True, False])
    def test_that_cannot_be_encoded_is_refused_and_nothing_is_sent(
        self, check_bucket: bool, s3: S3Rig
    ) -> None:
        config = s3.config(key_prefix="half of \ud83d", check_bucket=check_bucket)
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.ConfigurationError, match="key_prefix: has half of a character"),
        ):
            Place(config).open()
        with pytest.raises(cshelve.ConfigurationError, match="key_prefix: has half of a character"):
            cshelve.open(f"s3://{s3.bucket}/\udcfc")
        assert seen.total == 0

    def test_that_leaves_no_room_for_a_key_is_refused_and_nothing_is_sent(self, s3: S3Rig) -> None:
        told = "key_prefix: is 1,024 bytes long in UTF-8, with the slash behind it: no key could be"
        with s3.proxy.counting() as seen:
            with pytest.raises(cshelve.ConfigurationError, match=rf"\[default\] {told}"):
                Place(s3.config(key_prefix="é" * 511 + "x/")).open()
            with pytest.raises(cshelve.ConfigurationError, match=told):
                cshelve.open(f"s3://{s3.bucket}/{'x' * 1023}")
        assert seen.total == 0

    def test_that_leaves_room_for_a_key_of_one_byte_is_one(self, s3: S3Rig) -> None:
        shelf = Place(s3.config(key_prefix="x/" * 510 + "xx")).open()
        shelf["k"] = 1
        with pytest.raises(cshelve.KeyNotStorableError):
            shelf["kk"] = 1
        assert list(shelf) == ["k"]
        shelf.clear()

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
        assert provider_of(shelf).location == "s3://whole"


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
