"""`rewrite` beside other writers, and in stores without conditions."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Capabilities, Item, Provider
from cshelve.testing import CountingProvider, FailingProvider
from tests.codec.making import ZLIB
from tests.rigs import folder_config, provider_of
from tests.shelf.rewrite.rig import VALUES, Config, WritesInBetween, letters_of, opened


class TestOtherWriters:
    @pytest.mark.parametrize("times", [1, 3])
    def test_are_not_overwritten(self, config: Config, times: int) -> None:
        with (
            opened(config) as other,
            opened(
                config,
                lambda inner: WritesInBetween(inner, other, times),
                default={"checksum": True},
            ) as db,
        ):
            assert db.rewrite() == len(VALUES)
            assert other["k3"] == "newer, 0 to come"
            assert letters_of(db) == {b"r"}

    def test_that_never_stop_are_a_conflict_of_their_key(self, config: Config) -> None:
        with (
            opened(config) as other,
            opened(
                config,
                lambda inner: WritesInBetween(inner, other, 10_000),
                default={"modify_timeout_seconds": 0.05, "checksum": True},
            ) as db,
        ):
            with pytest.raises(cshelve.BulkError) as caught:
                db.rewrite()
            assert set(caught.value.failures) == {"k3"}
            assert isinstance(caught.value.failures["k3"], cshelve.ConflictError)

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_may_delete(self, config: Config, exclusive: bool) -> None:
        class DeletesBefore(FailingProvider):
            def get(self, name: str) -> Item:
                if name == "k3":
                    self.inner.delete(name)
                return super().get(name)

        class DeletesBehind(FailingProvider):
            def get(self, name: str) -> Item:
                item = super().get(name)
                if name == "k4":
                    self.inner.delete(name)
                return item

        def deletes_twice(inner: Provider) -> Provider:
            return DeletesBehind(DeletesBefore(inner))

        with opened(config, deletes_twice, compression=ZLIB) as db:
            assert db.rewrite(exclusive=exclusive) == len(VALUES) - 2
            assert sorted(db) == sorted(set(VALUES) - {"k3", "k4"})

    def test_lose_nothing_while_it_runs(self, tmp_path: Path) -> None:
        config = folder_config(tmp_path / "shelf")
        with opened(config) as db:
            db["n"] = 0
        ended = threading.Event()

        def count() -> None:
            with opened(config) as db:
                for _ in range(200):
                    db.modify("n", lambda n: n + 1)
            ended.set()

        thread = threading.Thread(target=count)
        thread.start()
        rewrites = 0
        with opened(config, default={"checksum": True}) as db:
            while not ended.is_set():
                rewrites += db.rewrite()
            thread.join()
            assert rewrites
            assert db["n"] == 200

    def test_of_whose_put_the_answer_is_lost_are_looked_at_again(self, config: Config) -> None:
        with opened(config, FailingProvider, compression=ZLIB) as db:
            store = provider_of(db)
            store.fail("put", cshelve.OutcomeUnknownError("lost"), name="k3", before=False)
            store.fail("put", cshelve.OutcomeUnknownError("lost"), name="k4", before=True)
            assert db.rewrite() == len(VALUES)
            assert letters_of(db) == {b"c"}


class TestAStoreWithoutConditions:
    @pytest.fixture
    def db(self, config: Config) -> Any:
        with opened(config, CountingProvider, compression=ZLIB) as db:
            store = provider_of(db)
            store.reset()
            store.capabilities = Capabilities(
                conditional_put=False, conditional_delete=False, delete_reports=True
            )
            yield db

    def test_is_refused_before_anything_is_asked(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="exclusive=True"):
            db.rewrite()
        assert provider_of(db).counts == {}

    def test_is_rewritten_if_nobody_else_writes(self, db: cshelve.CloudShelf) -> None:
        assert db.rewrite(exclusive=True) == len(VALUES)
        assert letters_of(db) == {b"c"}
        assert dict(db.items()) == VALUES

    def test_is_rewritten_so_if_it_says_so_only_then(self, config: Config) -> None:
        class Refuses(FailingProvider):
            def put(self, name: str, data: bytes, **conditions: Any) -> str:
                if conditions.get("if_version") is not None:
                    raise cshelve.ConditionsNotSupportedError("it ignores them")
                return super().put(name, data, **conditions)

        with opened(config, Refuses, compression=ZLIB) as db:
            with pytest.raises(cshelve.ConditionsNotSupportedError):
                db.rewrite()
            assert db.rewrite(exclusive=True) == len(VALUES)
            assert letters_of(db) == {b"c"}

    def test_that_turns_out_to_be_one_ends_it(self, config: Config) -> None:
        with opened(config, FailingProvider, compression=ZLIB) as db:
            store = provider_of(db)
            error = cshelve.ConditionsNotSupportedError("it ignores them")
            store.fail("put", error, times=None)
            with pytest.raises(
                cshelve.ConditionsNotSupportedError, match=r"ignores them.*exclusive=True"
            ) as caught:
                db.rewrite()
            assert caught.value.stored == 0
            assert letters_of(db) == {b""}
