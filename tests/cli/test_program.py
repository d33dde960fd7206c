"""What all commands have in common: streams, signals, and errors in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import cshelve
from tests.cli.rig import PROGRAM, environment, errors, output, run


@pytest.fixture
def shelf(tmp_path: Path) -> str:
    """The URL of a shelf in a folder, with some values."""
    url = f"file://{tmp_path}/shelf"
    with cshelve.open(url) as db:
        db.update({"text": "v", "lone": "\ud800", "deep": "to be replaced"})
    return url


def with_shell(command: str, shelf: str) -> subprocess.CompletedProcess[str]:
    """Run the program from a shell, which can close its streams."""
    return subprocess.run(
        ["sh", "-c", f"{PROGRAM} {command}", "sh", shelf],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_closed_output_is_an_error_in_one_line(shelf: str) -> None:
    done = with_shell('ls "$1" >&-', shelf)
    assert (done.returncode, done.stderr) == (1, "cshelve: Bad file descriptor\n")


def test_a_closed_input_is_no_empty_value(shelf: str) -> None:
    done = with_shell('put "$1" text <&-', shelf)
    assert (done.returncode, done.stderr) == (1, "cshelve: Bad file descriptor\n")
    assert output("get", shelf, "text") == "v\n"


def test_without_standard_error_messages_are_not_mixed_into_the_data(shelf: str) -> None:
    done = with_shell('get "$1" text absent 2>&-', shelf)
    assert (done.returncode, done.stdout) == (3, "v\n")


def test_a_full_disk_is_an_error_in_one_line(shelf: str) -> None:
    done = with_shell('ls "$1" >/dev/full', shelf)
    assert (done.returncode, done.stderr) == (1, "cshelve: No space left on device\n")


def test_an_error_that_nobody_expected_is_one_line_too(shelf: str, tmp_path: Path) -> None:
    for command in (["cat", shelf, "lone"], ["import", shelf, tmp_path / "absent"]):
        assert len(errors(*command).splitlines()) == 1
    fault = "import cshelve\ncshelve.open = lambda *_: [][0]\n"
    (tmp_path / "sitecustomize.py").write_text(fault)
    faulty = {"PYTHONPATH": str(tmp_path)}
    message = errors("ls", shelf, env=faulty)
    assert message == "cshelve: IndexError: list index out of range (--debug shows where)\n"
    assert "Traceback" in errors("ls", shelf, "--debug", env=faulty)


def test_json_that_is_too_deep_is_one_line(shelf: str, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    message = errors("put", shelf, "deep", "--type", "json", "--file", tmp_path / "deep.json")
    assert "too many levels" in message
    assert len(message.splitlines()) == 1


def test_json_lines_are_json_in_any_encoding(shelf: str) -> None:
    output("put", shelf, "\U0001f600", "v")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    listed = output("ls", "--json", shelf, env=ascii_only).encode()
    assert run("rm", "--stdin", "--yes", shelf, stdin=listed).returncode == 0
    assert output("ls", shelf) == ""


def test_a_folder_that_is_no_local_shelf_is_explained(shelf: str) -> None:
    path = shelf.removeprefix("file://")
    assert f"a shelf in a folder is {shelf}" in errors("ls", path)


def test_sigterm_ends_a_command_as_ctrl_c_does(shelf: str) -> None:
    command = [PROGRAM, "browse", "--no-open", shelf]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as browse:
        assert browse.stdout is not None
        assert browse.stdout.readline().startswith(b"http://")
        browse.terminate()
        assert browse.communicate(timeout=60)[1].endswith(b"cshelve: stopped\n")
