"""Who may ask `cshelve browse` for a page, and what every answer has."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import cshelve
from tests.cli.browse.rig import Browsing, address_of, browsing, folder_url
from tests.cli.rig import errors, on_terminal, started

OTHER_HOSTS = [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil",
    "",
    None,
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsing]:
    url = folder_url(tmp_path_factory.mktemp("browse"))
    with cshelve.open(url) as db:
        db["greeting"] = "hello"
    with browsing(url) as site:
        yield site


def test_the_address_leads_to_the_keys(site: Browsing) -> None:
    assert site.address.startswith(f"http://127.0.0.1:{site.port}/")
    assert len(site.root.strip("/")) > 40
    assert site.get().names == ["greeting"]


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_any_port_of_this_machine_may_lead_to_it(site: Browsing, host: str) -> None:
    assert site.request(site.root, host=host).status == 200


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_another_name_of_this_machine_is_refused(site: Browsing, host: str | None) -> None:
    refused = site.request(site.root, host=host)
    assert refused.status == 403
    assert b"greeting" not in refused.body


def test_nothing_is_shown_without_the_token(site: Browsing) -> None:
    wrong = site.root[:-2] + ("A" if site.root[-2] != "A" else "B") + "/"
    for path in (
        "/",
        "//",
        "/x",
        wrong,
        f"{wrong}style.css",
        "/%C3%A9/",
        "/%00/",
    ):
        refused = site.request(path)
        assert (refused.status, b"hello" in refused.body) == (403, False)
        assert site.root.strip("/").encode() not in refused.body


def test_the_address_may_lack_its_last_slash(site: Browsing) -> None:
    response = site.request(site.root.rstrip("/"))
    assert (response.status, response.headers["Location"]) == (303, site.root)


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
)
def test_nothing_but_reading_is_possible(site: Browsing, method: str) -> None:
    assert site.request(site.root, method).status == 501


def test_head_returns_the_headers_alone(site: Browsing) -> None:
    head, got = site.request(site.root, "HEAD"), site.get()
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.body))


@pytest.mark.parametrize(
    "page",
    [
        "",
        "value?key=greeting",
        "value?key=absent",
        "image?key=greeting",
        "nosuch",
        "icon.svg",
        "download?key=greeting",
        "?prefix=%ff",
    ],
)
def test_every_answer_forbids_scripts_and_hides_the_address(site: Browsing, page: str) -> None:
    headers = site.request(site.root + page).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_an_address_that_is_no_text_is_refused(site: Browsing) -> None:
    assert site.request(f"{site.root}?prefix=%ff%fe").status == 400
    assert site.request(f"{site.root}?{'&'.join(['a=b'] * 50)}").status == 400
    assert site.request(f"{site.root}?prefix=%ED%A0%80").status == 400
    assert site.request(f"{site.root}nosuch").status == 404


def test_it_listens_on_loopback_only(site: Browsing) -> None:
    with socket.socket(socket.AF_INET) as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", site.port))


def test_ctrl_c_stops_it_without_a_traceback(tmp_path: Path) -> None:
    with cshelve.open(folder_url(tmp_path)):
        pass
    with (
        browsing(folder_url(tmp_path)) as site,
        # A browser may keep a connection open, on which it sends nothing.
        socket.create_connection(("127.0.0.1", site.port)),
    ):
        assert site.get().status == 200  # By then, the server has accepted that connection.
        status, said = site.interrupt()
    assert status == 0
    assert said == "cshelve: press Ctrl-C to stop\ncshelve: stopped\n"


def test_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    with cshelve.open(folder_url(tmp_path)):
        pass
    with on_terminal("browse", "--no-open", folder_url(tmp_path)) as child:
        child.expect("press Ctrl-C to stop")
        child.sendintr()
        child.expect("cshelve: stopped")
        child.wait()
        assert child.exitstatus == 0


def test_a_port_in_use_is_an_error_of_one_line(site: Browsing, tmp_path: Path) -> None:
    with cshelve.open(folder_url(tmp_path)):
        pass
    said = errors("browse", folder_url(tmp_path), "--no-open", "--port", site.port)
    assert f"port {site.port}" in said
    assert len(said.splitlines()) == 1


def test_a_missing_shelf_is_an_error_of_one_line_and_creates_nothing(tmp_path: Path) -> None:
    said = errors("browse", tmp_path / "nosuch", "--no-open")
    assert said.startswith("cshelve: ")
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_browser_gets_an_address_that_works_once(tmp_path: Path) -> None:
    """Others can see the arguments of the browser's process, and must not read with them."""
    with cshelve.open(folder_url(tmp_path)):
        pass
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    with started("browse", folder_url(tmp_path), env={"BROWSER": f"{browser} %s"}) as program:
        site = Browsing(program, address_of(program))
        once = opened.read_text().strip().removeprefix(f"http://127.0.0.1:{site.port}")
        assert site.root.strip("/") not in once
        assert site.request(once, host="evil.example").status == 403
        first, second = site.request(once), site.request(once)
        assert (first.status, first.headers["Location"]) == (303, site.root)
        assert second.status == 403
