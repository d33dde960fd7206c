"""The examples run, as a reader would run them, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import cshelve
from tests.rigs import S3Rig, unique_name

pytestmark = [pytest.mark.s3, pytest.mark.once]

ROOT = Path(__file__).parents[2]
# A short one for each process, with words in common.
DECISIONS = (ROOT / "docs" / "decisions").glob("*.md")
TEXTS = sorted(DECISIONS, key=lambda path: path.stat().st_size)[:4]
SECONDS = 100


@pytest.fixture
def configuration(s3: S3Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples' configuration, with the address of the server and a prefix in it."""
    monkeypatch.setenv("AWS_KEY_ID", s3.server.admin.access_key)
    monkeypatch.setenv("AWS_KEY_SECRET", s3.server.admin.secret_key)
    text = (ROOT / "examples" / "aws-s3.ini").read_text()
    text = text.replace("http://localhost:9000", s3.proxy.endpoint_url)
    text = text.replace("provider = aws-s3", f"provider = aws-s3\nkey_prefix = {unique_name()}")
    path = tmp_path / "aws-s3.ini"
    path.write_text(text)
    return path


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", ROOT / "examples" / program, *arguments]
    return subprocess.run(
        list(map(str, command)),
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )


class TestCountWords:
    def test_counts_what_one_process_counts(self, configuration: Path) -> None:
        expected = Counter(
            word for text in TEXTS for word in re.findall(r"\w+", text.read_text("utf-8").lower())
        )
        ended = run("count_words.py", configuration, *TEXTS)
        # Which a program that sets up no logging prints.
        *_, told = ended.stderr.partition(": ")
        assert told in ("", "the bucket did not exist, and was created\n")
        *lines, total = ended.stdout.splitlines()
        # Of words that are as common as each other any may come first.
        counts = [int(line.split()[0]) for line in lines]
        assert counts == [count for _, count in expected.most_common(10)]
        assert all(expected[word] == int(count) for count, word in map(str.split, lines))
        assert total.split() == f"{expected.total()} in all, {len(expected)} different ones".split()
        with cshelve.open(configuration, "r") as db:
            found = dict(db.items())
        assert found == {f"words/{word}": count for word, count in expected.items()}

    def test_without_texts_says_how_it_is_run(self, configuration: Path) -> None:
        ended = run("count_words.py", configuration)
        assert ended.returncode == 1
        assert "python count_words.py aws-s3.ini FILE" in ended.stderr
