"""Any text may be a prefix, and errors and progress have the keys of the view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place, S3Rig

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
