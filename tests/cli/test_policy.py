"""`policy`, which prints the least IAM policy of a shelf."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.rig import errors, ini_file, output


def test_it_follows_the_configuration_and_needs_no_credentials(tmp_path: Path) -> None:
    config = {
        "default": {
            "provider": "aws-s3",
            "bucket_name": "my-bucket",
            "auth_type": "access_key",
            "key_id": "$NOT_YET",
            "key_secret": "$NOT_YET_EITHER",
        },
        "aws-s3": {"key_prefix": "my-shelf"},
        "put_params": {"Tagging": "team=a"},
    }
    shelf = ini_file(tmp_path / "shelf.ini", config)
    document = json.loads(output("policy", shelf, "--flag", "w"))
    listing, objects = document["Statement"]
    assert document["Version"] == "2012-10-17"
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "my-shelf/*"}}
    assert objects["Action"] == [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:PutObject",
        "s3:PutObjectTagging",
    ]
    assert objects["Resource"] == "arn:aws:s3:::my-bucket/my-shelf/*"


def test_a_url_will_do() -> None:
    document = json.loads(output("policy", "s3://my-bucket", "--flag", "r"))
    actions = [action for each in document["Statement"] for action in each["Action"]]
    assert actions == ["s3:ListBucket", "s3:GetObject"]


def test_other_stores_have_no_policy(tmp_path: Path) -> None:
    message = errors("policy", f"file://{tmp_path}", "--flag", "w")
    assert "only shelves in S3" in message
    assert "filesystem" in message
    assert len(message.splitlines()) == 1
    assert "--flag" in errors("policy", "s3://my-bucket", status=2)
    assert "typo" in errors("policy", "s3://my-bucket?typo=1", "--flag", "w")
