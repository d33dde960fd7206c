"""Credentials that are wrong, expired or lack a permission, and what is said of them."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import Answer
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig, object_of

pytestmark = pytest.mark.s3


class TestCredentials:
    @pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
    def test_a_wrong_secret_is_an_auth_error_and_creates_nothing(
        self, flag: str, s3: S3Rig
    ) -> None:
        place = Place(s3.config(key_secret="wrong"))
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.AuthError, match="key_secret") as caught,
        ):
            place.open(flag)
        assert seen.operations == ["ListObjectsV2"] * SENT_IF_REFUSED
        assert "wrong'" not in str(caught.value)

    @pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
    def test_a_wrong_key_id_is_an_auth_error(self, flag: str, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthError, match="key_id"):
            Place(s3.config(key_id="nobody")).open(flag)

    def test_a_missing_permission_names_operation_bucket_key_and_action(self, s3: S3Rig) -> None:
        shelf = Place(s3.config(s3.server.reader)).open("w")
        with pytest.raises(
            cshelve.AuthError, match=rf"PutObject of 'k' in s3://{s3.bucket}/.*s3:PutObject"
        ):
            shelf["k"] = 1

    def test_a_listing_that_is_refused_names_its_action(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthError, match="s3:ListBucket"):
            Place(s3.config(s3.server.scoped, key_prefix="team-b")).open("r")

    def test_the_least_permissions_of_a_prefix_are_enough(self, s3: S3Rig) -> None:
        shelf = Place(s3.config(s3.server.scoped, key_prefix="team-a")).open("w")
        shelf["k"] = 1
        assert shelf["k"] == 1
        assert "k" in shelf
        assert len(shelf) == 1
        shelf.clear()
        assert not shelf

    @pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
    def test_an_expired_token_is_an_auth_error(
        self, code: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(400, code, "expired"), key=object_of(db), times=None),
            pytest.raises(cshelve.AuthError, match="expired"),
        ):
            db["k"]

    def test_an_expired_token_is_found_behind_the_bodyless_400_of_a_head(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(400, "ExpiredToken", "expired"), key=object_of(db), times=None),
            pytest.raises(cshelve.AuthError, match="expired"),
        ):
            "k" in db  # noqa: B015

    def test_creating_a_bucket_that_may_not_be_created(self, s3: S3Rig) -> None:
        place = Place(s3.config(s3.server.reader, bucket_name="nobody-may"))
        with pytest.raises(cshelve.CreateRefusedError, match="s3:CreateBucket") as caught:
            place.open("c")
        assert isinstance(caught.value, cshelve.AuthError)
        assert isinstance(caught.value, cshelve.CanNotCreateDBError)

    def test_no_credentials_at_all(self, s3: S3Rig) -> None:
        config = s3.config(auth_type="default", key_id=None, key_secret=None)
        with pytest.raises(cshelve.AuthError, match="no usable credentials"):
            Place(config).open("r")
