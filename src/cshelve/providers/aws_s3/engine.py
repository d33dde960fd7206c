"""Which engine moves a shelf's values, boto3 or AWS's Common Runtime beside it: the rules.

The Common Runtime serves what it does exactly as boto3 would; all else is boto3's. What is asked of
each value, and not of the shelf, is in `crt_transport`: one of more than 8 MiB, or a value that
is read from a shelf with such values when its own size is not known.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore import UNSIGNED

from cshelve.exceptions import ConfigurationError
from cshelve.providers.aws_s3.client import attempts_of

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.connections import Connections
    from cshelve.providers.aws_s3.options import S3Settings

__all__ = ["chosen"]

SIGNATURES = frozenset({"s3v4", "v4"})
INSTALL = (
    "awscrt, which is installed by pip install --upgrade 'cshelve[aws-s3]' where there are wheels "
    "of it, is not there, or too old"
)


def chosen(settings: S3Settings, connections: Connections) -> tuple[str, str]:
    """Give the engine of a shelf, `crt` or `boto3`, and the reason for it.

    Raises `ConfigurationError` where the configuration wants `crt`, and it cannot serve.
    """
    if settings.engine == "boto3":
        return "boto3", "engine = boto3"
    objection = _objection(settings, connections)
    if objection is None:
        return "crt", f"engine = {settings.engine}"
    if settings.engine == "crt":
        raise ConfigurationError(
            f"{settings.source}, [default] engine: crt cannot serve this shelf: {objection}. With "
            "`auto` boto3 does."
        )
    return "boto3", objection


def _objection(settings: S3Settings, connections: Connections) -> str | None:
    """Say why the Common Runtime cannot serve; None if it can. The first rule that holds does."""
    config = connections.config
    rules: list[tuple[Callable[[], object], str]] = [
        (lambda: not _is_installed(), INSTALL),
        (
            lambda: getattr(config, "proxies", None) or getattr(config, "proxies_config", None),
            "config.proxies: it takes proxies from the environment only",
        ),
        (
            lambda: not _is_known_signature(config.signature_version),
            f"it signs by SigV4 only, not by {config.signature_version}",
        ),
        (
            lambda: getattr(config, "client_cert", None),
            "config.client_cert: client certificates are boto3's",
        ),
        (
            lambda: getattr(config, "tcp_keepalive", None),
            "config.tcp_keepalive: it does not set options of sockets",
        ),
        (
            lambda: settings.bucket_name.endswith("--x-s3"),
            "buckets of S3 Express have sessions, which boto3 keeps",
        ),
        (
            lambda: settings.missing_on_forbidden,
            "missing_on_forbidden goes by the code in an answer, which boto3 reads",
        ),
        (
            lambda: attempts_of(config) <= 1,
            "a request may be sent once only, and it may send one again",
        ),
        (
            lambda: os.environ.get("BOTOCORE_EXPERIMENTAL__PLUGINS", "DISABLED") != "DISABLED",
            "BOTOCORE_EXPERIMENTAL__PLUGINS: boto3 has plugins, which may change what is sent",
        ),
    ]
    return next((why for holds, why in rules if holds()), None)


def _is_installed() -> bool:
    try:
        # It imports all that is needed of it, which early versions do not have. Not the module
        # alone: while one thread tries in vain to import that, another gets the beginning of it.
        from cshelve.providers.aws_s3.crt_transport import CrtTransport  # noqa: F401
    except ImportError:
        return False
    return True


def _is_known_signature(version: object) -> bool:
    return version is UNSIGNED or version in SIGNATURES
