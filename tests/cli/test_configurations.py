"""`check`, `init` and `keygen`."""

from __future__ import annotations

from pathlib import Path

import pytest

import cshelve
from tests.cli.rig import errors, ini_file, objects, on_terminal, output, run

FOLDER = {"default": {"provider": "filesystem", "folder_path": "/tmp/nowhere"}}


def test_check_explains_each_option_and_sends_nothing(tmp_path: Path) -> None:
    path = ini_file(tmp_path / "shelf.ini", FOLDER)
    explained = output("check", path)
    assert "folder_path = /tmp/nowhere" in explained
    assert "anyone who can write to the shelf can run code" in explained
    assert not Path("/tmp/nowhere").exists()
    (found,) = objects(output("check", "--json", path))
    assert [each["name"] for each in found["options"]] == ["provider", "folder_path"]
    assert all(each["meaning"] for each in found["options"])


@pytest.mark.s3
def test_check_hides_secrets_and_says_which_variables_are_set(tmp_path: Path) -> None:
    default = {
        "provider": "aws-s3",
        "bucket_name": "my-bucket",
        "auth_type": "access_key",
        "key_id": "$SHELF_KEY_ID",
        "key_secret": "hush",
    }
    path = ini_file(tmp_path / "shelf.ini", {"default": default})
    explained = output("check", path, env={"SHELF_KEY_ID": "AKIDEXAMPLE"})
    assert "key_id = $SHELF_KEY_ID (the variable is set)" in explained
    assert "key_secret = (hidden)" in explained
    assert "hush" not in explained
    assert "AKIDEXAMPLE" not in explained


def test_check_names_the_option_that_is_wrong(tmp_path: Path) -> None:
    path = ini_file(tmp_path / "shelf.ini", {"default": {**FOLDER["default"], "folder_pth": "x"}})
    message = errors("check", path)
    assert "[default] folder_pth" in message
    assert "folder_path" in message
    assert len(message.splitlines()) == 1


def test_init_writes_a_file_that_works(tmp_path: Path) -> None:
    path = tmp_path / "shelf.ini"
    run_init = ("init", path, "--provider", "filesystem", f"folder_path={tmp_path}/values")
    assert b"was written" in run(*run_init, "compression.algorithm=zlib").stderr
    with cshelve.open(path) as db:
        db["k"] = "v"
    assert output("get", path, "k") == "v\n"
    assert "exists already" in errors(*run_init)


def test_init_refuses_what_is_misspelt_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shelf.ini"
    init = ("init", path, "--provider", "filesystem")
    assert "did you mean" in errors(*init, "folder_path=x", "serialiser=json")
    assert "pass path=" in errors("init", path, "--provider", "dbm", status=2)
    assert "is one line" in errors(*init, "folder_path=x\n[encryption]", status=2)
    assert "ends in .ini" in errors("init", tmp_path / "shelf.toml", status=2)
    assert not path.exists()


def test_init_asks_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "shelf.ini"
    with on_terminal("init", path, "auth_type=access_key") as child:
        child.expect("bucket_name")
        child.sendline("my-bucket")
        child.expect("AWS_ACCESS_KEY_ID")
        child.sendline("")
        child.expect("AWS_SECRET_ACCESS_KEY")
        child.sendline("")
        child.expect("was written")
    written = path.read_text()
    assert "bucket_name = my-bucket" in written
    assert "key_secret = $AWS_SECRET_ACCESS_KEY" in written


def test_keygen_prints_a_key_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = output("keygen").strip()
    assert key != output("keygen").strip()
    monkeypatch.setenv("SHELF_KEY", key)
    signing = {"signing": {"algorithm": "hmac-sha256", "environment_key": "SHELF_KEY"}}
    config = {**FOLDER, "default": {**FOLDER["default"], "folder_path": str(tmp_path)}, **signing}
    with cshelve.open_from_dict(config) as db:
        db["k"] = 1
        assert db.info("k").signature == "hmac-sha256"
