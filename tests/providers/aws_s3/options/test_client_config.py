"""`[provider_params]`: what reaches boto3's client, and how mistakes are told."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from tests.providers.aws_s3.options.rig import provider_from
from tests.rigs import Place, S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]


def client_config(provider: Any) -> Any:
    return provider._requests.clients.meta.config


class TestClientConfig:
    def test_ours_where_the_user_says_nothing(self, s3: S3Rig) -> None:
        config = client_config(provider_from(s3.config()))
        assert (config.connect_timeout, config.read_timeout) == (10, 20)
        assert config.retries == {"mode": "standard", "total_max_attempts": 5}
        assert config.max_pool_connections == 32

    def test_our_own_options(self, s3: S3Rig) -> None:
        options: dict[str, Any] = {
            "connect_timeout_seconds": "1.5",
            "read_timeout_seconds": 7,
            "total_max_attempts": "3",
            "concurrency": "64",
        }
        config = client_config(provider_from(s3.config(**options)))
        assert (config.connect_timeout, config.read_timeout) == (1.5, 7)
        assert config.retries["total_max_attempts"] == 3
        assert config.max_pool_connections == 64

    def test_bounds_how_many_requests_are_in_flight(self, s3: S3Rig) -> None:
        from botocore.config import Config

        assert provider_from(s3.config(concurrency=1000)).concurrency == 1000
        too_many = r"must be 1000 or less, not 1000000000\."
        with pytest.raises(cshelve.ConfigurationError, match=rf"concurrency: {too_many}"):
            Place(s3.config(concurrency=1_000_000_000)).open()
        config = s3.config()
        given = {"config": Config(max_pool_connections=1_000_000_000)}
        with pytest.raises(cshelve.ConfigurationError, match=rf"pool_connections: {too_many}"):
            Place(config).open(provider_params=given)
        config["provider_params"]["config.max_pool_connections"] = "1000000000"
        with pytest.raises(cshelve.ConfigurationError, match=rf"pool_connections: {too_many}"):
            Place(config).open()

    def test_the_users_config_goes_before_ours(self, s3: S3Rig) -> None:
        config = s3.config(read_timeout_seconds=7)
        config["provider_params"] |= {
            "config.read_timeout": "9",
            "config.retries.max_attempts": "1",
            "config.retries.mode": "legacy",
            "config.s3.addressing_style": "path",
            "config.tcp_keepalive": "yes",
            "config.user_agent_extra": "007",
        }
        made = client_config(provider_from(config))
        assert made.read_timeout == 9
        assert made.retries == {"total_max_attempts": 2, "mode": "legacy"}
        assert made.s3["addressing_style"] == "path"
        assert made.tcp_keepalive is True
        assert made.user_agent_extra == "007"

    def test_our_attempts_stay_where_the_user_says_only_the_mode(self, s3: S3Rig) -> None:
        config = s3.config(total_max_attempts=6)
        config["provider_params"]["config.retries.mode"] = "adaptive"
        made = client_config(provider_from(config))
        assert made.retries == {"mode": "adaptive", "total_max_attempts": 6}

    def test_config_of_call_and_file_are_merged_and_the_file_wins(self, s3: S3Rig) -> None:
        from botocore.config import Config

        config = s3.config()
        config["provider_params"] |= {
            "config.read_timeout": 9,
            "config.s3.addressing_style": "path",
        }
        of_call = Config(
            read_timeout=3,
            connect_timeout=4,
            s3={"addressing_style": "virtual", "payload_signing_enabled": True},
        )
        provider = provider_from(config, provider_params={"config": of_call})
        made = client_config(provider)
        assert (made.read_timeout, made.connect_timeout) == (9, 4)
        assert made.s3["addressing_style"] == "path"
        assert made.s3["payload_signing_enabled"] is True

    def test_the_calls_values_are_python_values(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CSHELVE_TEST", "looked-up")
        params = {"aws_session_token": "$CSHELVE_TEST"}
        provider = provider_from(s3.config(), provider_params=params)
        assert provider._settings.client_params["aws_session_token"] == "$CSHELVE_TEST"

    def test_the_files_region_wins_over_the_calls(self, s3: S3Rig) -> None:
        params = {"region_name": "eu-west-1"}
        provider = provider_from(s3.config(region_name="eu-west-3"), provider_params=params)
        assert provider._requests.clients.meta.region_name == "eu-west-3"

    def test_booleans_and_paths_have_their_types(self, s3: S3Rig) -> None:
        config = s3.config()
        config["provider_params"] |= {"use_ssl": "no", "verify": "false"}
        assert provider_from(config)._requests.clients.meta.endpoint_url.startswith("http://")
        config["provider_params"]["verify"] = "certificate-authorities.pem"
        assert provider_from(config)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("endpoint_ur", "x", r"endpoint_ur: .*did you mean endpoint_url\?"),
            ("endpoint", "x", "no such parameter"),
            ("config.read_timout", "1", r"config\.read_timout: .*did you mean read_timeout\?"),
            ("config.read_timeout", "soon", "is a number"),
            ("config.read_timeout.x", "1", "has no names of its own"),
            ("config.s3", "path", r"config\.s3\.<name>"),
            ("config.s3.adressing_style", "path", r"did you mean addressing_style\?"),
            ("config.proxies_config.proxy_ca", "x", "no such name"),
            ("ENDPOINT_URL", "x", r"did you mean endpoint_url\?"),
            ("endpoint_url", "http://user:hush@localhost:9000", "user name"),
            ("aws_session_token", 5, "is a text"),
            ("config.read_timeout", "nan", "is a number"),
            ("config.tcp_keepalive", "perhaps", "is true or false"),
            ("config.s3.addressing_style", "sideways", "addressing"),
            ("config", "x", r"config\.<name> = value"),
            ("use_ssl", "perhaps", "is true or false"),
            ("endpoint_url", "127.0.0.1:9000", "begins with http"),
            ("endpoint_url", "http://", "endpoint_url: gives no address"),
            ("endpoint_url", "http://[::1", "endpoint_url: gives no address"),
            ("endpoint_url", "http://localhost:99999", "endpoint_url: gives no address"),
            ("endpoint_url", "http://localhost:0", "endpoint_url: gives no address"),
            ("endpoint_url", "http://localhost:port", "endpoint_url: gives no address"),
            ("endpoint_url", "http://localhost/?a=b", "a query"),
            ("endpoint_url", "http://localhost/#a", "a query"),
        ],
    )
    def test_a_mistake_is_told_before_any_request(
        self, name: str, value: object, message: str, s3: S3Rig
    ) -> None:
        config = s3.config()
        config["provider_params"][name] = value
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.ConfigurationError, match=r"\[provider_params\]") as caught,
        ):
            Place(config).open()
        import re

        assert re.search(message, str(caught.value))
        assert seen.total == 0

    def test_a_mistake_in_the_call_is_told_as_the_calls(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"the call to open.*endpoint_url"):
            provider_from(s3.config(), provider_params={"endpoint_ur": "x"})

    def test_a_key_given_twice_and_differently_is_an_error(self, s3: S3Rig) -> None:
        config = s3.config()
        config["provider_params"]["aws_access_key_id"] = "other"
        with pytest.raises(cshelve.AuthArgumentError, match="aws_access_key_id") as caught:
            provider_from(config)
        assert "other" not in str(caught.value)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("concurrency", "0"),
            ("concurrency", "many"),
            ("total_max_attempts", 0),
            ("read_timeout_seconds", "-1"),
            ("connect_timeout_seconds", "inf"),
            ("check_bucket", "perhaps"),
        ],
    )
    def test_a_number_out_of_range(self, option: str, value: Any, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=rf"\[default\] {option}: "):
            provider_from(s3.config(**{option: value}))
