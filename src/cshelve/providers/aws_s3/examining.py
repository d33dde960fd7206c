"""Answers to questions about a shelf in S3 that only a diagnosis asks, with boto3's help.

`cshelve doctor` uses them. Time does not matter here, so boto3 is imported.
"""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import get_environ_proxies

from cshelve.providers.aws_s3.bucket import given_endpoint, origin_of_credentials
from cshelve.providers.aws_s3.errors import code_of, failures, status_of, translated
from cshelve.providers.aws_s3.sending import attempt

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.provider import AwsS3

__all__ = [
    "Address",
    "Caller",
    "abort_unknown_upload",
    "accepts_wrong_checksum",
    "address_of",
    "arn_of_caller",
    "caller_of",
    "check_parameters",
    "region_of",
]

# An id that no upload has.
NO_UPLOAD = "cshelve-doctor-asks-whether-this-would-be-refused"
# The statuses with which servers refuse a body that does not match its checksum.
REFUSED = frozenset({400, 412, 422})


class Address(NamedTuple):
    """Where the requests of a shelf go, and how."""

    host: str
    port: int
    is_secure: bool
    path: str
    """Of the bucket."""
    origin: str | None
    """Where the address is set; None if it follows from the bucket and the region."""
    ca_path: str | None
    """The file or folder of trusted CA certificates; None if any server is trusted."""
    client_certificate: Any
    proxy: str | None
    """The host and port of the proxy, if there is one."""
    connect_seconds: float
    read_seconds: float


class Caller(NamedTuple):
    """Whose credentials a shelf uses. They are never part of this, except for the key id."""

    origin: str
    key_id: str
    method: str
    """botocore's name of the way that it found them."""
    is_temporary: bool


def check_parameters(provider: AwsS3) -> None:
    """Build boto3's clients, which check all parameters, and raise `ConfigurationError`.

    Otherwise, a shelf with the direct engine may build them only when it needs them.
    """
    _ = provider._requests.clients


def address_of(provider: AwsS3) -> Address:
    """Return the address to which a shelf's requests go; nothing is sent."""
    clients = provider._requests.clients
    url = urlsplit(_url_of_bucket(provider))
    config = clients.config
    proxies: Mapping[str, str] = getattr(config, "proxies", None) or get_environ_proxies(
        clients.meta.endpoint_url
    )
    return Address(
        url.hostname or "",
        url.port or (443 if url.scheme == "https" else 80),
        url.scheme == "https",
        url.path or "/",
        given_endpoint(provider._settings),
        clients.authorities_path(),
        getattr(config, "client_cert", None),
        _without_user(proxies.get(url.scheme)),
        config.connect_timeout,
        config.read_timeout,
    )


def _url_of_bucket(provider: AwsS3) -> str:
    clients, name = provider._requests.clients, provider._settings.bucket_name
    try:
        return str(clients.captured("HeadBucket", {"Bucket": name}).url)
    except (ClientError, BotoCoreError, KeyError):
        # Without credentials, or with a session that is still to be requested.
        return f"{clients.meta.endpoint_url}/{name}"


def _without_user(url: str | None) -> str | None:
    """Return the host and port of a proxy's URL, which may contain a password."""
    if not url:
        return None
    return urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]


def caller_of(provider: AwsS3) -> Caller | None:
    """Return whose credentials the shelf uses; None if there are none.

    Finding them may run a program or send requests to other services. Raises `AuthError`.
    """
    settings = provider._settings
    try:
        credentials = provider._requests.clients.credentials()
        if credentials is None:
            return None
        frozen = credentials.get_frozen_credentials()
    except failures() as error:
        raise translated(error, provider._bucket.place("the search for credentials")) from error
    return Caller(
        origin_of_credentials(settings),
        frozen.access_key or "",
        getattr(credentials, "method", ""),
        frozen.token is not None,
    )


def arn_of_caller(provider: AwsS3) -> str | None:
    """Return the ARN of the user or role whose credentials these are, as STS reports it.

    None if STS does not answer, or if the server is not AWS, so that it cannot know.
    """
    settings = provider._settings
    of_s3 = settings.client_params.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL_S3")
    if of_s3 is not None or settings.auth_type == "anonymous":
        return None
    clients = provider._requests.clients
    frozen = clients.credentials().get_frozen_credentials()
    quickly = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        client = clients._session.client(
            "sts",
            region_name=region_of(provider),
            aws_access_key_id=frozen.access_key,
            aws_secret_access_key=frozen.secret_key,
            aws_session_token=frozen.token,
            config=quickly,
            verify=settings.client_params.get("verify"),
        )
        return str(client.get_caller_identity()["Arn"])
    except (ClientError, BotoCoreError, ValueError):
        return None  # S3 itself will say what is wrong with them.


def region_of(provider: AwsS3) -> str:
    """Return the region with which requests are signed."""
    return str(provider._requests.clients.meta.region_name or "us-east-1")


def abort_unknown_upload(provider: AwsS3, name: str) -> None:
    """Try to abort an upload that does not exist; raise `AuthError` if that is refused."""
    try:
        attempt(provider._requests, "AbortMultipartUpload", name, {"UploadId": NO_UPLOAD})
    except failures() as error:
        if code_of(error) in {"NoSuchUpload", "NoSuchKey"} or status_of(error) in {400, 404}:
            return
        place = provider._bucket.place("AbortMultipartUpload", name)
        raise translated(error, place) from error


def accepts_wrong_checksum(provider: AwsS3, name: str, data: bytes) -> bool:
    """Store data with a checksum that is not that of the data; return whether that succeeds."""
    wrong = base64.b64encode((zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()
    requests = provider._requests
    try:
        with requests.permit():
            requests.boto3.call("PutObject", name, {"ChecksumCRC32": wrong}, data)
    except failures() as error:
        if status_of(error) in REFUSED:
            return False
        raise translated(error, provider._bucket.place("PutObject", name)) from error
    return True
