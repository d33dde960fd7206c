"""Who reads a bucket, for a cache on this machine: known without a request, and without boto3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from cshelve.providers.aws_s3.bucket import address_variable

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.options import S3Settings

__all__ = ["who_asks"]

# What decides which credentials boto3 finds, if they are not given: the names of a profile, a role
# and the like, and no secrets.
VARIABLES = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
)
FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}


def who_asks(settings: S3Settings) -> str | None:
    """Return the place and the user of a shelf as a text without secrets; None if not known.

    With given keys, the user is the key's id. Otherwise it is everything that boto3's credentials
    come from: the id of a role's key changes each hour, and is not known without a request. The
    digests of the files with the profiles are part of that, so another user's keys in them make
    another text. The credentials of the caller's own session are not known.
    """
    if settings.session is not None:
        return None
    address = settings.client_params.get("endpoint_url") or address_variable()
    region = settings.region_name or settings.client_params.get("region_name")
    parts = ["s3", address, region, settings.bucket_name, settings.prefix, *_user(settings)]
    # A key of SSE-C, or who pays, decides what may be read too.
    section = settings.put_params
    parts += [_digest(repr((name, section.value(name))).encode()) for name in section.options()]
    return "\n".join(map(repr, parts))


def _user(settings: S3Settings) -> Iterator[str | None]:
    if settings.auth_type == "anonymous":
        yield "anonymous"
        return
    key_id = settings.credentials.get("key_id") or settings.client_params.get("aws_access_key_id")
    profile = settings.credentials.get("profile_name")
    variable = None if profile else os.environ.get("AWS_ACCESS_KEY_ID")
    if key_id or variable:
        yield from ("key", key_id or variable)
    if key_id:
        return
    yield from (settings.auth_type, profile)
    yield from map(os.environ.get, VARIABLES)
    for name, usual in FILES.items():
        yield _digest_of_file(os.path.expanduser(os.environ.get(name, usual)))


def _digest_of_file(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return _digest(file.read())
    except OSError:
        return None


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
