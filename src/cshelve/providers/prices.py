"""An estimate of the cost of requests, by a list of prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Cost", "Prices", "cost_of"]

# S3's operations that cost as much as a PUT (AWS: PUT, COPY, POST and LIST requests), and those
# that cost nothing. DeleteObjects is a POST.
LIKE_PUT = frozenset(
    {"PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"}
    | {"CompleteMultipartUpload", "ListObjectsV2", "DeleteObjects", "CreateBucket"}
)
FREE = frozenset({"DeleteObject", "AbortMultipartUpload"})
GB = 2**30


class Prices(NamedTuple):
    """Prices in US dollars. The defaults are AWS's list prices of S3 Standard in us-east-1.

    They are of January 2025, from https://aws.amazon.com/s3/pricing/. Pass other prices for another
    region, storage class or store. DELETE requests are free.

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
    """The cost of transferring the received data; S3 charges nothing for sent data."""

    @property
    def total(self) -> float:
        """The sum of both."""
        return self.requests + self.received


def cost_of(requests: Mapping[str, int], bytes_received: int, prices: Prices | None) -> Cost:
    """Return the cost of S3's operations."""
    prices = prices or Prices()
    puts = sum(count for operation, count in requests.items() if operation in LIKE_PUT)
    free = sum(count for operation, count in requests.items() if operation in FREE)
    gets = sum(requests.values()) - puts - free
    return Cost(
        (puts * prices.per_1000_puts + gets * prices.per_1000_gets) / 1000,
        bytes_received / GB * prices.per_gb_received,
    )
