"""Copies from each store to the next one, so that each is a source and a target once."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests import rigs
from tests.cli.rig import ini_file, output

STORES = ("aws-s3", "azure-blob", "gcs", "sftp", "filesystem")
MARKS = {
    "aws-s3": (pytest.mark.s3, pytest.mark.once),
    "azure-blob": (pytest.mark.azure,),
    "gcs": (pytest.mark.gcs,),
    "sftp": (pytest.mark.sftp,),
    "filesystem": (),
}
PROTECTION: dict[str, dict[str, Any]] = {
    "plain": {},
    "signed": {"signing": {"algorithm": "hmac-sha256", "environment_key": "SHELF_KEY"}},
    "sealed": {"encryption": {"algorithm": "aes256-gcm", "environment_key": "SHELF_KEY"}},
}
VALUES = {"text": "hello", "a/b": {"n": [1, (2,)]}, "data": b"\x00" * 70_000, "grüße ?#%": None}
PAIRS = [
    pytest.param(*pair, marks=[mark for store in pair for mark in MARKS[store]], id="-".join(pair))
    for pair in itertools.pairwise((*STORES, STORES[0]))
]


def config_of(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    match store:
        case "aws-s3":
            return dict(request.getfixturevalue("s3").config())
        case "azure-blob":
            return dict(request.getfixturevalue("azure").config())
        case "gcs":
            return dict(request.getfixturevalue("gcs").config())
        case "sftp":
            return dict(rigs.sftp_config(request.getfixturevalue("openssh")))
        case _:
            return dict(rigs.folder_config(tmp_path / "folder"))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_KEY", cshelve.generate_key())


@pytest.mark.encryption
@pytest.mark.parametrize("protection", PROTECTION)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_everything_arrives(
    source: str, target: str, protection: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    origin_config, goal_config = (
        {**config_of(store, request, tmp_path), **PROTECTION[protection]}
        for store in (source, target)
    )
    with cshelve.open_from_dict(origin_config) as origin:
        origin.update(VALUES)
        with cshelve.open_from_dict(goal_config) as goal:
            assert cshelve.copy(origin, goal, verify=True) == len(VALUES)
            assert dict(goal.items()) == VALUES


@pytest.mark.encryption
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_command_copies_into_a_signed_shelf(
    source: str, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    pytest.importorskip("click", reason="needs the extra cli")
    origin_config = config_of(source, request, tmp_path)
    goal_config = {**config_of(target, request, tmp_path), **PROTECTION["signed"]}
    with cshelve.open_from_dict(origin_config) as origin:
        origin.update(VALUES)
    files = (
        ini_file(tmp_path / "origin.ini", origin_config),
        ini_file(tmp_path / "goal.ini", goal_config),
    )
    output("cp", "--create", *files)
    with cshelve.open_from_dict(goal_config, "r") as goal:
        assert dict(goal.items()) == VALUES
