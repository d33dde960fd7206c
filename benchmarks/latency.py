"""haproxy before a server: each request waits for some milliseconds before it goes there."""

from __future__ import annotations

import http.client
import os
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

from testbed.ports import free_ports
from testbed.server_process import LocalServer, ServerProcess, answers_ok

__all__ = ["Latency", "find_haproxy", "request_seconds"]

_LUA = """\
core.register_action("lag", {{"http-req"}}, function() core.msleep({milliseconds}) end)
"""
# The Host header is signed and goes through as it is; connections stay open on both sides.
_CONFIG = """\
global
    nbthread 1
    maxconn 1024
    lua-load {lua}
defaults
    mode http
    maxconn 1024
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen latency
    bind 127.0.0.1:{port}
    http-request lua.lag
    server server {server}
"""
_HEALTH = "/healthz"
_READY_SECONDS = 10.0


def find_haproxy() -> str | None:
    """The path of the program, or None where it is not installed."""
    # Debian keeps it where only root looks.
    return shutil.which("haproxy", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


class Latency(LocalServer):
    """A proxy of its own before a server that answers /healthz; needs haproxy."""

    def __init__(self, endpoint_url: str, milliseconds: int) -> None:
        super().__init__()
        self._server = urlsplit(endpoint_url).netloc
        self._milliseconds = milliseconds
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _launch(self, directory: Path) -> ServerProcess:
        haproxy = find_haproxy()
        if haproxy is None:
            raise FileNotFoundError("no program named haproxy")
        (self._port,) = free_ports(1)
        lua = directory / "lag.lua"
        lua.write_text(_LUA.format(milliseconds=self._milliseconds))
        config = directory / "haproxy.cfg"
        config.write_text(_CONFIG.format(lua=lua, port=self._port, server=self._server))
        return ServerProcess([haproxy, "-db", "-f", str(config)], directory / "haproxy.log")

    def _wait_until_ready(self, process: ServerProcess) -> None:
        process.wait_until(lambda: answers_ok(self.endpoint_url + _HEALTH), _READY_SECONDS)


def request_seconds(endpoint_url: str) -> float:
    """Give what one small request takes over a connection that is open already."""
    connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc)
    for _ in range(2):
        began = time.perf_counter()
        connection.request("GET", _HEALTH)
        connection.getresponse().read()
        seconds = time.perf_counter() - began
    connection.close()
    return seconds
