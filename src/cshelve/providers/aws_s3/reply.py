"""What the Common Runtime brings back of a request, and whether it can be taken as it is.

It takes an answer that ends with its connection for an empty one, and says of a 500 or 503 that it
repeated in vain neither status nor text. So everything that is not plainly an answer is boto3's.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from awscrt import checksums

__all__ = ["Failure", "Reply", "Verdict", "is_damaged", "lower_case"]

CODE = re.compile(rb"<Code>([^<]*)</Code>")
# What it reports in place of an answer although the server did answer.
ANSWERED = frozenset(
    {"AWS_ERROR_S3_SLOW_DOWN", "AWS_ERROR_S3_INTERNAL_ERROR"}
    | {"AWS_ERROR_S3_REQUEST_TIME_TOO_SKEWED", "AWS_ERROR_S3_REQUEST_TIMEOUT"}
)
CANCELLED = "AWS_ERROR_S3_CANCELED"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "x-amz-checksum-crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "x-amz-checksum-crc32c": lambda data: int(checksums.crc32c(data)).to_bytes(4, "big"),
    "x-amz-checksum-crc64nvme": lambda data: int(checksums.crc64nvme(data)).to_bytes(8, "big"),
    "x-amz-checksum-sha1": lambda data: hashlib.sha1(data).digest(),
    "x-amz-checksum-sha256": lambda data: hashlib.sha256(data).digest(),
}


class Verdict(Enum):
    """What to do with a reply."""

    DONE = auto()
    """It was done, and this is the answer."""
    ABSENT = auto()
    """The server says that there is no such key."""
    AGAIN = auto()
    """Have boto3 do it again: it gives the genuine error, or the value after all."""
    NEVER_MORE = auto()
    """Have boto3 do it again, and all that follows."""


class Failure(NamedTuple):
    """What the Common Runtime says instead of an answer."""

    name: str
    text: str


@dataclass(slots=True)
class Reply:
    """An answer, or what there is of one. Names of headers are in lower case."""

    operation: str
    status: int = 0
    """0 where the Common Runtime does not tell it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: Failure | None = None
    """Where there was no answer that it tells of."""

    @property
    def verdict(self) -> Verdict:
        """Judge whether this can be taken for the answer."""
        if self.failure is not None:
            brought_back = self.failure.name in ANSWERED or self.failure.name == CANCELLED
            return Verdict.AGAIN if brought_back else Verdict.NEVER_MORE
        if self.status == 404 and self._says_no_such_key():
            return Verdict.ABSENT
        match self.operation:
            case "GetObject" if self.status == 200:
                return Verdict.DONE if self._is_whole() else Verdict.NEVER_MORE
            case "PutObject" if self.status == 200 and "etag" in self.headers:
                return Verdict.DONE
            case "HeadObject" if self.status == 200:
                return Verdict.DONE
            case "DeleteObject" if self.status in {200, 204}:
                return Verdict.DONE
        return Verdict.AGAIN

    @property
    def what_happened(self) -> str:
        """Say for a log why this is no answer."""
        if self.failure is not None:
            return self.failure.text
        if self.operation == "GetObject" and self.status == 200:
            return "an answer of which the length is not told"
        return f"an answer with status {self.status}"

    def _says_no_such_key(self) -> bool:
        """Tell whether this 404 is about a key, as none of a PUT is. A HEAD's has no code."""
        if self.operation in {"HeadObject", "PutObject"}:
            return self.operation == "HeadObject"
        found = CODE.search(self.body)
        return found is not None and found[1] == b"NoSuchKey"

    def _is_whole(self) -> bool:
        length = self.headers.get("content-length")
        if length is None:
            return self.headers.get("transfer-encoding", "").lower() == "chunked"
        return length == str(len(self.body))


def is_damaged(headers: Mapping[str, str], body: bytes) -> bool:
    """Compare a body with the checksums that the server gives for the whole of it."""
    for name, of in CHECKSUMS.items():
        given = headers.get(name)
        # One with a dash is made of those of the parts.
        if given is not None and "-" not in given:
            return base64.b64encode(of(body)).decode() != given
    return False


def lower_case(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Index headers by name: servers differ in the case of these."""
    return {name.lower(): value for name, value in headers}
