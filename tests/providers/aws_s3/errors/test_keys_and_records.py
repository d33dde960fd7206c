"""Keys that S3 cannot hold, and objects that are no records."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import Answer
from testbed.moto import Moto
from tests.rigs import Place, S3Rig, object_of, provider_of

pytestmark = pytest.mark.s3


class TestKeysThatS3CannotHold:
    @pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513, "\ud800"])
    def test_are_decided_without_a_request(
        self, key: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            assert key not in db
            assert db.get(key) is None
            with pytest.raises(KeyError):
                db[key]
            with pytest.raises(KeyError):
                del db[key]
            with pytest.raises(cshelve.KeyNotStorableError):
                db[key] = 1
        assert seen.total == 0

    def test_the_prefix_counts(self, s3: S3Rig) -> None:
        shelf = Place(s3.config(key_prefix="p" * 1000)).open()
        assert "x" * 23 not in shelf
        with pytest.raises(cshelve.KeyNotStorableError, match="1024"):
            shelf["x" * 24] = 1

    @pytest.mark.parametrize("key", [".", "..", "a/../b", "s" * 300])
    def test_that_the_server_refuses_by_name_are_missing_and_not_storable(
        self, key: str, db: cshelve.CloudShelf
    ) -> None:
        assert key not in db
        assert db.get(key) is None
        with pytest.raises(KeyError):
            del db[key]
        with pytest.raises(cshelve.KeyNotStorableError):
            db[key] = 1

    def test_a_400_for_another_reason_is_no_absence(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(400, "InvalidRequest", "no"), key=object_of(db), times=None),
            pytest.raises(cshelve.StorageError, match="InvalidRequest"),
        ):
            db["k"]


class TestObjectsThatAreNoRecords:
    @pytest.mark.parametrize(
        "data", [b"", b"\0", b"\0\0\x05", b"hello, world", b'{"a": 1}', b"\0\0" + bytes(7) + b"\1"]
    )
    def test_are_a_record_error_that_names_the_key(
        self, data: bytes, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.client.put_object(Bucket=s3.bucket, Key=object_of(db, "theirs"), Body=data)
        with pytest.raises(cshelve.RecordError, match="'theirs' in s3://"):
            db["theirs"]
        with pytest.raises(cshelve.RecordError):
            db.get("theirs")
        assert "theirs" in db
        assert len(db) == 2

    def test_items_goes_on_behind_one(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        db.update(a=1, z=26)
        s3.client.put_object(Bucket=s3.bucket, Key=object_of(db, "b"), Body=b"hello")
        pairs, found, errors = iter(db.items()), {}, []
        while True:
            try:
                key, value = next(pairs)
            except StopIteration:
                break
            except cshelve.RecordError as error:
                errors.append(error)
            else:
                found[key] = value
        assert found == {"a": 1, "k": "value", "z": 26}
        assert len(errors) == 1

    def test_items_is_over_after_any_other_failure(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        db.update(a=1, z=26)
        s3.proxy.inject(Answer(403, "AccessDenied"), key=object_of(db, "a"), times=None)
        pairs = iter(db.items())
        with pytest.raises(cshelve.AuthError, match="'a'"):
            list(pairs)
        assert list(pairs) == []

    def test_items_leaves_out_what_was_deleted_since_it_was_listed(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        db.update(a=1, z=26)
        s3.proxy.inject(Answer(404, "NoSuchKey"), key=object_of(db, "a"), times=None)
        assert dict(db.items()) == {"k": "value", "z": 26}
        assert list(db.values()) == ["value", 26]


class TestOnMoto:
    """What SeaweedFS does not show."""

    @pytest.fixture
    def db(self, s3: S3Rig, moto: Moto) -> cshelve.CloudShelf:
        config = s3.config(moto.admin, bucket_name="on-moto")
        config["provider_params"]["endpoint_url"] = moto.endpoint_url
        return Place(config).open()

    @pytest.mark.parametrize("key", ["\x01", "nul\0", "\ufffe"])
    def test_an_answer_that_is_no_xml_for_its_key_is_settled_by_a_listing(
        self, key: str, db: cshelve.CloudShelf
    ) -> None:
        assert db.get(key) is None
        assert key not in db

    def test_a_version_of_what_is_gone_is_a_conflict(self, db: cshelve.CloudShelf) -> None:
        provider = provider_of(db)
        version = provider.put("k", b"data")
        provider.delete("k")
        with pytest.raises(cshelve.ConflictError):
            provider.put("k", b"other", if_version=version)
