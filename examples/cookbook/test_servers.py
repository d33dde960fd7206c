"""What works on the servers that run here, and that the page's configurations are valid."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

import cshelve
from testbed.moto import Moto
from testbed.s3_client import Identity
from testbed.seaweedfs import SeaweedFS

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "cookbook" / "s3-servers.md"
COMPLETE, *OTHERS = re.findall(r"^```ini\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def configuration(of_server: str) -> ConfigParser:
    """Return the page's first configuration with the lines of one server in it."""
    options = ConfigParser(interpolation=None)
    options.optionxform = str  # type: ignore[assignment,method-assign]
    options.read_string(COMPLETE)
    options.read_string(of_server)
    return options


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


def trial(endpoint_url: str, who: Identity, folder: Path) -> subprocess.CompletedProcess[str]:
    options = configuration(f"[provider_params]\nendpoint_url = {endpoint_url}")
    options["default"].update(key_id=who.access_key, key_secret=who.secret_key)
    with open(folder / "shelf.ini", "w", encoding="utf-8") as file:
        options.write(file)
    command = [sys.executable, str(FOLDER / "try_server.py"), str(folder / "shelf.ini")]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("store")
def test_everything_works_on_seaweedfs(server: SeaweedFS, tmp_path: Path) -> None:
    ended = trial(server.endpoint_url, server.admin, tmp_path)
    assert (ended.returncode, ended.stdout.count(" yes\n")) == (0, 10), ended.stdout


@pytest.mark.usefixtures("store")
def test_everything_works_on_moto(moto: Moto, tmp_path: Path) -> None:
    ended = trial(moto.endpoint_url, moto.admin, tmp_path)
    assert (ended.returncode, ended.stdout.count(" yes\n")) == (0, 10), ended.stdout


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("of_server", OTHERS)
def test_a_configuration_of_the_page_is_valid(of_server: str) -> None:
    options = configuration(of_server)
    options["default"]["check_bucket"] = "false"  # Nothing is sent.
    with cshelve.open_from_dict(options) as db:
        assert db.provider.location == "s3://my-bucket/my-shelf"


def test_a_server_has_a_configuration() -> None:
    assert len(OTHERS) == 8
