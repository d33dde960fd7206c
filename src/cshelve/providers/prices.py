"""What requests cost: an estimate by a list of prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Cost", "Prices", "cost_of"]

# Of S3's operations, those that cost what a PUT does (AWS: PUT, COPY, POST and LIST requests), and
# those that cost nothing. DeleteObjects is a POST.
LIKE_PUT = frozenset(
    {"PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"}
    | {"CompleteMultipartUpload", "ListObjectsV2", "DeleteObjects", "CreateBucket"}
)
FREE = frozenset({"DeleteObject", "AbortMultipartUpload"})
GB = 2**30


class Prices(NamedTuple):
    """Prices in US dollars. The defaults are AWS's list prices of S3 Standard in us-east-1.

    They are of January 2025, from https://aws.amazon.com/s3/pricing/; give others for another
    region, another storage class or another store. DELETE requests are free.

        local = cshelve.Prices(per_gb_received=0)  # from a program in the bucket's region
        print(db.stats.cost(local).total)
    """

    per_1000_puts: float = 0.005
    """PUT, COPY, POST and LIST requests."""
    per_1000_gets: float = 0.0004
    """GET and all other requests."""
    per_gb_received: float = 0.09
    """Data from S3 to the internet, the first 10 TB of a month; a GB is 2**30 bytes."""


class Cost(NamedTuple):
    """An estimate in US dollars, without storage, free tiers and taxes."""

    requests: float
    received: float
    """What the transfer of the received data costs; S3 charges nothing for sent data."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.requests + self.received


def cost_of(requests: Mapping[str, int], bytes_received: int, prices: Prices | None) -> Cost:
    """Return what S3's operations cost."""
    prices = prices or Prices()
    puts = sum(count for operation, count in requests.items() if operation in LIKE_PUT)
    free = sum(count for operation, count in requests.items() if operation in FREE)
    gets = sum(requests.values()) - puts - free
    return Cost(
        (puts * prices.per_1000_puts + gets * prices.per_1000_gets) / 1000,
        bytes_received / GB * prices.per_gb_received,
    )
