"""Every provider keeps the contract: `ProviderContract` over memory, a folder, and S3 servers."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from cshelve._config.sections import Sections
from cshelve.providers import load
from cshelve.providers.base import Provider
from cshelve.providers.caching.folder import FolderEntries
from cshelve.providers.caching.provider import Cached
from cshelve.providers.filesystem.provider import Filesystem
from cshelve.providers.in_memory import InMemory, _named
from cshelve.providers.paths import encode, name_at
from cshelve.testing import OddNamesContract, ProviderContract
from tests import rigs

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from testbed.moto import Moto
    from testbed.seaweedfs import SeaweedFS


class TestInMemory(ProviderContract):
    @pytest.fixture(autouse=True)
    def _a_shelf_in_memory(self) -> None:
        self.key = rigs.unique_name()

    def make_provider(self) -> InMemory:
        return InMemory(persist_key=self.key, exists=True)

    def absent_provider(self) -> InMemory:
        return InMemory(persist_key=f"{self.key}-absent")

    def raw_read(self, name: str) -> bytes | None:
        held = _named[self.key].values.get(name)
        return None if held is None else held.data

    def raw_write(self, name: str, data: bytes) -> None:
        # Nobody but a provider can reach the memory.
        self.make_provider().put(name, data)

    def raw_names(self) -> set[str]:
        return set(_named[self.key].values)

    def write_neighbours(self) -> None:
        InMemory(persist_key=f"{self.key}-beside", exists=True).put("name", b"theirs")

    def neighbours_are_whole(self) -> bool:
        return set(_named[f"{self.key}-beside"].values) == {"name"}


class TestFilesystem(ProviderContract):
    # It has no pages.
    many = 300

    @pytest.fixture(autouse=True)
    def _a_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "shelf"
        self.folder.mkdir()

    def make_provider(self) -> Provider:
        return Filesystem(self.folder)

    def absent_provider(self) -> Provider:
        return Filesystem(self.folder.with_name("absent"))

    def raw_read(self, name: str) -> bytes | None:
        path = self._path(name)
        path = path + b"/%@" if os.path.isdir(path) else path
        if not os.path.exists(path):
            return None
        with open(path, "rb") as file:
            return file.read()

    def raw_write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def raw_names(self) -> set[str]:
        base = os.fsencode(self.folder)
        files = (
            os.path.relpath(os.path.join(directory, file), base)
            for directory, _, files in os.walk(base)
            for file in files
        )
        names = (name_at(path) for path in files if not path.startswith(b"%tmp/"))
        return {name for name in names if name is not None}

    def write_neighbours(self) -> None:
        for path in ("shelf2/name", "shelf.txt", "name"):
            neighbour = self.folder.parent / path
            neighbour.parent.mkdir(exist_ok=True)
            neighbour.write_bytes(b"theirs")

    def neighbours_are_whole(self) -> bool:
        return all((self.folder.parent / p).exists() for p in ("shelf2/name", "shelf.txt", "name"))

    def _path(self, name: str) -> bytes:
        return os.path.join(os.fsencode(self.folder), encode(name, portable=False))


def cached(provider: Provider, folder: Path) -> Cached:
    entries = FolderEntries(str(folder), "the test", 1 << 30, logging.getLogger())
    return Cached(provider, entries, usable_seconds=0.0)


class TestFilesystemBehindACache(TestFilesystem):
    @pytest.fixture(autouse=True)
    def _a_cache(self, tmp_path: Path) -> None:
        self.cache = tmp_path / "cache"

    def make_provider(self) -> Provider:
        return cached(super().make_provider(), self.cache)

    def absent_provider(self) -> Provider:
        return cached(super().absent_provider(), self.cache)

    def test_the_bytes_of_values_are_counted(self) -> None:
        with self.provider() as provider, provider.stats.measuring() as used:
            provider.put("name", b"12345")
            provider.get("name")
        assert (used.bytes_sent, used.bytes_received, used.cache_bytes) == (5, 0, 5)


class OnS3(OddNamesContract):
    """What the two servers have in common; raw access is by a client of its own."""

    client: S3Client
    config: dict[str, dict[str, Any]]
    prefix: str

    @pytest.fixture(autouse=True)
    def _without_the_bucket_that_a_test_creates(self, _a_prefix: None) -> Iterator[None]:
        yield
        bucket = f"{self.prefix}-absent"
        try:
            found = self.client.list_objects_v2(Bucket=bucket).get("Contents", ())
        except self.client.exceptions.NoSuchBucket:
            return
        for each in found:
            self.client.delete_object(Bucket=bucket, Key=each["Key"])
        self.client.delete_bucket(Bucket=bucket)

    def make_provider(self) -> Provider:
        return self._provider(rigs.BUCKET)

    def absent_provider(self) -> Provider:
        return self._provider(f"{self.prefix}-absent")

    def raw_read(self, name: str) -> bytes | None:
        try:
            answer = self.client.get_object(Bucket=rigs.BUCKET, Key=f"{self.prefix}/{name}")
        except self.client.exceptions.NoSuchKey:
            return None
        return answer["Body"].read()

    def raw_write(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=rigs.BUCKET, Key=f"{self.prefix}/{name}", Body=data)

    def raw_write_many(self, names: Iterable[str]) -> None:
        # boto3 takes several times as long for a request as its signature and the server do.
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        default, url = self.config["default"], self.config["provider_params"]["endpoint_url"]
        keys = Credentials(default["key_id"], default["key_secret"])
        signature = S3SigV4Auth(keys, "s3", "us-east-1")
        with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
            for name in names:
                path = f"/{rigs.BUCKET}/{self.prefix}/{name}"
                request = AWSRequest("PUT", url + path, data=b"")
                signature.add_auth(request)
                connection.request("PUT", path, b"", dict(request.headers))
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200

    def raw_names(self) -> set[str]:
        start = f"{self.prefix}/"
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=rigs.BUCKET, Prefix=start
        )
        return {o["Key"].removeprefix(start) for page in pages for o in page.get("Contents", ())}

    def write_neighbours(self) -> None:
        for key in self._neighbours():
            self.client.put_object(Bucket=rigs.BUCKET, Key=key, Body=b"theirs")

    def neighbours_are_whole(self) -> bool:
        listed = self.client.list_objects_v2(Bucket=rigs.BUCKET, Prefix=self.prefix)
        return self._neighbours() <= {found["Key"] for found in listed.get("Contents", ())}

    def _neighbours(self) -> set[str]:
        return {f"{self.prefix}-2/name", f"{self.prefix}.txt"}

    def _provider(self, bucket: str) -> Provider:
        default = {**self.config["default"], "bucket_name": bucket, "key_prefix": self.prefix}
        config = Sections(
            source="the test",
            contents={**self.config, "default": default},
            from_file=False,
            flag="c",
        )
        provider = load("aws-s3", "")
        config.declare(provider.options)
        return provider.from_config(config)


@pytest.fixture(scope="module")
def seaweedfs_client(seaweedfs: SeaweedFS) -> Iterator[S3Client]:
    client = seaweedfs.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def moto_client(moto: Moto) -> Iterator[S3Client]:
    client = moto.client()
    client.create_bucket(Bucket=rigs.BUCKET)
    yield client
    client.close()


@pytest.mark.s3
class TestAwsS3OnSeaweedFS(OnS3, ProviderContract):
    many = 250
    # It cuts keys into directories.
    unfaithful_names = frozenset(
        {"x\\y", "a//b", "/lead", "/", "//", "a/b/", "trail/", "users/"}
        # It lists this next to `x`, before `x-y`, and not at all after `x`.
        | {"x/y"}
    )

    @pytest.fixture(autouse=True)
    def _a_prefix(
        self,
        seaweedfs: SeaweedFS,
        seaweedfs_client: S3Client,
        quick_clients: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        rigs.small_pages(monkeypatch, 100)
        monkeypatch.setattr("cshelve.providers.aws_s3.bulk_delete.KEYS_PER_REQUEST", 100)
        self.client = seaweedfs_client
        self.prefix = rigs.unique_name()
        self.config = _config_of(seaweedfs)


@pytest.mark.s3
@pytest.mark.once
class TestAwsS3BehindACache(OnS3):
    """What is about many names, or goes past the cache, is the same as without one."""

    unfaithful_names = TestAwsS3OnSeaweedFS.unfaithful_names

    @pytest.fixture(autouse=True)
    def _a_prefix(
        self, seaweedfs: SeaweedFS, seaweedfs_client: S3Client, quick_clients: None, tmp_path: Path
    ) -> None:
        self.client = seaweedfs_client
        self.prefix = rigs.unique_name()
        self.config = _config_of(seaweedfs)
        self.cache = tmp_path / "cache"

    def make_provider(self) -> Provider:
        return cached(super().make_provider(), self.cache)


@pytest.mark.s3
@pytest.mark.once
class TestAwsS3OnMoto(OnS3):
    # It is slow, and holds the keys of which the other server makes something else. Its paths end
    # where a line does.
    unfaithful_names = frozenset({"line\n", "return\r\n"})

    @pytest.fixture(autouse=True)
    def _a_prefix(self, moto: Moto, moto_client: S3Client, quick_clients: None) -> None:
        self.client = moto_client
        self.prefix = rigs.unique_name()
        self.config = _config_of(moto)


def _config_of(server: SeaweedFS | Moto) -> dict[str, dict[str, Any]]:
    return {
        "default": {
            "provider": "aws-s3",
            "auth_type": "access_key",
            "key_id": server.admin.access_key,
            "key_secret": server.admin.secret_key,
            "engine": rigs.ENGINE,
        },
        "provider_params": {"endpoint_url": server.endpoint_url, "region_name": "us-east-1"},
    }
