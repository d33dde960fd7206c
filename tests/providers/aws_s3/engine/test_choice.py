"""Which engine a shelf has, and why it is not the direct one."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Provider
from tests.providers.aws_s3.engine.rig import is_direct, provider_from
from tests.rigs import S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]


class TestWhichEngine:
    def reason(self, caplog: pytest.LogCaptureFixture) -> str:
        (record,) = [each for each in caplog.records if " engine " in each.message]
        assert record.levelno == logging.INFO
        return record.message

    @pytest.fixture(autouse=True)
    def _log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="cshelve")

    def test_direct_where_it_can_serve(
        self, s3: S3Rig, opened: Callable[..., Provider], caplog: pytest.LogCaptureFixture
    ) -> None:
        provider: Any = opened(engine=None)
        assert provider.engine == "direct"
        told = "engine = auto, boto3 only when it is needed"
        assert self.reason(caplog) == f"{provider.location}: engine direct ({told})"

    def test_boto3_on_demand(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        provider = opened(engine="boto3")
        with s3.proxy.counting() as seen:
            provider.put("k", b"value")
        assert not is_direct(seen.requests[0])

    def test_no_other(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"engine: .*did you mean boto3"):
            provider_from(s3.config(engine="boto"))

    @pytest.mark.parametrize(
        ("params", "default", "why"),
        [
            ({"config.proxies.http": "http://127.0.0.1:9"}, {}, "proxy"),
            ({"config.signature_version": "s3"}, {}, "SigV4"),
            ({"config.client_cert": "some.pem"}, {}, "client_cert"),
            ({"config.tcp_keepalive": True}, {}, "tcp_keepalive"),
            ({}, {"total_max_attempts": 1}, "once"),
            ({}, {"bucket_name": "some--use1-az4--x-s3"}, "Express"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_boto3_where_it_cannot_serve_and_why(
        self,
        params: dict[str, Any],
        default: dict[str, Any],
        why: str,
        s3: S3Rig,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        config = s3.config(**{"engine": "auto", **default})
        config["provider_params"].update(params)
        provider: Any = provider_from(config)
        assert provider.engine == "boto3"
        assert why in self.reason(caplog)
        config["default"]["engine"] = "direct"
        with pytest.raises(cshelve.ConfigurationError, match=f"engine: direct cannot serve.*{why}"):
            provider_from(config)

    def test_boto3_where_it_reads_the_codes_of_refusals(
        self, s3: S3Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = s3.config(engine="auto", missing_on_forbidden=True)
        with cshelve.open_from_dict(config, "r"):
            assert "missing_on_forbidden" in self.reason(caplog)

    def test_another_checksum_is_boto3s(
        self, s3: S3Rig, opened: Callable[..., Provider], caplog: pytest.LogCaptureFixture
    ) -> None:
        config = s3.config(engine="auto")
        config["put_params"] = {"ChecksumAlgorithm": "SHA256"}
        provider = opened(config)
        provider.put("k", b"value")
        assert provider.get("k").data == b"value"
        assert "another checksum" in self.reason(caplog)

    # botocore's publisher of these messages never closes its socket.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
    def test_boto3_where_an_agent_is_told_of_its_requests(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_CSM_ENABLED", "true")
        with pytest.raises(cshelve.ConfigurationError, match="csm_enabled: only boto3 reports"):
            cshelve.open_from_dict(s3.config(engine="direct"))
        gc.collect()

    def test_and_an_error_where_it_is_demanded(self, s3: S3Rig) -> None:
        config = s3.config(engine="direct")
        config["put_params"] = {"ChecksumAlgorithm": "SHA256"}
        with pytest.raises(cshelve.ConfigurationError, match="another checksum"):
            provider_from(config)
