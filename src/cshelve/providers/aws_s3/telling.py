"""Logging and tracing attempts of requests.

Imported at the first attempt that is logged or traced, so that others cost nothing.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests
    from cshelve.providers.stats import Attempt

__all__ = ["tell"]

LINE = "%s: %s, %d bytes sent, %d received, %.1f ms, attempt %d"


def tell(requests: Requests, logger: logging.Logger, slow_seconds: float, attempt: Attempt) -> None:
    """Log an attempt, as a warning if it was slow, and pass it on to OpenTelemetry."""
    is_slow = attempt.seconds >= slow_seconds
    level = logging.WARNING if is_slow else logging.DEBUG
    if logger.isEnabledFor(level):
        name = None if attempt.key is None else attempt.key.removeprefix(requests.bucket.prefix)
        logger.log(
            level,
            f"slow request: {LINE}" if is_slow else LINE,
            requests.bucket.place(attempt.operation, name),
            _outcome(attempt),
            attempt.sent,
            attempt.received,
            attempt.seconds * 1000,
            attempt.number,
        )
    if "opentelemetry" in sys.modules:
        from cshelve.providers.aws_s3.telemetry import record

        record(requests, attempt)


def _outcome(attempt: Attempt) -> str:
    """Return status and error of an attempt; only the class, as the text may have a secret."""
    status = str(attempt.status) if attempt.status else "no response"
    return f"{status} ({type(attempt.error).__name__})" if attempt.error is not None else status
