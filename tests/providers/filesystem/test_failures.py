"""What goes wrong with a folder: what is told, and what is left behind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cshelve.exceptions import CanNotCreateDBError, DBDoesNotExistsError, StorageError
from cshelve.providers.filesystem.provider import Filesystem
from tests.providers.filesystem.rig import files_in, python
from tests.rigs import finish

FILL_UP = """
import resource, signal, sys
from cshelve.exceptions import StorageError
from cshelve.providers.filesystem.provider import Filesystem
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Filesystem(sys.argv[1]).put("d/key", b"x" * 5000)
except StorageError as error:
    print(error)
"""


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    store: Filesystem, folder: Path
) -> None:
    store.put("d/key", b"old")
    with python(FILL_UP, str(folder)) as process:
        message = process.communicate()[0]
    assert "'d/key'" in message
    assert "larger than a file may be" in message
    assert store.get("d/key").data == b"old"
    assert files_in(folder) == {"d/key"}


def test_a_move_that_fails_leaves_nothing(
    store: Filesystem, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.put("a", b"old")
    monkeypatch.setattr(os, "replace", full)
    for name in ("a", "new/directory/b"):
        with pytest.raises(StorageError, match="make room"):
            store.put(name, b"new")
    assert files_in(folder) == {"a"}
    assert sorted(path.name for path in folder.iterdir()) == ["%tmp", "a"]


def test_what_is_in_the_way_is_an_error_and_stays(store: Filesystem, folder: Path) -> None:
    (folder / "a/%@").mkdir(parents=True)
    (folder / "a/%@/file").write_bytes(b"strange")
    with pytest.raises(StorageError):
        store.put("a", b"value")
    assert (folder / "a/%@/file").read_bytes() == b"strange"


def test_a_folder_that_goes_away_is_an_absent_shelf(store: Filesystem, folder: Path) -> None:
    version = store.put("a", b"value")
    shutil.rmtree(folder)
    operations: list[Callable[[], object]] = [
        lambda: store.get("a"),
        lambda: store.contains("a"),
        lambda: store.put("a/b", b"value"),
        lambda: store.put("a", b"value", if_version=version),
        lambda: store.delete("a"),
        lambda: list(store.names()),
        lambda: list(store.entries()),
        lambda: finish(store.purge()),
    ]
    for operation in operations:
        with pytest.raises(DBDoesNotExistsError):
            operation()
    assert not folder.exists()
    store.create()
    store.put("a", b"again")


def test_a_file_where_the_folder_should_be(folder: Path) -> None:
    folder.write_bytes(b"a file")
    store = Filesystem(folder)
    assert not store.exists()
    with pytest.raises(CanNotCreateDBError):
        store.create()


def test_reading_leaves_nothing_in_the_folder(folder: Path) -> None:
    store = Filesystem(folder)
    store.create()
    assert not store.contains("a")
    assert list(store.entries()) == []
    assert list(folder.iterdir()) == []


def test_what_killed_processes_left_is_swept_after_a_day(store: Filesystem, folder: Path) -> None:
    store.put("a", b"value")
    old, recent = folder / "%tmp/old", folder / "%tmp/recent"
    for path in (old, recent):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.create()
    assert files_in(folder) == {"a", "%tmp/recent"}


def test_a_folder_that_may_not_be_looked_at_is_no_absent_one(tmp_path: Path) -> None:
    """As another user, since permissions do not hold root back."""
    closed = tmp_path / "closed"
    (closed / "shelf").mkdir(parents=True)
    closed.chmod(0)
    program = (
        "import os, sys\n"
        "from cshelve.exceptions import AuthError, CanNotCreateDBError\n"
        "from cshelve.providers.filesystem.provider import Filesystem\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    for act in (Filesystem(path).exists, Filesystem(path).create):\n"
        "        try: act()\n"
        "        except AuthError as error: print(type(error).__name__)\n"
    )
    import_path = os.pathsep.join(path for path in sys.path if path)
    try:
        result = subprocess.run(
            [sys.executable, "-c", program, str(closed / "shelf"), str(closed / "new")],
            env={**os.environ, "PYTHONPATH": import_path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    finally:
        closed.chmod(0o755)
    assert result.stdout.split() == ["AuthError", "CreateRefusedError"] * 2


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_file_system_that_says_that_every_parent_is_missing_is_an_error() -> None:
    with pytest.raises(CanNotCreateDBError, match="/proc/no/such"):
        Filesystem("/proc/no/such").create()
