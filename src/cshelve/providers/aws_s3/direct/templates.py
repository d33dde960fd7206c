"""What a request of each operation consists of, without its key and its body; and the request.

A template is either made by our own rules (`plain`), or taken from a request that boto3 made
(`captured`); a test holds the two to be the same.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from cshelve.providers.aws_s3.direct.signing import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Credentials,
    authorization,
    timestamp,
)

__all__ = [
    *("CRC32", "OPERATIONS", "TRACE"),
    *("Data", "NoTemplateError", "Request", "Template", "headers_of", "query_of"),
]

Data = bytes | bytearray | memoryview

CRC32 = "x-amz-checksum-crc32"
TRACE = "x-amzn-trace-id"
SAFE_IN_TRACE = "-=;:+&[]{}\"',"
# Neither signed nor of any meaning to S3, as with boto3.
UNSIGNED = "user-agent: cshelve/2\r\naccept-encoding: identity\r\n"


class NoTemplateError(Exception):
    """What boto3 would send cannot be told, or nobody else can send it; the text says why."""


class Operation(NamedTuple):
    """What the model of S3 says of an operation: its method, and what its address has."""

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
# Parameters of boto3's that are headers, and those that are parts of the query.
HEADERS = {"IfMatch": "if-match", "IfNoneMatch": "if-none-match", "Range": "range"}
QUERY = {
    "Prefix": "prefix",
    "StartAfter": "start-after",
    "MaxKeys": "max-keys",
    "ContinuationToken": "continuation-token",
    "EncodingType": "encoding-type",
    "UploadId": "uploadId",
    "PartNumber": "partNumber",
}


class Template(NamedTuple):
    """A request of one operation, for any key."""

    method: str
    path: str
    """Up to the key; of an operation on the bucket, all of it."""
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    """Those that all of these requests have, `host` among them; names in lower case."""
    region: str | None
    """What the signature is for; None for a request that is not signed."""
    has_crc32: bool
    signs_body: bool
    """Whether the hash of the body is signed: it is where there is no TLS, or on demand."""

    def request(
        self,
        key: str | None,
        credentials: Credentials | None,
        parameters: Mapping[str, object] | None = None,
        body: Data | None = None,
        stamp: str = "",
    ) -> bytes:
        """Return the head of a request; the body follows it on the wire."""
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
        length = "" if self.method in {"GET", "HEAD"} else f"content-length: {_size(body)}\r\n"
        return (
            f"{self.method} {target} HTTP/1.1\r\n"
            f"{fields}{signature}{UNSIGNED}{_trace()}{length}\r\n"
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
        """Add the headers that come with a signature, and return the line of the signature."""
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


class Request(NamedTuple):
    """A request that is ready to be sent."""

    operation: str
    head: bytes
    body: Data | None = None
    pool: object = None
    """The connections of where it is to go."""

    @property
    def method(self) -> str:
        return OPERATIONS[self.operation].method


def query_of(parameters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return those parameters that are parts of the query, quoted."""
    return [
        (QUERY[name], quote(str(value), safe="-._~"))
        for name, value in parameters.items()
        if name in QUERY
    ]


def headers_of(parameters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return those parameters that are headers."""
    headers = [(HEADERS[name], str(value)) for name, value in parameters.items() if name in HEADERS]
    metadata = parameters.get("Metadata")
    if isinstance(metadata, Mapping):
        headers += [(f"x-amz-meta-{name.lower()}", str(value)) for name, value in metadata.items()]
    return headers


def _trace() -> str:
    """Return the header by which AWS Lambda finds functions that call themselves, as botocore does.

    It is another one each time that the function is called, and is not signed.
    """
    trace = os.environ.get("_X_AMZN_TRACE_ID")
    if not trace or "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return ""
    return f"{TRACE}: {quote(trace, safe=SAFE_IN_TRACE)}\r\n"


def _size(body: Data | None) -> int:
    return 0 if body is None else memoryview(body).nbytes
