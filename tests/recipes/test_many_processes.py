"""`memoize` with several processes: one computes, and another one takes over if it is killed."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.forks import FORKS
from tests.providers.filesystem.rig import python
from tests.recipes.programs import slow_square
from tests.rigs import Place, folder_config, wait_until

Config = dict[str, dict[str, Any]]


def call(config: Config, path: str, seconds: float, claim_seconds: float) -> int:
    """Call the function in this process."""
    with cshelve.open_from_dict(config) as db:
        return slow_square(db, path, seconds, claim_seconds)(7)


def in_processes(number: int, config: Config, *arguments: Any) -> list[int]:
    """Call the function in several processes at the same time, and return the results."""
    with ProcessPoolExecutor(number, FORKS) as processes:
        calls = [processes.submit(call, config, *arguments) for _ in range(number)]
        return [each.result(timeout=30) for each in calls]


@pytest.fixture(params=["filesystem", pytest.param("aws-s3", marks=pytest.mark.s3)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    if request.param == "filesystem":
        return folder_config(tmp_path / "shelf")
    found: Config = request.getfixturevalue("s3").config()
    return found


def test_one_process_computes_and_the_others_wait(config: Config, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    assert in_processes(3, config, path, 0.5, 15) == [49] * 3
    assert Path(path).read_text().splitlines() == ["began 7", "ended 7"]
    with cshelve.open_from_dict(config) as db:
        assert len(db) == 1


def test_a_killed_process_is_succeeded_by_another(tmp_path: Path) -> None:
    config, path = folder_config(tmp_path / "shelf"), tmp_path / "calls"
    program = f"""
import cshelve
from tests.recipes.programs import slow_square
with cshelve.open_from_dict({config!r}) as db:
    slow_square(db, {str(path)!r}, 60, 0.4)(7)
"""
    with python(program) as process:
        wait_until(lambda: path.exists() and path.read_text() == "began 7\n")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with cshelve.open_from_dict(config) as db:
        assert len(db) == 1  # The claim.
        assert slow_square(db, str(path), 0, 0.4)(7) == 49
        assert path.read_text().splitlines() == ["began 7", "began 7", "ended 7"]
        assert len(db) == 1  # The result.


def test_a_slow_process_keeps_its_claim(config: Config, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    # It takes longer than its claim would last.
    assert in_processes(2, config, path, 2.5, 1) == [49] * 2
    assert Path(path).read_text().splitlines() == ["began 7", "ended 7"]


def test_a_prefix_keeps_results_apart(place: Place, tmp_path: Path) -> None:
    db = place.open()
    square = slow_square(db.prefix("memo/"), str(tmp_path / "calls"), 0)
    assert (square(3), len(list(db.prefix("memo/")))) == (9, 1)
    assert sys.modules["tests.recipes.programs"].__name__ in next(iter(db))
