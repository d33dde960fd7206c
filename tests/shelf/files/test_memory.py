"""A large file on its way needs memory for a few parts of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rigs import S3Rig, folder_config
from tests.scripts import PEAK, result_of
from tests.shelf.files.rig import MIB, PLAIN

SIZE = 80 * MIB
# Three parts of 8 MiB, and what the system needs for sending them.
MOST_GROWTH = 64 * MIB
PROGRAM = (
    PEAK
    + """
import io, os
import cshelve

size, path = arguments


class Stream:
    left = size

    def read(self, count):
        count = min(count, self.left)
        self.left -= count
        return bytes(count)


with cshelve.open_from_dict(config) as db:
    db.upload("warm-up", io.BytesIO(b"v"))
    db.download("warm-up", path)
    before = peak()
    db.upload("stream", Stream())
    db.download("stream", path)
    db.upload("file", path)
    most = peak()
    db.clear()
print([most - before, os.path.getsize(path)])
"""
)


def assert_little_is_needed(config: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    arguments = [SIZE, str(tmp_path / "file")]
    # Or each thread may keep memory of its own that is free.
    of_malloc = {"MALLOC_ARENA_MAX": "1"}
    growth, size = result_of(PROGRAM, config, arguments=arguments, seconds=180, environ=of_malloc)
    assert size == SIZE
    assert growth < MOST_GROWTH


def test_in_a_folder(tmp_path: Path) -> None:
    config = folder_config(tmp_path / "shelf")
    config["default"].update(PLAIN)
    assert_little_is_needed(config, tmp_path)


@pytest.mark.s3
@pytest.mark.once
@pytest.mark.parametrize("engine", ["direct", "boto3"])
def test_in_a_bucket(engine: str, s3: S3Rig, tmp_path: Path) -> None:
    config = s3.config(engine=engine, **PLAIN)
    # Not through the proxy, which is slow.
    config["provider_params"]["endpoint_url"] = s3.server.endpoint_url
    assert_little_is_needed(config, tmp_path)
