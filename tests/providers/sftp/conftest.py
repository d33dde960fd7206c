"""Folders on OpenSSH's server, and providers for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from cshelve.providers.sftp.provider import Sftp
from testbed.openssh import OpenSSH
from tests.providers.sftp.rig import on_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.sftp)


@pytest.fixture
def folder(openssh: OpenSSH) -> Path:
    return openssh.new_folder()


@pytest.fixture
def opened(openssh: OpenSSH, folder: Path) -> Iterator[Callable[..., Sftp]]:
    """Make providers for the folder, with other options if need be; they are closed at the end."""
    with ExitStack() as stack:

        def make(**options: Any) -> Sftp:
            provider = on_server(openssh, **{"remote_path": str(folder), **options})
            return stack.enter_context(closing(provider))

        yield make


@pytest.fixture
def store(opened: Callable[..., Sftp]) -> Sftp:
    return opened()
