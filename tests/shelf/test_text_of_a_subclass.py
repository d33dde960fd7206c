"""A key or a prefix of a subclass of `str` is its text, whatever the subclass overrides."""

from __future__ import annotations

import os
import shelve
from collections.abc import Callable
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import Dbm, Filesystem
from tests.rigs import Place, S3Rig, memory_config, provider_of, unique_name


class Markup(str):
    """Like markupsafe's: it escapes what is joined with it."""

    def __add__(self, other: str) -> Markup:
        return Markup(str.__add__(self, escaped(other)))

    def __radd__(self, other: str) -> Markup:
        return Markup(escaped(other).__add__(self))

    def __format__(self, spec: str) -> str:
        return f"<{str.__str__(self)}>"

    def __str__(self) -> str:
        return f"<{str.__str__(self)}>"

    def join(self, parts: Any) -> Markup:
        return Markup(str.join(self, map(escaped, parts)))


def escaped(text: str) -> str:
    return text if isinstance(text, Markup) else text.replace("&", "&amp;")


class Old(str, Enum):  # noqa: UP042  # whose str() is another text than its value
    KEY = "k"


class New(StrEnum):
    KEY = "k"


KEYS = {"markup": Markup("k"), "enum": Old.KEY, "StrEnum": New.KEY}
PREFIX = "R&D/"

# What is done with a key, and what is under it then, where 1 was before.
OPERATIONS: dict[str, tuple[Callable[[cshelve.CloudShelf, str], object], object]] = {
    "set": (lambda db, key: db.__setitem__(key, 2), 2),
    "get": (lambda db, key: db[key], 1),
    "get with a default": (lambda db, key: db.get(key), 1),
    "in": (lambda db, key: key in db, 1),
    "del": (lambda db, key: db.__delitem__(key), None),
    "pop": (lambda db, key: db.pop(key), None),
    "setdefault": (lambda db, key: db.setdefault(key, 3), 1),
    "modify": (lambda db, key: db.modify(key, lambda n: n + 1), 2),
    "replace": (lambda db, key: db.replace(key, 2, db.get_versioned(key)[1]), 2),
    "delete": (lambda db, key: db.delete(key, db.get_versioned(key)[1]), None),
    "update": (lambda db, key: db.update({key: 2}), 2),
    "set_many": (lambda db, key: db.set_many([(key, 2)]), 2),
    "get_many": (lambda db, key: dict(db.get_many([key])), 1),
    "delete_many": (lambda db, key: db.delete_many([key]), None),
}
ANSWERS = {
    "get": 1,
    "get with a default": 1,
    "in": True,
    "pop": 1,
    "setdefault": 1,
    "modify": 2,
    "get_many": {"k": 1},
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_its_text_in_a_view(kind: str, place: Place) -> None:
    assert_is_its_text_in_a_view(KEYS[kind], place.open())


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_its_text_in_a_view_with_writeback(kind: str) -> None:
    # Whose cache is the same above every store.
    with cshelve.open_from_dict(memory_config(), writeback=True) as db:
        assert_is_its_text_in_a_view(KEYS[kind], db)


def assert_is_its_text_in_a_view(key: str, db: cshelve.CloudShelf) -> None:
    view = db.prefix(Markup(PREFIX))
    for operation, (act, left) in OPERATIONS.items():
        view["k"] = 1
        answer = act(view, key)
        if operation in ANSWERS:
            assert answer == ANSWERS[operation], operation
        db.sync()
        assert dict(db.items()) == ({} if left is None else {f"{PREFIX}k": left}), operation
        assert all(type(name) is str for name in [*provider_of(db).names(), *db, *view])


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_its_text_in_a_whole_shelf(kind: str, place: Place) -> None:
    db = place.open()
    for act, left in OPERATIONS.values():
        db["k"] = 1
        act(db, KEYS[kind])
        assert dict(db.items()) == ({} if left is None else {"k": left})


@pytest.mark.parametrize("kind", KEYS)
def test_a_local_shelf_has_the_key_that_shelve_has(kind: str, tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "shelf")) as db:
        db[KEYS[kind]] = 1
        keys = list(db)
    with cshelve.open(tmp_path / "shelf") as db:
        assert list(db) == keys == ["k"]
        assert db[KEYS[kind]] == 1
        del db[KEYS[kind]]
        db[KEYS[kind]] = 2
        db.set_many([(KEYS[kind], 3)])
    with shelve.open(str(tmp_path / "shelf"), "r") as db:
        assert dict(db.items()) == {"k": 3}


@pytest.mark.parametrize("key", [b"k", bytearray(b"k"), memoryview(b"k"), 1, None])
def test_a_key_that_is_no_text_is_refused_as_shelve_does(key: Any, place: Place) -> None:
    db = place.open()
    operations = (
        *(lambda: db.__setitem__(key, 1), lambda: db[key], lambda: key in db),
        *(lambda: db.prefix("a/")[key], lambda: list(db.get_many([key]))),
        *(lambda: db.set_many([(key, 1)]), lambda: db.delete_many([key])),
    )
    for operation in operations:
        with pytest.raises(cshelve.KeyTypeError) as caught:
            operation()
        assert isinstance(caught.value, AttributeError)
    assert len(db) == 0


@pytest.mark.s3
@pytest.mark.parametrize("kind", [Markup, str])
def test_a_key_prefix_is_its_text(kind: type[str], s3: S3Rig) -> None:
    prefix = unique_name()
    db = Place(s3.config(key_prefix=kind(f"{prefix}&R&D/"))).open()
    db[Markup("k")] = 1
    db.prefix(Markup("a&b/")).set_many([(Markup("k"), 1)])
    found = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix)["Contents"]
    assert {each["Key"] for each in found} == {f"{prefix}&R&D/k", f"{prefix}&R&D/a&b/k"}
    assert provider_of(db).location == f"s3://{s3.bucket}/{prefix}&R&D"


@pytest.mark.s3
def test_a_key_prefix_may_be_an_enum(s3: S3Rig) -> None:
    prefix = Enum("prefix", {"APP": unique_name()}, type=str)
    value = str(prefix["APP"].value)
    Place(s3.config(key_prefix=prefix["APP"])).open()["k"] = 1
    assert s3.client.head_object(Bucket=s3.bucket, Key=f"{value}/k")


def test_an_option_and_the_name_of_a_shelf_are_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "R&D"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with cshelve.open(Markup("local")) as db:
        assert db.provider.location == str(folder / "local")
    with cshelve.open(Markup(f"file://{folder}/x&y")) as db:
        assert db.provider.location == str(folder / "x&y")
    config = {"default": {"provider": Markup("filesystem"), "folder_path": Markup("z&")}}
    with cshelve.open_from_dict(config) as db:
        db[Markup("k")] = 1
        assert db.provider.location == str(folder / "z&")
    assert os.listdir(folder / "z&").count("k") == 1


@pytest.mark.parametrize("provider", [Dbm, Filesystem])
def test_the_path_of_a_provider_is_its_text(
    provider: type[Dbm] | type[Filesystem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "R&D"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert provider(Markup("x&y")).location == str(folder / "x&y")
