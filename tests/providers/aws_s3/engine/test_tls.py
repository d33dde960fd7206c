"""Whom the direct engine trusts over TLS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Provider
from testbed.tls_front import TlsFront, write_certificate
from tests.providers.aws_s3.engine.rig import is_direct, provider_from
from tests.providers.aws_s3.rig import each_engine
from tests.rigs import S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make two certificates for this machine, each its own authority."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = folder / "ours.pem", folder / "theirs.pem"
    write_certificate(ours)
    write_certificate(theirs)
    return ours, theirs


class TestTls:
    @pytest.fixture
    def front(self, s3: S3Rig, certificates: tuple[Path, Path]) -> Iterator[TlsFront]:
        with TlsFront(s3.proxy.endpoint_url, certificates[0]) as front:
            yield front

    def config(self, s3: S3Rig, front: TlsFront, **params: Any) -> dict[str, dict[str, Any]]:
        config = s3.config(engine="direct", total_max_attempts=2)
        config["provider_params"] = {"endpoint_url": front.endpoint_url, **params}
        return config

    def is_served_directly(self, s3: S3Rig, provider: Provider) -> bool:
        with s3.proxy.counting() as seen:
            provider.put("k", b"value")
            assert provider.get("k").data == b"value"
        return all(is_direct(request) for request in seen.requests)

    def test_the_authorities_are_those_of_verify(
        self,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        opened: Callable[..., Provider],
    ) -> None:
        provider = opened(self.config(s3, front, verify=str(certificates[0])))
        assert self.is_served_directly(s3, provider)

    @each_engine
    def test_the_bytes_of_bodies_count_without_their_framing(
        self,
        engine: str,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        opened: Callable[..., Provider],
    ) -> None:
        """Over TLS, boto3 sends a body in chunks, with a checksum behind the last one."""
        config = self.config(s3, front, verify=str(certificates[0]))
        config["default"]["engine"] = engine
        provider = opened(config)
        with provider.stats.measuring() as used:
            provider.put("k", b"12345")
            provider.get("k")
        assert used.requests == {"PutObject": 1, "GetObject": 1}
        assert (used.bytes_sent, used.bytes_received) == (5, 5)

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
    def test_or_of_the_environment(
        self,
        variable: str,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        opened: Callable[..., Provider],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(variable, str(certificates[0]))
        assert self.is_served_directly(s3, opened(self.config(s3, front)))

    @pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
    def test_or_anybody_on_demand(
        self, s3: S3Rig, front: TlsFront, opened: Callable[..., Provider]
    ) -> None:
        assert self.is_served_directly(s3, opened(self.config(s3, front, verify=False)))

    def test_a_bad_certificate_is_told_at_once(
        self,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Which boto3 does not heed.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
        provider = provider_from(self.config(s3, front, verify=str(certificates[1])))
        start = time.perf_counter()
        with pytest.raises(cshelve.StorageError, match="no secure connection"):
            provider.get("k")
        assert time.perf_counter() - start < 3
        provider.close()
