"""A view of the keys that begin alike: a shelf in every respect, under the rest of its keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, FailingProvider, shelf_over
from tests.rigs import Place, S3Rig

OTHERS = {"user": 3, "groups/ada": 4, "Users/ada": 5}


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    shelf = place.open()
    shelf.update({"users/ada": 1, "users/grace": 2, **OTHERS})
    return shelf


@pytest.fixture
def users(db: cshelve.CloudShelf) -> cshelve.CloudShelf:
    return db.prefix("users/")


@pytest.fixture
def counting() -> CountingProvider:
    return CountingProvider(InMemory(exists=True))


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


ABSENT: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "getitem": lambda view: view["x"],
    "del": lambda view: view.__delitem__("x"),
    "pop": lambda view: view.pop("x"),
    "modify": lambda view: view.modify("x", lambda value: value),
    "get_versioned": lambda view: view.get_versioned("x"),
}


@pytest.mark.parametrize("operation", ABSENT)
def test_a_key_error_has_the_key_of_the_view(operation: str, users: cshelve.CloudShelf) -> None:
    with pytest.raises(cshelve.KeyNotFoundError) as caught:
        ABSENT[operation](users)
    assert caught.value.args == ("x",)


@pytest.mark.parametrize("operation", ["set_many", "update", "delete_many", "clear"])
def test_what_failed_has_the_keys_of_the_view(operation: str) -> None:
    store = FailingProvider(InMemory(exists=True))
    error = cshelve.AuthError("no")
    acts: dict[str, Callable[[cshelve.CloudShelf], object]] = {
        "set_many": lambda view: view.set_many({"ada": 1, "grace": 2}),
        "update": lambda view: view.update(ada=1, grace=2),
        "delete_many": lambda view: view.delete_many(["ada", "grace"]),
        "clear": lambda view: view.clear(),
    }
    with shelf_over(store) as db:
        db.update({"users/ada": 1, "users/grace": 2})
        for method in ("put", "delete"):
            store.fail(method, error, name="users/ada")
        with pytest.raises(cshelve.BulkError, match=r": 'ada';") as caught:
            acts[operation](db.prefix("users/"))
    assert caught.value.failures == {"ada": error}


@pytest.mark.parametrize("writeback", [True, False])
def test_progress_of_a_view_is_that_of_its_own_keys(
    writeback: bool, place: Place, db: cshelve.CloudShelf
) -> None:
    events: list[cshelve.Progress] = []
    users = place.open("w", writeback=writeback).prefix("users/")
    users.clear(progress=events.append)
    assert [event.done for event in events] == [1, 2]


class TestPrefixes:
    def test_a_view_has_views(self, db: cshelve.CloudShelf) -> None:
        db["a/b/c"] = 6
        inner = db.prefix("a/").prefix("b/")
        assert dict(inner.items()) == {"c": 6}
        inner["d"] = 7
        assert db["a/b/d"] == 7

    def test_an_empty_prefix_shows_everything(self, db: cshelve.CloudShelf) -> None:
        view = db.prefix("")
        assert view == db
        view["new"] = 6
        assert db["new"] == 6

    def test_an_empty_prefix_clears_everything(self, db: cshelve.CloudShelf) -> None:
        db.prefix("").clear()
        assert not db

    @pytest.mark.parametrize(
        "prefix",
        ["a b", "é", "e\u0301", "q?x=1&y=", "#", "%2F", "+", "x:~*", "鍵/", "<&>'\"", "[a-z]", "A"],
    )
    def test_any_text_may_be_a_prefix(self, prefix: str, db: cshelve.CloudShelf) -> None:
        view = db.prefix(prefix)
        view["key"] = 6
        assert db[f"{prefix}key"] == 6
        assert dict(view.items()) == {"key": 6}
        view.clear()
        assert len(db) == 5

    def test_a_key_that_is_the_prefix_itself_is_empty_in_the_view(
        self, db: cshelve.CloudShelf
    ) -> None:
        view = db.prefix("user")
        assert view[""] == 3
        assert "" in view
        assert dict(view.items()) == {"": 3, "s/ada": 1, "s/grace": 2}
        del view[""]
        assert "user" not in db

    def test_a_key_that_is_empty_can_be_written_in_a_view(self, db: cshelve.CloudShelf) -> None:
        db.prefix("new")[""] = 6
        assert db["new"] == 6

    @pytest.mark.parametrize("prefix", [5, None, b"users/"])
    def test_a_prefix_that_is_no_text_is_a_type_error(
        self, prefix: Any, db: cshelve.CloudShelf
    ) -> None:
        with pytest.raises(cshelve.KeyTypeError):
            db.prefix(prefix)

    def test_keys_that_no_store_can_hold_are_missing_in_a_view_too(
        self, users: cshelve.CloudShelf
    ) -> None:
        assert "\ud800" not in users
        assert users.get("\ud800", "default") == "default"

    @pytest.mark.s3
    def test_with_a_key_prefix_an_object_has_both(self, s3: S3Rig) -> None:
        db = Place(s3.config(key_prefix="outer")).open("n")
        db.prefix("users/")["ada"] = 1
        listed = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix="outer/")["Contents"]
        assert [found["Key"] for found in listed] == ["outer/users/ada"]

    @pytest.mark.s3
    def test_only_what_begins_so_is_listed(self, s3: S3Rig) -> None:
        config = s3.config()
        db = Place(config).open()
        with s3.proxy.counting() as seen:
            len(db.prefix("users/"))
        (request,) = seen.requests
        assert f"prefix={config['default']['key_prefix']}%2Fusers%2F&" in f"{request.query}&"


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


class TestBeingAShelf:
    def test_it_is_one(self, users: cshelve.CloudShelf) -> None:
        assert isinstance(users, cshelve.CloudShelf)

    def test_its_repr_says_where_it_is(
        self, db: cshelve.CloudShelf, users: cshelve.CloudShelf
    ) -> None:
        assert repr(users) == f"{repr(db)[:-1]}, under 'users/'>"

    @pytest.mark.s3
    def test_making_one_sends_nothing(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        with s3.proxy.counting() as seen:
            db.prefix("users/").prefix("inner/")
        assert seen.operations == []

    def test_making_one_asks_the_store_for_nothing(self, counting: CountingProvider) -> None:
        with shelf_over(counting) as db:
            counting.reset()
            db.prefix("users/")
            assert counting.calls == []

    def test_a_view_of_a_shelf_for_reading_is_for_reading(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        users = place.open("r").prefix("users/")
        assert users["ada"] == 1
        for act in (
            lambda: users.__setitem__("ada", 6),
            lambda: users.__delitem__("ada"),
            lambda: users.set_many({"ada": 6}),
            lambda: users.delete_many(["ada"]),
            lambda: users.clear(),
            lambda: users.pop("ada"),
            lambda: users.modify("ada", lambda value: value),
        ):
            with pytest.raises(cshelve.ReadOnlyError):
                act()
        assert db["users/ada"] == 1


USES: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "getitem": lambda view: view["ada"],
    "setitem": lambda view: view.__setitem__("ada", 6),
    "in": lambda view: "ada" in view,
    "iteration": list,
    "len": len,
    "bool": bool,
    "items": lambda view: list(view.items()),
    "get_many": lambda view: list(view.get_many(["ada"])),
    "set_many": lambda view: view.set_many({"ada": 6}),
    "delete_many": lambda view: view.delete_many(["ada"]),
    "clear": lambda view: view.clear(),
    "modify": lambda view: view.modify("ada", lambda value: value),
    "prefix": lambda view: view.prefix("a"),
}


class TestClosing:
    @pytest.mark.parametrize("use", USES)
    @pytest.mark.parametrize("closed", ["view", "shelf"])
    def test_neither_a_closed_view_nor_one_of_a_closed_shelf_can_be_used(
        self, closed: str, use: str
    ) -> None:
        with shelf_over(InMemory()) as db:
            users = db.prefix("users/")
            users["ada"] = 1
            (users if closed == "view" else db).close()
            with pytest.raises(ValueError, match="closed shelf"):
                USES[use](users)

    def test_closing_the_shelf_closes_its_views(
        self, db: cshelve.CloudShelf, users: cshelve.CloudShelf
    ) -> None:
        db.close()
        with pytest.raises(ValueError, match="closed shelf"):
            users["ada"]

    def test_closing_a_view_leaves_its_parent_open(
        self, db: cshelve.CloudShelf, users: cshelve.CloudShelf
    ) -> None:
        users.close()
        db["users/ada"] = 6
        assert db["users/ada"] == 6

    def test_closing_a_view_leaves_other_views_open(
        self, db: cshelve.CloudShelf, users: cshelve.CloudShelf
    ) -> None:
        users.close()
        assert db.prefix("users/")["ada"] == 1

    def test_closing_a_view_closes_its_own_views(self, users: cshelve.CloudShelf) -> None:
        inner = users.prefix("a")
        users.close()
        with pytest.raises(ValueError, match="closed shelf"):
            inner["da"]

    def test_a_view_is_closed_at_the_end_of_its_block(self, db: cshelve.CloudShelf) -> None:
        with db.prefix("users/") as users:
            assert users["ada"] == 1
        with pytest.raises(ValueError, match="closed shelf"):
            users["ada"]

    def test_closing_a_view_twice_or_behind_its_parent_does_nothing(
        self, db: cshelve.CloudShelf, users: cshelve.CloudShelf
    ) -> None:
        users.close()
        users.close()
        other = db.prefix("users/")
        db.close()
        other.close()

    def test_a_view_that_is_lost_says_nothing_and_closes_nothing(self, place: Place) -> None:
        db = place.open(writeback=True)
        db["users/ada"] = [1]
        db.prefix("users/")["ada"].append(2)  # A ResourceWarning would be an error here.
        assert db["users/ada"] == [1, 2]


class TestWriteback:
    @pytest.fixture
    def live(self, place: Place) -> cshelve.CloudShelf:
        with place.open() as plain:
            plain.update({"users/ada": [1], "groups/all": [2]})
        return place.open("w", writeback=True)

    def test_parent_and_view_give_the_same_object(self, live: cshelve.CloudShelf) -> None:
        assert live["users/ada"] is live.prefix("users/")["ada"]

    def test_views_of_the_same_keys_give_the_same_object(self, live: cshelve.CloudShelf) -> None:
        inner = live.prefix("users").prefix("/")
        assert inner["ada"] is live.prefix("users/")["ada"]

    def test_what_a_view_wrote_its_parent_gives(self, live: cshelve.CloudShelf) -> None:
        value: list[int] = []
        live.prefix("users/")["new"] = value
        assert live["users/new"] is value

    def test_what_a_view_changed_its_parent_writes(
        self, live: cshelve.CloudShelf, place: Place
    ) -> None:
        live.prefix("users/")["ada"].append("changed")
        live.close()
        assert place.open("r")["users/ada"] == [1, "changed"]

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_a_view_writes_only_what_is_under_its_prefix(
        self, end: str, live: cshelve.CloudShelf, place: Place
    ) -> None:
        live["users/ada"].append("changed")
        live["groups/all"].append("changed")
        getattr(live.prefix("users/"), end)()
        stored = place.open("r")
        assert [stored["users/ada"], stored["groups/all"]] == [[1, "changed"], [2]]

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_what_is_not_under_its_prefix_stays_to_be_written(
        self, end: str, live: cshelve.CloudShelf, place: Place
    ) -> None:
        group = live["groups/all"]
        group.append("changed")
        getattr(live.prefix("users/"), end)()
        assert live["groups/all"] is group
        live.sync()
        assert place.open("r")["groups/all"] == [2, "changed"]

    def test_a_view_that_could_not_write_stays_open(self) -> None:
        store = FailingProvider(InMemory(exists=True))
        with shelf_over(store, writeback=True) as db:
            users = db.prefix("users/")
            users["ada"] = [1]
            users["ada"].append("changed")
            store.fail("put", cshelve.StorageError)
            with pytest.raises(cshelve.BulkError) as caught:
                users.close()
            assert list(caught.value.failures) == ["ada"]
            assert users["ada"] == [1, "changed"]

    def test_what_was_changed_under_r_is_named_by_the_key_of_the_view(
        self, live: cshelve.CloudShelf, place: Place
    ) -> None:
        users = place.open("r", writeback=True).prefix("users/")
        users["ada"].append("changed")
        with pytest.raises(cshelve.ReadOnlyError, match="were changed: 'ada'"):
            users.sync()

    def test_clearing_a_view_drops_its_values_from_the_cache_and_no_others(
        self, live: cshelve.CloudShelf
    ) -> None:
        group = live["groups/all"]
        assert live["users/ada"] == [1]
        live.prefix("users/").clear()
        assert "users/ada" not in live.cache
        assert live["groups/all"] is group

    def test_the_limit_is_that_of_both_together(self, place: Place) -> None:
        place.config["default"]["writeback_limit"] = 2
        db = place.open(writeback=True)
        db.prefix("users/").update({str(number): [] for number in range(4)})
        db.update({str(number): [] for number in range(4)})
        assert len(db.cache) <= 2

    def test_beyond_the_limit_a_view_writes_what_its_parent_changed(self, place: Place) -> None:
        place.config["default"]["writeback_limit"] = 1
        db = place.open(writeback=True)
        db["groups/all"] = []
        db["groups/all"].append("changed")
        db.prefix("users/")["ada"] = []
        assert place.open("r")["groups/all"] == ["changed"]


def test_threads_may_use_parent_and_views_at_once(place: Place) -> None:
    db = place.open(writeback=True)
    views = [db.prefix(f"{number}/") for number in range(3)]
    errors: list[Exception] = []

    def work(view: cshelve.CloudShelf, number: int) -> None:
        try:
            for each in range(5):
                view[str(each)] = [number]
                view.sync()
                assert view[str(each)] == [number]
        except Exception as error:  # noqa: BLE001  # for the main thread to look at
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(view, number), daemon=True)
        for number, view in enumerate(views)
    ]
    for thread in threads:
        thread.start()
    db.sync()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert {key: value[0] for key, value in db.items()} == {
        f"{number}/{each}": number for number in range(3) for each in range(5)
    }
