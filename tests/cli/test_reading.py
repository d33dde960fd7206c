"""`ls`, `get`, `cat`, `stat` and `du`, run as a person or a pipe runs them."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import pytest

import cshelve
from tests import rigs
from tests.cli.rig import (
    PROGRAM,
    environment,
    errors,
    ini_file,
    objects,
    output,
    run,
    s3_ini,
    screen,
)

VALUES = {"users/ada": {"born": 1815}, "users/grace": [1906], "text": "hello", "data": b"\x00\xff"}


class Stranger:
    """A class that no shelf of these tests lists."""


@pytest.fixture
def shelf(s3: rigs.S3Rig, tmp_path: Path) -> Path:
    """The configuration of a shelf in S3 with some values."""
    path = s3_ini(tmp_path / "shelf.ini", s3)
    with cshelve.open(path) as db:
        db.update(VALUES)
    return path


@pytest.mark.s3
def test_ls_prints_the_keys_in_a_pipe_and_sizes_on_request(shelf: Path) -> None:
    assert output("ls", shelf).splitlines() == sorted(VALUES)
    assert output("ls", shelf, "users/", "--limit", 1).splitlines() == ["users/ada"]
    long = output("ls", "--long", "--sort", "size", "--reverse", shelf).splitlines()
    assert len(long) == len(VALUES)
    assert long[0].split()[-1] == "users/ada"


@pytest.mark.s3
def test_what_ls_prints_as_json_is_what_get_takes(shelf: Path) -> None:
    listed = output("ls", "--json", shelf, "users/")
    assert [each["key"] for each in objects(listed)] == ["users/ada", "users/grace"]
    read = output("get", "--stdin", "--json", shelf, stdin=listed.encode())
    assert objects(read) == [
        {"key": "users/ada", "value": {"born": 1815}},
        {"key": "users/grace", "value": [1906]},
    ]


@pytest.mark.s3
def test_bytes_and_text_are_written_as_they_are(shelf: Path) -> None:
    assert run("get", shelf, "data").stdout == b"\x00\xff"
    assert run("cat", shelf, "text", "data").stdout == b"hello\x00\xff"
    assert "neither bytes nor text" in errors("cat", shelf, "users/ada")


@pytest.mark.s3
def test_a_missing_key_has_a_status_of_its_own(shelf: Path) -> None:
    done = run("get", shelf, "absent", "text")
    assert (done.returncode, done.stdout) == (3, b"hello\n")
    assert b"there is no key 'absent'" in done.stderr
    assert "there is no key 'absent'" in errors("stat", shelf, "absent", status=3)


@pytest.mark.s3
def test_a_pickle_with_a_class_is_refused_unless_asked_for(s3: rigs.S3Rig, tmp_path: Path) -> None:
    shelf = s3_ini(tmp_path / "shelf.ini", s3)
    with cshelve.open(shelf) as db:
        db["stranger"] = Stranger()
    refused = errors("get", shelf, "stranger")
    assert "tests.cli.test_reading" in refused
    assert "--unpickle" in refused
    assert len(refused.splitlines()) == 1
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert "Stranger object" in output("get", "--unpickle", shelf, "stranger", env=here)
    raw = run("get", "--raw", shelf, "stranger").stdout
    assert pickle.loads(raw).__class__ is Stranger


@pytest.mark.s3
@pytest.mark.encryption
def test_a_signed_shelf_is_unpickled(
    s3: rigs.S3Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING_KEY", cshelve.generate_key())
    config = {
        **s3.config(),
        "signing": {"algorithm": "hmac-sha256", "environment_key": "SIGNING_KEY"},
    }

    shelf = ini_file(tmp_path / "shelf.ini", config)
    with cshelve.open(shelf) as db:
        db["stranger"] = Stranger()
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert "Stranger object" in output("get", shelf, "stranger", env=here)


@pytest.mark.s3
def test_du_adds_up_sizes_by_prefix(shelf: Path) -> None:
    groups = {each["prefix"]: each["keys"] for each in objects(output("du", "--json", shelf))}
    assert groups == {"users/": 2, "": 2}
    shown = screen("du", shelf)
    assert "users/" in shown
    assert "█" in shown


@pytest.mark.s3
def test_statistics_are_printed_behind_the_data(shelf: Path) -> None:
    done = run("stat", "--stats", shelf, "text")
    assert b"serializer    pickle" in done.stdout
    assert b"requests (" in done.stderr


def test_a_key_cannot_control_the_terminal(tmp_path: Path) -> None:
    with cshelve.open(f"file://{tmp_path}/shelf") as db:
        db["red\x1b[31m"] = "\x1b]0;title\x07"
    assert "\x1b" not in screen("ls", f"file://{tmp_path}/shelf")
    assert "red\\x1b[31m" in screen("ls", f"file://{tmp_path}/shelf")
    assert "\x1b" in output("ls", f"file://{tmp_path}/shelf")
    assert "\\x1b]0;title" in screen("get", f"file://{tmp_path}/shelf", "red\x1b[31m")


def test_a_misspelt_name_creates_nothing(tmp_path: Path) -> None:
    for command in (["ls"], ["get", "k"], ["stat", "k"], ["du"], ["cat", "k"]):
        name, *keys = command
        message = errors(name, tmp_path / "nosuch", *keys)
        assert message.startswith("cshelve: ")
        assert len(message.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_has_a_status_of_its_own(tmp_path: Path) -> None:
    assert "--stdin" in errors("get", tmp_path / "shelf", status=2)
    assert "No such option" in errors("ls", "--nosuch", tmp_path / "shelf", status=2)
    done = run("get", "--stdin", tmp_path / "shelf", stdin=b"users/ada\n")
    assert done.returncode == 1


def test_the_end_of_a_pipe_ends_it_without_a_message(tmp_path: Path) -> None:
    with cshelve.open(f"file://{tmp_path}/shelf") as db:
        db.update({f"{number:0100}": number for number in range(1000)})
    program = subprocess.Popen(
        [PROGRAM, "ls", f"file://{tmp_path}/shelf"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.read(100)
    program.stdout.close()
    assert program.stderr.read() == b""
    program.stderr.close()
    assert program.wait(60) == 1


def test_a_small_pickle_of_an_endless_value_is_refused(tmp_path: Path) -> None:
    nested: list[object] = []
    for _ in range(60):
        nested = [nested, nested]
    itself: list[object] = []
    itself.append(itself)
    with cshelve.open(f"file://{tmp_path}/shelf") as db:
        db["nested"], db["itself"] = nested, itself
    for key in ("nested", "itself"):
        assert "not printed" in errors("get", f"file://{tmp_path}/shelf", key)
        assert "not printed" in errors("get", "--json", f"file://{tmp_path}/shelf", key)
