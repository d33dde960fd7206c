"""Signature Version 4, as botocore writes it for S3.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple

__all__ = ["EMPTY_SHA256", "UNSIGNED_PAYLOAD", "Credentials", "authorization", "timestamp"]

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
# What is sent in place of the body's hash where TLS protects the body.
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_last_stamp = (0, "")
_last_key: tuple[tuple[str, str, str], bytes] = (("", "", ""), b"")


class Credentials(NamedTuple):
    """What requests are signed with."""

    key_id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.key_id!r}, …)"


def timestamp() -> str:
    """Return the time of now, as it is signed. Made once a second: to format it takes 2 µs."""
    global _last_stamp
    now = int(time.time())
    second, stamp = _last_stamp
    if second != now:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        _last_stamp = now, stamp
    return stamp


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

    Path and query are quoted, the query is sorted; the headers are sorted, with names in lower case
    and no white space round their values or twice within them.
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


def _signing_key(secret: str, date: str, region: str) -> bytes:
    """Derive the key of a day and a region; the last one is kept, since it serves all day."""
    global _last_key
    wanted = secret, date, region
    made_for, key = _last_key
    if made_for != wanted:
        key = f"AWS4{secret}".encode()
        for part in (date, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        _last_key = wanted, key
    return key
