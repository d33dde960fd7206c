"""Proxy variables: a request goes the way that one of bare boto3 goes in the same environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config

from testbed.scripted_server import ScriptedServer
from tests.rigs import Place

pytestmark = [pytest.mark.s3, pytest.mark.once, pytest.mark.usefixtures("quick_clients")]

ABSENT = b"HTTP/1.1 404 Not Found\r\nx-amz-request-id: 1\r\nContent-Length: 0\r\n\r\n"
# Nothing is there: a request that goes by no proxy fails at once, which is how it is told.
HOST = "s3.shelf.test"
HTTP = f"http://{HOST}:8333"
HTTPS = f"https://{HOST}"
ADDRESS = "http://127.0.0.1:8"

# What stands for the proxy's address.
P = "the proxy"
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "none": (HTTP, {}),
    "HTTP_PROXY": (HTTP, {"HTTP_PROXY": P}),
    "http_proxy": (HTTP, {"http_proxy": P}),
    "HTTPS_PROXY": (HTTPS, {"HTTPS_PROXY": P}),
    "https_proxy": (HTTPS, {"https_proxy": P}),
    "ALL_PROXY": (HTTP, {"ALL_PROXY": P}),
    "all_proxy": (HTTPS, {"all_proxy": P}),
    "of the other scheme": (HTTP, {"HTTPS_PROXY": P}),
    "of both cases, one empty": (HTTP, {"HTTP_PROXY": P, "http_proxy": ""}),
    "of mixed case": (HTTP, {"Http_Proxy": P}),
    "empty": (HTTP, {"http_proxy": ""}),
    "a host": (HTTP, {"http_proxy": P, "no_proxy": HOST}),
    "a host in NO_PROXY": (HTTP, {"HTTP_PROXY": P, "NO_PROXY": f"a.test, {HOST}"}),
    "another host": (HTTP, {"http_proxy": P, "no_proxy": "other.test"}),
    "a host with its port": (HTTP, {"http_proxy": P, "no_proxy": f"{HOST}:8333"}),
    "a host with another port": (HTTP, {"http_proxy": P, "no_proxy": f"{HOST}:80"}),
    "a suffix": (HTTP, {"http_proxy": P, "no_proxy": ".shelf.test"}),
    "a suffix without dot": (HTTP, {"http_proxy": P, "no_proxy": "shelf.test"}),
    "a suffix in the middle of a name": (HTTP, {"http_proxy": P, "no_proxy": "helf.test"}),
    "a star": (HTTP, {"http_proxy": P, "no_proxy": "*"}),
    "a star in a list": (HTTP, {"http_proxy": P, "no_proxy": "a.test,*"}),
    "an address": (ADDRESS, {"http_proxy": P, "no_proxy": "127.0.0.1"}),
    "an address with its port": (ADDRESS, {"http_proxy": P, "no_proxy": "127.0.0.1:8"}),
    "a network": (ADDRESS, {"http_proxy": P, "no_proxy": "127.0.0.0/8"}),
    "another network": (ADDRESS, {"http_proxy": P, "no_proxy": "10.0.0.0/8"}),
    "an empty no_proxy beside NO_PROXY": (
        HTTP,
        {"http_proxy": P, "no_proxy": "", "NO_PROXY": HOST},
    ),
    "no_proxy against NO_PROXY": (
        HTTP,
        {"http_proxy": P, "no_proxy": "other.test", "NO_PROXY": HOST},
    ),
    "CGI (httpoxy)": (HTTP, {"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}),
    "CGI, by the other variable": (HTTP, {"http_proxy": P, "REQUEST_METHOD": "GET"}),
    "CGI, https": (HTTPS, {"HTTPS_PROXY": P, "REQUEST_METHOD": "GET"}),
    "localhost": ("http://localhost:8", {"http_proxy": P}),
    "localhost in no_proxy": ("http://localhost:8", {"http_proxy": P, "no_proxy": "localhost"}),
}
IN_THE_CONFIGURATION: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "of the scheme": (HTTP, {"http": P}, {}),
    "of the other scheme": (HTTP, {"https": P}, {}),
    "https": (HTTPS, {"https": P}, {}),
    "beside no_proxy": (HTTP, {"http": P}, {"no_proxy": "*"}),
    "beside a variable": (HTTP, {"https": P}, {"http_proxy": P}),
}


@pytest.fixture
def proxy() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda _number, _request: ABSENT) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    # boto3 pauses before it tries again.
    monkeypatch.setattr("time.sleep", lambda _: None)


def filled(settings: dict[str, str], proxy: ScriptedServer) -> dict[str, str]:
    return {name: proxy.endpoint_url if value is P else value for name, value in settings.items()}


def goes_by(proxy: ScriptedServer, act: Any) -> bool:
    """Return whether an act sends its requests by the proxy."""
    before = len(proxy.requests)
    with suppress(Exception):  # There is no server: only the way to it is of interest.
        act()
    return len(proxy.requests) > before


def way_of_boto3(endpoint_url: str, proxies: dict[str, str], proxy: ScriptedServer) -> bool:
    config = Config(
        proxies=proxies or None, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
    )
    client = boto3.session.Session("id", "secret", region_name="us-east-1").client(
        "s3", endpoint_url=endpoint_url, config=config
    )
    return goes_by(proxy, lambda: client.head_object(Bucket="bucket", Key="k"))


def ways_of_the_shelf(
    endpoint_url: str, proxies: dict[str, str], proxy: ScriptedServer
) -> set[bool]:
    params: dict[str, Any] = {"endpoint_url": endpoint_url}
    if proxies:
        params["config.proxies"] = proxies
    default = {
        "provider": "aws-s3",
        "bucket_name": "bucket",
        "auth_type": "access_key",
        "key_id": "id",
        "key_secret": "secret",
        "check_bucket": False,
        "total_max_attempts": 2,
    }
    place = Place({"default": default, "provider_params": params})
    db = place.open()
    acts = (
        lambda: "k" in db,
        lambda: db["k"],
        lambda: db.__setitem__("k", 1),
        lambda: list(db.get_many([*"ab"])),
        lambda: db.update(a=1, b=2),
        lambda: list(db),
    )
    ways = {goes_by(proxy, act) for act in acts}
    place.close()
    return ways


@pytest.mark.parametrize("name", SETTINGS)
def test_variables(name: str, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint_url, environ = SETTINGS[name]
    for variable, value in filled(environ, proxy).items():
        monkeypatch.setenv(variable, value)
    expected = way_of_boto3(endpoint_url, {}, proxy)
    assert ways_of_the_shelf(endpoint_url, {}, proxy) == {expected}


@pytest.mark.parametrize("name", IN_THE_CONFIGURATION)
def test_the_configuration(
    name: str, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint_url, proxies, environ = IN_THE_CONFIGURATION[name]
    for variable, value in filled(environ, proxy).items():
        monkeypatch.setenv(variable, value)
    expected = way_of_boto3(endpoint_url, filled(proxies, proxy), proxy)
    assert ways_of_the_shelf(endpoint_url, filled(proxies, proxy), proxy) == {expected}


def test_both_ways_are_among_them(proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison would say nothing."""
    ways = {}
    for name, (endpoint_url, environ) in SETTINGS.items():
        with monkeypatch.context() as patch:
            for variable, value in filled(environ, proxy).items():
                patch.setenv(variable, value)
            ways[name] = way_of_boto3(endpoint_url, {}, proxy)
    assert sum(ways.values()) > 5
    assert len(ways) - sum(ways.values()) > 5
    assert not ways["CGI (httpoxy)"]
