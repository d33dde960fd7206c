"""Of what the call to `open` said, and of a view, what a pickle carries."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.rigs import folder_config, provider_of
from tests.shelf.pickling.rig import again, append


class TestWhatTheCallSaid:
    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, dict[str, Any]]:
        config = folder_config(tmp_path / "shelf")
        with cshelve.open_from_dict(config) as db:
            db["k"] = [1]
        return config

    def test_a_shelf_for_reading_stays_one(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, "r") as db, again(db) as other:
            assert other["k"] == [1]
            with pytest.raises(cshelve.ReadOnlyError):
                other["k"] = 2

    @pytest.mark.parametrize("flag", ["w", "c", "n"])
    def test_a_shelf_for_writing_stays_one(self, flag: str, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, flag) as db, again(db) as other:
            other["k"] = 2
            assert db["k"] == 2

    def test_a_shelf_that_was_emptied_is_not_emptied_again(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, "n") as db:
            db["new"] = 1
            again(db).close()
            assert db["new"] == 1

    @pytest.mark.parametrize("flag", ["c", "n"])
    def test_a_shelf_that_is_gone_is_not_created_again(self, flag: str, tmp_path: Path) -> None:
        folder = tmp_path / "soon gone"
        with cshelve.open_from_dict(folder_config(folder), flag) as db:
            pickled = pickle.dumps(db)
        folder.rmdir()
        with pytest.raises(cshelve.DBDoesNotExistsError):
            pickle.loads(pickled)
        assert not folder.exists()

    def test_writeback_is_carried(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, writeback=True) as db:
            with again(db) as other:
                other["k"].append(2)
            assert db["k"] == [1, 2]

    def test_what_is_in_the_cache_is_not(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, writeback=True) as db:
            db["k"].append("not written")
            with again(db) as other:
                assert other["k"] == [1]

    def test_the_protocol_is_carried(self, config: dict[str, Any], tmp_path: Path) -> None:
        with cshelve.open_from_dict(config, protocol=2) as db, again(db) as other:
            other["k"] = "value"
            assert provider_of(other).get("k").data.endswith(pickle.dumps("value", 2))

    def test_the_logger_is_carried(self, config: dict[str, Any]) -> None:
        logger = logging.getLogger("cshelve.of.a.test")
        with cshelve.open_from_dict(config, logger=logger) as db, again(db) as other:
            assert other.cache.logger is logger


class TestAView:
    @pytest.fixture
    def db(self, tmp_path: Path) -> Iterator[cshelve.CloudShelf]:
        with cshelve.open_from_dict(folder_config(tmp_path / "shelf")) as db:
            db.update({"users/ada": 1, "users/tags/maths": 2, "other": 3})
            yield db

    def test_is_pickled_as_a_view(self, db: cshelve.CloudShelf) -> None:
        with again(db.prefix("users/")) as view:
            assert dict(view.items()) == {"ada": 1, "tags/maths": 2}
            view["grace"] = 4
        assert db["users/grace"] == 4

    def test_of_a_view_is_one_of_both_prefixes(self, db: cshelve.CloudShelf) -> None:
        with again(db.prefix("users/").prefix("tags/")) as view:
            assert dict(view.items()) == {"maths": 2}

    def test_works_in_another_process(
        self, db: cshelve.CloudShelf, elsewhere: Callable[..., Any]
    ) -> None:
        elsewhere(append, pickle.dumps(db.prefix("users/")))
        assert db["users/k"] == ["another process's"]

    def test_closes_the_shelf_that_was_opened_for_it(self, db: cshelve.CloudShelf) -> None:
        view = again(db.prefix("users/"))
        parent = view._parent
        view.close()
        with pytest.raises(ValueError, match="closed"):
            parent["other"]
        assert db["other"] == 3

    def test_of_the_unpickled_view_closes_nothing_but_itself(self, db: cshelve.CloudShelf) -> None:
        with again(db.prefix("users/")) as view:
            view.prefix("tags/").close()
            assert view["ada"] == 1
