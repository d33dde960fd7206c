"""Servers that enforce IAM policies, with an identity for each policy that the tests try."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from cshelve.providers.aws_s3.permissions import Scope, policy
from testbed.moto import Moto
from testbed.s3_client import Identity, s3_client
from testbed.seaweedfs import IdentitySpec, SeaweedFS
from tests.providers.aws_s3.permissions.operations import PARTS, Shelf, refused

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PREFIX = "my-shelf"
# SeaweedFS lets whoever may put an object abort its upload, and AWS and moto do not.
NOT_ASKED_FOR = "s3:AbortMultipartUpload"

Policy = dict[str, Any]


class Case(NamedTuple):
    """A policy for a flag, and what is missing in it: nothing, or one action."""

    flag: str
    missing: str = ""

    @property
    def name(self) -> str:
        return f"{self.flag}-{self.missing.partition(':')[2] or 'complete'}".lower()

    @property
    def bucket(self) -> str:
        return f"bucket-{self.name}"

    @property
    def policy(self) -> Policy:
        return without(policy(self.flag, Scope(self.bucket, f"{PREFIX}/")), self.missing)


def without(document: Policy, action: str) -> Policy:
    """Return a policy that no longer grants an action."""
    statements = [
        {**each, "Action": [granted for granted in each["Action"] if granted != action]}
        for each in document["Statement"]
    ]
    return {**document, "Statement": [each for each in statements if each["Action"]]}


def cases() -> list[Case]:
    """Return the case of each complete policy, and one for each action that it grants.

    What is needed for "w" is needed for "c" and "n" too, with which one does the same and more.
    """
    actions = {flag: actions_of(Case(flag).policy) for flag in "rwcn"}
    for flag in "cn":
        actions[flag] = [each for each in actions[flag] if each not in actions["w"]]
    return [Case(flag, action) for flag in actions for action in ("", *actions[flag])]


def actions_of(document: Policy) -> list[str]:
    return [action for each in document["Statement"] for action in each["Action"]]


class Server:
    """A server with an identity for each case."""

    def __init__(
        self, endpoint_url: str, admin: Identity, identities: Mapping[Case, Identity]
    ) -> None:
        self._endpoint_url = endpoint_url
        self._admin = admin
        self._identities = identities
        self.client: S3Client = s3_client(endpoint_url, admin, {})

    def refused(self, case: Case, **default: Any) -> Iterator[tuple[str, str]]:
        """Yield the operations of the flag that the policy of a case is not enough for."""
        shelf, admins = (
            Shelf(self._config(case, who, default), self.client)
            for who in (self._identities[case], self._admin)
        )
        return refused(shelf, case.flag, admins)

    def _config(
        self, case: Case, who: Identity, more: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        default = {
            "provider": "aws-s3",
            "bucket_name": case.bucket,
            "key_prefix": PREFIX,
            "auth_type": "access_key",
            "key_id": who.access_key,
            "key_secret": who.secret_key,
            **PARTS,
            **more,
        }
        return {"default": default, "provider_params": {"endpoint_url": self._endpoint_url}}


@pytest.fixture(scope="module")
def weed(quick_clients: None) -> Iterator[Server]:
    specs = {case: IdentitySpec(case.name, [(case.name, case.policy)]) for case in cases()}
    with SeaweedFS(list(specs.values())) as server:
        identities = {case: spec.identity for case, spec in specs.items()}
        yield Server(server.endpoint_url, server.admin, identities)


@pytest.fixture(scope="module")
def moto_with_iam(quick_clients: None) -> Iterator[Server]:
    with Moto() as server:
        iam = _iam(server)
        # For complete policies, and for those without the action that SeaweedFS does not ask for.
        of_moto = [case for case in cases() if case.missing in {"", NOT_ASKED_FOR}]
        identities = {case: _user(iam, case.name, for_moto(case)) for case in of_moto}
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        admin = _user(iam, "admin", {"Version": "2012-10-17", "Statement": [everything]})
        server.enforce_policies()
        yield Server(server.endpoint_url, admin, identities)


def for_moto(case: Case) -> Policy:
    """Return a policy without what moto gets wrong.

    It denies whatever has a condition, and it asks whether the whole bucket may be deleted from
    where AWS asks that for each key of DeleteObjects.
    """
    statements = [
        {name: value for name, value in each.items() if name != "Condition"}
        for each in case.policy["Statement"]
    ]
    if any("s3:DeleteObject" in each["Action"] for each in statements):
        bucket = f"arn:aws:s3:::{case.bucket}"
        statements.append({"Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": bucket})
    return {**case.policy, "Statement": statements}


def _iam(server: Moto) -> Any:
    import boto3

    return boto3.session.Session().client(
        "iam",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.admin.access_key,
        aws_secret_access_key=server.admin.secret_key,
    )


def _user(iam: Any, name: str, document: Policy) -> Identity:
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Identity(key["AccessKeyId"], key["SecretAccessKey"])
