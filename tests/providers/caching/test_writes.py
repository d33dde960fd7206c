"""Writes go through, and what decides about a write is read from the store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Item, Provider
from cshelve.testing import FailingProvider
from tests.providers.caching.rig import Caches

WRITES: dict[str, Callable[[cshelve.CloudShelf[Any]], object]] = {
    "set": lambda db: db.__setitem__("k", "new"),
    "set_many": lambda db: db.set_many({"k": "new"}),
    "modify": lambda db: db.modify("k", lambda _: "new"),
    "replace": lambda db: db.replace("k", "new", db.get_versioned("k")[1]),
    "copy": lambda db: db.copy("other", "k"),
}
DELETES: dict[str, Callable[[cshelve.CloudShelf[Any]], object]] = {
    "del": lambda db: db.__delitem__("k"),
    "pop": lambda db: db.pop("k"),
    "delete": lambda db: db.delete("k", db.get_versioned("k")[1]),
    "delete_many": lambda db: db.delete_many(["k"]),
    "clear": lambda db: db.clear(),
    "clear of a prefix": lambda db: db.prefix("k").clear(),
    "popitem": lambda db: (db.popitem(), db.popitem()),
    "modify": lambda db: db.modify("k", lambda _: cshelve.DELETE),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_seen(write: str, immutable: Caches) -> None:
    with immutable.shelf() as db, cshelve.open_provider(immutable.store) as store:
        db["k"], db["other"] = "old", "new"
        assert db["k"] == "old"
        WRITES[write](db)
        assert (db["k"], store["k"]) == ("new", "new")


@pytest.mark.parametrize("delete", DELETES)
def test_a_delete_is_seen(delete: str, immutable: Caches) -> None:
    with immutable.shelf() as db, cshelve.open_provider(immutable.store) as store:
        db["k"], db["other"] = "old", "new"
        assert db["k"] == "old"
        DELETES[delete](db)
        assert (db.get("k"), store.get("k")) == (None, None)


def test_flag_n_empties_the_cache(immutable: Caches) -> None:
    with immutable.shelf() as db:
        db["k"] = "old"
    with cshelve.open_provider(immutable.provider(), "n") as db:
        assert db.get("k") is None


READS: dict[str, tuple[Callable[[cshelve.CloudShelf[Any]], object], object]] = {
    "get_versioned": (lambda db: db.get_versioned("k")[0], "theirs"),
    "setdefault": (lambda db: db.setdefault("k", "default"), "theirs"),
    "modify": (lambda db: db.modify("k", lambda value: value), "theirs"),
    "pop": (lambda db: db.pop("k"), "theirs"),
    "popitem": (lambda db: db.popitem()[1], "theirs"),
}


@pytest.mark.parametrize("read", READS)
def test_what_decides_about_a_write_is_read_from_the_store(read: str, immutable: Caches) -> None:
    act, expected = READS[read]
    with immutable.shelf() as db, cshelve.open_provider(immutable.store) as other:
        db["k"] = "old"
        other["k"] = "theirs"
        assert db["k"] == "old"
        assert act(db) == expected
        assert db.get("k") == other.get("k")  # The copy was refreshed.


def test_rewrite_reads_from_the_store(immutable: Caches) -> None:
    with immutable.shelf() as db, cshelve.open_provider(immutable.store) as other:
        db["k"] = "old"
        other["k"] = "theirs"
        db.rewrite()
        assert (db["k"], other["k"]) == ("theirs", "theirs")


def test_looking_goes_to_the_store(immutable: Caches) -> None:
    with immutable.shelf() as db, cshelve.open_provider(immutable.store) as other:
        db["k"] = "old"
        other["k"] = "a longer value"
        other["l"] = "another"
        assert list(db) == ["k", "l"]
        assert db.info("k") == other.info("k")
        assert list(db.entries()) == list(other.entries())
        del other["k"]
        assert "k" not in db


def test_a_write_of_which_nobody_knows_whether_it_happened_drops_the_copy(
    immutable: Caches,
) -> None:
    failing: list[FailingProvider] = []

    def around(store: Provider) -> Provider:
        failing.append(FailingProvider(store))
        return failing[0]

    with cshelve.open_provider(immutable.provider(around)) as db:
        db["k"] = "old"
        for method in ("put", "delete"):
            failing[0].fail(method, cshelve.OutcomeUnknownError("lost"), before=False)
        with pytest.raises(cshelve.OutcomeUnknownError):
            db["k"] = "new"
        assert db["k"] == "new"
        with pytest.raises(cshelve.OutcomeUnknownError):
            del db["k"]
        assert db.get("k") is None


def test_an_interrupted_set_many_drops_what_it_began(immutable: Caches) -> None:
    with immutable.shelf() as db, cshelve.open_provider(immutable.store) as store:
        db["a"] = db["b"] = "old"

        def interrupt(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            db.set_many({"a": "new", "b": "new"}, progress=interrupt)
        assert (db["a"], db["b"]) == (store["a"], store["b"])


class _Paused(FailingProvider):
    """Stops in `get`, after the store has answered, until the test goes on."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self.has_read = threading.Event()
        self.may_go_on = threading.Event()

    def get(self, name: str) -> Item:
        item = super().get(name)
        if name == "k":
            self.has_read.set()
            assert self.may_go_on.wait(20)
        return item


def test_a_slow_read_does_not_keep_what_was_overwritten_meanwhile(immutable: Caches) -> None:
    with cshelve.open_provider(immutable.store) as other:
        other["k"] = "old"
    paused: list[_Paused] = []

    def around(store: Provider) -> Provider:
        paused.append(_Paused(store))
        return paused[0]

    with cshelve.open_provider(immutable.provider(around)) as db:
        read: list[str] = []
        thread = threading.Thread(target=lambda: read.append(db["k"]))
        thread.start()
        assert paused[0].has_read.wait(20)
        db["k"] = "new"
        paused[0].may_go_on.set()
        thread.join()
        assert (read, db["k"]) == (["old"], "new")


def test_threads_that_write_one_key_leave_what_the_store_has(immutable: Caches) -> None:
    with immutable.shelf() as db, cshelve.open_provider(immutable.store) as store:

        def work(number: int) -> None:
            for turn in range(100):
                db["k"] = (number, turn)
                db.get("k")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db["k"] == store["k"]
