"""The provider for Azure keeps the contract of providers, on Azurite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from cshelve.providers import AzureBlob
from cshelve.testing import ProviderContract
from testbed.azurite import ACCESS_KEY
from tests.providers.azure_blob.rig import CONTAINER, AzureRig
from tests.rigs import unique_name


@pytest.mark.azure
class TestAzureBlob(ProviderContract):
    # Azurite is slow; pages and batches are smaller, too.
    many = 130

    @pytest.fixture(autouse=True)
    def _a_prefix(self, azure: AzureRig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr("cshelve.providers.azure_blob.listing.BLOBS_PER_PAGE", 60)
        monkeypatch.setattr("cshelve.providers.azure_blob.deletes.BLOBS_PER_REQUEST", 40)
        self.rig, self.prefix = azure, unique_name()
        self.account_url = azure.server.account_url
        yield
        with suppress(Exception):  # Most tests create none.
            azure.service.delete_container(f"{self.prefix}-absent")

    def make_provider(self) -> AzureBlob:
        return self._provider(CONTAINER)

    def absent_provider(self) -> AzureBlob:
        return self._provider(f"{self.prefix}-absent")

    def raw_read(self, name: str) -> bytes | None:
        blob = self.rig.container.get_blob_client(f"{self.prefix}/{name}")
        return blob.download_blob().readall() if blob.exists() else None

    def raw_write(self, name: str, data: bytes) -> None:
        blob = self.rig.container.get_blob_client(f"{self.prefix}/{name}")
        blob.upload_blob(data, overwrite=True)

    def raw_write_many(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: self.raw_write(name, b""), names))

    def raw_names(self) -> set[str]:
        start = f"{self.prefix}/"
        found = self.rig.container.list_blob_names(name_starts_with=start)
        return {name.removeprefix(start) for name in found}

    def write_neighbours(self) -> None:
        for name in self._neighbours():
            self.rig.container.upload_blob(name, b"theirs")

    def neighbours_are_whole(self) -> bool:
        listed = self.rig.container.list_blob_names(name_starts_with=self.prefix)
        return self._neighbours() <= set(listed)

    def _neighbours(self) -> set[str]:
        return {f"{self.prefix}-2/name", f"{self.prefix}.txt"}

    def _provider(self, container: str, **options: Any) -> AzureBlob:
        return AzureBlob(
            container,
            account_url=self.account_url,
            key_prefix=self.prefix,
            auth_type="access_key",
            access_key=ACCESS_KEY,
            **options,
        )
