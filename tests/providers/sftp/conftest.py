"""Folders on OpenSSH's server, and providers for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cshelve.providers.sftp.provider import Sftp
from testbed.openssh import OpenSSH
from tests.providers.sftp.rig import on_odd_server, on_server

if TYPE_CHECKING:
    from testbed.odd_sftp import OddSftp


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


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[OddSftp]:
    """asyncssh's server, with a folder `shelf`."""
    pytest.importorskip("asyncssh", reason="needs the extra sftp: pip install 'cshelve[sftp]'")
    from testbed.odd_sftp import OddSftp

    (tmp_path / "shelf").mkdir()
    with OddSftp(tmp_path) as server:
        yield server


@pytest.fixture
def over_odd(odd: OddSftp) -> Iterator[Sftp]:
    with closing(on_odd_server(odd, timeout=10)) as provider:
        yield provider
