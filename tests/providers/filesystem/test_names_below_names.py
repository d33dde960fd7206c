"""A value `a` beside values `a/b`: a file and a directory of one name."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cshelve.providers.filesystem.locks import exchange
from cshelve.providers.filesystem.provider import Filesystem


@pytest.fixture
def moves_in_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cshelve.providers.filesystem.folder.exchange", lambda *_: False)


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
        with store._folder.locked("a") as lock, lock:
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
