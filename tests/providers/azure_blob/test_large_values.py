"""Large values: blocks and ranges, their conditions, and what happens if others write meanwhile."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any

import pytest

import cshelve
from cshelve.providers import AzureBlob
from testbed.azurite import ACCESS_KEY
from testbed.faults import Answer, Meanwhile, Reset
from tests.providers.azure_blob.rig import CONTAINER, AzureRig, without_pauses
from tests.rigs import unique_name

pytestmark = pytest.mark.azure

VALUE = random.Random(0).randbytes(300_000)
SIZES = {
    "max_single_put_size": 100_000,
    "max_block_size": 40_000,
    "max_single_get_size": 100_000,
    "max_chunk_get_size": 40_000,
}


@pytest.fixture
def provider(azure: AzureRig) -> Iterator[AzureBlob]:
    provider = AzureBlob(
        CONTAINER,
        account_url=azure.account_url,
        key_prefix=unique_name(),
        auth_type="access_key",
        access_key=ACCESS_KEY,
        provider_params=SIZES,
    )
    with without_pauses():
        yield provider
    provider.close()


def raw(azure: AzureRig, provider: AzureBlob, name: str = "k") -> Any:
    """Return the client of a blob, round the provider and the proxy."""
    return azure.container.get_blob_client(f"{provider.location.rpartition('/')[2]}/{name}")


def requests_of(provider: AzureBlob) -> dict[str, int]:
    """Return the numbers of requests since the last call."""
    found = dict(provider.stats.requests)
    provider.stats.requests.clear()
    return found


def test_are_written_in_blocks_and_read_in_ranges(provider: AzureBlob) -> None:
    version = provider.put("k", VALUE)
    assert requests_of(provider) == {"PutBlock": 8, "PutBlockList": 1}
    assert provider.get("k") == (VALUE, version)
    assert requests_of(provider) == {"GetBlob": 1 + 5}
    provider.put("k", VALUE[:100_000])
    assert requests_of(provider) == {"PutBlob": 1}
    assert provider.get("k").data == VALUE[:100_000]
    assert requests_of(provider) == {"GetBlob": 1}


def test_are_written_under_a_condition_too(provider: AzureBlob) -> None:
    version = provider.put("k", VALUE, if_absent=True)
    with pytest.raises(cshelve.ConflictError):
        provider.put("k", VALUE[::-1], if_absent=True)
    newer = provider.put("k", VALUE[::-1], if_version=version)
    with pytest.raises(cshelve.ConflictError):
        provider.put("k", VALUE, if_version=version)
    assert provider.get("k") == (VALUE[::-1], newer)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("if_absent", [True, False])
def test_survive_lost_responses(
    azure: AzureRig, provider: AzureBlob, before: bool, if_absent: bool
) -> None:
    # The last request is the one that commits.
    for after in (0, 8):
        with azure.proxy.inject(Reset(before), method="PUT", after=after) as rule:
            provider.put("k", VALUE, if_absent=if_absent)
        assert rule.hits == 1
        assert provider.get("k").data == VALUE
        provider.delete("k")


class TestWhoseBlocksAnotherWriterRemoved:
    # Azurite keeps blocks that Azure would remove.
    REMOVED = Answer(400, headers={"x-ms-error-code": "InvalidBlockList"})

    def test_are_sent_again(self, azure: AzureRig, provider: AzureBlob) -> None:
        with azure.proxy.inject(self.REMOVED, method="PUT", after=8) as rule:
            provider.put("k", VALUE)
        assert rule.hits == 1
        assert requests_of(provider) == {"PutBlock": 16, "PutBlockList": 2}
        assert provider.get("k").data == VALUE

    def test_are_a_conflict_under_a_condition(self, azure: AzureRig, provider: AzureBlob) -> None:
        with (
            azure.proxy.inject(self.REMOVED, method="PUT", after=8),
            pytest.raises(cshelve.ConflictError, match="another writer stored this key"),
        ):
            provider.put("k", VALUE, if_absent=True)
        assert not provider.contains("k")

    def test_are_an_error_of_an_upload(self, azure: AzureRig, provider: AzureBlob) -> None:
        source = cshelve.providers.Source(io.BytesIO(VALUE))
        with (
            azure.proxy.inject(self.REMOVED, method="PUT", after=8),
            pytest.raises(cshelve.StorageError, match="Write it again"),
        ):
            provider.upload("k", source)


def test_that_are_replaced_while_they_are_read_are_read_again(
    azure: AzureRig, provider: AzureBlob
) -> None:
    provider.put("k", VALUE)
    other = VALUE[::-1]

    def overwrite() -> None:
        raw(azure, provider).upload_blob(other, overwrite=True)

    with azure.proxy.inject(Meanwhile(overwrite), method="GET", after=2):
        assert provider.get("k").data == other
    target = io.BytesIO()
    with (
        azure.proxy.inject(Meanwhile(overwrite), method="GET", after=2),
        pytest.raises(cshelve.ConflictError, match="download it again"),
    ):
        provider.download("k", cshelve.providers.Target(target))
    assert other.startswith(target.getvalue())
    with (
        azure.proxy.inject(Meanwhile(lambda: raw(azure, provider).delete_blob()), after=2),
        pytest.raises(KeyError),
    ):
        provider.get("k")


def test_that_others_replace_all_the_time_are_an_error_at_last(
    azure: AzureRig, provider: AzureBlob
) -> None:
    provider.put("k", VALUE)

    def overwrite() -> None:
        raw(azure, provider).upload_blob(VALUE, overwrite=True)

    with (
        azure.proxy.inject(Meanwhile(overwrite), method="GET", times=None),
        pytest.raises(cshelve.StorageError, match="others replaced the value"),
    ):
        provider.get("k")


def test_are_uploaded_and_downloaded_piece_by_piece(azure: AzureRig, provider: AzureBlob) -> None:
    class Watched(io.BytesIO):
        longest = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.longest = max(self.longest, len(data))
            return data

    for size in (None, len(VALUE)):
        source = Watched(VALUE)
        moved: list[int] = []
        provider.upload("k", cshelve.providers.Source(source, size, moved.append))
        assert source.longest <= SIZES["max_block_size"]
        assert sum(moved) == len(VALUE)
        assert requests_of(provider) == {"PutBlock": 8, "PutBlockList": 1}
        target = io.BytesIO()
        provider.download("k", cshelve.providers.Target(target))
        assert target.getvalue() == VALUE
        assert requests_of(provider) == {"GetBlob": 8}


def test_of_too_many_blocks_are_refused(
    provider: AzureBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cshelve.providers.azure_blob.blocks.MOST_BLOCKS", 4)
    # Its length is known, so that the blocks are larger.
    provider.upload("k", cshelve.providers.Source(io.BytesIO(VALUE), len(VALUE)))
    assert requests_of(provider)["PutBlock"] == 4
    with pytest.raises(cshelve.UnsupportedOperationError, match="max_block_size"):
        provider.upload("k", cshelve.providers.Source(io.BytesIO(VALUE)))
    assert provider.get("k").data == VALUE


def test_a_failed_upload_leaves_the_old_value(azure: AzureRig, provider: AzureBlob) -> None:
    provider.put("k", b"before")
    with (
        azure.proxy.inject(Reset(), method="PUT", times=None, after=3),
        pytest.raises(cshelve.StorageError),
    ):
        provider.put("k", VALUE)
    assert provider.get("k").data == b"before"
    assert list(provider.names()) == ["k"]
