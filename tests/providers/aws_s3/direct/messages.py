"""Requests and configurations for the tests here: parsed heads, and settings from sections."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from cshelve._config.sections import Sections
from cshelve.providers.aws_s3.direct.templates import Credentials
from cshelve.providers.aws_s3.options import OPTIONS, S3Settings, settings_from

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


class Head(NamedTuple):
    """The head of a request; the names of its headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def host(self) -> str:
        return self.headers["host"]


class Signature(NamedTuple):
    """What an Authorization header says."""

    credential: str
    signed: frozenset[str]
    value: str


def head_of(data: bytes) -> Head:
    """Read the head of a request, strictly: each header is there once, and nothing comes after."""
    text = data.decode("ascii")
    lines, end, rest = text.partition("\r\n\r\n")
    assert (end, rest) == ("\r\n\r\n", "")
    first, *fields = lines.split("\r\n")
    method, target, version = first.split(" ")
    assert version == "HTTP/1.1"
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(": ")
        assert colon, field
        assert name == name.lower()
        assert name not in headers, f"{name} twice"
        assert value == value.strip(), field
        headers[name] = value
    return Head(method, target, headers)


def signature_of(authorization: str) -> Signature:
    """Read an Authorization header of SigV4."""
    found = AUTHORIZATION.fullmatch(authorization)
    assert found is not None, authorization
    return Signature(found[1], frozenset(found[2].split(";")), found[3])


def signed_by_botocore(
    head: Head, credentials: Credentials, region: str, *, is_secure: bool
) -> Head:
    """Return the request as botocore's signer of S3 would have sent it at the same moment.

    It gets what is in the head besides the signature, and the hash of the body.
    """
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as BotocoreCredentials

    made = {"authorization", "x-amz-date", "x-amz-security-token"}
    made |= {"user-agent", "accept-encoding", "content-length", "x-amz-content-sha256"}
    request = AWSRequest(
        head.method,
        f"{'https' if is_secure else 'http'}://{head.host}{head.target}",
        headers={name: value for name, value in head.headers.items() if name not in made},
    )
    request.context["client_config"] = None
    request.context["timestamp"] = head.headers["x-amz-date"]
    signer: Any = S3SigV4Auth(BotocoreCredentials(*credentials), "s3", region)
    signer.payload = lambda _: head.headers["x-amz-content-sha256"]
    # As `add_auth` does, but for the time.
    signer._modify_request_before_signing(request)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    unsigned = {"user-agent", "accept-encoding", "content-length"} & set(head.headers)
    return Head(head.method, head.target, headers | {name: head.headers[name] for name in unsigned})


def settings_of(
    default: dict[str, Any] | None = None,
    provider_params: dict[str, Any] | None = None,
    put_params: dict[str, Any] | None = None,
) -> S3Settings:
    """Return the settings of a shelf with keys, unless the options say otherwise."""
    options = {"auth_type": "access_key", "key_id": "AKIDEXAMPLE", "key_secret": "se/cr+et"}
    if default is not None and default.get("auth_type", "access_key") != "access_key":
        options = {}
    config = {
        "default": {"provider": "aws-s3", "bucket_name": "bucket", **options, **(default or {})},
        "provider_params": provider_params or {},
        "put_params": put_params or {},
    }
    sections = Sections("the test", config, from_file=False, flag="c")
    sections.declare(OPTIONS)
    return settings_from(sections)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
