"""What the pages of a shelf show, in S3 and in a folder."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import cshelve
from testbed.faults import Answer
from tests import rigs
from tests.cli.browse.rig import Browsing, browsing, folder_url
from tests.cli.rig import ini_file, s3_ini
from tests.rigs import S3Rig

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
ODD_KEYS = [
    "what?#%&=+ \"'<b>",
    "two\nlines",
    "a//b",
    "/lead",
    "trail/",
    "..",
    "../up",
    "./here",
    "%2e%2e%2f",
    "naïve/ключ/鍵",
    "rtl\u202egnp.exe",
    "\x00\x1b[31m",
    "a",
    "a/c",
    "x" * 200,
]


class Stranger:
    """A class that no shelf of these tests lists."""

    def __init__(self) -> None:
        self.secret = 42


class Attack:
    """Its pickle creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


VALUES: dict[str, Any] = {
    "users/ada": {"name": "Ada", "born": date(1815, 12, 10), "tags": ("maths", "poetry")},
    "users/grace": {"name": "Grace"},
    "users/old/1": 1,
    "text": "first line\r\nsecond <line>",
    "data": bytes(range(256)) * 100,
    "note": b"plain text in bytes",
    "logo": PNG,
    "drawing": SVG,
    "stranger": Stranger(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages")
    with cshelve.open(folder_url(path)) as db:
        db.update(VALUES)
        db["attack"] = Attack(path / "touched")
        db.update(dict.fromkeys(ODD_KEYS, "odd"))
    return path


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Browsing]:
    with browsing(folder_url(folder)) as site:
        yield site


@pytest.mark.s3
@pytest.mark.once
def test_a_shelf_in_s3_is_walked_from_folder_to_value(s3: S3Rig, tmp_path: Path) -> None:
    shelf = s3_ini(tmp_path / "shelf.ini", s3)
    with cshelve.open(shelf) as db:
        db.update(VALUES)
    with browsing(shelf, "--stats") as site:
        first = site.get()
        assert first.names == sorted({"users/", *(key for key in VALUES if "/" not in key)})
        assert "s3://" in first.text
        users = site.follow(first.address_of("users/"))
        assert users.names == ["ada", "grace", "old/"]
        ada = site.follow(users.address_of("ada"))
        assert "'name': 'Ada'" in ada.text
        assert "datetime.date(1815, 12, 10)" in ada.text
        assert "serializer" in ada.text
        assert site.get(prefix="users/g").names == ["grace"]
        assert site.get("download", key="note").body == b"plain text in bytes"
        assert site.get("value", key="absent").status == 404
        status, said = site.interrupt()
    assert status == 0
    assert "requests (" in said


@pytest.mark.s3
@pytest.mark.once
@pytest.mark.parametrize(
    ("code", "answer", "status"), [("AccessDenied", 403, 403), ("InternalError", 500, 502)]
)
def test_a_failure_of_the_store_is_a_page(
    s3: S3Rig, tmp_path: Path, code: str, answer: int, status: int
) -> None:
    shelf = s3_ini(tmp_path / "shelf.ini", s3, total_max_attempts=1)
    with cshelve.open(shelf) as db:
        db["k"] = 1
    with browsing(shelf) as site:
        s3.proxy.inject(Answer(answer, code, "no"), times=None)
        for failed in (site.get(), site.get("value", key="k"), site.get("download", key="k")):
            assert failed.status == status
            assert "s3://" in failed.text
            assert b"Traceback" not in failed.body
        s3.proxy.clear()
        assert site.get("value", key="k").status == 200


@pytest.mark.s3
@pytest.mark.once
def test_a_large_value_is_not_read_but_streamed(s3: S3Rig, tmp_path: Path) -> None:
    plain = {"serializer": "bytes", "use_versioning": "false"}
    shelf = s3_ini(tmp_path / "shelf.ini", s3, **plain)
    value = bytes(range(256)) * (20 << 12)
    with cshelve.open(shelf) as db:
        db["large"] = value
    with browsing(shelf) as site:
        with s3.proxy.counting() as sent:
            shown = site.get("value", key="large")
        assert "too large to be shown" in shown.text
        assert sent.operations == ["GetObject"]
        head = site.request(f"{site.root}download?key=large", "HEAD")
        assert head.headers["Content-Length"] == str(len(value))
        downloaded = site.get("download", key="large")
        assert downloaded.body == value
        assert downloaded.headers["Content-Type"] == "application/octet-stream"


def test_odd_keys_are_reached_by_their_links(site: Browsing) -> None:
    found, folders = set(), [""]
    while folders:
        page = site.get(prefix=folders.pop())
        for name in page.names:
            address = page.address_of(name)
            if address.startswith("value"):
                value = site.follow(address)
                assert value.status == 200
                found.add(address)
            else:
                folders.append(_query_of(address))
    assert {_query_of(address) for address in found} == {*VALUES, "attack", *ODD_KEYS}


def _query_of(address: str) -> str:
    """Return the key or the prefix in the address of a row."""
    (found,) = parse_qsl(urlsplit(address).query)
    return found[1]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_odd_key_is_read_and_downloaded(site: Browsing, key: str) -> None:
    assert "odd" in site.get("value", key=key).text
    downloaded = site.get("download", key=key)
    assert downloaded.body == b"odd"
    header = downloaded.headers["Content-Disposition"]
    assert header.startswith('attachment; filename="')
    assert header.isascii()
    assert header.isprintable()


def test_what_is_not_seen_in_a_key_is_shown(site: Browsing) -> None:
    names = site.get().names
    assert "rtl\\u202egnp.exe" in names
    assert "two\\nlines" in names
    assert "\\x00\\x1b[31m" in names


def test_a_prefix_that_no_key_has(site: Browsing) -> None:
    nothing = site.get(prefix="nosuch/")
    assert nothing.status == 200
    assert "There are no keys that begin with 'nosuch/'." in nothing.text


def test_text_bytes_and_numbers(site: Browsing) -> None:
    assert "first line\nsecond <line>" in site.get("value", key="text").text
    assert "plain text in bytes" in site.get("value", key="note").text
    data = site.get("value", key="data")
    assert "00000010  10 11 12 13" in data.text
    assert "and 9,216 bytes" in data.text
    assert site.get("download", key="data").body == VALUES["data"]


def test_an_image_is_shown_by_its_first_bytes_and_svg_is_text(site: Browsing) -> None:
    assert b'<img src="image?key=logo"' in site.get("value", key="logo").body
    image = site.get("image", key="logo")
    assert (image.body, image.headers["Content-Type"]) == (PNG, "image/png")
    drawing = site.get("value", key="drawing")
    assert b"&lt;script&gt;" in drawing.body
    assert b"<script" not in drawing.body
    assert site.get("image", key="drawing").status == 422


@pytest.mark.parametrize("page", ["value", "image", "download"])
def test_a_pickle_is_not_carried_out(site: Browsing, folder: Path, page: str) -> None:
    site.get(page, key="attack")
    assert not (folder / "touched").exists()


def test_a_refused_pickle_shows_its_instructions(site: Browsing) -> None:
    stranger = site.get("value", key="stranger")
    assert stranger.status == 200
    assert "STACK_GLOBAL" in stranger.text
    assert "--unpickle" in stranger.text
    assert pickle.loads(site.get("download", key="stranger").body).secret == 42


def test_a_pickle_is_unpickled_if_that_is_asked_for(folder: Path) -> None:
    here = {"PYTHONPATH": f"{Path(__file__).parents[3]}:{Path(cshelve.__file__).parents[1]}"}
    with browsing(folder_url(folder), "--unpickle", env=here) as site:
        stranger = site.get("value", key="stranger")
    assert "Stranger(\n  secret=42\n)" in stranger.text


def test_json_is_shown_as_json(tmp_path: Path) -> None:
    with cshelve.open(url := f"{folder_url(tmp_path)}?serializer=json") as db:
        db["k"] = {"yes": True, "no": None, "π": [1.5, "é"]}
    with browsing(url) as site:
        text = site.get("value", key="k").text
    assert '{\n  "yes": true,\n  "no": null,\n  "π": [1.5, "é"]\n}' in text


def test_an_expired_value_says_so(tmp_path: Path) -> None:
    with cshelve.open(folder_url(tmp_path)) as db:
        db.set("k", 1, expire_after_seconds=0.001)
        rigs.wait_until(lambda: "k" not in db)
    with browsing(folder_url(tmp_path)) as site:
        value, download = site.get("value", key="k"), site.get("download", key="k")
    assert (value.status, download.status) == (410, 410)
    assert "has expired" in value.text
    assert "stored size" in value.text
    assert "has expired" in download.text


def test_a_damaged_record_is_a_page_with_what_is_known(tmp_path: Path) -> None:
    with cshelve.open(folder_url(tmp_path)) as db:
        db["k"] = [1, 2, 3]
        db["pickle"] = "x"
    record = tmp_path / "shelf" / "k"
    record.write_bytes(record.read_bytes()[:-5])
    pickled = tmp_path / "shelf" / "pickle"
    pickled.write_bytes(pickled.read_bytes().replace(b"\x8c\x01x", b"\x8c\xff\x78"))
    with browsing(folder_url(tmp_path)) as site:
        damaged, odd = site.get("value", key="k"), site.get("value", key="pickle")
        assert site.get("download", key="k").status == 422
    assert damaged.status == 422
    assert "stored size" in damaged.text
    assert odd.status == 422
    assert "no whole pickle" in odd.text


@pytest.mark.encryption
def test_a_record_without_its_key_is_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: dict[str, dict[str, Any]] = {
        "default": {"provider": "filesystem", "folder_path": tmp_path / "shelf"},
        "encryption": {"algorithm": "aes256-gcm", "environment_key": "SHELF_KEY"},
    }
    shelf = ini_file(tmp_path / "shelf.ini", config)
    monkeypatch.setenv("SHELF_KEY", cshelve.generate_key())
    with cshelve.open(shelf) as db:
        db["k"] = Stranger()
    monkeypatch.setenv("SHELF_KEY", cshelve.generate_key())
    with browsing(shelf) as site:
        sealed = site.get("value", key="k")
    assert sealed.status == 422
    assert "aes256-gcm" in sealed.text


def test_a_folder_that_has_vanished_is_a_page(tmp_path: Path) -> None:
    with cshelve.open(folder_url(tmp_path)) as db:
        db["k"] = 1
    with browsing(folder_url(tmp_path)) as site:
        shutil.rmtree(tmp_path / "shelf")
        gone = site.get()
    assert gone.status == 404
    assert str(tmp_path) in gone.text


def test_a_local_shelf_is_read_in_every_thread(tmp_path: Path) -> None:
    with cshelve.open(str(tmp_path / "local")) as db:
        db.update({"users/ada": {"born": 1815}, "stranger": Stranger(), "attack": 1})
        db["attack"] = Attack(tmp_path / "touched")
    with browsing(tmp_path / "local") as site:
        assert site.get().names == ["attack", "stranger", "users/"]
        assert "'born': 1815" in site.get("value", key="users/ada").text
        assert "STACK_GLOBAL" in site.get("value", key="stranger").text
        assert site.get("value", key="attack").status == 200
    assert not (tmp_path / "touched").exists()


def test_pages_of_a_long_folder(tmp_path: Path) -> None:
    with cshelve.open(folder_url(tmp_path)) as db:
        db.update({f"many/{number:03}": number for number in range(250)})
    with browsing(folder_url(tmp_path)) as site:
        first = site.get(prefix="many/")
        assert len(first.names) == 200
        assert "Next page" in first.text
        second = site.get(prefix="many/", after="many/199")
    assert second.names == [f"{number:03}" for number in range(200, 250)]
    assert "First page" in second.text
    assert "Next page" not in second.text
