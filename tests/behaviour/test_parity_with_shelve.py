"""What a program sees of a shelf is what it sees of the standard library's."""

from __future__ import annotations

import dbm
import pickle
import shelve
import threading
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve import CloudShelf, RecordError
from tests import rigs
from tests.rigs import provider_of

# Much of what is done to the two here a type checker would refuse: it is compared as well.
Shelf = Any
Open = Callable[..., Shelf]
Story = Callable[[Open], object]

CONTENTS = {"a": 1, "b": [2, {"c": 3}], "users/42": {"name": "Ada"}, "é": None}

# What a caller writes after `except`. Whatever of these catches the standard library's error has
# to catch ours.
CAUGHT_BY = (
    KeyError,
    AttributeError,
    TypeError,
    ValueError,
    pickle.PicklingError,
    RuntimeError,
    *dbm.error,
)


# Which of them it is depends on the version of Python.
NOT_PICKLED = (AttributeError, pickle.PicklingError)


class NoMapping:
    """Has only what `dict.update` asks for."""

    def keys(self) -> list[str]:
        return ["x", "y"]

    def __getitem__(self, key: str) -> str:
        return key * 2


def ending_of(act: Callable[[], object]) -> tuple[object, Exception | None]:
    """Return how an act ends: with a result, or with an exception."""
    try:
        return act(), None
    except Exception as error:  # noqa: BLE001  # which one it is, is what is compared
        return None, error


def deleted_one_by_one(db: Shelf) -> None:
    for key in list(db):
        del db[key]


# On a shelf that holds CONTENTS. What each gives has to be the same, and what is there after it.
OPERATIONS: dict[str, Callable[[Shelf], object]] = {
    "get item": lambda db: db["b"],
    "get absent item": lambda db: db["absent"],
    "get nested key": lambda db: db["users/42"],
    "get": lambda db: db.get("a"),
    "get absent": lambda db: db.get("absent"),
    "get default": lambda db: db.get("absent", 5),
    "get None with default": lambda db: db.get("é", 5),
    "set new": lambda db: db.__setitem__("new", {1, 2}),
    "set old": lambda db: db.__setitem__("a", None),
    "set a long value": lambda db: db.__setitem__("long", "x" * 1_000_000),
    "delete": lambda db: db.__delitem__("a"),
    "delete absent": lambda db: db.__delitem__("absent"),
    "delete twice": lambda db: [db.__delitem__("a"), db.__delitem__("a")],
    "in": lambda db: "users/42" in db,
    "in absent": lambda db: "users" in db,
    "not in": lambda db: "a" not in db,
    "len": lambda db: len(db),
    "bool": lambda db: bool(db),
    "bool of empty": lambda db: [db.clear(), bool(db)],
    "iterate": lambda db: sorted(db),
    "iterate with deletion": deleted_one_by_one,
    "reversed": lambda db: reversed(db),
    "keys": lambda db: sorted(db.keys()),
    "len of keys": lambda db: len(db.keys()),
    "in keys": lambda db: ("a" in db.keys(), "x" in db.keys()),  # noqa: SIM118
    "keys and": lambda db: db.keys() & {"a", "x"},
    "keys or": lambda db: db.keys() | {"a", "x"},
    "keys minus": lambda db: db.keys() - {"a"},
    "keys xor": lambda db: db.keys() ^ {"a", "x"},
    "keys equal": lambda db: (db.keys() == set(CONTENTS), db.keys() == {"a"}),
    "keys subset": lambda db: (db.keys() >= {"a"}, db.keys() < {"a"}),
    "keys disjoint": lambda db: db.keys().isdisjoint(["x", "y"]),
    "keys are live": lambda db: [view := db.keys(), db.pop("a"), len(view)][-1],
    "items": lambda db: sorted(db.items()),
    "len of items": lambda db: len(db.items()),
    "in items": lambda db: (("a", 1) in db.items(), ("a", 2) in db.items(), ("x", 1) in db.items()),
    "items and": lambda db: db.items() & {("a", 1), ("x", 1)},
    "values": lambda db: sorted(map(repr, db.values())),
    "len of values": lambda db: len(db.values()),
    "in values": lambda db: (1 in db.values(), None in db.values(), 7 in db.values()),
    "pop": lambda db: db.pop("b"),
    "pop absent": lambda db: db.pop("absent"),
    "pop default": lambda db: db.pop("absent", 5),
    "pop None": lambda db: db.pop("é", 5),
    "popitem until empty": lambda db: sorted(db.popitem() for _ in range(len(CONTENTS))),
    "popitem of empty": lambda db: [db.clear(), db.popitem()],
    "setdefault": lambda db: db.setdefault("a", 5),
    "setdefault absent": lambda db: db.setdefault("new", [5]),
    "setdefault without default": lambda db: db.setdefault("new"),
    "setdefault over None": lambda db: db.setdefault("é", 5),
    "update with a dict": lambda db: db.update({"a": 2, "x": 3}),
    "update with pairs": lambda db: db.update([("a", 2), ("x", 3)]),
    "update with an iterator": lambda db: db.update(iter([("a", 2), ("x", 3)])),
    "update with keywords": lambda db: db.update(a=2, x=3),
    "update with both": lambda db: db.update({"a": 2}, a=3, x=4),
    "update with names of parameters": lambda db: db.update(self=1, other=2, key=3),
    "update with keys only": lambda db: db.update(NoMapping()),
    "update with itself": lambda db: db.update(db),
    "update with nothing": lambda db: db.update(),
    "update with a key twice": lambda db: db.update([("x", 1), ("x", 2)]),
    "update with a number": lambda db: db.update(5),
    "update with no pairs": lambda db: db.update(["abc"]),
    "update with two arguments": lambda db: db.update({}, {}),
    "clear": lambda db: db.clear(),
    "clear and set": lambda db: [db.clear(), db.__setitem__("x", 1)],
    "equal": lambda db: db == CONTENTS,
    "equal from the other side": lambda db: db == CONTENTS,
    "unequal": lambda db: (db != CONTENTS, db == {}, db == {**CONTENTS, "a": 2}),
    "equal to no mapping": lambda db: (db == 5, db == list(CONTENTS), db is None),
    "hash": lambda db: hash(db),
    "merge": lambda db: db | {},
    "dict of it": lambda db: dict(db),
    "is a Shelf": lambda db: isinstance(db, shelve.Shelf),
    "is a MutableMapping": lambda db: isinstance(db, MutableMapping),
    "writeback": lambda db: db.writeback,
    "cache": lambda db: [db["b"], db.cache][-1],
    "change a copy": lambda db: [db["b"].append("lost"), db["b"]],
    "sync": lambda db: db.sync(),
    "set what cannot be pickled": lambda db: db.__setitem__("x", lambda: None),
    "set what cannot be pickled over a value": lambda db: db.__setitem__("a", lambda: None),
    "set a lock": lambda db: db.__setitem__("x", threading.Lock()),
    "setdefault of what cannot be pickled": lambda db: db.setdefault("x", lambda: None),
    "get with an int": lambda db: db.get(1),
    "get item with an int": lambda db: db[1],
    "set with an int": lambda db: db.__setitem__(1, 1),
    "delete with an int": lambda db: db.__delitem__(1),
    "in with an int": lambda db: 1 in db,
    "in with None": lambda db: None in db,
    "in with bytes": lambda db: b"a" in db,
    "get item with bytes": lambda db: db[b"a"],
    "get item with a tuple": lambda db: db["a", "b"],
    "pop with an int": lambda db: db.pop(1, None),
    "setdefault with an int": lambda db: db.setdefault(1, 1),
    "update with an int key": lambda db: db.update({1: 1}),
    "in keys with an int": lambda db: 1 in db.keys(),  # noqa: SIM118
    "set with a lone surrogate": lambda db: db.__setitem__("\ud800", 1),
}

# On a shelf that was closed.
CLOSED: dict[str, Callable[[Shelf], object]] = {
    "get item": lambda db: db["a"],
    "get": lambda db: db.get("a"),
    "set": lambda db: db.__setitem__("a", 1),
    "delete": lambda db: db.__delitem__("a"),
    "in": lambda db: "a" in db,
    "len": lambda db: len(db),
    "bool": lambda db: bool(db),
    "iterate": lambda db: list(db),
    "keys": lambda db: list(db.keys()),
    "values": lambda db: list(db.values()),
    "items": lambda db: list(db.items()),
    "in values": lambda db: 1 in db.values(),
    "equal": lambda db: db == {},
    "pop": lambda db: db.pop("a"),
    "pop default": lambda db: db.pop("a", None),
    "popitem": lambda db: db.popitem(),
    "setdefault": lambda db: db.setdefault("a", 1),
    "update": lambda db: db.update(a=1),
    "clear": lambda db: db.clear(),
    "dict": lambda db: db.dict["a"],
    "enter and get": lambda db: db.__enter__()["a"],
}

# On a shelf that was opened with flag r.
READ_ONLY: dict[str, Callable[[Shelf], object]] = {
    "set": lambda db: db.__setitem__("x", 1),
    "replace": lambda db: db.__setitem__("a", 2),
    "delete": lambda db: db.__delitem__("a"),
    "pop": lambda db: db.pop("a"),
    "popitem": lambda db: db.popitem(),
    "setdefault": lambda db: db.setdefault("x", 1),
    "update": lambda db: db.update(x=1),
    "clear": lambda db: db.clear(),
}


def changed_after(*acts: Callable[[Shelf], object]) -> Story:
    """Open with writeback, act, close, and tell what another one finds then."""

    def story(open_shelf: Open) -> object:
        with open_shelf("c", writeback=True) as db:
            told = [act(db) for act in acts]
        with open_shelf("r") as db:
            return told, sorted(db.items())

    return story


def append_to_each_list(db: Shelf) -> None:
    for value in db.values():
        if isinstance(value, list):
            value.append("new")


def seen_after_sync(open_shelf: Open) -> object:
    db = open_shelf("c", writeback=True)
    db["b"].append("new")
    db.sync()
    seen = db["b"], dict(db.cache)
    db.close()
    return seen


def kept_over_reopening(open_shelf: Open) -> object:
    with open_shelf("w") as db:
        db["a"] = "again"
    with open_shelf("r") as db:
        return sorted(db.items())


def closed_by_its_context(open_shelf: Open) -> object:
    with open_shelf("w") as db:
        pass
    return db["a"]


def closed_by_a_context_that_fails(open_shelf: Open) -> object:
    db = open_shelf("w")
    with pytest.raises(ZeroDivisionError), db:
        raise ZeroDivisionError
    return db["a"]


def emptied_by_flag_n(open_shelf: Open) -> object:
    with open_shelf("n") as db:
        return dict(db)


def closed_twice(open_shelf: Open) -> object:
    db = open_shelf("w")
    db.close()
    return db.close()


def synced_after_close(open_shelf: Open) -> object:
    db = open_shelf("w")
    db.close()
    return db.sync()


# On a store that holds CONTENTS, with shelves that the story opens itself.
STORIES: dict[str, Story] = {
    "change in place": changed_after(lambda db: db["b"].append("new")),
    "change in place and look": changed_after(lambda db: [db["b"].append("new"), db["b"]][-1]),
    "change what get gave": changed_after(lambda db: db.get("b").append("new")),
    "change what values gave": changed_after(append_to_each_list),
    "change what items gave": changed_after(lambda db: dict(db.items())["b"].append("new")),
    "change what was set": changed_after(
        lambda db: db.__setitem__("x", [1]), lambda db: db["x"].append("new")
    ),
    "change what setdefault gave": changed_after(lambda db: db.setdefault("x", []).append("new")),
    "change what update stored": changed_after(
        lambda db: db.update(x=[1]), lambda db: db["x"].append("new")
    ),
    "change and delete": changed_after(lambda db: db["b"].append("x"), lambda db: db.pop("b")),
    "change and replace": changed_after(
        lambda db: db["b"].append("x"), lambda db: db.__setitem__("b", 1)
    ),
    "change and clear": changed_after(lambda db: db["b"].append("x"), lambda db: db.clear()),
    "change, sync, change": changed_after(
        lambda db: db["b"].append("x"), lambda db: db.sync(), lambda db: db["b"].append("y")
    ),
    "cached and identical": changed_after(lambda db: db["b"] is db["b"]),
    "what is in the cache": changed_after(lambda db: [db["a"], dict(db.cache)]),
    "cache after sync": changed_after(lambda db: [db["a"], db.sync(), dict(db.cache)]),
    "see a change after sync": seen_after_sync,
    "reopen": kept_over_reopening,
    "use after its context": closed_by_its_context,
    "use after a context that failed": closed_by_a_context_that_fails,
    "flag n": emptied_by_flag_n,
    "close twice": closed_twice,
    "sync after close": synced_after_close,
}


@pytest.fixture
def standard(tmp_path: Path) -> Open:
    """Open the standard library's shelf, again and again the same one."""

    def open_shelf(flag: str = "c", **options: Any) -> Shelf:
        open_it: Any = shelve.open  # Which wants a literal for the flag.
        return open_it(str(tmp_path / "standard"), flag, **options)

    return open_shelf


@pytest.fixture
def filled(place: rigs.Place, standard: Open) -> tuple[Open, Open]:
    """The standard library's shelf and ours, with the same contents."""
    for open_shelf in (standard, place.open):
        with open_shelf("c") as db:
            db.update(CONTENTS)
    return standard, place.open


def assert_same_ending(theirs: Callable[[], object], ours: Callable[[], object]) -> None:
    """Compare what two acts end in: equal results, or errors that the same code catches."""
    their_result, their_error = ending_of(theirs)
    our_result, our_error = ending_of(ours)
    if their_error is None:
        assert (our_result, our_error) == (their_result, None)
    else:
        assert our_error is not None
        wanted = [kind for kind in CAUGHT_BY if isinstance(their_error, kind)]
        assert [kind for kind in wanted if not isinstance(our_error, kind)] == []
        assert isinstance(our_error, KeyError) == isinstance(their_error, KeyError)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_ends_and_leaves_behind_what_it_does_with_shelve(
    place: rigs.Place, standard: Open, operation: str
) -> None:
    act = OPERATIONS[operation]
    with standard() as theirs, place.open() as ours:
        theirs.update(CONTENTS)
        ours.update(CONTENTS)
        assert_same_ending(lambda: act(theirs), lambda: act(ours))
        assert dict(ours.items()) == dict(theirs.items())


@pytest.mark.parametrize("story", STORIES)
def test_a_story_ends_as_with_shelve(filled: tuple[Open, Open], story: str) -> None:
    standard, ours = filled
    assert_same_ending(lambda: STORIES[story](standard), lambda: STORIES[story](ours))


@pytest.mark.parametrize("operation", CLOSED)
def test_a_closed_shelf_gives_a_value_error_as_with_shelve(
    place: rigs.Place, standard: Open, operation: str
) -> None:
    for open_shelf in (standard, place.open):
        db = open_shelf("c")
        db.close()
        with pytest.raises(ValueError, match="closed shelf") as caught:
            CLOSED[operation](db)
        assert type(caught.value) is ValueError


@pytest.mark.parametrize("operation", READ_ONLY)
def test_a_shelf_for_reading_refuses_writes_with_what_dbm_error_catches(
    filled: tuple[Open, Open], operation: str
) -> None:
    for open_shelf in filled:
        with open_shelf("r") as db, pytest.raises(dbm.error):
            READ_ONLY[operation](db)


@pytest.mark.parametrize("flag", ["r", "w"])
def test_an_absent_shelf_is_what_dbm_error_catches(
    place: rigs.Place, standard: Open, flag: str
) -> None:
    place.config = elsewhere(place.config)
    for open_shelf in (standard, place.open):
        with pytest.raises(dbm.error):
            open_shelf(flag)


def elsewhere(config: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Change a configuration to one of a store that does not exist."""
    options = ("persist-key", "folder_path", "bucket_name", "container_name")
    default = config["default"]
    return config | {
        "default": default | {o: f"{default[o]}-absent" for o in options if o in default}
    }


class TestDeliberateDifferences:
    """Where a shelf is not what `shelve` gives, each for the reason in its name."""

    def test_a_damaged_value_is_one_error_whatever_pickle_says_of_it(
        self, place: rigs.Place
    ) -> None:
        db = place.open()
        assert isinstance(db, CloudShelf)
        damaged = provider_of(db)
        damaged.put("cut", pickle.dumps([1, 2, 3])[:-3])
        damaged.put("module", b"\x80\x04cno_such_module\nname\n.")
        for name in ("cut", "module"):
            with pytest.raises(RecordError, match=name):
                db[name]

    def test_a_shelf_for_reading_writes_nothing_that_was_only_read(self, place: rigs.Place) -> None:
        with place.open() as db:
            db["a"] = [1]
        with place.open("r", writeback=True) as db:
            assert db["a"] == [1]  # `shelve` would write it on closing, and be refused.

    def test_a_shelf_that_nobody_closed_writes_nothing(self, place: rigs.Place) -> None:
        db = place.open(writeback=True)
        db["a"] = [1]
        db["a"].append("lost")
        place.opened.clear()
        provider = provider_of(db)
        with pytest.warns(ResourceWarning, match="1 changed value is not written"):
            del db
        provider.close()
        assert place.open("r")["a"] == [1]

    def test_a_close_that_cannot_write_leaves_the_shelf_open(self, place: rigs.Place) -> None:
        db = place.open(writeback=True)
        db["a"] = [1]
        db["a"].append(lambda: None)
        with pytest.raises(cshelve.BulkError, match="can't be serialized"):
            db.close()
        assert "a" in db

    def test_what_cannot_be_pickled_is_not_cached_either(self, place: rigs.Place) -> None:
        db = place.open(writeback=True)
        with pytest.raises(NOT_PICKLED):
            db["a"] = lambda: None
        assert db.cache == {}

    def test_a_closed_shelf_refuses_an_update_with_nothing(self, place: rigs.Place) -> None:
        db = place.open()
        db.close()
        with pytest.raises(ValueError, match="closed shelf"):
            db.update()
