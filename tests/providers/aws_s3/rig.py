"""What the tests of `aws-s3` share: looks into a provider, and attempts without pauses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cshelve
from cshelve.providers.aws_s3.options import MULTIPART_CHUNK_BYTES
from tests.rigs import provider_of

each_engine = pytest.mark.parametrize("engine", ["direct", "boto3"])


def engine_of(shelf: cshelve.CloudShelf) -> str:
    """Return the name of the engine that a shelf was opened with."""
    return str(provider_of(shelf).engine)


def rely_again_on_its_engine(shelf: cshelve.CloudShelf) -> None:
    """Let a shelf that left everything to boto3, after odd answers, take its own engine again."""
    provider_of(shelf)._requests._in_vain = 0


def permits_taken(shelf: cshelve.CloudShelf) -> int:
    """Count the requests that count as being under way."""
    return int(provider_of(shelf)._requests.permits.taken)


def clients_of(shelf: cshelve.CloudShelf) -> Any:
    """Return boto3's clients of a shelf; those of one that has had no request are built now."""
    return provider_of(shelf)._requests.clients


def forget_conditions(shelf: cshelve.CloudShelf) -> None:
    """Let a shelf forget whether its server honours conditions, so that it asks again."""
    provider_of(shelf)._probe._is_honoured.clear()


def warmed_up(shelf: cshelve.CloudShelf, value: Any = None) -> cshelve.CloudShelf:
    """Let a shelf find out whether its server honours conditions, which is asked once."""
    shelf.setdefault("warm-up", value)
    shelf.pop("warm-up")
    return shelf


def threads_left() -> list[str]:
    """Name the threads of ours that run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("cshelve")]


@contextmanager
def ranges_of_any_size() -> Iterator[None]:
    """Let values be read in smaller ranges than S3's smallest parts, which is quicker."""
    option = MULTIPART_CHUNK_BYTES._replace(least=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cshelve.providers.aws_s3.options.MULTIPART_CHUNK_BYTES", option)
        yield


@contextmanager
def without_pauses() -> Iterator[None]:
    """Retry without pauses, and as often as is asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.001)
        patch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda *_: True)
        patch.setattr("cshelve.providers.aws_s3.conditional._pause", lambda *_: None)
        yield
