from __future__ import annotations

import shelve
import subprocess
import sys
from pathlib import Path

import pytest

import cshelve
from testbed.cshelve_1x import Cshelve1x, RefusedBy1x, find_python
from testbed.seaweedfs import SeaweedFS

FOLDER = Path(__file__).parent
VALUES = {"ada": {"born": 1815}, "grace": {"born": 1906}, "text": "word " * 1000}
OLD = """\
[default]
provider = aws-s3
bucket_name = {bucket}
auth_type = access_key
key_id = $AWS_ACCESS_KEY_ID
key_secret = $AWS_SECRET_ACCESS_KEY
[provider_params]
endpoint_url = {endpoint}
"""
PLAIN = ""
ENCRYPTED = """\
[encryption]
algorithm = aes256
environment_key = OLD_KEY
"""
SEALED = """\
[compression]
algorithm = zstd
[encryption]
algorithm = aes256-gcm
environment_key = NEW_KEY
previous_environment_keys = OLD_KEY
accept_unprotected = true
"""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_file_of_shelve_is_copied_to_a_bucket(store: str, tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "visits")) as old:
        old.update(VALUES)
    for copied in (3, 0):
        ended = run("from_shelve.py", tmp_path / "visits", f"{store}/visits")
        assert ended.stdout == f"{copied} keys copied, 0 are missing\n", ended.stderr
    with cshelve.open(f"{store}/visits", "r") as new:
        assert dict(new.items()) == VALUES


@pytest.mark.parametrize("before", [PLAIN, ENCRYPTED], ids=["plain", "encrypted"])
def test_a_shelf_of_1x(
    before: str,
    request: pytest.FixtureRequest,
    store: str,
    server: SeaweedFS,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        find_python()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    monkeypatch.setenv("OLD_KEY", "k" * 32)
    monkeypatch.setenv("NEW_KEY", cshelve.generate_key())
    bucket = f"from-1x-{request.node.callspec.id}"
    place = OLD.format(bucket=bucket, endpoint=server.endpoint_url)
    old_ini, new_ini = tmp_path / "old.ini", tmp_path / "new.ini"
    old_ini.write_text(place + before)
    new_ini.write_text(place + SEALED)

    with Cshelve1x() as old:
        old.write(old_ini, VALUES)
        assert run("from_1x.py", "check", old_ini).stdout == "3 values can be read, 0 cannot\n"
        # Both versions use it at the same time.
        with cshelve.open(old_ini) as db:
            db["alan"] = {"born": 1912}
        assert old.read(old_ini, ["alan"]) == {"alan": {"born": 1912}}

        assert run("from_1x.py", "convert", new_ini).stdout == "4 records converted\n"
        with pytest.raises(RefusedBy1x):
            old.read(old_ini, ["ada"])
    new_ini.write_text(
        place
        + SEALED.replace("previous_environment_keys = OLD_KEY\n", "").replace(
            "accept_unprotected = true\n", ""
        )
    )
    with cshelve.open(new_ini, "r") as db:
        assert dict(db.items()) == VALUES | {"alan": {"born": 1912}}


def test_a_value_that_cannot_be_read_is_named(store: str, server: SeaweedFS) -> None:
    bucket, _, prefix = store.removeprefix("s3://").partition("/")
    server.client().put_object(Bucket=bucket, Key=f"{prefix}/photo.png", Body=b"\x89PNG")
    ended = run("from_1x.py", "check", store)
    assert ended.returncode == 1
    assert "photo.png" in ended.stdout
    assert ended.stdout.endswith("0 values can be read, 1 cannot\n")
