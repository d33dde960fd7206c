"""`[put_params]`: what goes on which request, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer
from tests.rigs import Place, S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]


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
            (
                {"StorageClas": "x"},
                r"StorageClas: PutObject has no such parameter \(did you mean Storage",
            ),
            (
                {"storageclass": "x"},
                r"storageclass: PutObject has no such parameter \(did you mean Storage",
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
