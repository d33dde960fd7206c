"""Servers for the tests of `gcs`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.providers.gcs.wire import Wire, quick, wire


@pytest.fixture(scope="session", autouse=True)
def _sdk() -> None:
    pytest.importorskip("google.cloud.storage", reason="the extra gcs is not installed")


@pytest.fixture
def server() -> Iterator[Wire]:
    with wire() as found:
        yield found


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
