"""Choose the engine of a shelf: the direct engine, with boto3 beside it, or boto3 alone.

The direct engine is used if it can send exactly what boto3 would send. For a plain configuration,
`plain` knows the form of requests without boto3; for any other, `captured` learns it from boto3.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from cshelve.exceptions import ConfigurationError
from cshelve.providers.aws_s3.direct.templates import NoTemplateError
from cshelve.providers.aws_s3.plain import plain_source

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.aws_s3.clients import Clients
    from cshelve.providers.aws_s3.direct.engine import Source
    from cshelve.providers.aws_s3.options import ClientConfig, S3Settings

__all__ = ["Choice", "captured_source", "choose"]


class Choice(NamedTuple):
    """The chosen engine (`direct` or `boto3`), the reason, and the source of its requests."""

    engine: str
    reason: str
    config: ClientConfig
    source: Source | None


def choose(
    settings: S3Settings, clients: Callable[[], Clients], bucket: Bucket, interception: str | None
) -> Choice:
    """Choose the engine of a shelf; build boto3's clients only if they are needed.

    `interception` names the mock or tracer that intercepts boto3's requests now, if there is one.
    Raises `ConfigurationError` if the configuration requires `direct`, and it cannot be used.
    """
    if settings.engine == "boto3":
        return Choice("boto3", "engine = boto3", clients().client_config, None)
    objection = _objection(settings)
    if objection is None and settings.engine == "direct":
        objection = interception
    if objection is None:
        plain = plain_source(settings)
        if not isinstance(plain, str):
            # Each request checks whether there is an interception by then.
            reason = f"engine = {settings.engine}, boto3 only when it is needed"
            return Choice("direct", reason, plain.client_config, plain)
        # A tracer would record the requests that boto3 only builds.
        objection = interception
    if objection is None:
        source = captured_source(clients, bucket)
        objection = clients().objection() or _no_template(source)
    if objection is None:
        reason = f"engine = {settings.engine}, as boto3 would send it, because of {plain}"
        return Choice("direct", reason, clients().client_config, source)
    if settings.engine == "direct":
        raise ConfigurationError(
            f"{settings.source}, [default] engine: direct cannot serve this shelf: {objection}. "
            "With `auto` boto3 does."
        )
    return Choice("boto3", objection, clients().client_config, None)


def captured_source(clients: Callable[[], Clients], bucket: Bucket) -> Source:
    """Return the source of requests that learns their form from boto3."""
    from cshelve.providers.aws_s3.captured import Captured

    return Captured(clients, bucket)


def _objection(settings: S3Settings) -> str | None:
    """Return why the direct engine cannot be used; None if nothing is found without boto3."""
    if settings.missing_on_forbidden:
        return "missing_on_forbidden depends on error codes, which only boto3 reads"
    if settings.bucket_name.endswith("--x-s3"):
        return "buckets of S3 Express need sessions, which only boto3 manages"
    if os.environ.get("BOTOCORE_EXPERIMENTAL__PLUGINS", "DISABLED") != "DISABLED":
        return "BOTOCORE_EXPERIMENTAL__PLUGINS: boto3 has plugins, which may change what is sent"
    if settings.own_config["retries"]["total_max_attempts"] <= 1:
        return (
            "total_max_attempts: a request may be sent only once, and boto3 may have to repeat it"
        )
    return None


def _no_template(source: Source) -> str | None:
    """Return why only boto3 can send the requests of a source; None if the direct engine can."""
    try:
        _ = source.endpoint, source.templates["PutObject"]
    except NoTemplateError as error:
        return str(error)
    return None
