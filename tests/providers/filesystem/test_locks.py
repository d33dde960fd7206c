"""The lock that keeps writers of a key apart."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from cshelve.providers.filesystem import locks
from cshelve.providers.filesystem.locks import lock_into, unlock


@pytest.mark.skipif(sys.platform == "win32", reason="directories are never locked there")
@pytest.mark.parametrize("refuses_directories", [False, True])
def test_writers_keep_each_other_out(
    tmp_path: Path, refuses_directories: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fcntl import flock

    def as_on_nfs(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    if refuses_directories:
        monkeypatch.setattr(locks, "_flock", as_on_nfs)
    path = os.fsencode(tmp_path / "lock")
    inside = 0
    most_inside = 0

    def enter() -> None:
        nonlocal inside, most_inside
        for _ in range(50):
            opened: list[int] = []
            lock_into(opened, path)
            inside += 1
            most_inside = max(most_inside, inside)
            os.stat(path)  # Gives others a chance to come in.
            inside -= 1
            unlock(opened)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most_inside == 1
    assert any(entry.is_file() for entry in tmp_path.iterdir()) is refuses_directories
