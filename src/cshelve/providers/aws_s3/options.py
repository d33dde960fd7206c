"""The options of `aws-s3`, and the frozen object that holds their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cshelve._config.options import Option, boolean, integer, seconds, text, word
from cshelve._config.sections import Section, Sections
from cshelve.exceptions import AuthArgumentError, AuthTypeError
from cshelve.providers.aws_s3.bucket import LONGEST_KEY
from cshelve.providers.aws_s3.client_parameters import (
    OPTIONS_OF_BOTO3,
    client_parameters,
    refuse_control_characters,
    session_of,
)
from cshelve.providers.base import DEFAULT_CONCURRENCY, MOST_CONCURRENCY

__all__ = [
    "OPTIONS",
    "ClientConfig",
    "S3Settings",
    "bucket_name_from",
    "prefix_from",
    "settings_from",
]

BUCKET_NAME = Option(
    "bucket_name", text, "", "The bucket, or the ARN of an access point.", required=True
)
KEY_PREFIX = Option(
    "key_prefix", text, "", "The prefix of the shelf's object names; one `/` follows it."
)
# The options that each way to authenticate requires, and those that it allows.
AUTH_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "access_key": (("key_id", "key_secret"), ("session_token",)),
    "default": ((), ()),
    "profile": (("profile_name",), ()),
    "anonymous": ((), ()),
}
AUTH_TYPE = Option(
    "auth_type", word, "", "How to authenticate.", required=True, choices=tuple(AUTH_TYPES)
)
CREDENTIALS = (
    Option("key_id", text, None, "The id of the access key; required with `access_key`."),
    Option("key_secret", text, None, "The secret key; required with `access_key`.", secret=True),
    Option("session_token", text, None, "The token of temporary credentials.", secret=True),
    Option("profile_name", text, None, "The profile to use; required with `profile`."),
)
REGION_NAME = Option(
    "region_name", text, None, "The bucket's region; overrides the one in `[provider_params]`."
)
CHECK_BUCKET = Option(
    "check_bucket", boolean, True, "Whether `open` checks that the bucket exists."
)
MISSING_ON_FORBIDDEN = Option(
    "missing_on_forbidden", boolean, False, "With flag `r`, treat a denied read as a missing key."
)
CONNECT_TIMEOUT_SECONDS = Option(
    "connect_timeout_seconds", seconds, 10.0, "How long to wait for a connection."
)
READ_TIMEOUT_SECONDS = Option(
    "read_timeout_seconds", seconds, 20.0, "How long to wait for more bytes from the server."
)
TOTAL_MAX_ATTEMPTS = Option(
    "total_max_attempts", integer, 5, "The most attempts per request, including the first.", least=1
)
CONCURRENCY = Option(
    "concurrency",
    integer,
    DEFAULT_CONCURRENCY,
    "The most requests in flight at once.",
    least=1,
    most=MOST_CONCURRENCY,
)
MULTIPART_THRESHOLD_BYTES = Option(
    "multipart_threshold_bytes", integer, 16 << 20, "Transfer larger values in parts.", least=0
)
# S3 sets the minimum: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MULTIPART_CHUNK_BYTES = Option(
    "multipart_chunk_bytes",
    integer,
    8 << 20,
    "The size of each part except the last.",
    least=5 << 20,
)
ENGINE = Option(
    "engine",
    word,
    "auto",
    "What sends the requests: boto3, or cshelve itself.",
    choices=("auto", "boto3", "direct"),
)
SLOW_REQUEST_SECONDS = Option(
    "slow_request_seconds", seconds, None, "Log slower requests at WARNING."
)
OPTIONS: tuple[Option[Any], ...] = (
    *(BUCKET_NAME, KEY_PREFIX, AUTH_TYPE, *CREDENTIALS, REGION_NAME),
    *(CHECK_BUCKET, MISSING_ON_FORBIDDEN),
    *(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, TOTAL_MAX_ATTEMPTS, CONCURRENCY),
    *(MULTIPART_THRESHOLD_BYTES, MULTIPART_CHUNK_BYTES, ENGINE, SLOW_REQUEST_SECONDS),
    *OPTIONS_OF_BOTO3,
)

# The names that botocore accepts, except those of one or two letters, which no server allows.
USUAL_BUCKET_NAME = re.compile(r"[a-zA-Z0-9.\-_]{3,255}")


class ClientConfig(NamedTuple):
    """The settings in the Config of boto3's client, or those it would have."""

    endpoint_url: str
    attempts: int
    """The number of times that a request is tried, including the first time."""
    concurrency: int
    read_timeout: float
    sends_checksums: bool
    """Whether requests carry checksums that S3 does not require."""
    checks_checksums: bool
    """Whether the checksums in responses are verified."""


@dataclass(frozen=True, eq=False)
class S3Settings:
    """All settings of a shelf in S3."""

    bucket_name: str
    prefix: str
    """The text before each key: empty, or ending in a slash."""
    auth_type: str
    credentials: Mapping[str, str] = field(repr=False)
    """The values of those options in `CREDENTIALS` that are set."""
    region_name: str | None
    check_bucket: bool
    missing_on_forbidden: bool
    concurrency: int
    multipart_threshold_bytes: int
    multipart_chunk_bytes: int
    engine: str
    slow_request_seconds: float | None
    own_config: Mapping[str, Any]
    """Options of botocore's Config that apply unless the user sets them."""
    client_params: Mapping[str, Any] = field(repr=False)
    config_options: Mapping[str, Any] = field(repr=False)
    """The options under `config.` in the configuration."""
    session: Any = field(repr=False)
    """The caller's own boto3 session, if there is one."""
    put_params: Section = field(repr=False)
    """The section `[put_params]`, unchecked: boto3's client has the model to check it against."""
    source: str


def settings_from(config: Sections) -> S3Settings:
    """Read and check every option of the provider; raise `ConfigurationError` for a wrong one."""
    bucket_name = bucket_name_from(config)
    prefix = prefix_from(config)
    auth_type, credentials = _authentication(config)
    concurrency = config.take(CONCURRENCY)
    missing_on_forbidden = config.take(MISSING_ON_FORBIDDEN)
    if missing_on_forbidden and config.flag != "r":
        problem = f"goes with flag 'r' only, and this is {config.flag!r}."
        raise config.error(MISSING_ON_FORBIDDEN, problem)
    chunk_bytes = config.take(MULTIPART_CHUNK_BYTES)
    client_params, config_options = client_parameters(config)
    session = session_of(config, auth_type, client_params)
    return S3Settings(
        bucket_name=bucket_name,
        prefix=prefix,
        auth_type=auth_type,
        credentials=credentials,
        region_name=config.take(REGION_NAME),
        check_bucket=config.take(CHECK_BUCKET) and not missing_on_forbidden,
        missing_on_forbidden=missing_on_forbidden,
        concurrency=concurrency,
        # A value that fits into one chunk is never split.
        multipart_threshold_bytes=max(config.take(MULTIPART_THRESHOLD_BYTES), chunk_bytes),
        multipart_chunk_bytes=chunk_bytes,
        engine=config.take(ENGINE),
        slow_request_seconds=config.take(SLOW_REQUEST_SECONDS),
        own_config={
            "connect_timeout": config.take(CONNECT_TIMEOUT_SECONDS),
            "read_timeout": config.take(READ_TIMEOUT_SECONDS),
            "retries": {
                "mode": "standard",
                "total_max_attempts": config.take(TOTAL_MAX_ATTEMPTS),
            },
            "max_pool_connections": concurrency,
        },
        client_params=client_params,
        config_options=config_options,
        session=session,
        put_params=config.section("put_params"),
        source=config.source,
    )


def bucket_name_from(config: Sections) -> str:
    """Return the value of `bucket_name`; raise an error if it is a URL or a path."""
    name = config.take(BUCKET_NAME)
    if not name.startswith("arn:") and not USUAL_BUCKET_NAME.fullmatch(name):
        raise config.error(
            BUCKET_NAME,
            "is a name of 3 or more letters, digits, dots, hyphens and underscores; a path in the "
            "bucket is key_prefix, and a comment stands on a line of its own.",
        )
    return name


def prefix_from(config: Sections) -> str:
    """Return the value of `key_prefix` with exactly one slash at its end; empty if it is not set.

    Raises an error for a slash at the beginning: in S3, `/x` is not the same as `x`, and hardly
    ever what the user means.
    """
    written = config.take(KEY_PREFIX)
    prefix = written.rstrip("/")
    try:
        size_bytes = len(prefix.encode()) + len("/")
    except UnicodeEncodeError:
        raise config.error(
            KEY_PREFIX, "has half of a character in it, which UTF-8, and so S3, cannot encode."
        ) from None
    if size_bytes >= LONGEST_KEY:
        raise config.error(
            KEY_PREFIX,
            f"is {size_bytes:,} bytes long in UTF-8, with the slash behind it: no key could be "
            f"stored, as S3 accepts {LONGEST_KEY:,} bytes for both together. Write a shorter one.",
        )
    if written and not prefix:
        raise config.error(
            KEY_PREFIX, "is nothing but slashes; leave it out for a shelf of the whole bucket."
        )
    if prefix.startswith("/"):
        raise config.error(
            KEY_PREFIX,
            "begins with a slash, which S3 would take for a folder without a name; remove it.",
        )
    return f"{prefix}/" if prefix else ""


def _authentication(config: Sections) -> tuple[str, dict[str, str]]:
    """Return the value of `auth_type`, and the credentials that go with it."""
    auth_type = config.take(AUTH_TYPE, error=AuthTypeError)
    needed, allowed = AUTH_TYPES[auth_type]
    credentials: dict[str, str] = {}
    for option in CREDENTIALS:
        is_needed = option.name in needed
        value = config.take(option, required=is_needed, error=AuthArgumentError)
        if value is not None and not is_needed and option.name not in allowed:
            problem = f"does not go with auth_type = {auth_type}."
            raise AuthArgumentError(config.where(option) + problem)
        if value:
            refuse_control_characters(config.section("default"), option.name, value)
            credentials[option.name] = value
    return auth_type, credentials
