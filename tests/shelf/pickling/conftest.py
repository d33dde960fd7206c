"""Configurations that are pickled, and a process to unpickle them in."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.rigs import S3Rig, folder_config
from tests.shelf.pickling.rig import PATIENCE_SECONDS


@pytest.fixture(scope="package")
def pool() -> Iterator[ProcessPoolExecutor]:
    """One process that shares nothing but what it is sent, and its environment."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def elsewhere(pool: ProcessPoolExecutor) -> Callable[..., Any]:
    """Call a function in the other process, with the variables that are set here."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        run = pool.submit(_with_environment, dict(os.environ), function, *arguments)
        return run.result(PATIENCE_SECONDS)

    return call


def _with_environment(
    environment: dict[str, str], function: Callable[..., Any], *arguments: Any
) -> Any:
    # The shelf comes as bytes, so that it is unpickled once the variables are there.
    os.environ.clear()
    os.environ.update(environment)
    return function(*arguments)


@pytest.fixture
def s3_config(s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """A configuration that refers to the environment for its secret."""
    monkeypatch.setenv("CSHELVE_TEST_SECRET", s3.server.admin.secret_key)
    return s3.config(key_secret="$CSHELVE_TEST_SECRET")


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, dict[str, Any]]:
    if request.param == "aws-s3":
        found: dict[str, dict[str, Any]] = request.getfixturevalue("s3_config")
        return found
    return folder_config(tmp_path / "shelf")
