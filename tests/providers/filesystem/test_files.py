"""What is particular to files: where they lie, who sees what meanwhile, what is left behind."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cshelve._config.sections import Sections
from cshelve.exceptions import (
    CanNotCreateDBError,
    ConfigurationError,
    ConflictError,
    DBDoesNotExistsError,
    KeyNotFoundError,
    KeyNotStorableError,
    StorageError,
)
from cshelve.providers.filesystem import folder as _folder
from cshelve.providers.filesystem.locks import close_locked, exchange, open_locked
from cshelve.providers.filesystem.provider import Filesystem

NASTY_NAMES = [
    "", "/", "//", "a/", "a//b", "/etc/passwd", ".", "..", "../../x", "a/../../x", "\0", "a\0b",
    "%tmp/x", "%@", "a/%@", "%=", "%=%2E", "%+x/y", "User", "user", "user:1", "e\u0301", "é",
    "日本" * 60, "x" * 1000, "con", "a\\b", "new\nline", "~", "a", "a/b", "a/b/c", "x" * 300 + "/y",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


@pytest.fixture
def store(folder: Path) -> Filesystem:
    store = Filesystem(folder, _portable=False)
    store.create()
    return store


@pytest.fixture
def moves_in_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_folder, "exchange", lambda one, other: False)


def files_in(folder: Path) -> set[str]:
    """Every file but the provider's own locks."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {path for path in found if not path.startswith("%tmp/locks/")}


def configuration(contents: Mapping[str, Mapping[str, object]]) -> Sections:
    return Sections("test", contents, from_file=False, flag="c")


# Locks


@pytest.mark.skipif(sys.platform == "win32", reason="directories are never locked there")
@pytest.mark.parametrize("refuses_directories", [False, True])
def test_writers_keep_each_other_out(
    tmp_path: Path, refuses_directories: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    flock = fcntl.flock

    def as_on_nfs(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    if refuses_directories:
        monkeypatch.setattr(fcntl, "flock", as_on_nfs)
    path = os.fsencode(tmp_path / "lock")
    inside = 0
    most_inside = 0

    def enter() -> None:
        nonlocal inside, most_inside
        for _ in range(50):
            descriptor = open_locked(path)
            inside += 1
            most_inside = max(most_inside, inside)
            os.stat(path)  # Gives others a chance to come in.
            inside -= 1
            close_locked(descriptor)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most_inside == 1
    assert any(entry.is_file() for entry in tmp_path.iterdir()) is refuses_directories


# Where names lie


@pytest.mark.parametrize("portable", [False, True])
def test_any_names_live_side_by_side_inside_the_folder(tmp_path: Path, portable: bool) -> None:
    store = Filesystem(tmp_path / "shelf", _portable=portable)
    store.create()
    for name in NASTY_NAMES:
        store.put(name, b"value of " + name.encode())
    for name in NASTY_NAMES:
        assert store.get(name).data == b"value of " + name.encode()
    assert sorted(store.names()) == sorted(NASTY_NAMES)
    assert {entry.name: entry.size for entry in store.entries()} == {
        name: len(b"value of " + name.encode()) for name in NASTY_NAMES
    }
    assert [path.name for path in tmp_path.iterdir()] == ["shelf"]
    for prefix in ("a", "a/", "us", "x" * 290, "%", "é", "/"):
        assert set(store.names(prefix)) == {n for n in NASTY_NAMES if n.startswith(prefix)}
    for name in NASTY_NAMES:
        assert store.delete(name)
        assert not store.contains(name)
    assert [path.name for path in (tmp_path / "shelf").iterdir()] == ["%tmp"]


@pytest.mark.parametrize("name", ["a/b", "a%20b", "100%", "user:1", ".hid", "User", "é/ü"])
def test_a_name_of_an_ordinary_path_is_that_path(
    store: Filesystem, folder: Path, name: str
) -> None:
    store.put(name, b"value")
    assert (folder / name).read_bytes() == b"value"


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize(
    "name", ["a/b", "a%20b", "User:1", "e\u0301", "%=x/y", "%+x", "%@", "x" * 250, "a b."]
)
def test_a_file_of_1x_is_read_listed_replaced_and_deleted(
    folder: Path, name: str, portable: bool
) -> None:
    store = Filesystem(folder, _portable=portable)
    for replace in (False, True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"old")
        item = store.get(name)
        assert item.data == b"old"
        assert list(store.names()) == [name]
        with pytest.raises(ConflictError):
            store.put(name, b"new", if_absent=True)
        if replace:
            store.put(name, b"new", if_version=item.version)
            assert store.get(name).data == b"new"
            assert list(store.names()) == [name]
        assert store.delete(name)
        assert files_in(folder) == set()


def test_a_folder_goes_from_one_system_to_another(folder: Path) -> None:
    names = ["User:1", "CON", "a/B", "plain"]
    here, there = Filesystem(folder, _portable=False), Filesystem(folder, _portable=True)
    here.create()
    for writer, reader in ((here, there), (there, here)):
        for name in names:
            writer.put(name, b"value")
        assert sorted(reader.names()) == sorted(names)
        assert [reader.get(name).data for name in names] == [b"value"] * len(names)
        assert len(files_in(folder)) == len(names)
        reader.purge()
        assert files_in(folder) == set()


def test_a_file_that_differs_in_case_is_not_taken_for_a_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Filesystem(folder, _portable=True)
    store.create()
    store.put("user", b"small")
    # What a system that ignores case does: there, `User` opens `user`.
    real_open, real_stat = os.open, os.stat
    monkeypatch.setattr(os, "open", lambda path, *rest: real_open(_small(path), *rest))
    monkeypatch.setattr(os, "stat", lambda path, *a, **k: real_stat(_small(path), *a, **k))
    with pytest.raises(KeyNotFoundError):
        store.get("User")
    assert not store.delete("User")
    store.put("User", b"capital")
    assert (store.get("user").data, store.get("User").data) == (b"small", b"capital")


def _small(path: Any) -> Any:
    return path.replace(b"/User", b"/user") if isinstance(path, bytes) else path


def test_what_no_utf8_decodes_is_left_out_and_left_alone(store: Filesystem, folder: Path) -> None:
    foreign = os.fsencode(folder) + b"/a/\xff"
    store.put("a/b", b"value")
    with open(foreign, "wb") as file:
        file.write(b"not ours")
    assert list(store.names()) == ["a/b"]
    store.purge()
    assert os.path.exists(foreign)
    assert not (folder / "a/b").exists()


def test_a_name_that_is_too_long_is_absent_and_refused(store: Filesystem, folder: Path) -> None:
    name = "long/" * 2000
    with pytest.raises(KeyNotStorableError):
        store.put(name, b"value")
    with pytest.raises(KeyNotFoundError):
        store.get(name)
    assert not store.contains(name)
    assert not store.delete(name)
    assert [path.name for path in folder.iterdir()] == ["%tmp"]
    assert files_in(folder) == set()


def test_a_name_that_utf8_lacks_is_absent_and_refused(store: Filesystem) -> None:
    with pytest.raises(KeyNotStorableError):
        store.put("\ud800", b"value")
    with pytest.raises(KeyNotFoundError):
        store.get("\ud800")
    assert not store.contains("\ud800")
    assert not store.delete("\ud800")


def test_links_to_directories_are_not_listed_nor_purged(
    store: Filesystem, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"precious")
    (folder / "directory").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    (folder / "loop").symlink_to(folder / "loop")
    assert list(store.names()) == ["file"]
    assert store.get("file").data == b"precious"
    store.put("file", b"mine")
    store.purge()
    assert (outside / "file").read_bytes() == b"precious"


def test_a_pipe_in_the_folder_holds_up_nobody(store: Filesystem, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert list(store.names()) == []
    with pytest.raises(KeyNotFoundError):
        store.get("pipe")


# A value and a directory of one name


@pytest.mark.parametrize("order", [("a", "a/b", "a/b/c"), ("a/b/c", "a/b", "a")])
@pytest.mark.parametrize("first_deleted", ["a", "a/b", "a/b/c"])
def test_a_name_and_names_below_it_are_independent(
    store: Filesystem, folder: Path, order: tuple[str, ...], first_deleted: str
) -> None:
    for name in order:
        store.put(name, name.encode())
    assert store.delete(first_deleted)
    kept = {name for name in order if name != first_deleted}
    assert set(store.names()) == kept
    assert {store.get(name).data.decode() for name in kept} == kept
    for name in kept:
        assert store.delete(name)
    assert [path.name for path in folder.iterdir()] == ["%tmp"]


@pytest.mark.usefixtures("moves_in_two_steps")
def test_without_a_swap_of_paths_it_is_the_same(store: Filesystem, folder: Path) -> None:
    test_a_name_and_names_below_it_are_independent(store, folder, ("a", "a/b", "a/b/c"), "a/b")


def test_a_version_stays_when_a_value_becomes_a_directory(store: Filesystem) -> None:
    version = store.put("a", b"value")
    store.put("a/b", b"below")
    assert store.get("a").version == version
    store.put("a", b"new", if_version=version)


def _reads_while(store: Filesystem, change: Callable[[], None], seconds: float) -> None:
    """Read `a` in one thread while another changes things round it; it must be there always."""
    store.put("a", b"value")
    stop = threading.Event()
    failures: list[Exception] = []

    def read() -> None:
        try:
            while not stop.is_set():
                assert store.get("a").data == b"value"
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        change()
    stop.set()
    reader.join()
    assert failures == []


def test_a_reader_never_misses_a_value_that_becomes_a_directory(
    store: Filesystem, folder: Path, tmp_path: Path
) -> None:
    numbers = itertools.count()

    def change() -> None:
        store.put("a/b", b"below")
        store.delete("a/b")
        # By itself that happens once, so it is undone behind the provider's back.
        plain = tmp_path / str(next(numbers))
        os.link(folder / "a/%@", plain)
        assert exchange(os.fsencode(plain), os.fsencode(folder / "a"))

    _reads_while(store, change, 0.4)


@pytest.mark.usefixtures("moves_in_two_steps")
def test_nor_without_a_swap_of_paths(store: Filesystem, folder: Path) -> None:
    def change() -> None:
        store.put("a/b", b"below")
        store.delete("a/b")
        with store._folder.locked("a"):
            os.replace(folder / "a/%@", folder / "plain")
            os.rmdir(folder / "a")
            os.replace(folder / "plain", folder / "a")

    store.put("a", b"value")
    store.put("a/b", b"below")  # Says to readers that values move in two steps here.
    store.delete("a")
    store.delete("a/b")
    _reads_while(store, change, 0.4)


def test_writers_and_deleters_of_neighbours_do_not_disturb_each_other(store: Filesystem) -> None:
    failures: list[Exception] = []

    def churn(name: str) -> None:
        try:
            for number in range(150):
                store.put(name, b"%d" % number)
                assert store.get(name).data == b"%d" % number
                assert store.delete(name)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(n,)) for n in ("a", "a/b", "a/b/c", "a/d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(store.names()) == []


# Atomic, also between processes


def test_a_reader_sees_whole_values_only(store: Filesystem) -> None:
    values = [bytes([n]) * 4_000_000 for n in (1, 2)]
    store.put("key", values[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for value in values:
                store.put("key", value)

    writer = threading.Thread(target=write)
    writer.start()
    end = time.monotonic() + 0.7
    seen = set()
    while time.monotonic() < end:
        seen.add(store.get("key").data)
    stop.set()
    writer.join()
    assert seen <= set(values)


RACE = """
import sys
from cshelve.exceptions import ConflictError
from cshelve.providers.filesystem.provider import Filesystem
store, kind = Filesystem(sys.argv[1]), sys.argv[2]
for line in sys.stdin:
    number, version = line.split()
    try:
        if kind == "if_absent":
            store.put("key" + number, b"x", if_absent=True)
        elif kind == "delete":
            store.delete("key", if_version=version) or sys.exit("not there")
        else:
            store.put("key", b"x", if_version=version)
        print("won", flush=True)
    except ConflictError:
        print("lost", flush=True)
"""


@contextmanager
def _python(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["if_absent", "if_version"])
def test_of_two_processes_one_wins(store: Filesystem, folder: Path, kind: str) -> None:
    arguments = (RACE, str(folder), kind)
    with _python(*arguments) as one, _python(*arguments) as other:
        for number in range(100):
            version = store.put("key", b"start")
            answers = []
            for process in (one, other):
                assert process.stdin
                process.stdin.write(f"{number} {version}\n")
                process.stdin.flush()
            for process in (one, other):
                assert process.stdout
                answers.append(process.stdout.readline().strip())
            assert sorted(answers) == ["lost", "won"]


def test_of_many_threads_one_wins(store: Filesystem) -> None:
    for number in range(20):
        version = store.put("key", b"start")
        together = threading.Barrier(8)
        won: list[str] = []

        def race(
            number: int = number,
            version: str = version,
            together: threading.Barrier = together,
            won: list[str] = won,
        ) -> None:
            together.wait()
            for name, condition in (
                (f"new{number}", {"if_absent": True}),
                ("key", {"if_version": version}),
            ):
                try:
                    store.put(name, b"mine", **condition)
                    won.append(name)
                except ConflictError:
                    pass

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == ["key", f"new{number}"]


def test_versions_of_a_key_never_repeat(store: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(2_000_000_000_000_000_000, 0, -1_000_000))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    versions = [store.put("key", b"same") for _ in range(200)]
    assert len(set(versions)) == 200
    assert store.get("key").version == versions[-1]


WRITE_FOR_EVER = """
import sys
from cshelve.providers.filesystem.provider import Filesystem
store = Filesystem(sys.argv[1])
print("ready", flush=True)
for number in range(10**9):
    store.put(f"a{number % 7}", bytes([number % 256]) * 300_000)
    store.put(f"a{number % 7}/b", bytes([number % 256]) * 300_000)
"""


def test_a_killed_writer_leaves_whole_values_only(store: Filesystem, folder: Path) -> None:
    for moment in (0.01, 0.03, 0.05):
        with _python(WRITE_FOR_EVER, str(folder)) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        for name, item in store.get_many(list(store.names())):
            assert len(item.data) == 300_000, name
            assert len(set(item.data)) == 1, name
    store.put("a1", b"nobody holds a lock any more")


# What goes wrong


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
    with _python(FILL_UP, str(folder)) as process:
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
        store.purge,
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


# The listing


def test_files_may_be_deleted_while_they_are_listed(store: Filesystem) -> None:
    expected = {f"{directory}/{number}" for directory in "abc" for number in range(20)}
    for name in expected:
        store.put(name, b"value")
    seen = []
    for name in store.names():
        seen.append(name)
        store.delete(name)
    assert sorted(seen) == sorted(expected)


def test_a_limit_ends_the_listing(store: Filesystem) -> None:
    for number in range(10):
        store.put(f"{number}", b"value")
    assert len(list(store.names(limit=3))) == 3
    assert list(store.entries(limit=0)) == []


# The configuration


@pytest.mark.parametrize("section", ["default", "provider_params"])
def test_the_folder_comes_from_either_section(tmp_path: Path, section: str) -> None:
    config = {section: {"folder_path": str(tmp_path / "x"), "encoding": "UTF8"}}
    assert Filesystem.from_config(configuration(config)).location == str(tmp_path / "x")


def test_the_folder_comes_from_the_call_if_the_file_has_none(tmp_path: Path) -> None:
    config = Sections(
        "test", {}, from_file=True, flag="c", call_params={"folder_path": tmp_path / "x"}
    )
    assert Filesystem.from_config(config).location == str(tmp_path / "x")


def test_an_unknown_parameter_of_the_call_is_refused() -> None:
    config = Sections("test", {}, from_file=True, flag="c", call_params={"folder_pth": "x"})
    Filesystem.from_config(config)
    with pytest.raises(ConfigurationError, match="folder_path"):
        config.finish()


def test_a_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Filesystem("~/shelf").location == str(tmp_path / "shelf")


def test_an_encoding_that_keys_are_not_in_is_refused(tmp_path: Path) -> None:
    for encoding in ("utf-16", "no such thing"):
        config = {"default": {"folder_path": str(tmp_path), "encoding": encoding}}
        with pytest.raises(ConfigurationError, match="encoding"):
            Filesystem.from_config(configuration(config))


def test_an_encoding_of_1x_names_files_as_1x_did(tmp_path: Path) -> None:
    config = {"default": {"folder_path": str(tmp_path), "encoding": "latin-1"}}
    store = Filesystem.from_config(configuration(config))
    # What 1.6 made of these keys.
    (tmp_path / "Ã©").mkdir()
    (tmp_path / "Ã©" / "Ã§a").write_bytes(b"theirs")
    (tmp_path / "plain").write_bytes(b"theirs")
    assert store.get("é/ça").data == b"theirs"
    assert sorted(store.names()) == ["plain", "é/ça"]
    assert list(store.names("é/")) == ["é/ça"]
    store.put("é/ça", b"ours")
    assert (tmp_path / "Ã©" / "Ã§a").read_bytes() == b"ours"
    assert store.delete("é/ça")
    assert not (tmp_path / "Ã©").exists()


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


def test_the_current_folder_is_purged_only_if_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.txt").write_bytes(b"precious")
    by_default = Filesystem.from_config(configuration({"default": {}}))
    assert by_default.location == str(tmp_path)
    with pytest.raises(ConfigurationError, match="`folder_path = "):
        by_default.purge()
    assert (tmp_path / "thesis.txt").exists()
    Filesystem.from_config(configuration({"default": {"folder_path": "."}})).purge()
    assert not (tmp_path / "thesis.txt").exists()
