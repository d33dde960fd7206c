"""A view is a shelf, which costs nothing; closing it and its parent; threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, shelf_over
from tests.rigs import Place, S3Rig


@pytest.fixture
def counting() -> CountingProvider:
    return CountingProvider(InMemory(exists=True))


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
