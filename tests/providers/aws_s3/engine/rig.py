"""The direct engine beside boto3, seen at the wire: the same answers and errors.

That it sends what boto3 would is tested in `direct/parity`.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cshelve._config.sections import Sections
from cshelve.providers import load
from cshelve.providers.base import Item, Provider
from testbed.fault_proxy import Seen

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"

FOR_EVER: Any = None


def provider_from(config: dict[str, dict[str, Any]]) -> Provider:
    """Make a provider without a shelf, and send nothing."""
    sections = Sections("the test", config, from_file=False, flag="c")
    provider = load("aws-s3")
    sections.declare(provider.options)
    return provider.from_config(sections)


def is_direct(request: Seen) -> bool:
    """Return whether the direct engine sent a request: boto3 numbers its own."""
    return "amz-sdk-invocation-id" not in request.headers


def is_pinned(caplog: pytest.LogCaptureFixture, why: str) -> bool:
    return any(
        record.levelno == logging.WARNING
        and "engine boto3 from now on" in record.message
        and why in record.message
        for record in caplog.records
    )


def read_among_many(provider: Provider, name: str, *others: str) -> Item:
    """Read a name, which is there, by `get_many`."""
    item = dict(provider.get_many([name, *others]))[name]
    assert item is not None
    return item
