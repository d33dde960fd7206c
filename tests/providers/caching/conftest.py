"""The places and the modes of a cache, in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.providers.caching.rig import Caches, Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where the entries are: a folder, or None for the memory of the process."""
    return tmp_path / "cache" if request.param == "folder" else None


@pytest.fixture
def revalidating(place: Path | None) -> Caches:
    return Caches(place, "revalidate")


@pytest.fixture
def with_ttl(place: Path | None, clock: Clock) -> Caches:
    return Caches(place, "ttl")


@pytest.fixture
def immutable(place: Path | None) -> Caches:
    return Caches(place, "immutable")
