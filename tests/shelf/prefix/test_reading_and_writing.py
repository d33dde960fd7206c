"""A view of the keys that begin alike reads and writes them under the rest of their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import cshelve
from tests.rigs import Place
from tests.shelf.prefix.rig import OTHERS


class TestReading:
    def test_getitem(self, users: cshelve.CloudShelf) -> None:
        assert users["ada"] == 1

    def test_a_full_key_is_none_of_the_view(self, users: cshelve.CloudShelf) -> None:
        with pytest.raises(KeyError):
            users["users/ada"]

    def test_in(self, users: cshelve.CloudShelf) -> None:
        assert ["ada" in users, "user" in users, "users/ada" in users] == [True, False, False]

    def test_get(self, users: cshelve.CloudShelf) -> None:
        assert (users.get("grace"), users.get("users/ada", "default")) == (2, "default")

    def test_iteration(self, users: cshelve.CloudShelf) -> None:
        assert sorted(users) == sorted(users.keys()) == ["ada", "grace"]

    def test_length(self, users: cshelve.CloudShelf) -> None:
        assert len(users) == 2

    def test_truth(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        assert [bool(users), bool(db.prefix("nobody/"))] == [True, False]

    def test_items(self, users: cshelve.CloudShelf) -> None:
        assert dict(users.items()) == {"ada": 1, "grace": 2}

    def test_a_pair_in_items(self, users: cshelve.CloudShelf) -> None:
        assert [("ada", 1) in users.items(), ("users/ada", 1) in users.items()] == [True, False]

    def test_values(self, users: cshelve.CloudShelf) -> None:
        assert sorted(users.values()) == [1, 2]

    def test_equality(self, users: cshelve.CloudShelf) -> None:
        assert users == {"ada": 1, "grace": 2}
        assert users != {"users/ada": 1, "users/grace": 2}

    def test_get_many(self, users: cshelve.CloudShelf) -> None:
        assert list(users.get_many(["grace", "users/ada", "ada", "x", "grace"])) == [
            ("grace", 2),
            ("ada", 1),
            ("grace", 2),
        ]

    def test_get_versioned(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        assert users.get_versioned("ada") == db.get_versioned("users/ada")


class TestWriting:
    @pytest.fixture(autouse=True)
    def _others_stay_as_they_are(self, db: cshelve.CloudShelf, request: Any) -> Iterator[None]:
        yield
        assert {key: value for key, value in db.items() if key in OTHERS} == OTHERS

    def test_setitem(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        users["new"] = 6
        assert db["users/new"] == 6

    def test_delitem(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        del users["ada"]
        assert "users/ada" not in db

    def test_update(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        users.update({"ada": 6}, new=7)
        assert [db["users/ada"], db["users/new"]] == [6, 7]

    def test_set_many(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        users.set_many([("ada", 6), ("new", 7)])
        assert [db["users/ada"], db["users/new"]] == [6, 7]

    def test_delete_many(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        users.delete_many(["ada", "user", "groups/ada", "x"])
        assert set(db) == {"users/grace", *OTHERS}

    def test_pop(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        assert [users.pop("ada"), users.pop("user", "default")] == [1, "default"]
        assert "users/ada" not in db

    def test_popitem(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        assert {users.popitem(), users.popitem()} == {("ada", 1), ("grace", 2)}
        assert set(db) == set(OTHERS)

    def test_popitem_of_an_empty_view(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(KeyError):
            db.prefix("nobody/").popitem()

    def test_setdefault(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        assert [users.setdefault("ada", 6), users.setdefault("user", 7)] == [1, 7]
        assert db["users/user"] == 7

    def test_modify(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        assert users.modify("ada", lambda number: number + 10) == 11
        assert db["users/ada"] == 11

    def test_modify_that_deletes(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        users.modify("ada", lambda _: cshelve.DELETE)
        assert "users/ada" not in db

    def test_replace(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        _, version = users.get_versioned("ada")
        users.replace("ada", 6, version)
        users.replace("new", 7, None)
        assert [db["users/ada"], db["users/new"]] == [6, 7]

    def test_replace_of_what_the_parent_has_changed(
        self, db: cshelve.CloudShelf, users: cshelve.CloudShelf
    ) -> None:
        _, version = users.get_versioned("ada")
        db["users/ada"] = "parent's"
        with pytest.raises(cshelve.ConflictError):
            users.replace("ada", 6, version)

    def test_delete(self, db: cshelve.CloudShelf, users: cshelve.CloudShelf) -> None:
        _, version = db.get_versioned("users/ada")
        users.delete("ada", version)
        assert "users/ada" not in db

    def test_clear_leaves_other_keys_alone(
        self, db: cshelve.CloudShelf, users: cshelve.CloudShelf
    ) -> None:
        users.clear()
        assert set(db) == set(OTHERS)


@pytest.mark.encryption
def test_what_a_view_writes_its_parent_reads_encrypted_and_compressed(place: Place) -> None:
    place.config |= {
        "compression": {"algorithm": "zlib"},
        "encryption": {"algorithm": "aes256", "key": "k" * 32},
    }
    db = place.open()
    users = db.prefix("users/")
    users["ada"] = "value" * 100
    db["users/grace"] = "other" * 100
    assert db["users/ada"] == "value" * 100
    assert dict(users.items()) == {"ada": "value" * 100, "grace": "other" * 100}
