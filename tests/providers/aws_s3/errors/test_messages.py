"""What messages say: the option that helps, and no secret."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import Answer
from tests.rigs import Place, S3Rig, provider_of

pytestmark = pytest.mark.s3


class TestWhatTheMessageSays:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(501, "NotImplemented"), (400, "InvalidArgument"), (411, "MissingContentLength")],
    )
    def test_a_server_that_refuses_checksums_names_the_option(
        self, status: int, code: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(status, code, "header"), operation="PutObject", times=None),
            pytest.raises(
                cshelve.StorageError, match=r"config\.request_checksum_calculation = when_required"
            ),
        ):
            db["k"] = 1

    def test_the_wrong_region_names_the_right_one(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        answer = Answer(
            301, "PermanentRedirect", "elsewhere", headers={"x-amz-bucket-region": "eu-west-3"}
        )
        with (
            s3.proxy.inject(answer, times=None),
            pytest.raises(cshelve.StorageError, match=r"eu-west-3.*region_name"),
        ):
            db["k"]

    def test_no_server(self, s3: S3Rig) -> None:
        config = s3.config(total_max_attempts=1)
        config["provider_params"]["endpoint_url"] = "http://127.0.0.1:1"
        with pytest.raises(cshelve.StorageError, match="endpoint_url"):
            Place(config).open("r")

    @pytest.mark.parametrize("name", ["no/bucket", "s3://bucket", "bucket ; comment", '"bucket'])
    def test_a_bucket_name_that_is_none(self, name: str, s3: S3Rig) -> None:
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.ConfigurationError, match=r"\[default\] bucket_name: "),
        ):
            Place(s3.config(bucket_name=name)).open("r")
        assert seen.total == 0

    def test_secrets_appear_in_no_error_repr_or_record(
        self, s3: S3Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG", logger="cshelve")
        place = Place(s3.config(key_secret="hush-hush"))
        with pytest.raises(cshelve.AuthError) as caught:
            place.open("r")
        shelf = Place(s3.config()).open()
        texts = [str(caught.value), repr(shelf), repr(provider_of(shelf)), caplog.text]
        secrets = ["hush-hush", s3.server.admin.secret_key]
        assert not [secret for secret in secrets for text in texts if secret in text]
