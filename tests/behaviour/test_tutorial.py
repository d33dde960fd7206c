"""The tutorial runs page by page, as a reader runs it, and prints what its pages say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cshelve
from tests.rigs import S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once, pytest.mark.encryption]

ROOT = Path(__file__).parents[2]
# Each page goes on with what the pages before it have stored.
PAGES = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAME_OF_FILE = re.compile(r"# (\S+\.ini)\n")
SECONDS = 60
# Warnings are errors, except those of cshelve: one page shows an option that `open` warns about.
WARNINGS = ("-W", "error", "-W", "default::UserWarning")


def blocks_of(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [block for found, block in BLOCK.findall(text) if found == language]


def run(page: Path, folder: Path, environment: dict[str, str]) -> str:
    """Run the program of a page beside the files that the page shows; return what it prints."""
    for configuration in blocks_of(page, "ini"):
        name = NAME_OF_FILE.match(configuration)
        assert name, "its first line says how the file is called"
        (folder / name[1]).write_text(configuration, encoding="utf-8")
    program = folder / "program.py"
    program.write_text("\n".join(blocks_of(page, "python")), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, *WARNINGS, program],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert ended.returncode == 0, f"{page.name}: {ended.stderr}"
    return ended.stdout


def test_each_page_prints_what_it_says(s3: S3Rig, tmp_path: Path) -> None:
    environment = {
        "AWS_ENDPOINT_URL": s3.server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.server.admin.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.server.admin.secret_key,
        "NOTES_KEY": cshelve.generate_key(),
        "PYTHONIOENCODING": "utf-8",
    }
    assert len(PAGES) == 6
    printed = {page.name: run(page, tmp_path, environment) for page in PAGES}
    assert printed == {page.name: "".join(blocks_of(page, "text")) for page in PAGES}
