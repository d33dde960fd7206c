"""Build and sign the HTTP request of each operation.

A template is everything in a request except its key, its parameters and its body. It comes from our
own rules (`plain`), or from a request that boto3 made (`captured`); a test checks that the two are
the same. The signature is AWS's Signature Version 4, written as botocore writes it for S3:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
import zlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

__all__ = [
    *("CRC32", "EMPTY_SHA256", "OPERATIONS", "TRACE", "Credentials", "Data", "NoTemplateError"),
    *("Request", "Template", "authorization", "headers_of", "query_of", "timestamp"),
]

Data = bytes | bytearray | memoryview

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
# Replaces the hash of the body where TLS protects the body.
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
CRC32 = "x-amz-checksum-crc32"
TRACE = "x-amzn-trace-id"
SAFE_IN_TRACE = "-=;:+&[]{}\"',"
# boto3 does not sign these either, and S3 ignores them.
UNSIGNED = "user-agent: cshelve/2\r\naccept-encoding: identity\r\n"


class NoTemplateError(Exception):
    """Raised if only boto3 can send a request, or its form is unknown; the message says why."""


class Operation(NamedTuple):
    """An operation of S3: its HTTP method, and the fixed parts of its URL."""

    method: str
    is_of_key: bool = True
    query: tuple[tuple[str, str], ...] = ()
    has_body: bool = False


# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
OPERATIONS = {
    "GetObject": Operation("GET"),
    "HeadObject": Operation("HEAD"),
    "PutObject": Operation("PUT", has_body=True),
    "DeleteObject": Operation("DELETE"),
    "ListObjectsV2": Operation("GET", is_of_key=False, query=(("list-type", "2"),)),
    "DeleteObjects": Operation("POST", is_of_key=False, query=(("delete", ""),), has_body=True),
    "CreateMultipartUpload": Operation("POST", query=(("uploads", ""),)),
    "UploadPart": Operation("PUT", has_body=True),
    "CompleteMultipartUpload": Operation("POST", has_body=True),
    "AbortMultipartUpload": Operation("DELETE"),
}
# The parameters that boto3 sends as headers, and those that it sends in the query.
HEADERS = {
    "ContentType": "content-type",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "Range": "range",
}
QUERY = {
    "Prefix": "prefix",
    "StartAfter": "start-after",
    "MaxKeys": "max-keys",
    "ContinuationToken": "continuation-token",
    "EncodingType": "encoding-type",
    "UploadId": "uploadId",
    "PartNumber": "partNumber",
}

_last_stamp = (0, "")
_last_key: tuple[tuple[str, str, str], bytes] = (("", "", ""), b"")


class Credentials(NamedTuple):
    """The credentials that requests are signed with."""

    key_id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.key_id!r}, …)"


class Request:
    """A signed request, ready to be sent."""

    __slots__ = ("attempts", "body", "head", "key", "method", "operation", "pool", "sent")

    def __init__(
        self,
        operation: str,
        key: str | None,
        method: str,
        head: bytes,
        body: Data | None,
        pool: object,
    ) -> None:
        self.operation = operation
        self.key = key
        self.method = method
        self.head = head
        self.body = body
        self.pool = pool
        """The pool to send the request by; None if there was none when the request was made."""
        self.attempts = 0
        """The number of attempts that have ended."""
        self.sent = 0
        """The number of bytes of the body that the last attempt has sent."""


class Template(NamedTuple):
    """The form of all requests of one operation, whatever their key."""

    method: str
    path: str
    """The path up to the key, or the whole path if the operation is about the bucket."""
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    """The headers that all these requests share, including `host`; names are in lower case."""
    region: str | None
    """The region that the signature is for; None if the request is not signed."""
    has_crc32: bool
    signs_body: bool
    """Whether the signature covers the hash of the body: without TLS, or on the user's demand."""

    def may_say_content_type(self, operation: str) -> bool:
        """Return whether the operation creates an object and the template has no Content-Type."""
        is_said = any(name == "content-type" for name, _ in self.headers)
        return operation in {"PutObject", "CreateMultipartUpload"} and not is_said

    def request(
        self,
        key: str | None,
        credentials: Credentials | None,
        parameters: Mapping[str, object] | None = None,
        body: Data | None = None,
        stamp: str = "",
    ) -> bytes:
        """Return the head of a request, signed if the template has a region and with credentials.

        The body is sent after it. `stamp` is the time of the signature; empty means now.
        """
        path = self.path if key is None else self.path + quote(key, safe="/~")
        query = self.query
        headers = list(self.headers)
        if parameters:
            query = (*query, *query_of(parameters))
            headers += headers_of(parameters)
        if body is not None and self.has_crc32:
            crc32 = zlib.crc32(body).to_bytes(4, "big")
            headers.append((CRC32, base64.b64encode(crc32).decode()))
        signature = ""
        if self.region is not None and credentials is not None:
            signature = self._sign(path, query, headers, credentials, body, stamp or timestamp())
        target = f"{path}?{'&'.join([f'{n}={v}' if v else n for n, v in query])}" if query else path
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        trace = _trace() if "_X_AMZN_TRACE_ID" in os.environ else ""
        length = ""
        if self.method not in {"GET", "HEAD"}:
            length = f"content-length: {0 if body is None else memoryview(body).nbytes}\r\n"
        return (
            f"{self.method} {target} HTTP/1.1\r\n{fields}{signature}{UNSIGNED}{trace}{length}\r\n"
        ).encode("latin-1")

    def _sign(
        self,
        path: str,
        query: tuple[tuple[str, str], ...],
        headers: list[tuple[str, str]],
        credentials: Credentials,
        body: Data | None,
        stamp: str,
    ) -> str:
        """Add the headers that a signature requires, and return the Authorization header's line."""
        if body is None:
            payload_hash = EMPTY_SHA256
        elif self.signs_body:
            payload_hash = hashlib.sha256(body).hexdigest()
        else:
            payload_hash = UNSIGNED_PAYLOAD
        headers.append(("x-amz-content-sha256", payload_hash))
        headers.append(("x-amz-date", stamp))
        if credentials.token:
            headers.append(("x-amz-security-token", credentials.token))
        headers.sort()
        assert self.region is not None
        signed_query = "&".join([f"{name}={value}" for name, value in sorted(query)])
        value = authorization(
            credentials,
            self.region,
            stamp,
            self.method,
            path,
            signed_query,
            headers,
            payload_hash,
        )
        return f"authorization: {value}\r\n"


def authorization(
    credentials: Credentials,
    region: str,
    stamp: str,
    method: str,
    path: str,
    query: str,
    headers: list[tuple[str, str]],
    payload_hash: str,
) -> str:
    """Return the Authorization header of a request.

    `path` and `query` are quoted, and the query is sorted. The headers are sorted; their names are
    in lower case, and their values have no white space at the ends and no two blanks in a row.
    """
    names = ";".join([name for name, _ in headers])
    fields = "".join([f"{name}:{value}\n" for name, value in headers])
    canonical = f"{method}\n{path}\n{query}\n{fields}\n{names}\n{payload_hash}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    key = _signing_key(credentials.secret, stamp[:8], region)
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return (
        f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )


def timestamp() -> str:
    """Return the current time in the format of signatures.

    Formatting takes 2 µs, so the text is kept for the rest of the second.
    """
    global _last_stamp
    now = int(time.time())
    second, stamp = _last_stamp
    if second != now:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        _last_stamp = now, stamp
    return stamp


def query_of(parameters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the parameters that belong into the query, with quoted values; skip the others."""
    return [
        (QUERY[name], quote(str(value), safe="-._~"))
        for name, value in parameters.items()
        if name in QUERY
    ]


def headers_of(parameters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the parameters that are sent as headers; skip the others."""
    headers = [(HEADERS[name], str(value)) for name, value in parameters.items() if name in HEADERS]
    metadata = parameters.get("Metadata")
    if isinstance(metadata, Mapping):
        headers += [(f"x-amz-meta-{name.lower()}", str(value)) for name, value in metadata.items()]
    return headers


def _signing_key(secret: str, date: str, region: str) -> bytes:
    """Return the signing key of a day and a region; the last key is kept, as it serves all day."""
    global _last_key
    wanted = secret, date, region
    made_for, key = _last_key
    if made_for != wanted:
        key = f"AWS4{secret}".encode()
        for part in (date, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        _last_key = wanted, key
    return key


def _trace() -> str:
    """Return the trace header that botocore sends in AWS Lambda; empty outside of Lambda.

    Lambda detects functions that call themselves by this header. Its value changes with each call
    of the function, and it is not signed.
    """
    trace = os.environ["_X_AMZN_TRACE_ID"]
    if not trace or "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return ""
    return f"{TRACE}: {quote(trace, safe=SAFE_IN_TRACE)}\r\n"
