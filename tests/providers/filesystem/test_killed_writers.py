"""What a killed process leaves in a folder: nothing is lost, and nothing stays for ever."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.filesystem import folder as folder_module
from cshelve.providers.filesystem.provider import Filesystem

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
    "stat",
)
DAY_SECONDS = 24 * 60 * 60


class Killed(BaseException):
    """What stands for the end of a process: nothing that runs after it is seen."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


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


def deaths(folder: Path, prepare: Callable[[], object], act: Callable[[], object]) -> Any:
    """Yield once for each moment at which a process may be killed in an act."""
    for number in range(1000):
        shutil.rmtree(folder, ignore_errors=True)
        prepare()
        if not killed_before_call(number, act, folder):
            return
        yield number
    pytest.fail("it has no end")


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

    def test_is_there_when_who_puts_it_back_is_killed_too(self, folder: Path) -> None:
        store = Filesystem(folder)

        def begin_and_die() -> None:
            begin(store)
            for number in range(1000):
                shutil.rmtree(folder)
                begin(store)
                assert killed_before_call(number, lambda: store.put("a/b", b"new"), folder)
                if not (folder / "a").exists():
                    return  # In the middle of it.

        for _ in deaths(folder, begin_and_die, lambda: value_of(store, "a")):
            assert value_of(store, "a") == b"old"

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
    "exists": lambda store: store.exists(),
    "prepare": lambda store: store.prepare("w"),
}
# `os.makedirs` swallows what `os.mkdir` raises, where there is a directory already.
WHERE_AN_ALARM_STRIKES = tuple(set(CALLS) - {"mkdir", "makedirs"} | {"scandir", "fstat", "utime"})


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


@pytest.fixture
def _alarms() -> Iterator[None]:
    def alarm(*_: object) -> None:
        raise TimeoutError("of the program")

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
