"""What boto3 would send, found out by having it send into a void; and what that leaves to others.

boto3 decides on host, path, region, headers and checksums by rules that no part of its interface
tells, a presigned URL least of all (it may name another host). So it is let make a whole request
for a key that is a mark, and an event hook of boto3's takes the request in place of the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

__all__ = ["MARK", "NoTemplateError", "Template", "template_of"]

MARK = "cshelve-0-mark"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]*/([^/,]+)/s3/aws4_request,")
SHA256 = re.compile("[0-9a-f]{64}")
# What depends on the moment, the body or the sender's way to send it, and is made for each request.
OF_ONE_REQUEST = frozenset(
    {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
    | {"amz-sdk-invocation-id", "amz-sdk-request", "expect", "transfer-encoding", "x-amz-trailer"}
    | {"x-amz-decoded-content-length", "x-amz-checksum-crc32", "host"}
)
CRC32 = "x-amz-checksum-crc32"


class NoTemplateError(Exception):
    """What boto3 would send is nothing that anybody else can send; the text says why."""


class Template(NamedTuple):
    """A request of boto3's for one operation, without its key and its body."""

    method: str
    is_secure: bool
    path: str
    """Up to the key."""
    headers: tuple[tuple[str, str], ...]
    region: str | None
    """What the signature is for; None for a request that is not signed."""
    has_crc32: bool
    signs_body: bool
    """Whether the hash of the body is signed: it is where there is no TLS, or on demand."""

    @property
    def port(self) -> int:
        """Which port of the host it is for."""
        return urlsplit(f"//{dict(self.headers)['Host']}").port or (443 if self.is_secure else 80)

    def path_of(self, key: str) -> str:
        """Quote a key as botocore does."""
        return self.path + quote(key, safe="/~")


def template_of(request: Any) -> Template:
    """Make a template of a request for `MARK`; raises `NoTemplateError` for what is none."""
    url = urlsplit(request.url)
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    kept = _kept(request.headers, has_body=request.method == "PUT")
    if url.query or not url.path.endswith("/" + MARK):
        raise NoTemplateError("boto3 puts more than the key into the address")
    signed = headers.get("x-amz-content-sha256", "")
    has_crc32 = _has_crc32(headers)
    return Template(
        method=request.method,
        is_secure=url.scheme == "https",
        path=url.path.removesuffix(MARK),
        headers=(("Host", headers.get("host", url.netloc)), *kept),
        region=_region(headers.get("authorization")),
        has_crc32=has_crc32,
        signs_body=SHA256.fullmatch(signed) is not None,
    )


def _region(authorization: str | None) -> str | None:
    """Read out of a signature the region that it is for, and refuse all but plain SigV4."""
    if authorization is None:
        return None
    found = AUTHORIZATION.match(authorization)
    if found is None:
        raise NoTemplateError(f"boto3 signs by {authorization.partition(' ')[0]:.30}")
    return found[1]


def _has_crc32(headers: Mapping[str, str]) -> bool:
    """Tell whether the body's CRC-32 goes with it; any other checksum is refused."""
    announced = headers.get("x-amz-trailer", "")
    sent = {name for name in headers if name.startswith("x-amz-checksum-")} - {
        "x-amz-checksum-mode",
        "x-amz-checksum-algorithm",
    }
    checksums = sent | ({announced} if announced else set())
    if checksums - {CRC32} or "content-md5" in headers:
        raise NoTemplateError("boto3 sends another checksum than CRC-32")
    return bool(checksums)


def _kept(headers: Any, *, has_body: bool) -> list[tuple[str, str]]:
    """Give the headers that every request of the kind has."""
    kept = []
    for name, raw in headers.items():
        if name.lower() in OF_ONE_REQUEST or (name.lower() == "content-length" and has_body):
            continue
        value = _text(raw)
        if not value.isascii() or not value.isprintable():
            raise NoTemplateError(f"the header {name} is not plain text")
        if name.lower() == "content-encoding":
            # Of boto3's own, where it sends a checksum behind the body.
            value = ",".join(part for part in value.split(",") if part.strip() != "aws-chunked")
        if value:
            kept.append((name, value))
    return kept


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
