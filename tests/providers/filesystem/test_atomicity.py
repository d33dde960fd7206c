"""Whole values only, one winner of each condition, and versions that never repeat."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from cshelve.exceptions import ConflictError
from cshelve.providers.filesystem.provider import Filesystem
from tests.providers.filesystem.rig import python


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
    end = time.monotonic() + 0.25
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


@pytest.mark.parametrize("kind", ["if_absent", "if_version"])
def test_of_two_processes_one_wins(store: Filesystem, folder: Path, kind: str) -> None:
    arguments = (RACE, str(folder), kind)
    with python(*arguments) as one, python(*arguments) as other:
        for number in range(50):
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
        with python(WRITE_FOR_EVER, str(folder)) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        for name, item in store.get_many(list(store.names())):
            assert item is not None
            assert len(item.data) == 300_000, name
            assert len(set(item.data)) == 1, name
    store.put("a1", b"nobody holds a lock any more")
