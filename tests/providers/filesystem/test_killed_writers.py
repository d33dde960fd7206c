"""What a killed process leaves in a folder: nothing is lost, and nothing stays for ever."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.filesystem import folder as folder_module
from cshelve.providers.filesystem.locks import exchange
from cshelve.providers.filesystem.provider import Filesystem
from tests.providers.filesystem.rig import python
from tests.rigs import finish

CALLS = (
    "open",
    "close",
    "write",
    "mkdir",
    "makedirs",
    "replace",
    "rmdir",
    "unlink",
    "link",
    "readlink",
    "symlink",
    "stat",
    "access",
)
DAY_SECONDS = 24 * 60 * 60


class Killed(BaseException):
    """What stands for the end of a process: nothing that runs after it is seen."""


@pytest.fixture(autouse=True)
def _without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system have no exchange of two names in one step, as many have none."""
    monkeypatch.setattr(folder_module, "exchange", lambda one, other: False)


def killed_before_call(number: int, act: Callable[[], object], folder: Path) -> bool:
    """Act, and die before the call of the system of this number; return whether there was one.

    What `finally` and `except` would do after the death is undone: the folder is put back.
    """
    calls = 0
    at_death = folder.with_name("at-death")
    with pytest.MonkeyPatch.context() as patch:

        def before(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*arguments: Any, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == number + 1:
                    patch.undo()
                    shutil.copytree(folder, at_death, symlinks=True)
                    raise Killed
                return call(*arguments, **more)

            return counting

        for name in CALLS:
            patch.setattr(os, name, before(getattr(os, name)))
        try:
            act()
        except Killed:
            pass
        else:
            return False
    shutil.rmtree(folder)
    at_death.rename(folder)
    return True


def deaths(folder: Path, prepare: Callable[[], object], act: Callable[[], object]) -> Iterator[int]:
    """Yield once for each moment at which a process may be killed in an act."""
    prepare()
    prepared = folder.with_name("prepared")
    shutil.copytree(folder, prepared, symlinks=True)
    for number in range(1000):
        shutil.rmtree(folder)
        shutil.copytree(prepared, folder, symlinks=True)
        if not killed_before_call(number, act, folder):
            return
        yield number
    pytest.fail("it has no end")


def interrupted_at_call(number: int, act: Callable[[], object], *, before: bool) -> bool:
    """Act, with a Ctrl-C before or after the call of this number; return whether there was one."""
    calls = 0
    with pytest.MonkeyPatch.context() as patch:

        def interrupting(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*arguments: Any, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                strikes = calls == number + 1
                if strikes and before:
                    raise KeyboardInterrupt
                result = call(*arguments, **more)
                # A descriptor that was just opened would be lost, and its lock with it: the
                # interpreter has no means against that.
                if strikes and call is not opened:
                    raise KeyboardInterrupt
                return result

            return counting

        opened = os.open
        for name in CALLS:
            patch.setattr(os, name, interrupting(getattr(os, name)))
        # It is `finally` and `except` that close: what strikes there is another matter.
        patch.setattr(os, "close", CLOSE)
        with suppress(KeyboardInterrupt):
            act()
    return calls > number


CLOSE = os.close


def interrupted_between_renames(store: Filesystem, name: str) -> None:
    """Store a name, and let a Ctrl-C strike where its value is at no path."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    store.put(name, b"old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_module.Folder, "_move_into_directory", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.put(f"{name}/below", b"new")
    assert value_of(store, name) == b"old"


ENDS_AT_EACH_CALL = f"""
import os, shutil, sys
from cshelve.providers.filesystem import folder
from cshelve.providers.filesystem.provider import Filesystem
folder.exchange = lambda one, other: False
store = Filesystem(sys.argv[1])

def child(number, act):
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 3
    calls = 0
    def ending(call):
        def counting(*arguments, **more):
            nonlocal calls
            calls += 1
            if calls == number + 1:
                os._exit(3)
            return call(*arguments, **more)
        return counting
    for name in {CALLS!r}:
        setattr(os, name, ending(getattr(os, name)))
    act()
    os._exit(0)

def begin():
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    store.create()
    store.put("a", b"old")

def check(*moment):
    value = store.get("a").data if store.contains("a") else None
    if value != b"old" or "a" not in set(store.names()):
        sys.exit(print(moment, value))

killed = opened = True
number = 0
while killed:
    begin()
    killed = child(number, lambda: store.put("a/b", b"new"))
    check(number)
    second, opened = 0, True
    while opened and number % 5 == 0:
        opened = child(second, lambda: store.prepare("w"))
        check(number, second)
        second += 1
    store.prepare("w")
    check(number, "opened")
    number += 1
print("all there" if number > 20 else number)
"""


def value_of(store: Filesystem, name: str) -> bytes | None:
    try:
        return store.get(name).data
    except KeyNotFoundError:
        return None


def begin(store: Filesystem) -> None:
    store.create()
    store.put("a", b"old")


class TestAValueThatBecomesADirectory:
    def test_is_there_at_whatever_moment_its_writer_is_killed(self, folder: Path) -> None:
        store = Filesystem(folder)
        moments = 0
        for moments in deaths(folder, lambda: begin(store), lambda: store.put("a/b", b"new")):  # noqa: B007
            assert value_of(store, "a") == b"old"
            assert value_of(store, "a/b") in {None, b"new"}
        assert moments > 20

    def test_is_listed_then(self, folder: Path) -> None:
        store = Filesystem(folder)
        for _ in deaths(folder, lambda: begin(store), lambda: store.put("a/b", b"new")):
            assert set(store.names()) - {"a/b"} == {"a"}

    def test_can_be_deleted_and_stays_so(self, folder: Path) -> None:
        store = Filesystem(folder)
        for _ in deaths(folder, lambda: begin(store), lambda: store.put("a/b", b"new")):
            assert store.delete("a") is True
            assert value_of(store, "a") is None
            store.prepare("w")
            assert value_of(store, "a") is None

    def test_can_be_replaced_and_stays_so(self, folder: Path) -> None:
        store = Filesystem(folder)
        for _ in deaths(folder, lambda: begin(store), lambda: store.put("a/b", b"new")):
            with pytest.raises(cshelve.ConflictError):
                store.put("a", b"x", if_absent=True)
            store.put("a", b"newer")
            store.prepare("w")
            assert value_of(store, "a") == b"newer"

    @pytest.mark.parametrize(
        "act",
        [
            lambda store: store.prepare("w"),
            lambda store: store.put("a/b", b"new"),
            lambda store: list(store.names()),
        ],
        ids=["open", "put", "list"],
    )
    def test_is_there_when_the_next_process_is_killed_too(
        self, folder: Path, act: Callable[[Filesystem], object]
    ) -> None:
        store = Filesystem(folder)

        def begin_and_die() -> None:
            begin(store)
            for number in range(1000):
                shutil.rmtree(folder)
                begin(store)
                assert killed_before_call(number, lambda: store.put("a/b", b"new"), folder)
                if not (folder / "a").exists():
                    return  # In the middle of it.

        for _ in deaths(folder, begin_and_die, lambda: act(store)):
            assert value_of(store, "a") == b"old"
            assert "a" in set(store.names())
            store.prepare("w")
            assert value_of(store, "a") == b"old"

    @pytest.mark.parametrize("before", [True, False])
    def test_is_there_at_whatever_moment_its_writer_is_interrupted(
        self, folder: Path, before: bool
    ) -> None:
        store = Filesystem(folder)
        for number in range(1000):
            shutil.rmtree(folder, ignore_errors=True)
            begin(store)
            if not interrupted_at_call(number, lambda: store.put("a/b", b"new"), before=before):
                assert number > 20
                return
            assert value_of(store, "a") == b"old"
            store.put("a/b", b"again")
            assert value_of(store, "a") == b"old"
            assert set(store.names()) == {"a", "a/b"}
        pytest.fail("it has no end")

    @pytest.mark.parametrize("exchanges", [True, False])
    def test_is_there_if_it_is_a_relative_link(
        self, folder: Path, exchanges: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which leads elsewhere once it lies in another directory."""
        if exchanges:
            monkeypatch.setattr(folder_module, "exchange", exchange)
        store = Filesystem(folder)

        def begin_with_link() -> None:
            store.create()
            (folder / "target").write_bytes(b"old")
            (folder / "a").symlink_to("target")

        for _ in deaths(folder, begin_with_link, lambda: store.put("a/b", b"new")):
            assert value_of(store, "a") == b"old"
            store.prepare("w")
            assert value_of(store, "a") == b"old"
        assert (folder / "a/%@").is_symlink()
        assert store.delete("a")
        assert value_of(store, "target") == b"old"

    def test_is_there_when_a_real_process_ends_at_any_moment(self, folder: Path) -> None:
        with python(ENDS_AT_EACH_CALL, str(folder)) as process:
            answer = process.communicate(timeout=120)[0]
        assert answer.splitlines()[-1:] == ["all there"], answer

    def test_gives_way_to_what_another_program_wrote_since(
        self, store: Filesystem, folder: Path
    ) -> None:
        interrupted_between_renames(store, "a")
        (folder / "a").write_bytes(b"newer")
        assert value_of(store, "a") == b"newer"
        assert store.delete("a") is True
        assert value_of(store, "a") is None

    def test_is_not_stuck_if_a_name_above_it_was_written_since(
        self, store: Filesystem, folder: Path
    ) -> None:
        # The directory `x` is empty then, and removed, so that `x` can become a file.
        interrupted_between_renames(store, "x/a")
        store.put("x", b"value")
        assert value_of(store, "x/a") == b"old"
        assert {entry.name: entry.size_bytes for entry in store.entries()} == {"x": 5, "x/a": 3}
        store.prepare("w")
        assert (folder / "x/a").read_bytes() == b"old"
        assert value_of(store, "x") == b"value"

    def test_can_be_written_and_deleted_if_a_name_above_it_was_written_since(
        self, store: Filesystem
    ) -> None:
        for act, left in (
            (lambda: store.put("x/a", b"newer"), b"newer"),
            (lambda: store.delete("x/a"), None),
        ):
            interrupted_between_renames(store, "x/a")
            store.put("x", b"value")
            act()
            assert value_of(store, "x/a") == left
            store.prepare("w")
            assert value_of(store, "x/a") == left
            store.delete("x/a")
            store.delete("x")

    def test_stays_if_its_directory_is_removed_each_time(
        self, store: Filesystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replace = os.replace

        def removed(source: bytes, target: bytes) -> None:
            if target.endswith(b"/a/%@"):
                raise FileNotFoundError
            replace(source, target)

        store.put("a", b"old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", removed)
            with pytest.raises(cshelve.StorageError):
                store.put("a/b", b"new")
        assert value_of(store, "a") == b"old"

    def test_moves_although_others_make_and_remove_its_directory(
        self, store: Filesystem, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mkdir = os.mkdir
        times = 0

        def made_and_removed(path: bytes, *more: Any) -> None:
            nonlocal times
            if path == os.fsencode(folder / "a") and not os.path.lexists(path):
                times += 1
                if times < 5:
                    raise FileExistsError
            mkdir(path, *more)

        store.put("a", b"old")
        monkeypatch.setattr(os, "mkdir", made_and_removed)
        store.put("a/b", b"new")
        assert times == 5
        assert (value_of(store, "a"), value_of(store, "a/b")) == (b"old", b"new")

    def test_is_restored_without_touching_what_a_running_writer_moves_next(
        self, store: Filesystem, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look at the note and the removal, the same value is on its way again."""
        interrupted_between_renames(store, "a")
        (staging,) = (folder / "%tmp").glob("moving-*")

        def missing(_: bytes) -> bytes:
            raise FileNotFoundError

        with monkeypatch.context() as patch:
            patch.setattr(folder_module, "_read", missing)
            store.prepare("w")
        assert (staging / "%@").read_bytes() == b"old"

    def test_of_an_old_value_may_lose_its_second_link_to_another_process(
        self, store: Filesystem, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def exchange_and_be_swept(one: bytes, other: bytes) -> bool:
            done = exchange(one, other)
            Filesystem(folder).prepare("w")
            return done

        store.put("a", b"old")
        os.utime(folder / "a", (0, 0))
        monkeypatch.setattr(folder_module, "exchange", exchange_and_be_swept)
        store.put("a/b", b"new")
        assert (value_of(store, "a"), value_of(store, "a/b")) == (b"old", b"new")

    def test_leaves_nothing_behind(self, folder: Path) -> None:
        store = Filesystem(folder)
        for _ in deaths(folder, lambda: begin(store), lambda: store.put("a/b", b"new")):
            store.prepare("w")
            left = [each.name for each in (folder / "%tmp").iterdir()]
            assert [name for name in left if name.startswith("moving-")] == []


class TestTemporaryFiles:
    def aged(self, folder: Path, name: str, seconds: float) -> Path:
        path = folder / "%tmp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half a value")
        then = time.time() - seconds
        os.utime(path, (then, then))
        return path

    @pytest.mark.parametrize("flag", ["w", "c", "n"])
    def test_of_killed_writers_go_after_a_day(self, flag: str, folder: Path) -> None:
        old, young = self.aged(folder, "old", DAY_SECONDS + 60), self.aged(folder, "young", 60)
        with cshelve.open_provider(Filesystem(folder), flag):
            assert not old.exists()
            assert young.exists()

    def test_stay_where_a_shelf_is_only_read(self, folder: Path) -> None:
        old = self.aged(folder, "old", DAY_SECONDS + 60)
        with cshelve.open_provider(Filesystem(folder), "r"):
            assert old.exists()

    def test_go_although_others_cannot_be_removed(self, folder: Path) -> None:
        old = [self.aged(folder, f"old{number}", DAY_SECONDS + 60) for number in range(10)]
        for number in range(10):
            strange = self.aged(folder, f"directory{number}/strange", 0)
            os.utime(strange.parent, (0, 0))
        with cshelve.open_provider(Filesystem(folder), "w"):
            assert not any(path.exists() for path in old)

    def test_of_a_running_writer_stay(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Filesystem(folder)
        begin(store)
        write = os.write

        def write_and_be_swept(descriptor: int, data: Any) -> int:
            written = write(descriptor, data)
            Filesystem(folder).prepare("w")
            return written

        monkeypatch.setattr(os, "write", write_and_be_swept)
        store.put("a", b"new")
        assert value_of(store, "a") == b"new"

    def test_directories_of_killed_writers_go_too(self, folder: Path) -> None:
        old = self.aged(folder, "0123/%@", 0)
        then = time.time() - DAY_SECONDS - 60
        os.utime(old.parent, (then, then))
        with cshelve.open_provider(Filesystem(folder), "w"):
            assert not old.parent.exists()


ACTS: dict[str, Callable[[Filesystem], object]] = {
    "get": lambda store: store.get("k"),
    "get absent": lambda store: value_of(store, "absent"),
    "contains": lambda store: store.contains("k"),
    "put": lambda store: store.put("k", b"value"),
    "put below": lambda store: store.put("k/below", b"value"),
    "delete": lambda store: store.delete("k"),
    "names": lambda store: list(store.names()),
    "entries": lambda store: list(store.entries()),
    "get_many": lambda store: list(store.get_many(["k", "absent"])),
    "set_many": lambda store: finish(store.put_many([("k", b"value"), ("k/below", b"value")])),
    "delete_many": lambda store: finish(store.delete_many(["k", "absent"])),
    "purge": lambda store: finish(store.purge()),
    "exists": lambda store: store.exists(),
    "create": lambda store: store.create(),
    "prepare": lambda store: store.prepare("w"),
}
WHERE_AN_ALARM_STRIKES = (*CALLS, "scandir", "fstat", "utime")


def alarmed_at_call(number: int, act: Callable[[], object]) -> bool | None:
    """Act, with an alarm at the call of the system of this number.

    Returns whether the alarm came through; None if there was no such call.
    """
    calls = 0
    with pytest.MonkeyPatch.context() as patch:

        def before(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*arguments: Any, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == number + 1:
                    patch.undo()
                    signal.raise_signal(signal.SIGALRM)
                return call(*arguments, **more)

            return counting

        for name in WHERE_AN_ALARM_STRIKES:
            patch.setattr(os, name, before(getattr(os, name)))
        try:
            act()
        except TimeoutError:
            return True
    return False if calls > number else None


@pytest.fixture(params=[("of the program",), (errno.ETIMEDOUT, "of the program")])
def _alarms(request: pytest.FixtureRequest) -> Iterator[None]:
    def alarm(*_: object) -> None:
        raise TimeoutError(*request.param)

    before = signal.signal(signal.SIGALRM, alarm)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there are no alarms on this system")
@pytest.mark.usefixtures("_alarms")
@pytest.mark.parametrize("name", ACTS)
def test_what_an_alarm_of_the_program_raises_goes_through(name: str, folder: Path) -> None:
    """A `TimeoutError`, say, which is an `OSError` and none of the folder's."""
    store = Filesystem(folder)
    outcomes: list[bool | None] = [True]
    while outcomes[-1] is not None:
        shutil.rmtree(folder, ignore_errors=True)
        begin(store)
        store.put("k", b"value")
        outcomes.append(alarmed_at_call(len(outcomes) - 1, lambda: ACTS[name](store)))
    assert False not in outcomes


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there are no alarms on this system")
@pytest.mark.usefixtures("_alarms")
def test_what_an_alarm_raises_is_freed_when_it_is_handled(store: Filesystem) -> None:
    """With the value that was being written, which may be large."""

    value = bytes(100)
    gc.disable()
    try:
        assert alarmed_at_call(1, lambda: store.put("k", value))
        references = sys.getrefcount(value)
        assert alarmed_at_call(1, lambda: store.put("k", value))
        assert sys.getrefcount(value) == references
    finally:
        gc.enable()
