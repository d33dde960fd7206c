"""The IAM permissions that each flag of `open` needs, and the least policy that grants them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cshelve._config.sections import Sections
from cshelve.exceptions import ConfigurationError
from cshelve.providers.aws_s3.errors import IAM_ACTIONS
from cshelve.providers.aws_s3.options import (
    CHECK_BUCKET,
    MISSING_ON_FORBIDDEN,
    REGION_NAME,
    bucket_name_from,
    prefix_from,
)

__all__ = ["Scope", "actions_of", "policy", "scope_from"]

# The operations that a shelf sends with each flag.
READING = ("ListObjectsV2", "GetObject", "HeadObject")
WRITING = (
    *("PutObject", "CopyObject", "DeleteObject", "DeleteObjects"),
    *("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"),
)
OPERATIONS = {
    "r": READING,
    "w": (*READING, *WRITING),
    "c": (*READING, *WRITING, "CreateBucket"),
    "n": (*READING, *WRITING, "CreateBucket"),
}
OF_BUCKET = frozenset({"s3:ListBucket", "s3:CreateBucket"})
# The permissions that a put needs besides, by its parameters in `[put_params]`.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
OF_PARAMETERS = {
    "Tagging": "s3:PutObjectTagging",
    **dict.fromkeys(
        ("ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"), "s3:PutObjectAcl"
    ),
    **dict.fromkeys(("ObjectLockMode", "ObjectLockRetainUntilDate"), "s3:PutObjectRetention"),
    "ObjectLockLegalHoldStatus": "s3:PutObjectLegalHold",
}
# Characters that mean something in a policy, and how they are written to mean themselves:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
SPECIAL = re.compile(r"[*?$]")


class Scope(NamedTuple):
    """The options of a shelf that decide which permissions it needs, and on what."""

    bucket_name: str
    prefix: str
    """The text before each key: empty, or ending in a slash."""
    check_bucket: bool = True
    missing_on_forbidden: bool = False
    put_params: Mapping[str, Any] = {}
    region_name: str = ""


def scope_from(config: Sections) -> Scope:
    """Read the scope of a shelf from a configuration, whose options are declared.

    Credentials are not read: they need not exist before there is a policy for them.
    """
    put_params = config.section("put_params")
    region = config.take(REGION_NAME) or config.section("provider_params").value("region_name")
    return Scope(
        bucket_name_from(config),
        prefix_from(config),
        config.take(CHECK_BUCKET),
        config.take(MISSING_ON_FORBIDDEN),
        {name: put_params.value(name) for name in put_params.options() if _is_relevant(name)},
        str(region or os.environ.get("AWS_DEFAULT_REGION", "")),
    )


def actions_of(flag: str, scope: Scope | None = None) -> list[str]:
    """Return the S3 actions that a shelf with these options needs, sorted.

    Without a scope, these are the actions of a shelf without special options.
    """
    needed = {
        action
        for operation in OPERATIONS[flag]
        for action in IAM_ACTIONS.get(operation, f"s3:{operation}").split(" and ")
    }
    if scope is not None:
        if flag != "r":
            needed |= {OF_PARAMETERS[name] for name in scope.put_params if name in OF_PARAMETERS}
        if flag == "c" and not scope.check_bucket:
            needed.discard("s3:CreateBucket")  # `open` takes the bucket for granted.
        if scope.missing_on_forbidden:
            needed.discard("s3:ListBucket")  # The option is for credentials without it.
    return sorted(needed)


def policy(flag: str, scope: Scope) -> dict[str, Any]:
    """Return the least IAM policy with which a shelf can do all that a flag allows.

    Raises `ConfigurationError` for a directory bucket (S3 Express), which has other permissions.
    """
    if scope.bucket_name.endswith("--x-s3"):
        raise ConfigurationError(
            f"the bucket {scope.bucket_name} is a directory bucket (S3 Express), whose only "
            "permission is s3express:CreateSession on the bucket."
        )
    actions = actions_of(flag, scope)
    return {
        "Version": "2012-10-17",
        "Statement": [
            *_of_bucket([action for action in actions if action in OF_BUCKET], scope),
            _statement([action for action in actions if action not in OF_BUCKET], _objects(scope)),
            *_of_key(flag, scope),
        ],
    }


def _of_bucket(actions: list[str], scope: Scope) -> list[dict[str, Any]]:
    """Return the statements about the bucket: a listing may be limited to a prefix."""
    if not scope.prefix or "s3:ListBucket" not in actions:
        return [_statement(actions, _bucket(scope))] if actions else []
    listing = _statement(["s3:ListBucket"], _bucket(scope))
    listing["Condition"] = {"StringLike": {"s3:prefix": f"{_literal(scope.prefix)}*"}}
    others = [action for action in actions if action != "s3:ListBucket"]
    return [*([_statement(others, _bucket(scope))] if others else []), listing]


def _of_key(flag: str, scope: Scope) -> list[dict[str, Any]]:
    """Return the statement for the KMS key that encrypts the objects, if one is configured.

    Without `SSEKMSKeyId`, S3 uses a key that everyone in the account may use through S3.
    """
    key = str(scope.put_params.get("SSEKMSKeyId") or "")
    if not key:
        return []
    # A multipart upload, and a copy, read what they wrote or copy.
    actions = ["kms:Decrypt"] if flag == "r" else ["kms:Decrypt", "kms:GenerateDataKey"]
    partition = _partition(scope)
    alias = re.search(r"(?:^|:)(alias/.+)$", key)
    if alias is not None:
        # A policy cannot name a key by its alias, except in a condition.
        statement = _statement(actions, f"arn:{partition}:kms:*:*:key/*")
        condition = {"kms:ResourceAliases": alias[1]}
        return [{**statement, "Condition": {"ForAnyValue:StringEquals": condition}}]
    return [
        _statement(actions, key if key.startswith("arn:") else f"arn:{partition}:kms:*:*:key/{key}")
    ]


def _statement(actions: list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _bucket(scope: Scope) -> str:
    name = scope.bucket_name
    return name if name.startswith("arn:") else f"arn:{_partition(scope)}:s3:::{name}"


def _objects(scope: Scope) -> str:
    # The objects behind an access point have ARNs of another form.
    of_point = "/object" if scope.bucket_name.startswith("arn:") else ""
    return f"{_bucket(scope)}{of_point}/{_literal(scope.prefix)}*"


def _partition(scope: Scope) -> str:
    """Return the first part of ARNs: AWS in China and for the US government has another one."""
    for start, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if scope.region_name.startswith(start):
            return partition
    return "aws"


def _literal(text: str) -> str:
    return SPECIAL.sub(lambda found: f"${{{found[0]}}}", text)


def _is_relevant(parameter: str) -> bool:
    return parameter in OF_PARAMETERS or parameter == "SSEKMSKeyId"
