"""The options of `azure-blob`: what is wrong is an error that says where; nothing is sent."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

import cshelve
from cshelve.providers import AzureBlob
from cshelve.providers.azure_blob.names import problem_of
from testbed.azurite import ACCESS_KEY
from testbed.environments import ROOT
from tests.providers.azure_blob.rig import AzureRig, azure_config
from tests.rigs import unique_name

URL = "https://account.blob.core.windows.net"
CONNECTION_STRING = (
    f"DefaultEndpointsProtocol=https;AccountName=account;AccountKey={ACCESS_KEY};"
    "EndpointSuffix=core.windows.net"
)


def provider_of(**options: Any) -> AzureBlob:
    defaults = {"account_url": URL, "auth_type": "access_key", "access_key": ACCESS_KEY}
    return AzureBlob(**{"container_name": "box", **defaults, **options})


def refusal_of(options: dict[str, Any], **sections: Any) -> str:
    """Open a configuration, and return what is said against it."""
    config = {**azure_config(URL, **options), **sections}
    with pytest.raises(cshelve.ConfigurationError) as caught:
        cshelve.open_from_dict(config)
    return str(caught.value)


class TestPlaces:
    @pytest.mark.parametrize(
        ("options", "location"),
        [
            ({}, "az://account/box"),
            ({"key_prefix": "a/b//"}, "az://account/box/a/b"),
            ({"account_url": f"{URL}/"}, "az://account/box"),
            ({"account_url": "http://127.0.0.1:10000/dev"}, "az://127.0.0.1:10000/dev/box"),
            ({"account_url": "https://account.blob.core.chinacloudapi.cn"}, "az://account/box"),
        ],
    )
    def test_are_in_the_location(self, options: dict[str, Any], location: str) -> None:
        assert provider_of(**options).location == location

    @pytest.mark.parametrize(
        ("string", "account"),
        [
            (CONNECTION_STRING, "account"),
            ("BlobEndpoint=https://other.blob.core.windows.net/?x;AccountName=account", "other"),
            ("UseDevelopmentStorage=true", "127.0.0.1:10000/devstoreaccount1"),
            ("AccountName=account;AccountKey=x", "account"),
        ],
    )
    def test_are_in_a_connection_string(self, string: str, account: str) -> None:
        provider = AzureBlob("box", auth_type="connection_string", connection_string=string)
        assert provider.location == f"az://{account}/box"

    @pytest.mark.parametrize("name", ["x", "Box", "a_b", "a--b", "-ab", "a" * 64, "box/path", "$x"])
    def test_have_no_other_container_names(self, name: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="container_name: is a name of"):
            provider_of(container_name=name)

    @pytest.mark.parametrize("name", ["box", "a-b-1", "0" * 63, "$root", "$web"])
    def test_have_these_container_names(self, name: str) -> None:
        assert provider_of(container_name=name).location == f"az://account/{name}"

    @pytest.mark.parametrize("prefix", ["/", "//", "/a", "a\\b", "a.", "a/./b", "a\0b", "a" * 1024])
    def test_have_no_odd_prefixes(self, prefix: str) -> None:
        assert "[default] key_prefix: " in refusal_of({"key_prefix": prefix})

    @pytest.mark.parametrize(
        "url", ["", "account", "ftp://x", f"{URL}?sv=1&sig=SECRET", "https://user:SECRET@host"]
    )
    def test_have_no_odd_addresses(self, url: str) -> None:
        said = refusal_of({"account_url": url})
        assert "[default] account_url: " in said
        assert "SECRET" not in said


class TestOptions:
    def test_with_a_way_to_authenticate_that_there_is_not(self) -> None:
        for auth_type in ("", "password", "acces_key"):
            with pytest.raises(cshelve.AuthTypeError, match="auth_type"):
                provider_of(auth_type=auth_type)

    def test_of_another_way_to_authenticate_are_refused(self) -> None:
        with pytest.raises(cshelve.AuthArgumentError, match="sas_token: does not go with"):
            provider_of(sas_token="x")
        with pytest.raises(cshelve.AuthArgumentError, match="which names the variable 'V'"):
            provider_of(environment_key="V")

    @pytest.mark.parametrize("secret", [f"{ACCESS_KEY}\n", f" {ACCESS_KEY}", "a\0b"])
    def test_with_a_line_end_in_a_secret_do_not_quote_it(self, secret: str) -> None:
        with pytest.raises(cshelve.AuthArgumentError) as caught:
            provider_of(access_key=secret)
        assert "control character" in str(caught.value)
        assert secret.strip() not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("max_block_size", "0", "must be 1 or more"),
            ("max_single_put_size", 6_000 << 20, "must be 5242880000 or less"),
            ("max_chunk_get_size", "x", "is a whole number"),
            ("read_timeout", "soon", "is a number"),
            ("max_blok_size", 1, "did you mean max_block_size?"),
            ("transport", "x", "is an object"),
            ("retry_total", "-1", "0 or more"),
        ],
    )
    def test_of_the_client_are_checked(self, name: str, value: object, said: str) -> None:
        message = refusal_of({}, provider_params={name: value})
        assert f"[provider_params] {name}: " in message
        assert said in message

    def test_of_the_client_in_the_configuration_take_precedence(self) -> None:
        config = azure_config(URL, check_container=False)
        config["provider_params"] = {"read_timeout": "7"}
        params = {"read_timeout": 1, "connection_timeout": 2}
        with cshelve.open_from_dict(config, provider_params=params) as db:
            given = db.provider._settings.client_params  # type: ignore[attr-defined]
        assert (given["read_timeout"], given["connection_timeout"]) == (7.0, 2.0)

    def test_that_limit_attempts_mean_the_same(self) -> None:
        assert provider_of(provider_params={"retry_total": 2})._settings.attempts == 3
        assert provider_of(total_max_attempts=3)._settings.attempts == 3

    def test_with_a_credential_go_with_passwordless(self) -> None:
        with pytest.raises(cshelve.AuthArgumentError, match="goes with auth_type = passwordless"):
            provider_of(provider_params={"credential": object()})

    def test_that_are_wrong_for_the_client_are_a_configuration_error(self) -> None:
        provider = provider_of(provider_params={"api_version": "1066-10-14"})
        with pytest.raises(cshelve.ConfigurationError, match="1066-10-14"):
            provider.get("k")


def test_neither_the_import_nor_the_options_import_the_client() -> None:
    program = (
        "import sys, cshelve, cshelve.options\n"
        "cshelve.options.options_of('azure-blob')\n"
        "from cshelve.providers import AzureBlob\n"
        f"AzureBlob('box', account_url='{URL}').location\n"
        "sys.exit(any(name in sys.modules for name in ('azure.core', 'requests')))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=True)


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            *("a", "a b", "a//b", "/a", "a/", ".a", "a.b", "...a", "a" * 1024, "é" * 1024),
            *("\U0001f511", "%2F", "a?b#c", "a/" * 253 + "a", "\xa0", "\u2028"),
        ],
    )
    def test_that_azure_keeps(self, name: str) -> None:
        assert problem_of(name) is None

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("", "empty"),
            (".", "removes a dot"),
            ("..", "removes a dot"),
            ("a.", "removes a dot"),
            ("a./b", "removes a dot"),
            ("./a", "removes a dot"),
            ("a/../b", "removes a dot"),
            ("a\\b", "backslash"),
            ("a\nb", "control character"),
            ("a\x85", "control character"),
            ("\ufffe", "no character"),
            ("\ud800", "no character"),
            ("a" * 1025, "1,024 characters"),
            ("\U0001f511" * 513, "1,024 characters"),
            ("a/" * 254 + "a", "254 parts"),
        ],
    )
    def test_that_azure_would_change_or_refuse(self, name: str, why: str) -> None:
        problem = problem_of(name)
        assert problem is not None
        assert why in problem

    @pytest.mark.azure
    def test_that_it_cannot_hold_are_absent_and_nothing_is_sent(self, azure: AzureRig) -> None:
        with cshelve.open_from_dict(azure.config()) as db, db.stats.measuring() as used:
            for key in ("", "a.", "a\\b", "a\0"):
                assert key not in db
                assert db.get(key) is None
                with pytest.raises(cshelve.KeyNotStorableError, match="Nothing was sent"):
                    db[key] = 1
        assert not used.requests


@pytest.mark.azure
class TestLogging:
    def records(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        found = [r.getMessage() for r in caplog.records if r.name.startswith("azure.storage")]
        caplog.clear()
        return found

    def test_of_requests_is_switched_on_by_its_option(
        self, azure: AzureRig, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "azure")
        for value, expected in ((None, False), ("false", False), ("true", True), (True, True)):
            config: dict[str, dict[str, Any]] = azure.config()
            config["logging"] = {} if value is None else {"http": value, "level": "INFO"}
            with cshelve.open_from_dict(config) as db:
                db["k"] = 1
            records = self.records(caplog)
            assert any("Request URL" in record for record in records) is expected
            assert not any(ACCESS_KEY in record for record in records)

    def test_says_that_a_whole_container_was_emptied(
        self, azure: AzureRig, caplog: pytest.LogCaptureFixture
    ) -> None:
        name = unique_name()
        config = azure.config(container_name=name, key_prefix=None)
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
        assert f"{name}: the container did not exist, and was created" in caplog.text
        with cshelve.open_from_dict(config, "n") as db:
            assert not db
        assert "the whole container, and 1 blob was deleted" in caplog.text
        azure.service.delete_container(name)
