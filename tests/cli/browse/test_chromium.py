"""The pages in a real browser, which runs no script of a stranger, and shows them in the dark."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import cshelve
from cshelve.cli.browse.html import link
from tests.cli.browse.rig import Browsing, browsing, folder_url

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
OWNED = "document.title = 'owned'"
KEY = f'<img src=x onerror="{OWNED}">'
VALUE = f'</pre><script>{OWNED}</script><svg onload="{OWNED}">'

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="needs Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsing]:
    url = folder_url(tmp_path_factory.mktemp("chromium"))
    with cshelve.open(url) as db:
        db.update({KEY: VALUE, "users/ada": {"name": "Ada"}, "logo": png(40, 20)})
        db["drawing"] = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{OWNED}"/>'.encode()
    with browsing(url) as site:
        yield site


def png(width: int, height: int) -> bytes:
    """Return a black image."""

    def chunk(name: bytes, data: bytes) -> bytes:
        whole = name + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(height * (width + 1)))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def chromium(profile: Path, address: str, *options: str) -> str:
    """Let the browser load an address, and return what it printed."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *options, address]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode()


def dom(site: Browsing, profile: Path, page: str = "", **query: str) -> str:
    return chromium(profile, site.address + link(page, **query), "--dump-dom")


def first_pixel(screenshot: Path) -> tuple[int, ...]:
    """Return the colour in the upper left corner of a PNG."""
    data, at, packed = screenshot.read_bytes(), 8, b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    # All filters of PNG leave the first pixel as it is.
    return tuple(zlib.decompress(packed)[1:4])


def test_the_keys_are_there_and_nothing_runs(site: Browsing, tmp_path: Path) -> None:
    page = dom(site, tmp_path)
    assert "&lt;img src=x onerror=" in page
    assert "<title>owned" not in page
    assert page.count("<img") == 1  # The icon.
    assert "users/" in page


@pytest.mark.parametrize("key", [KEY, "drawing"])
def test_a_value_does_not_run(site: Browsing, tmp_path: Path, key: str) -> None:
    page = dom(site, tmp_path, "value", key=key)
    assert "<title>owned" not in page
    assert "<script" not in page
    assert "<svg" not in page
    assert "onload=" in page


def test_an_image_is_loaded_in_its_size(site: Browsing, tmp_path: Path) -> None:
    # The document that a browser makes for an image has its size in the title.
    assert "(40\N{MULTIPLICATION SIGN}20)" in dom(site, tmp_path, "image", key="logo")
    assert 'src="image?key=logo"' in site.get("value", key="logo").body.decode()


@pytest.mark.parametrize(("width", "scheme", "is_dark"), [(1200, "1", False), (390, "0", True)])
def test_the_colours_are_those_that_the_reader_prefers(
    site: Browsing, tmp_path: Path, width: int, scheme: str, is_dark: bool
) -> None:
    picture = tmp_path / "page.png"
    options = [f"--window-size={width},800", f"--blink-settings=preferredColorScheme={scheme}"]
    chromium(tmp_path / "profile", site.address, *options, f"--screenshot={picture}")
    colour = first_pixel(picture)
    assert max(colour) < 60 if is_dark else min(colour) > 200
