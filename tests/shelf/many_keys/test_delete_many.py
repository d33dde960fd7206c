"""`delete_many`: what is deleted, failures of single keys, requests."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place, S3Rig
from tests.shelf.many_keys.rig import DELETES, NOBODY_CAN_HOLD, numbered


class TestDeleteMany:
    def test_the_keys_are_deleted_and_no_others(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(["a", "c"])
        assert dict(db.items()) == {"b": 2}

    def test_missing_keys_are_no_failure(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(["x", "a", "y", "a", NOBODY_CAN_HOLD])
        assert dict(db.items()) == {"b": 2, "c": 3}

    @pytest.mark.s3
    def test_keys_that_s3_cannot_hold_are_no_failure(self, s3_place: Place) -> None:
        db = s3_place.open()
        db["a"] = 1
        db.delete_many(["", "x" * 1025, "a"])
        assert not db

    def test_keys_may_come_from_a_generator(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(key for key in "abx")
        assert list(db) == ["c"]

    def test_keys_may_come_from_the_shelf_itself(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(db)
        assert not db

    def test_a_key_that_is_no_text_is_a_type_error(self, db: cshelve.CloudShelf) -> None:
        keys: Any = [5]
        with pytest.raises(cshelve.KeyTypeError, match="int"):
            db.delete_many(keys)

    def test_it_goes_on_past_a_key_that_fails(self, failing: FailingProvider) -> None:
        error = cshelve.AuthError("no")
        with shelf_over(failing) as db:
            db.update(numbered())
            failing.fail("delete", error, name="k003")
            with pytest.raises(cshelve.BulkError, match="'k003'") as caught:
                db.delete_many(numbered())
            assert caught.value.failures == {"k003": error}
            assert list(db) == ["k003"]

    def test_a_shelf_for_reading_deletes_nothing(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        with pytest.raises(cshelve.ReadOnlyError):
            place.open("r").delete_many(["a"])
        assert "a" in db

    @pytest.mark.s3
    def test_a_thousand_keys_cost_one_request(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        with s3.proxy.counting() as seen:
            db.delete_many(numbered(1000))
        assert seen.operations == [DELETES]

    @pytest.mark.s3
    def test_one_key_more_costs_one_request_more(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        with s3.proxy.counting() as seen:
            db.delete_many(key for key in numbered(1001))
        assert seen.operations == [DELETES, DELETES]
