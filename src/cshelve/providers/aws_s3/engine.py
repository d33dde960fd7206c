"""Which engine sends a shelf's requests: the direct one with boto3 beside it, or boto3 alone.

The direct engine serves where it can do exactly what boto3 would; all else is boto3's. A plain
configuration (`direct.plain`) needs no boto3 to know how requests look; for any other boto3 is
asked (`captured`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve.exceptions import ConfigurationError
from cshelve.providers.aws_s3.direct.engine import Source
from cshelve.providers.aws_s3.direct.plain import plain_source
from cshelve.providers.aws_s3.direct.templates import NoTemplateError
from cshelve.providers.aws_s3.intercepted import interception

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.aws_s3.clients import Clients
    from cshelve.providers.aws_s3.options import ClientConfig, S3Settings

__all__ = ["Choice", "captured_source", "choose"]

SIGNATURES = frozenset({"s3v4", "v4"})


class Choice(NamedTuple):
    """The engine of a shelf, `direct` or `boto3`, the reason, and what the engine has to know."""

    engine: str
    reason: str
    config: ClientConfig
    source: Source | None


def choose(settings: S3Settings, clients: Callable[[], Clients], bucket: Bucket) -> Choice:
    """Choose the engine of a shelf; boto3's clients are built only where they are needed.

    Raises `ConfigurationError` where the configuration wants `direct`, and it cannot serve.
    """
    if settings.engine == "boto3":
        return Choice("boto3", "engine = boto3", clients().client_config, None)
    objection = _objection_before_boto3(settings)
    if objection is None and settings.engine == "direct":
        objection = interception()
    if objection is None:
        plain = plain_source(settings)
        if not isinstance(plain, str):
            # Where the program answers boto3's requests itself, `Requests` asks that each time.
            reason = f"engine = {settings.engine}, boto3 only when it is needed"
            return Choice("direct", reason, plain.client_config, plain)
        # boto3 cannot be asked without a tracer's seeing it.
        objection = interception()
    if objection is None:
        source = captured_source(clients(), bucket)
        objection = _objection(clients(), source)
    if objection is None:
        reason = f"engine = {settings.engine}, as boto3 tells because of {plain}"
        return Choice("direct", reason, clients().client_config, source)
    if settings.engine == "direct":
        raise ConfigurationError(
            f"{settings.source}, [default] engine: direct cannot serve this shelf: {objection}. "
            "With `auto` boto3 does."
        )
    return Choice("boto3", objection, clients().client_config, None)


def captured_source(clients: Clients, bucket: Bucket) -> Source:
    """Return what requests are made of, as boto3 tells."""
    from cshelve.providers.aws_s3.captured import Captured

    return Captured(clients, bucket)


def _objection_before_boto3(settings: S3Settings) -> str | None:
    """Say why the direct engine cannot serve, as far as that shows without boto3."""
    rules: list[tuple[object, str]] = [
        (
            settings.missing_on_forbidden,
            "missing_on_forbidden goes by the code in an answer, which boto3 reads",
        ),
        (
            settings.bucket_name.endswith("--x-s3"),
            "buckets of S3 Express have sessions, which boto3 keeps",
        ),
        (
            os.environ.get("BOTOCORE_EXPERIMENTAL__PLUGINS", "DISABLED") != "DISABLED",
            "BOTOCORE_EXPERIMENTAL__PLUGINS: boto3 has plugins, which may change what is sent",
        ),
        (
            settings.own_config["retries"]["total_max_attempts"] <= 1,
            "total_max_attempts: a request may be sent once only, and boto3 may have to repeat it",
        ),
    ]
    return next((why for holds, why in rules if holds), None)


def _objection(clients: Clients, source: Source) -> str | None:
    """Say why the direct engine cannot serve, as boto3's client shows."""
    config = clients.config
    rules: list[tuple[Callable[[], object], str]] = [
        (lambda: not _is_known_signature(config.signature_version), "it signs by SigV4 only"),
        (
            lambda: getattr(config, "client_cert", None),
            "config.client_cert: client certificates are boto3's",
        ),
        (
            lambda: getattr(config, "tcp_keepalive", None),
            "config.tcp_keepalive: it does not set options of sockets",
        ),
        (lambda: clients.client_config.attempts <= 1, "a request may be sent once only"),
        (lambda: _proxy(clients), "a proxy, which boto3 goes by"),
        (lambda: not isinstance(config.read_timeout, int | float), "config.read_timeout"),
        (lambda: clients.foreign_handler(), "the session has handlers of events of its own"),
    ]
    return next((why for holds, why in rules if holds()), None) or _no_template(source)


def _no_template(source: Source) -> str | None:
    """Say what boto3 sends that nobody else can send."""
    try:
        source.endpoint()
        source.template("PutObject")
    except NoTemplateError as error:
        return str(error)
    return None


def _proxy(clients: Clients) -> object:
    """Return the proxy that boto3 sends requests by, as it decides."""
    from botocore.utils import get_environ_proxies

    config: Any = clients.config
    given = getattr(config, "proxies", None)
    return given or get_environ_proxies(clients.meta.endpoint_url)


def _is_known_signature(version: object) -> bool:
    from botocore import UNSIGNED

    return version is UNSIGNED or version in SIGNATURES
