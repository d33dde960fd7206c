"""A pickle that anyone may have written is not run by any command."""

from __future__ import annotations

import os
from pathlib import Path

import cshelve
from tests.cli.rig import output, run


class Stranger:
    """A value whose pickle writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_no_command_runs_the_code_of_a_stranger(tmp_path: Path) -> None:
    made, shelf = tmp_path / "made", f"file://{tmp_path}/shelf"
    with cshelve.open(shelf) as db:
        db["text"] = "v"
        db["k"] = [Stranger(made)]
    target = f"file://{tmp_path}/target"
    for command in (
        ("get", shelf, "k"),
        ("get", "--raw", shelf, "k"),
        ("cat", shelf, "k"),
        ("export", shelf),
        ("rewrite", f"{shelf}?compression.algorithm=zlib"),
        ("cp", "--create", "--verify", shelf, target),
        ("cp", "--create", shelf, f"{target}-json?serializer=json"),
        ("cp", "--prefix", "k", shelf, f"{target}-json?serializer=json"),
    ):
        run(*command)
        assert not made.exists(), command
    assert output("get", f"{target}-json?serializer=json", "text") == "v\n"
