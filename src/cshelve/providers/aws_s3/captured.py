"""Learn which requests boto3 would send, by having it build requests that are not sent.

boto3 chooses host, path, region, headers and checksums by rules that its interface does not expose;
not even a presigned URL shows them, as it may name another host. So boto3 builds a whole request
for a placeholder key (`MARK`), an event hook intercepts the request before it is sent (see
`clients`), and the direct engine sends requests of the same form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from cshelve.providers.aws_s3.direct.connections import Endpoint
from cshelve.providers.aws_s3.direct.templates import (
    CRC32,
    EMPTY_SHA256,
    OPERATIONS,
    TRACE,
    Credentials,
    NoTemplateError,
    Template,
    query_of,
)

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.aws_s3.clients import Clients

__all__ = ["Captured"]

MARK = "cshelve-0-mark"
# What boto3 raises before it sends anything. Its credential providers raise exceptions of the
# standard library, too.
OF_BOTO3 = (ClientError, BotoCoreError, OSError, RuntimeError, ValueError, LookupError)
# The parameters that boto3 requires of operations besides the bucket and the key.
NEEDED: dict[str, dict[str, Any]] = {
    "PutObject": {"Body": b""},
    "DeleteObjects": {"Delete": {"Objects": [{"Key": MARK}], "Quiet": False}},
    "UploadPart": {"UploadId": "id", "PartNumber": 1, "Body": b""},
    "CompleteMultipartUpload": {
        "UploadId": "id",
        "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "e"}]},
    },
    "AbortMultipartUpload": {"UploadId": "id"},
}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]*/([^/,]+)/s3/aws4_request,")
SHA256 = re.compile("[0-9a-f]{64}")
# Headers that depend on the time, the body or the way of sending: each request gets new ones.
OF_ONE_REQUEST = frozenset(
    {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", CRC32, "host"}
    | {"amz-sdk-invocation-id", "amz-sdk-request", "expect", "transfer-encoding", "x-amz-trailer"}
    | {"x-amz-decoded-content-length", "user-agent", "content-length", TRACE}
)


class Captured:
    """The templates, endpoint and credentials of a configuration, learned from boto3's client."""

    def __init__(self, clients: Callable[[], Clients], bucket: Bucket) -> None:
        """`clients` returns boto3's clients of this process."""
        self._clients = clients
        self.templates: Mapping[str, Template] = _Templates(clients, bucket)
        """Templates by operation. The first lookup of each may raise `NoTemplateError`."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that requests go to; may raise `NoTemplateError`."""
        _ = self.templates["GetObject"]
        assert isinstance(self.templates, _Templates)
        scheme, netloc = self.templates.origin
        address = urlsplit(f"//{netloc}")
        is_secure = scheme == "https"
        return Endpoint(
            address.hostname or "",
            address.port or (443 if is_secure else 80),
            is_secure,
            self._clients().authorities_path() if is_secure else None,
            self._clients().config.connect_timeout,
        )

    @property
    def credentials(self) -> Credentials | None:
        """The current credentials; raises `NoTemplateError` if boto3 has none."""
        try:
            frozen = self._clients().credentials().get_frozen_credentials()
        except OF_BOTO3 as error:
            raise NoTemplateError(f"boto3 has no credentials: {type(error).__name__}") from error
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


class _Templates(dict[str, Template]):
    """Templates by operation; each is learned from a request of boto3's when first needed."""

    def __init__(self, clients: Callable[[], Clients], bucket: Bucket) -> None:
        super().__init__()
        self.origin = ("", "")
        """The scheme and the host that all requests so far have gone to."""
        self._clients = clients
        self._bucket = bucket

    def __missing__(self, operation: str) -> Template:
        if operation != "GetObject":
            _ = self["GetObject"]  # It sets `origin`, which all others must share.
        made = self[operation] = self._learned(operation)
        return made

    def _learned(self, operation: str) -> Template:
        needed = NEEDED.get(operation, {})
        parameters = {**self._bucket.request(operation), **needed}
        if OPERATIONS[operation].is_of_key:
            parameters["Key"] = MARK
        try:
            request = self._clients().captured(operation, parameters)
        except KeyError as error:
            # boto3 sent another request first, and our empty response confused it: buckets of S3
            # Express need a session, which boto3 requests.
            raise NoTemplateError("boto3 sends another request first") from error
        except OF_BOTO3 as error:
            raise NoTemplateError(f"boto3 makes no request: {type(error).__name__}") from error
        url = urlsplit(request.url)
        if self.origin not in {("", ""), (url.scheme, url.netloc)}:
            raise NoTemplateError("boto3 sends operations to several hosts")
        self.origin = url.scheme, url.netloc
        return _template_of(operation, request, needed)


def _template_of(operation: str, request: Any, needed: Mapping[str, Any]) -> Template:
    """Return the template of a request whose key is `MARK`.

    Raises `NoTemplateError` if other keys might need another form.
    """
    url = urlsplit(request.url)
    model = OPERATIONS[operation]
    expected = "&".join(f"{n}={v}" if v else n for n, v in (*model.query, *query_of(needed)))
    if operation == "ListObjectsV2":
        expected += "&encoding-type=url"
    if url.query != expected or (model.is_of_key and not url.path.endswith("/" + MARK)):
        raise NoTemplateError("boto3 puts more than the key into the address")
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    signed = headers.get("x-amz-content-sha256", "")
    if not model.has_body and signed not in {"", EMPTY_SHA256}:
        raise NoTemplateError("boto3 does not sign that there is no body")
    return Template(
        method=request.method,
        path=url.path.removesuffix(MARK),
        query=model.query,
        headers=(("host", headers.get("host") or _host(url)), *_kept(headers)),
        region=_region(headers.get("authorization")),
        has_crc32=_has_crc32(headers),
        signs_body=SHA256.fullmatch(signed) is not None,
    )


def _host(url: SplitResult) -> str:
    """Return the Host header that `http.client` would add to a request of boto3's."""
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(url.scheme)
    return host if url.port in {None, usual} else f"{host}:{url.port}"


def _region(authorization: str | None) -> str | None:
    """Return the region in a signature; None without one.

    Raises `NoTemplateError` for any other signature than SigV4.
    """
    if authorization is None:
        return None
    found = AUTHORIZATION.match(authorization)
    if found is None:
        raise NoTemplateError(f"boto3 signs by {authorization.partition(' ')[0]:.30}")
    return found[1]


def _has_crc32(headers: Mapping[str, str]) -> bool:
    """Return whether a request has a CRC-32 of the body; raise `NoTemplateError` for others."""
    announced = headers.get("x-amz-trailer", "")
    sent = {name for name in headers if name.startswith("x-amz-checksum-")} - {
        "x-amz-checksum-mode",
        "x-amz-checksum-algorithm",
    }
    checksums = sent | ({announced} if announced else set())
    if checksums - {CRC32} or "content-md5" in headers:
        raise NoTemplateError("boto3 sends another checksum than CRC-32")
    return bool(checksums)


def _kept(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the headers that all requests of the operation share."""
    for name, value in headers.items():
        if name in OF_ONE_REQUEST:
            continue
        if name == "content-encoding" and "x-amz-trailer" in headers:
            # boto3 adds `aws-chunked` if it sends a checksum after the body.
            value = value.removesuffix("aws-chunked").removesuffix(",")
            if not value:
                continue
        if not value.isascii() or not value.isprintable():
            raise NoTemplateError(f"the header {name} is not plain text")
        if value != " ".join(value.split()):
            # Signatures collapse repeated blanks, but the header would be sent with them.
            raise NoTemplateError(f"the header {name} has repeated or surrounding blanks")
        yield name, value


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
