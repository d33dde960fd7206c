"""Objects that were copied, renamed, cut or exchanged are refused by a protected shelf."""

from __future__ import annotations

import pytest

import cshelve
from tests.behaviour.trust.rig import PROTECTIONS, every_bound_protection
from tests.rigs import Place, S3Rig, provider_of


@every_bound_protection
class TestAnObject:
    @pytest.fixture
    def db(self, protection: str, place: Place) -> cshelve.CloudShelf:
        place.config |= PROTECTIONS[protection]
        db = place.open()
        db.update({"users/ada": "ada", "users/grace": "grace", "b": "b"})
        return db

    def test_that_was_copied_onto_another_key_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = provider_of(db)
        store.put("users/grace", store.get("users/ada").data)
        with pytest.raises(cshelve.RecordError, match="another key of the shelf"):
            db["users/grace"]
        assert db["users/ada"] == "ada"

    def test_that_was_renamed_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = provider_of(db)
        store.put("users/eve", store.get("users/ada").data)
        store.delete("users/ada")
        with pytest.raises(cshelve.RecordError, match="another key of the shelf"):
            db["users/eve"]
        with pytest.raises(KeyError):
            db["users/ada"]

    def test_that_changed_places_with_another_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = provider_of(db)
        ada, grace = store.get("users/ada").data, store.get("users/grace").data
        store.put("users/ada", grace)
        store.put("users/grace", ada)
        for key in ("users/ada", "users/grace"):
            with pytest.raises(cshelve.RecordError, match=key):
                db[key]

    def test_that_was_cut_short_is_refused(self, db: cshelve.CloudShelf) -> None:
        store = provider_of(db)
        data = store.get("b").data
        for size in (0, 5, 11, len(data) - 1):
            store.put("b", data[:size])
            with pytest.raises(cshelve.RecordError):
                db["b"]

    def test_that_is_older_and_genuine_is_read(self, db: cshelve.CloudShelf) -> None:
        """A replay onto its own key: docs/security.md says that this is not promised."""
        old = provider_of(db).get("b").data
        db["b"] = "newer"
        provider_of(db).put("b", old)
        assert db["b"] == "b"

    def test_is_one_and_the_same_in_a_prefix_view(self, db: cshelve.CloudShelf) -> None:
        view = db.prefix("users/")
        assert dict(view.items()) == {"ada": "ada", "grace": "grace"}
        view["eve"] = "eve"
        view.prefix("e")["va"] = "eva"
        assert db["users/eve"] == "eve"
        assert db["users/eva"] == "eva"
        assert dict(db.get_many(["users/eve", "users/eva"])) == {
            "users/eve": "eve",
            "users/eva": "eva",
        }

    def test_is_read_where_another_process_wrote_it(
        self, db: cshelve.CloudShelf, place: Place
    ) -> None:
        assert dict(place.open("r").items()) == dict(db.items())

    def test_that_another_shelf_with_the_key_wrote_is_told_by_the_name(
        self, db: cshelve.CloudShelf, place: Place
    ) -> None:
        place.config["default"]["shelf_name"] = "theirs"
        theirs = place.open()
        with pytest.raises(cshelve.RecordError, match="another shelf_name"):
            theirs["b"]


@pytest.mark.s3
@every_bound_protection
def test_a_shelf_may_be_moved_to_another_prefix_as_a_whole(protection: str, s3: S3Rig) -> None:
    config = s3.config() | PROTECTIONS[protection]
    with cshelve.open_from_dict(config) as db:
        db["users/ada"] = "ada"
    old = config["default"]["key_prefix"]
    new = config["default"]["key_prefix"] = f"{old}-moved"
    s3.client.copy_object(
        Bucket=s3.bucket,
        Key=f"{new}/users/ada",
        CopySource={"Bucket": s3.bucket, "Key": f"{old}/users/ada"},
    )
    with cshelve.open_from_dict(config) as db:
        assert db["users/ada"] == "ada"
