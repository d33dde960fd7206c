"""Providers with the direct engine that have had their first request, which is boto3's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cshelve.providers.base import Provider
from tests.providers.aws_s3.engine.rig import provider_from
from tests.rigs import S3Rig


@pytest.fixture
def opened(s3: S3Rig) -> Iterator[Callable[..., Provider]]:
    """Make providers that have had their first request, which is boto3's."""
    made: list[Provider] = []

    def open_one(config: dict[str, dict[str, Any]] | None = None, **options: Any) -> Provider:
        config = config or s3.config(**{"engine": "direct", **options})
        made.append(provider_from(config))
        assert made[-1].exists()
        return made[-1]

    yield open_one
    for provider in made:
        provider.close()


@pytest.fixture
def direct(opened: Callable[..., Provider]) -> Provider:
    return opened()
