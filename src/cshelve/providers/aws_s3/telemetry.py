"""Spans and measurements of requests, if the program uses OpenTelemetry.

Names are those of its semantic conventions:
https://opentelemetry.io/docs/specs/semconv/object-stores/s3/
"""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cshelve.providers.aws_s3.requests import replaced

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests
    from cshelve.providers.stats import Attempt

__all__ = ["record"]

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"


def record(requests: Requests, attempt: Attempt) -> None:
    """Create a span for an attempt that has just ended, below the current span, and measure it.

    Do nothing if something else traces boto3's requests, since boto3 then sends all of them.
    """
    if replaced() is not None:
        return
    common = {
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": attempt.operation,
        **_server(requests.config.endpoint_url),
    }
    if attempt.status:
        common["http.response.status_code"] = attempt.status
    error = _error_type(attempt)
    if error:
        common["error.type"] = error
    # A program that uses one of the two has imported it.
    if (trace := sys.modules.get("opentelemetry.trace")) is not None:
        _make_span(trace, requests, attempt, common, error)
    if (metrics := sys.modules.get("opentelemetry.metrics")) is not None:
        histogram = _histogram(metrics.get_meter_provider())
        histogram.record(attempt.seconds * 1000, common)


def _make_span(
    trace: Any, requests: Requests, attempt: Attempt, common: dict[str, Any], error: str
) -> None:
    attributes = {**common, "aws.s3.bucket": requests.bucket.name}
    if attempt.key is not None:
        attributes["aws.s3.key"] = attempt.key
    if attempt.number > 1:
        attributes["http.request.resend_count"] = attempt.number - 1
    ended = time.time_ns()
    span = _tracer(trace.get_tracer_provider()).start_span(
        f"S3.{attempt.operation}",
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        start_time=ended - int(attempt.seconds * 1e9),
    )
    if error:
        span.set_status(trace.StatusCode.ERROR, error)
    span.end(ended)


def _error_type(attempt: Attempt) -> str:
    """Return the class of the error, or the status; empty for success, absent and empty objects."""
    if attempt.error is not None:
        return type(attempt.error).__name__
    return str(attempt.status) if attempt.status >= 400 and attempt.status not in (404, 416) else ""


@lru_cache
def _server(endpoint_url: str) -> dict[str, Any]:
    address = urlsplit(endpoint_url)
    port = {} if address.port is None else {"server.port": address.port}
    return {"server.address": address.hostname or "", **port}


@lru_cache(4)  # A program has one; tests have several.
def _tracer(provider: Any) -> Any:
    return provider.get_tracer("cshelve", schema_url=SCHEMA)


@lru_cache(4)
def _histogram(provider: Any) -> Any:
    return provider.get_meter("cshelve", schema_url=SCHEMA).create_histogram(
        "rpc.client.duration", "ms", "The duration of an attempt of a request."
    )
