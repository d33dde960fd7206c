"""The provider keeps the contract: `ProviderContract` over the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from cshelve._config.sections import Sections
from cshelve.providers import load
from cshelve.providers.base import Provider
from cshelve.testing import ProviderContract
from tests import rigs

pytestmark = pytest.mark.gcs


class TestGcs(ProviderContract):
    # The emulator is slow; pages are smaller, too.
    many = 130

    @pytest.fixture(autouse=True)
    def _a_prefix(self, gcs: rigs.GcsRig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cshelve.providers.gcs.reading.PAGE", 60)
        self.rig = gcs
        self.prefix = rigs.unique_name()

    def make_provider(self) -> Provider:
        return self._provider(self.rig.bucket)

    def absent_provider(self) -> Provider:
        return self._provider(f"{self.prefix}-absent")

    def raw_read(self, name: str) -> bytes | None:
        path = f"/download{self._objects()}/{self._quoted(name)}?alt=media"
        status, body = self.rig.request("GET", path)
        return body if status == 200 else None

    def raw_write(self, name: str, data: bytes) -> None:
        self._write_object(f"{self.prefix}/{name}", data)

    def raw_write_many(self, names: Iterable[str]) -> None:
        address = urlsplit(self.rig.server.endpoint_url).netloc
        with closing(HTTPConnection(address)) as connection:
            for name in names:
                query = urlencode({"uploadType": "media", "name": f"{self.prefix}/{name}"})
                connection.request("POST", f"/upload{self._objects()}?{query}", b"")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200

    def raw_names(self) -> set[str]:
        start = f"{self.prefix}/"
        return {name.removeprefix(start) for name in self._listed(start)}

    def write_neighbours(self) -> None:
        for name in self._neighbours():
            self._write_object(name, b"theirs")

    def neighbours_are_whole(self) -> bool:
        return self._neighbours() <= set(self._listed(self.prefix))

    def _neighbours(self) -> set[str]:
        # The last one is what consoles create for a folder.
        return {f"{self.prefix}-2/name", f"{self.prefix}.txt", f"{self.prefix}/"}

    def _write_object(self, name: str, data: bytes) -> None:
        query = urlencode({"uploadType": "media", "name": name})
        status, _ = self.rig.request("POST", f"/upload{self._objects()}?{query}", data)
        assert status == 200

    def _listed(self, prefix: str) -> list[str]:
        names: list[str] = []
        token = ""
        while True:
            query = urlencode({"prefix": prefix, "pageToken": token})
            _, body = self.rig.request("GET", f"{self._objects()}?{query}")
            page: dict[str, Any] = json.loads(body)
            names += [each["name"] for each in page.get("items", ())]
            token = page.get("nextPageToken", "")
            if not token:
                return names

    def _objects(self) -> str:
        return f"/storage/v1/b/{self.rig.bucket}/o"

    def _quoted(self, name: str) -> str:
        return quote(f"{self.prefix}/{name}", safe="")

    def _provider(self, bucket: str) -> Provider:
        contents = self.rig.config(bucket_name=bucket, key_prefix=self.prefix)
        config = Sections("the test", contents, from_file=False, flag="c")
        provider = load("gcs", "")
        config.declare(provider.options)
        return provider.from_config(config)
