"""The bar of `progress=True`: where it is shown, what it says, and that it ends."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import cshelve
from cshelve._concurrency.outcomes import Progress, progress_of
from cshelve._concurrency.progress_bar import Bar, PlainBar, TqdmBar, new_bar, size_text
from cshelve.providers import InMemory
from cshelve.testing import FailingProvider, shelf_over


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeTqdm:
    """What is used of tqdm, which need not be installed."""

    made: list[FakeTqdm]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.total = options["total"]
        self.n = 0
        self.postfix = ""
        self.is_closed = False
        self.made.append(self)

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.postfix = text

    def update(self, count: int) -> None:
        self.n += count

    def close(self) -> None:
        self.is_closed = True


def set_stderr(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None) -> None:
    """Let the bar have this stream for standard error; pytest has its own for each phase."""
    seen = SimpleNamespace(stderr=stream, modules=sys.modules)
    monkeypatch.setattr("cshelve._concurrency.progress_bar.sys", seen)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal, and no tqdm."""
    terminal = Terminal()
    set_stderr(monkeypatch, terminal)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    return terminal


@pytest.fixture
def tqdm(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> type[FakeTqdm]:
    FakeTqdm.made = []
    module: Any = ModuleType("tqdm.auto")
    module.tqdm = FakeTqdm
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    return FakeTqdm


@pytest.fixture
def db() -> Iterator[cshelve.CloudShelf]:
    with shelf_over(InMemory(exists=True)) as db:
        db.update({f"{number}": number for number in range(10)})
        yield db


def synced(db: cshelve.CloudShelf) -> None:
    db.writeback = True
    db["0"] = []
    db["0"].append(1)
    db.sync(progress=True)
    db.writeback = False


OPERATIONS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "read": lambda db: list(db.get_many(["0", "1", "2"], progress=True)),
    "written": lambda db: db.set_many({"a": 1, "b": 2}, progress=True),
    "deleted": lambda db: db.delete_many(["1", "2"], progress=True),
    "all deleted": lambda db: db.clear(progress=True),
    "rewritten": lambda db: db.rewrite(progress=True),
    "expired": lambda db: db.expire(progress=True),
    "synced": synced,
    "copied": lambda db: cshelve.copy(db, {}, progress=True),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_shows_a_plain_bar_that_ends(
    name: str, db: cshelve.CloudShelf, terminal: Terminal
) -> None:
    OPERATIONS[name](db)
    shown = terminal.getvalue()
    assert shown.startswith("\r")
    assert shown.endswith("\n")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_ends_the_bar_of_tqdm(
    name: str, db: cshelve.CloudShelf, tqdm: type[FakeTqdm]
) -> None:
    OPERATIONS[name](db)
    (bar,) = tqdm.made
    assert bar.is_closed
    assert bar.n > 0


def test_the_plain_bar_says_how_far_it_is(terminal: Terminal) -> None:
    bar = PlainBar("written")
    bar(Progress(1, 4, 10))
    assert terminal.getvalue() == f"\rwritten:  25% |{'#' * 7}{' ' * 23}| 1 of 4 keys, 10 bytes"
    bar(Progress(2, 4, 20))  # Too soon to be drawn.
    bar(Progress(4, 4, 2_000_000))
    bar.close()
    bar.close()
    last = terminal.getvalue().rpartition("\r")[2]
    assert last == f"written: 100% |{'#' * 30}| 4 of 4 keys, 2.0 MB".ljust(len(last) - 1) + "\n"
    assert terminal.getvalue().count("\r") == 2


def test_without_a_total_it_counts(terminal: Terminal) -> None:
    bar = PlainBar("deleted")
    bar(Progress(1, None, 0))
    bar.close()
    assert terminal.getvalue().endswith("\rdeleted: 1 key, 0 bytes\n")


def test_one_large_value_is_measured_in_bytes(terminal: Terminal, tqdm: type[FakeTqdm]) -> None:
    plain = PlainBar("uploaded")
    plain(Progress(0, 1, 500, 1000))
    assert "50% |" in terminal.getvalue()
    assert "500 bytes of 1.0 kB" in terminal.getvalue()
    bar = new_bar("uploaded")
    bar(Progress(0, 1, 500, 1000))
    bar(Progress(1, 1, 1000, 1000))
    bar.close()
    (made,) = tqdm.made
    assert (made.n, made.total, made.options["unit"]) == (1000, 1000, "B")


def test_tqdm_gets_keys_and_bytes(db: cshelve.CloudShelf, tqdm: type[FakeTqdm]) -> None:
    db.set_many({"a": 1, "b": 2}, progress=True)
    (bar,) = tqdm.made
    assert (bar.n, bar.total, bar.options["desc"]) == (2, 2, "written")
    assert "bytes" in bar.postfix


def test_a_failure_ends_the_bar(tqdm: type[FakeTqdm]) -> None:
    store = FailingProvider(InMemory(exists=True))
    with shelf_over(store) as db:
        db.update(a=1, b=2)
        store.fail("put", cshelve.StorageError("no"), name="b")
        with pytest.raises(cshelve.BulkError):
            db.set_many({"a": 1, "b": 2}, progress=True)
        store.fail("get", cshelve.StorageError("no"), name="b")
        with pytest.raises(cshelve.StorageError):
            list(db.get_many(["a", "b"], progress=True))
        next(pairs := db.get_many(["a", "b"], progress=True))
        pairs.close()  # type: ignore[attr-defined]  # which is documented
    assert [bar.is_closed for bar in tqdm.made] == [True] * 3


def test_an_operation_on_no_keys_shows_nothing(db: cshelve.CloudShelf, terminal: Terminal) -> None:
    db.set_many({}, progress=True)
    db.sync(progress=True)
    assert terminal.getvalue() == ""


def test_no_terminal_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for stderr in (io.StringIO(), None):
        set_stderr(monkeypatch, stderr)
        assert type(new_bar("written")) is Bar
    closed = io.StringIO()
    closed.close()
    set_stderr(monkeypatch, closed)
    assert type(new_bar("written")) is Bar


def test_a_notebook_shows_one(monkeypatch: pytest.MonkeyPatch, tqdm: type[FakeTqdm]) -> None:
    set_stderr(monkeypatch, io.StringIO())
    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    assert type(new_bar("written")) is TqdmBar


def test_a_terminal_that_is_gone_fails_nothing(db: cshelve.CloudShelf, terminal: Terminal) -> None:
    bar = new_bar("written")
    terminal.close()
    bar(Progress(1, 2, 3))
    bar.close()


def test_false_and_none_are_no_bar(terminal: Terminal) -> None:
    assert progress_of(False, "written") is None
    assert progress_of(None, "written") is None
    assert progress_of(print, "written") is print


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5 * 10**12, "5.0 TB"),
        (10**19, "10000.0 PB"),
    ],
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
