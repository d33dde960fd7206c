"""Which endpoints are asked whether they honour conditions: all but AWS's."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from cshelve.providers.aws_s3.probe import Condition
from tests.rigs import S3Rig, provider_of

pytestmark = pytest.mark.s3


class TestWhichEndpointsAreSuspected:
    """Building a client sends nothing, and whatever else was sent would be refused here."""

    @staticmethod
    def is_probed(
        s3: S3Rig, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, **default: Any
    ) -> bool:
        config = s3.config(check_bucket=False, **{"region_name": "eu-west-1", **default})
        config["provider_params"] = {} if endpoint is None else {"endpoint_url": endpoint}
        probed: list[Condition] = []

        def find_out(probe: Any, condition: Condition) -> None:
            probed.append(condition)
            probe._is_honoured[condition] = True

        monkeypatch.setattr("cshelve.providers.aws_s3.probe.Probe._find_out", find_out)
        with cshelve.open_from_dict(config) as shelf:
            for condition in Condition:
                provider_of(shelf)._probe.require(condition)
        assert len(probed) in {0, len(Condition)}
        return bool(probed)

    @pytest.mark.parametrize(
        ("endpoint", "region"),
        [
            (None, "eu-west-1"),
            (None, "us-east-1"),
            (None, "cn-north-1"),
            (None, "us-gov-west-1"),
            (None, "eusc-de-east-1"),
            (None, "us-iso-east-1"),
            ("https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
            ("https://S3.EU-WEST-1.AMAZONAWS.COM:443/", "eu-west-1"),
            ("https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
            ("https://bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
            ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ],
    )
    def test_none_of_awss(
        self,
        endpoint: str | None,
        region: str,
        s3: S3Rig,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert not self.is_probed(s3, monkeypatch, endpoint, region_name=region)

    @pytest.mark.parametrize(
        "endpoint",
        [
            "http://127.0.0.1:9000",
            "https://minio.example.org",
            "https://s3.amazonaws.com.example.org",
            "https://not-amazonaws.com",
            "https://example.org/s3.amazonaws.com",
        ],
    )
    def test_every_other(self, endpoint: str, s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.is_probed(s3, monkeypatch, endpoint)

    def test_one_that_the_environment_names(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://minio.example.org")
        assert self.is_probed(s3, monkeypatch, None)
