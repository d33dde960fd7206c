"""Folders for the filesystem provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from cshelve.providers.filesystem.provider import Filesystem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


@pytest.fixture
def store(folder: Path) -> Filesystem:
    store = Filesystem(folder, _portable=False)
    store.create()
    return store
