"""What the policy of a flag consists of, and how the options of a shelf change it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.aws_s3.permissions import OF_PARAMETERS, Scope, actions_of, policy

PAGE = Path(__file__).parents[4] / "docs" / "s3.md"
SCOPE = Scope("my-bucket", "my-shelf/")


def statements(flag: str, scope: Scope) -> list[Any]:
    return list(policy(flag, scope)["Statement"])


@pytest.mark.parametrize("flag", "rwcn")
def test_the_documentation_has_the_same_actions(flag: str) -> None:
    rows = re.findall(r"^\| `(\w)`.*\| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told: dict[str, set[str]] = {}
    for letter, cell in rows:
        same = re.search(r"as `(\w)`", cell)
        before = told[same[1]] if same else told.get("w" if letter == "c" else "r", set())
        told[letter] = before | set(re.findall(r"s3:\w+", cell))
    assert told[flag] == set(actions_of(flag))


def test_the_documentation_has_the_same_policy() -> None:
    import json

    [block] = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert json.loads(block) == policy("w", SCOPE)


def test_a_whole_bucket_has_no_condition() -> None:
    bucket, objects = statements("c", Scope("my-bucket", ""))
    assert bucket == {
        "Effect": "Allow",
        "Action": ["s3:CreateBucket", "s3:ListBucket"],
        "Resource": "arn:aws:s3:::my-bucket",
    }
    assert objects["Resource"] == "arn:aws:s3:::my-bucket/*"


@pytest.mark.parametrize(("parameter", "action"), OF_PARAMETERS.items())
def test_parameters_of_puts_need_more(parameter: str, action: str) -> None:
    """Neither SeaweedFS nor moto checks these permissions of a put, so the names are AWS's word."""
    scope = SCOPE._replace(put_params={parameter: "x"})
    assert action in statements("w", scope)[-1]["Action"]
    assert statements("r", scope) == statements("r", SCOPE)


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("arn:aws:kms:eu-west-1:1:key/k", "arn:aws:kms:eu-west-1:1:key/k"),
        ("0aa0-1bb1", "arn:aws:kms:*:*:key/0aa0-1bb1"),
        ("alias/mine", "arn:aws:kms:*:*:key/*"),
        ("arn:aws:kms:eu-west-1:1:alias/mine", "arn:aws:kms:*:*:key/*"),
    ],
)
def test_a_kms_key_is_granted(key: str, resource: str) -> None:
    scope = SCOPE._replace(put_params={"SSEKMSKeyId": key})
    of_writer, of_reader = statements("w", scope)[-1], statements("r", scope)[-1]
    assert of_writer["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert of_reader["Action"] == ["kms:Decrypt"]
    assert of_writer["Resource"] == resource
    condition = of_writer.get("Condition")
    if "alias" in key:
        assert condition == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/mine"}}
    else:
        assert condition is None


def test_a_bucket_that_is_taken_for_granted_is_not_created() -> None:
    scope = SCOPE._replace(check_bucket=False)
    assert "s3:CreateBucket" not in actions_of("c", scope)
    assert "s3:CreateBucket" in actions_of("n", scope)


def test_missing_on_forbidden_is_for_credentials_that_cannot_list() -> None:
    [objects] = statements("r", SCOPE._replace(missing_on_forbidden=True))
    assert objects["Action"] == ["s3:GetObject"]


def test_special_characters_of_a_prefix_are_literal() -> None:
    listing, objects = statements("r", Scope("my-bucket", "50$ *?/"))
    assert objects["Resource"] == "arn:aws:s3:::my-bucket/50${$} ${*}${?}/*"
    assert listing["Condition"]["StringLike"]["s3:prefix"] == "50${$} ${*}${?}/*"


def test_an_access_point_and_another_partition_have_arns_of_their_own() -> None:
    point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"
    listing, objects = statements("r", Scope(point, "p/"))
    assert (listing["Resource"], objects["Resource"]) == (point, f"{point}/object/p/*")
    [_, objects] = statements("r", Scope("bucket", "p/", region_name="cn-north-1"))
    assert objects["Resource"] == "arn:aws-cn:s3:::bucket/p/*"


def test_a_directory_bucket_has_other_permissions() -> None:
    with pytest.raises(cshelve.ConfigurationError, match="s3express:CreateSession"):
        policy("w", Scope("mine--use1-az4--x-s3", ""))
