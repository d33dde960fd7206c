"""The checks of shelves in S3."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from ipaddress import ip_address
from typing import cast

from cshelve.cli.doctor.checks import Check, Own, Result, Subject, ok
from cshelve.exceptions import AuthError, Error
from cshelve.providers.aws_s3 import examining
from cshelve.providers.aws_s3.errors import (
    EXPIRED_CREDENTIALS,
    WRONG_CREDENTIALS,
    WRONG_REGION,
    code_of,
    status_of,
)
from cshelve.providers.aws_s3.examining import Address
from cshelve.providers.aws_s3.provider import AwsS3

__all__ = ["OWN"]

# What S3 tolerates, and what is worth a word.
MOST_SKEW_SECONDS = 15 * 60
SOME_SKEW_SECONDS = 60
# The permission that each check tries.
PERMISSIONS = {
    "open": "s3:ListBucket",
    "list": "s3:ListBucket",
    "missing key": "s3:ListBucket, without a condition that this request does not meet",
    "read": "s3:GetObject",
    "read latency": "s3:GetObject",
    "delete": "s3:DeleteObject",
    "write": "s3:PutObject, and what [put_params] needs besides",
    "abort upload": "s3:AbortMultipartUpload",
}


class Facts:
    """What the checks of S3 tell each other; each fact is found out once."""

    def __init__(self, provider: AwsS3) -> None:
        self.provider = provider
        self.headers: dict[str, str] = {}
        """The headers of the response to an unsigned request."""
        self.skew_seconds = 0.0

    @cached_property
    def address(self) -> Address:
        return examining.address_of(self.provider)

    @cached_property
    def refusal(self) -> Error | None:
        """The error of a signed listing of one key; None if it succeeds."""
        try:
            next(iter(self.provider.names(limit=1)), None)
        except Error as error:
            return error
        return None

    @property
    def code(self) -> str:
        """The server's error code in response to the listing; empty if it succeeds."""
        cause = None if self.refusal is None else self.refusal.__cause__
        return code_of(cause) if isinstance(cause, Exception) else ""

    @property
    def status(self) -> int:
        cause = None if self.refusal is None else self.refusal.__cause__
        return status_of(cause) if isinstance(cause, Exception) else 0


def facts_of(subject: Subject) -> Facts:
    """Return the facts about a subject, whose provider is S3's."""
    if "s3" not in subject.facts:
        subject.facts["s3"] = Facts(cast(AwsS3, subject.provider))
    return cast(Facts, subject.facts["s3"])


def engine(subject: Subject) -> Result:
    """Report which engine sends the requests, and why."""
    provider = facts_of(subject).provider
    examining.check_parameters(provider)
    return ok(f"{provider.engine} ({provider.engine_reason})")


def credentials(subject: Subject) -> Result:
    """Check that there are credentials, and report whose they are, and where they are from."""
    provider = facts_of(subject).provider
    if provider._settings.auth_type == "anonymous":
        return ok("none: requests are not signed (auth_type = anonymous)")
    caller = examining.caller_of(provider)
    if caller is None:
        return Result(
            "failed",
            "there are none",
            "set auth_type = access_key with key_id and key_secret, or provide credentials that "
            "boto3 finds",
        )
    who = examining.arn_of_caller(provider) or f"the access key {masked(caller.key_id)}"
    how = f", found by boto3 ({caller.method})" if caller.method not in ("", "explicit") else ""
    kind = "temporary credentials" if caller.is_temporary else "credentials"
    return ok(f"{kind} of {who}, from {caller.origin}{how}")


def masked(key_id: str) -> str:
    """Return the end of a key id: its place may contain the secret by mistake."""
    return f"…{key_id[-4:]}" if len(key_id) > 8 else "…"


def name_resolution(subject: Subject) -> Result:
    """Check that the name of the server has an address."""
    address = facts_of(subject).address
    if address.proxy:
        return ok(f"left to the proxy {address.proxy}")
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Result(
            "failed",
            f"{address.host}: {error.strerror}",
            f"check {address.origin or 'bucket_name and region_name'}, and the network",
        )
    addresses = sorted({str(each[4][0]) for each in found})
    return ok(f"{address.host}: {', '.join(addresses)}")


def connection(subject: Subject) -> Result:
    """Check that the server accepts connections."""
    address = facts_of(subject).address
    if address.proxy:
        return ok(f"left to the proxy {address.proxy}")
    began = time.perf_counter()
    try:
        _connected(address).close()
    except OSError as error:
        return Result(
            "failed",
            f"{address.host}, port {address.port}: {error.strerror or error}",
            f"check {address.origin or 'the network'}, the port, and that the server is running",
        )
    milliseconds = (time.perf_counter() - began) * 1000
    return ok(f"{address.host}, port {address.port}, in {milliseconds:.1f} ms")


def _connected(address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), address.connect_seconds)


def tls(subject: Subject) -> Result:
    """Check that the server has a certificate that is trusted."""
    address = facts_of(subject).address
    if address.proxy:
        return ok(f"left to the proxy {address.proxy}")
    if not address.is_secure:
        if _is_loopback(address.host):
            return ok("not used: the server is on this machine")
        return Result(
            "warning", "not used: others in the network can read values", "write https://"
        )
    try:
        with _secured(address) as secured:
            version, certificate = secured.version(), secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Result("failed", f"{address.host}: {error.verify_message}", _trust(address))
    except ssl.SSLError as error:
        return Result(
            "failed",
            f"{address.host}, port {address.port}: {error.reason or error}",
            "write http:// in endpoint_url, if the server has no TLS on this port",
        )
    if address.ca_path is None:
        return Result(
            "warning",
            f"{version}, but the certificate is not verified (verify = false)",
            "give the path of the server's CA certificate as `verify`",
        )
    return ok(f"{version}, with a certificate that is valid until {certificate.get('notAfter')}")


def _trust(address: Address) -> str:
    return (
        "for a server with its own CA, give the path of the CA's certificate as `verify` under "
        f"[provider_params] or in AWS_CA_BUNDLE (now: {address.ca_path}); for a wrong name, check "
        f"{address.origin or 'bucket_name, which must not have dots with TLS'}"
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _secured(address: Address) -> Iterator[ssl.SSLSocket]:
    with (
        _connected(address) as plain,
        _context(address).wrap_socket(plain, server_hostname=address.host) as secured,
    ):
        yield secured


def _context(address: Address) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if address.ca_path is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif os.path.isdir(address.ca_path):
        context.load_verify_locations(capath=address.ca_path)
    else:
        context.load_verify_locations(address.ca_path)
    certificate = address.client_certificate
    if certificate:
        paths = (certificate,) if isinstance(certificate, str) else certificate
        context.load_cert_chain(*paths)
    return context


def response(subject: Subject) -> Result:
    """Check that the server responds, by a request without credentials."""
    facts = facts_of(subject)
    address = facts.address
    if address.proxy:
        return ok(f"left to the proxy {address.proxy}")
    began = time.time()
    try:
        status, facts.headers = _head(address)
    except (OSError, http.client.HTTPException) as error:
        return Result(
            "failed",
            f"{address.host}, port {address.port}: {str(error) or type(error).__name__}",
            "check that an S3 server is there, and whether it wants https:// or http://",
        )
    ended = time.time()
    if told := _time_in(facts.headers.get("date", "")):
        # The server's clock ticks in seconds; it has read it between the two times.
        facts.skew_seconds = told.timestamp() + 0.5 - (began + ended) / 2
    server = facts.headers.get("server")
    return ok(
        f"HTTP {status} after {(ended - began) * 1000:.1f} ms{(server and f' ({server})') or ''}"
    )


def _head(address: Address) -> tuple[int, dict[str, str]]:
    """Send an unsigned HEAD of the bucket; AWS says there in which region it is."""
    host, port, seconds = address.host, address.port, address.connect_seconds
    client: http.client.HTTPConnection
    if address.is_secure:
        context = _context(address)
        client = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    else:
        client = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        client.request("HEAD", address.path)
        answer = client.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        client.close()


def _time_in(date: str) -> datetime | None:
    try:
        told = parsedate_to_datetime(date)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def clock(subject: Subject) -> Result:
    """Check that this machine's clock agrees with the server's: signatures contain the time."""
    facts = facts_of(subject)
    skew, advice = facts.skew_seconds, "set this machine's clock, or the server's (NTP)"
    if facts.code == "RequestTimeTooSkewed":
        return Result("failed", f"the server refuses the time of requests{_told(skew)}", advice)
    if "date" not in facts.headers:
        return ok("the server does not tell its time, and does not refuse ours")
    if abs(skew) > MOST_SKEW_SECONDS:
        return Result("failed", f"wrong by more than S3 tolerates{_told(skew)}", advice)
    if abs(skew) > SOME_SKEW_SECONDS:
        return Result("warning", f"S3 tolerates 15 minutes{_told(skew)}", advice)
    return ok(f"{abs(skew):.0f} s from the server's")


def _told(skew_seconds: float) -> str:
    if abs(skew_seconds) < SOME_SKEW_SECONDS:
        return ""
    direction = "behind" if skew_seconds > 0 else "ahead of"
    return f"; it is {abs(skew_seconds) / 60:.0f} minutes {direction} the server's"


def region(subject: Subject) -> Result:
    """Check that requests are signed for the region in which the bucket is."""
    facts = facts_of(subject)
    ours = examining.region_of(facts.provider)
    if facts.code in WRONG_REGION or facts.status == 301:
        return Result("failed", str(facts.refusal), "set [default] region_name to that region")
    theirs = facts.headers.get("x-amz-bucket-region", ours)
    if theirs != ours:
        return Result(
            "warning",
            f"requests are signed for {ours}, and the bucket is in {theirs}: the first ones are "
            "redirected",
            f"set [default] region_name = {theirs}",
        )
    told = "x-amz-bucket-region" in facts.headers
    return ok(ours if told else f"{ours}; the server does not object")


def signature(subject: Subject) -> Result:
    """Check that the server accepts the credentials, whatever they permit."""
    facts = facts_of(subject)
    error = facts.refusal
    if facts.code in WRONG_CREDENTIALS:
        what = {
            "InvalidAccessKeyId": "the server does not know the access key id",
            "SignatureDoesNotMatch": "the secret key is not that of the access key id",
        }[facts.code]
        origin = facts.provider._bucket.place("").credentials
        advice = f"check {origin}, and that they belong to this server"
        return Result("failed", f"{what} ({facts.code})", advice)
    if facts.code in EXPIRED_CREDENTIALS:
        return Result("failed", f"the credentials have expired ({facts.code})", "renew them")
    if error is not None and not 400 <= facts.status < 500:
        advice = f"check that an S3 server is at {facts.address.host}, and that it works"
        return Result("failed", " ".join(str(error).split()), advice)
    return ok("accepted")


def abort_upload(subject: Subject) -> Result:
    """Check that the upload of a large value may be aborted; this needs no upload."""
    examining.abort_unknown_upload(facts_of(subject).provider, subject.key)
    return ok("not refused")


def checksums(subject: Subject) -> Result:
    """Check that the server verifies checksums, by a write with a wrong one."""
    provider = facts_of(subject).provider
    if not provider._requests.config.sends_checksums:
        return ok("not sent (request_checksum_calculation = when_required)")
    # The same data again, so that nobody sees anything else if it is stored.
    data = provider.get(subject.key).data
    if examining.accepts_wrong_checksum(provider, subject.key, data):
        return Result(
            "warning",
            "the server stores a value with a wrong checksum: damage on the way goes unnoticed",
            "use TLS, which notices it too, or another server",
        )
    return ok("verified: a value with a wrong checksum is refused")


def advice(subject: Subject, check: str, error: Exception) -> str:
    """Return the permission that a check lacks."""
    if not isinstance(error, AuthError) or check not in PERMISSIONS:
        return ""
    policy = f"`cshelve policy {subject.name} --flag {subject.flag}` prints all that is needed"
    return f"grant {PERMISSIONS[check]}; {policy}"


def needless(subject: Subject) -> frozenset[str]:
    """Return the checks that may fail: some credentials are not meant to list."""
    forbids = facts_of(subject).provider._settings.missing_on_forbidden
    return frozenset({"list"}) if forbids else frozenset()


def creation(subject: Subject) -> str:
    """Return in which region the bucket would be created, and the permission for that."""
    where = examining.region_of(facts_of(subject).provider)
    return f" in the region {where}, which needs s3:CreateBucket"


OWN = Own(
    before=(
        Check("engine", engine, ("configuration",), "correct the option"),
        Check("credentials", credentials, ("engine",), "see the message"),
        Check("name resolution", name_resolution, ("engine",)),
        Check("connection", connection, ("name resolution",)),
        Check("TLS", tls, ("connection",)),
        Check("response", response, ("connection", "TLS")),
        Check("clock", clock, ("response", "credentials")),
        Check("region", region, ("response", "credentials")),
        Check("signature", signature, ("response", "credentials", "clock", "region")),
    ),
    writing=(
        Check("abort upload", abort_upload, ("open",)),
        Check("checksums", checksums, ("open", "read", "delete", "write")),
    ),
    advice=advice,
    needless=needless,
    creation=creation,
)
