"""What the direct engine would send beside what boto3 would send.

boto3 makes each request and is stopped before it sends it. What the engine would send is compared
with that, byte for byte but for the date, the signature's value (which `test_signing` compares),
the user agent and botocore's bookkeeping; and with one difference that is meant: over TLS boto3
frames a body in chunks and puts its checksum behind it, and we put it into a header.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cshelve.providers.aws_s3.bucket import Bucket
from cshelve.providers.aws_s3.direct.engine import Engine, Source
from cshelve.providers.aws_s3.direct.templates import CRC32
from cshelve.providers.aws_s3.plain import PlainSource, plain_source
from tests.providers.aws_s3.direct.messages import Head, head_of, signature_of, signed_by_botocore
from tests.providers.aws_s3.direct.parity.wanted import Wanted

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.clients import Clients
    from cshelve.providers.aws_s3.options import S3Settings

# Not compared. `accept-encoding` is added by http.client, which boto3 sends by; `test_wire` looks
# at the wire itself.
UNLIKE = frozenset({"authorization", "x-amz-date", "user-agent", "accept-encoding", "expect"})
BOOKKEEPING = frozenset({"amz-sdk-invocation-id", "amz-sdk-request"})
# boto3's framing of a body with its checksum behind it, over TLS.
FRAMING = frozenset({"transfer-encoding", "x-amz-trailer", "x-amz-decoded-content-length"})
FRAMED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def unreported(*_: object, **__: object) -> None:
    """Do nothing when an attempt has ended."""


class Boto3:
    """boto3's client of a configuration, and our own, that asks it."""

    def __init__(self, settings: S3Settings) -> None:
        from cshelve.providers.aws_s3.captured import Captured
        from cshelve.providers.aws_s3.clients import Clients
        from cshelve.providers.aws_s3.session import checked_parameters

        self.clients: Clients = Clients(settings)
        self.bucket = Bucket(settings)
        self.bucket.parameters = checked_parameters(settings, self.clients)
        self.captured = Captured(lambda: self.clients, self.bucket)

    def made(self, wanted: Wanted, key: str | None) -> Any:
        """Return the request that boto3 would send."""
        return self.clients.captured(wanted.operation, self.parameters(wanted, key))

    def parameters(self, wanted: Wanted, key: str | None) -> dict[str, Any]:
        """Return what boto3 gets to make a request of, as `Requests` puts it together."""
        given = {**self.bucket.request(wanted.operation), **wanted.parameters}
        given.pop("EncodingType", None)
        if "Metadata" in wanted.parameters:
            of_bucket = self.bucket.request(wanted.operation).get("Metadata", {})
            given["Metadata"] = {**of_bucket, **wanted.parameters["Metadata"]}
        if key is not None:
            given["Key"] = key
        return {**given, **wanted.of_boto3}


def expected(request: Any, body: bytes | None) -> tuple[Head, str, dict[str, str]]:
    """Return what is to be sent for a request of boto3's: its head, host, and what it signs by.

    The headers are those that are to be equal.
    """
    from botocore import auth

    url = urlsplit(request.url)
    headers = {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    authorization = headers.get("authorization", "")
    # This is what botocore signs, and what http.client sends.
    headers["host"] = vars(auth)["_host_from_url"](request.url)
    signed = set()
    if authorization:
        signature = signature_of(authorization)
        signed = set(signature.signed) - BOOKKEEPING
    if headers.get("x-amz-trailer"):
        assert url.scheme == "https"
        assert headers["x-amz-trailer"] == CRC32
        assert headers.get("x-amz-content-sha256") in {FRAMED, None}
        assert body is not None
        assert headers["x-amz-decoded-content-length"] == str(len(body))
        headers["content-length"] = str(len(body))
        headers[CRC32] = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
        if authorization:
            signed.add(CRC32)
        else:
            del headers["x-amz-content-sha256"]
        codings = headers.pop("content-encoding").split(",")
        assert "aws-chunked" in codings
        if codings != ["aws-chunked"]:
            headers["content-encoding"] = ",".join(c for c in codings if c != "aws-chunked")
        else:
            signed.discard("content-encoding")
        headers = {name: value for name, value in headers.items() if name not in FRAMING}
        signed -= FRAMING
    elif not authorization:
        # Only where the framing needs it.
        assert "x-amz-content-sha256" not in headers
    target = url.path + (f"?{url.query}" if url.query else "")
    by = {"credential": "", "signed": ""}
    if authorization:
        by = {"credential": signature.credential, "signed": ";".join(sorted(signed))}
    return Head(request.method, target, without_own(headers)), url.scheme, by


def without_own(headers: Mapping[str, str]) -> dict[str, str]:
    return {n: v for n, v in headers.items() if n not in UNLIKE | BOOKKEEPING}


def compare(boto3: Boto3, sources: Sequence[Source], wanted: Wanted, key: str | None) -> None:
    """Compare the request that the engine makes, by each source, with the one that boto3 makes."""
    made = boto3.made(wanted, key)
    for source in sources:
        compare_with(made, source, wanted, key)


def compare_with(made: Any, source: Source, wanted: Wanted, key: str | None) -> None:
    what = f"{wanted.operation} {wanted.parameters} {key!r}"
    head, scheme, by = expected(made, wanted.body)
    request = Engine(source, unreported, 1).request(
        wanted.operation, key, wanted.parameters, wanted.body
    )
    ours = head_of(request.head)
    assert (ours.method, ours.target) == (head.method, head.target), what
    assert without_own(ours.headers) == head.headers, what
    if wanted.operation in {"DeleteObjects", "CompleteMultipartUpload"}:
        assert made.body == request.body, what
    # As the day may have changed in between, the date is not compared.
    authorization = ours.headers.get("authorization")
    if authorization is None:
        assert by["signed"] == "", what
        assert "x-amz-date" not in ours.headers
        return
    signature = signature_of(authorization)
    assert ";".join(sorted(signature.signed)) == by["signed"], what
    assert without_date(signature.credential) == without_date(by["credential"]), what
    credentials, region = source.credentials, source.templates[wanted.operation].region
    assert credentials is not None
    assert region is not None
    resigned = signed_by_botocore(ours, credentials, region, is_secure=scheme == "https")
    assert resigned.headers == ours.headers, what


def without_date(credential: str) -> list[str]:
    parts = credential.split("/")
    return [*parts[:-4], *parts[-3:]]


def sources_of(settings: S3Settings, boto3: Boto3) -> list[Source]:
    of_table = plain_source(settings)
    return [of_table, boto3.captured] if isinstance(of_table, PlainSource) else [boto3.captured]


def compare_endpoints(boto3: Boto3, source: Source) -> None:
    """Compare where requests go, and whom they trust there."""
    url = urlsplit(boto3.made(Wanted("GetObject"), "k").url)
    endpoint = source.endpoint
    usual = {"http": 80, "https": 443}[url.scheme]
    assert (endpoint.host, endpoint.port) == (url.hostname, url.port or usual)
    assert endpoint.is_secure == (url.scheme == "https")
    authorities = boto3.clients.authorities_path() if endpoint.is_secure else None
    assert endpoint.ca_path == authorities
    assert endpoint.connect_seconds == boto3.clients.config.connect_timeout
    if isinstance(source, PlainSource):
        assert source.client_config == boto3.clients.client_config
