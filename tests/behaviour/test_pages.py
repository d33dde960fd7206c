"""The programs of the pages, and the examples of docstrings, run against a real S3 server.

The blocks of Python on a page are one program. What a page of the tutorial says that its program
prints, it prints.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cshelve
from testbed.azurite import ACCESS_KEY
from tests.examples_in_docs import PAGES, ROOT, blocks_of, program_of_docstrings
from tests.rigs import GcsRig, S3Rig

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from testbed.azurite import Azurite
    from testbed.openssh import OpenSSH

pytestmark = [pytest.mark.once, pytest.mark.encryption]
s3 = pytest.mark.s3

SECONDS = 100
# Each page goes on with what the pages before it have stored.
TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
# The first have tests of their own below, since they name servers that nobody has. The programs of
# `cluster` need frameworks and import themselves in other processes: see tests/cluster.
ELSEWHERE = {"azure", "gcs", "sftp", "cluster"}
# What some pages take for granted: lines that run before the program of the page.
BEFORE = {
    "files": 'import pathlib; pathlib.Path("today.tar").write_bytes(b"a backup")',
    "looking-inside": (
        'import cshelve; cshelve.open("s3://bucket/prefix").update({"report": 1, "ada": 2})'
    ),
    "many-writers": 'import cshelve; cshelve.open("shelf.ini")["k"] = 1',
    "moving-data": 'import cshelve; cshelve.open("old-shelf")["ada"] = {"born": 1815}',
}
# The configurations that a page mentions and does not show.
CONFIGURATION = """\
[default]
provider = aws-s3
bucket_name = my-bucket
key_prefix = {prefix}
auth_type = default
"""
OF_FILES = "serializer = bytes\nuse_versioning = false\n"
MORE_OPTIONS = {"reports.ini": OF_FILES, "files.ini": OF_FILES}
INI = re.compile(r"^```ini\n# (\S+\.ini)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TEXT = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What the pages of other stores say, and what reaches the servers of the tests instead.
SERVERS_OF = {
    "azure": {
        '"https://myaccount.blob.core.windows.net"': '"{url}"',
        'key_prefix="app")': 'auth_type="access_key", environment_key="AZURITE_KEY")',
        "az://myaccount/mycontainer/visits": (
            "az://emulator/mycontainer/visits?account_url={url}"
            "&auth_type=access_key&environment_key=AZURITE_KEY"
        ),
        "http://127.0.0.1:10000/devstoreaccount1": "{url}",
    },
    "gcs": {
        "gs://my-bucket/my-shelf": (
            "gs://{bucket}/page?auth_type=anonymous&provider_params.project=tests"
            "&provider_params.client_options.api_endpoint={url}"
        ),
        'Gcs("my-bucket", key_prefix="my-shelf", project="my-project")': (
            'Gcs("{bucket}", key_prefix="page", project="tests", auth_type="anonymous",'
            ' api_endpoint="{url}")'
        ),
    },
    "sftp": {
        "sftp://alice@files.example.com/srv/notes": (
            "sftp://{user}@127.0.0.1{path}?port={port}&auth_type=key_filename"
            "&key_filename={key}&known_hosts={known}"
        ),
        '"files.example.com", "alice", "/srv/notes", auth_type="agent"': (
            '"127.0.0.1", "{user}", "{path}", port={port}, auth_type="key_filename",'
            ' key_filename="{key}", known_hosts="{known}"'
        ),
    },
}
# Runs programs in their folders, in turn: starting Python takes longer than most pages.
RUNNER = """\
import contextlib, os, pathlib, runpy, sys, traceback

for program in map(pathlib.Path, sys.argv[1:]):
    os.chdir(program.parent)
    printed = open(program.with_suffix(".printed"), "w", encoding="utf-8")
    with printed, contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(str(program), run_name="__main__")
        except BaseException:
            program.with_suffix(".failed").write_text(traceback.format_exc(), "utf-8")
"""
# Calls the function of each example in turn. The shelf has what they take for granted.
CALLS = """

import asyncio, inspect, pathlib, traceback

KEYS = ("ada", "grace", "greeting", "report", "inbox/letter")
files["backup.tar"] = files["report.pdf"] = b"..."
pathlib.Path("today.tar").write_bytes(b"a backup")
cshelve.open("old-shelf")["k"] = 1
failed = []
for name, function in list(globals().items()):
    if not inspect.isfunction(function) or not name[-1].isdigit() or name in ELSEWHERE:
        continue
    db.clear()
    db.update(dict.fromkeys(KEYS, ada))
    try:
        if inspect.iscoroutinefunction(function):
            async def run(function=function):
                async with cshelve.aopen("users.ini") as shelf:
                    await function(shelf)
            asyncio.run(run())
        else:
            function()
    except cshelve.BulkError:
        if not name.startswith("FailingProvider"):  # Its example says that it raises this.
            failed.append((name, traceback.format_exc()))
    except Exception:
        failed.append((name, traceback.format_exc()))
db.close()
files.close()
assert not failed, "\\n".join(why for _, why in failed)
"""


def program_of(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    blocks = [block for _, block, is_fragment in blocks_of(text) if not is_fragment]
    return "\n".join([BEFORE.get(page.stem, ""), *blocks]) if blocks else ""


def run(programs: Mapping[Path, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Write each program to its path, run them in turn, and return why some of them failed."""
    for path, program in programs.items():
        path.write_text(program, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-c", RUNNER, *programs],
        env=os.environ | environment,
        check=True,
        timeout=SECONDS,
    )
    failures = {str(path): path.with_suffix(".failed") for path in programs}
    return {name: path.read_text("utf-8") for name, path in failures.items() if path.exists()}


@pytest.fixture
def environment(s3: S3Rig) -> Iterator[dict[str, str]]:
    """What a program needs to use the server by a URL, and to encrypt; its buckets are deleted."""
    client = s3.server.client()
    before = buckets_of(client)
    yield {
        "AWS_ENDPOINT_URL": s3.server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.server.admin.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.server.admin.secret_key,
        "NOTES_KEY": cshelve.generate_key(),
        "SHELF_URL": "s3://my-bucket/by-variable",
        "PYTHONIOENCODING": "utf-8",
    }
    for bucket in buckets_of(client) - before:
        client.delete_bucket(Bucket=bucket)  # SeaweedFS does not ask for an empty one.


def buckets_of(client: S3Client) -> set[str]:
    return {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


@s3
def test_the_tutorial_prints_what_it_says(environment: dict[str, str], tmp_path: Path) -> None:
    assert len(TUTORIAL) == 6
    texts = {page.stem: page.read_text(encoding="utf-8") for page in TUTORIAL}
    shown = [file for text in texts.values() for file in INI.findall(text)]
    assert len(shown) == len(dict(shown))
    for name, configuration in shown:
        (tmp_path / name).write_text(configuration, encoding="utf-8")
    programs = {tmp_path / f"{page.stem}.py": program_of(page) for page in TUTORIAL}
    assert run(programs, environment) == {}
    for stem, text in texts.items():
        printed = (tmp_path / f"{stem}.printed").read_text("utf-8")
        assert printed == "".join(TEXT.findall(text)), stem


@s3
def test_the_other_pages_run(environment: dict[str, str], tmp_path: Path) -> None:
    programs = {
        # Not under its name: it would be imported as `asyncio`.
        tmp_path / page.stem / "program.py": program_of(page)
        for page in PAGES
        if page not in TUTORIAL and page.stem not in ELSEWHERE and program_of(page)
    }
    assert len(programs) > 10
    for path, program in programs.items():
        path.parent.mkdir()
        for name in re.findall(r'"([\w-]+\.ini)"', program):
            configuration = CONFIGURATION.format(prefix=f"{path.parent.name}-{Path(name).stem}")
            (path.parent / name).write_text(configuration + MORE_OPTIONS.get(name, ""))
    assert run(programs, environment) == {}


def run_elsewhere(page: str, folder: Path, environment: dict[str, str], **here: str) -> None:
    """Run the program of a page with texts replaced: `here` has what stands for its servers."""
    program = program_of(ROOT / "docs" / f"{page}.md")
    for old, new in SERVERS_OF[page].items():
        assert old in program, old
        program = program.replace(old, new.format(**here))
    assert run({folder / "page.py": program}, environment) == {}


@pytest.mark.azure
def test_the_page_of_azure_runs(azurite: Azurite, tmp_path: Path) -> None:
    run_elsewhere("azure", tmp_path, {"AZURITE_KEY": ACCESS_KEY}, url=azurite.account_url)


@pytest.mark.gcs
def test_the_page_of_gcs_runs(gcs: GcsRig, tmp_path: Path) -> None:
    run_elsewhere("gcs", tmp_path, {}, url=gcs.proxy.endpoint_url, bucket=gcs.bucket)


@pytest.mark.sftp
def test_the_page_of_sftp_runs(openssh: OpenSSH, tmp_path: Path) -> None:
    here = {
        "user": openssh.username,
        "port": str(openssh.port),
        "path": str(openssh.new_folder()),
        "key": str(openssh.key),
        "known": str(openssh.known_hosts),
    }
    run_elsewhere("sftp", tmp_path, {}, **here)


@s3
def test_the_examples_of_docstrings_run(environment: dict[str, str], tmp_path: Path) -> None:
    program = program_of_docstrings()
    # A server that nobody has.
    elsewhere = set(re.findall(r"def (Sftp_\d+)", program))
    assert len(elsewhere) == 1
    for name in re.findall(r'"([\w-]+\.ini)"', program):
        configuration = CONFIGURATION.format(prefix=f"docstrings-{name}")
        (tmp_path / name).write_text(configuration + MORE_OPTIONS.get(name, ""))
    calls = f"{program}\nELSEWHERE = {elsewhere}\n{CALLS}"
    assert run({tmp_path / "examples.py": calls}, environment) == {}
