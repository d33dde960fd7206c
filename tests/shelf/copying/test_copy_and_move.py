"""Copying and moving one key, in every store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Item
from cshelve.providers.in_memory import InMemory
from cshelve.providers.wrapper import Wrapper
from cshelve.testing import FailingProvider
from testbed.faults import Answer, Meanwhile
from tests.providers.aws_s3.rig import each_engine, without_pauses
from tests.rigs import Place, S3Rig, object_of, provider_of

Act = Callable[[cshelve.CloudShelf, str, str], None]
KEY = cshelve.generate_key()
SIGNED = {"signing": {"algorithm": "hmac-sha256", "key": KEY}}
SEALED = {"encryption": {"algorithm": "aes256-gcm", "key": KEY}}
GET, COPY, DELETE, HEAD = "GetObject", "CopyObject", "DeleteObject", "HeadObject"

both = pytest.mark.parametrize("act", [cshelve.CloudShelf.copy, cshelve.CloudShelf.move])


@both
class TestBoth:
    def test_store_the_value_under_the_other_key(self, act: Act, place: Place) -> None:
        db = place.open()
        db["a"], db["b"] = [1], "before"
        act(db, "a", "b")
        assert db["b"] == [1]
        act(db, "b", "folder/é ?")
        assert db["folder/é ?"] == [1]

    def test_of_a_view_are_about_its_own_keys(self, act: Act, place: Place) -> None:
        db = place.open()
        db["x/a"] = 1
        act(db.prefix("x/"), "a", "b")
        assert db["x/b"] == 1

    @pytest.mark.parametrize("key", ["absent", "", "\ud800", "x" * 2000])
    def test_of_a_missing_key_say_so(self, key: str, act: Act, place: Place) -> None:
        db = place.open()
        for target in ("b", key):
            with pytest.raises(cshelve.Error) as caught:
                act(db, key, target)
            if target == "b" or key == "absent":
                assert isinstance(caught.value, cshelve.KeyNotFoundError)
                assert caught.value.args == (key,)
        assert list(db) == []

    def test_onto_itself_do_nothing(self, act: Act, place: Place) -> None:
        db = place.open()
        db["a"] = 1
        version = db.get_versioned("a")
        act(db, "a", "a")
        assert db.get_versioned("a") == version

    def test_are_refused_where_the_shelf_only_reads(self, act: Act, place: Place) -> None:
        place.open()["a"] = 1
        for target in ("a", "b"):
            with pytest.raises(cshelve.ReadOnlyError):
                act(place.open("r"), "a", target)

    def test_see_what_the_cache_has(self, act: Act, place: Place) -> None:
        db = place.open(writeback=True)
        db["a"], db["b"] = [], ["before"]
        db["a"].append(1)
        db["b"].append("changed")
        act(db, "a", "b")
        assert db["b"] == [1]
        db.sync()
        assert place.open()["b"] == [1]

    @pytest.mark.encryption
    @pytest.mark.parametrize("sections", [SIGNED, SEALED])
    def test_of_sealed_records_seal_again(
        self, sections: dict[str, Any], act: Act, place: Place
    ) -> None:
        place.config.update(sections)
        db = place.open()
        db["a"] = [1]
        act(db, "a", "b")
        assert db["b"] == [1]

    def test_of_a_sealed_record_in_a_shelf_without_the_key_are_refused(
        self, act: Act, place: Place
    ) -> None:
        db = place.open()
        plain = place.config.copy()
        place.config.update(SIGNED)
        place.open()["a"] = [1]
        place.config.clear()
        place.config.update(plain)
        with pytest.raises(cshelve.DataProcessingSignatureError):
            act(db, "a", "b")
        assert "b" not in db
        assert "a" in db

    def test_of_a_pickle_do_not_load_it(self, act: Act, place: Place) -> None:
        db = place.open()
        provider_of(db).put("a", b"\x80\x05c_no_such_module\nClass\n.")
        act(db, "a", "b")
        assert provider_of(db).get("b").data == b"\x80\x05c_no_such_module\nClass\n."

    def test_begin_again_if_the_source_is_changed_in_between(self, act: Act) -> None:
        store = _Changing(InMemory(exists=True), times=2)
        with cshelve.open_provider(store) as db:
            db["a"] = 0
            act(db, "a", "b")
            assert db["b"] == 2

    def test_give_up_if_it_is_changed_each_time(self, act: Act) -> None:
        store = _Changing(InMemory(exists=True), times=1000)
        with cshelve.open_provider(store) as db:
            db["a"] = 0
            with pytest.raises(cshelve.ConflictError):
                act(db, "a", "b")
            assert list(db) == ["a"]


class _Changing(Wrapper):
    """Have another writer change the source before each copy."""

    def __init__(self, inner: InMemory, times: int) -> None:
        super().__init__(inner)
        self.times = times

    def copy(self, source: str, target: str, **options: Any) -> None:
        if self.times:
            self.times -= 1
            with cshelve.open_provider(Wrapper(self.inner)) as other:
                other[source] += 1
        super().copy(source, target, **options)


class TestMove:
    def test_deletes_the_source(self, place: Place) -> None:
        db = place.open()
        db["a"] = 1
        db.move("a", "b")
        assert dict(db) == {"b": 1}

    def test_leaves_a_source_that_was_changed_meanwhile(self) -> None:
        class Changing(Wrapper):
            def put(self, name: str, data: bytes, **conditions: Any) -> str:
                if name == "b":
                    self.inner.put("a", b"\x80\x05K\x07.")
                return super().put(name, data, **conditions)

        with cshelve.open_provider(Changing(InMemory(exists=True))) as db:
            db["a"] = 1
            with pytest.raises(cshelve.ConflictError):
                db.move("a", "b")
            assert dict(db) == {"a": 7, "b": 1}

    def test_says_so_if_the_source_was_deleted_meanwhile(self) -> None:
        class Deleting(Wrapper):
            def put(self, name: str, data: bytes, **conditions: Any) -> str:
                if name == "b":
                    self.inner.delete("a")
                return super().put(name, data, **conditions)

        with cshelve.open_provider(Deleting(InMemory(exists=True))) as db:
            db["a"] = 1
            with pytest.raises(cshelve.ConflictError, match="deleted since it was copied"):
                db.move("a", "b")

    def test_is_refused_where_the_store_has_no_conditions(self) -> None:
        store = Wrapper(InMemory(exists=True))
        store.capabilities = store.capabilities._replace(conditional_delete=False)
        with cshelve.open_provider(store) as db:
            db["a"] = 1
            with pytest.raises(cshelve.ConditionsNotSupportedError):
                db.move("a", "b")
            assert dict(db) == {"a": 1}

    def test_whose_copy_fails_leaves_the_source(self) -> None:
        store = FailingProvider(InMemory(exists=True))
        with cshelve.open_provider(store) as db:
            db["a"] = 1
            store.fail("put", cshelve.StorageError("no"), name="b")
            with pytest.raises(cshelve.StorageError, match="no"):
                db.move("a", "b")
            assert dict(db) == {"a": 1}


@pytest.mark.s3
@each_engine
class TestInS3:
    def test_the_store_copies(self, engine: str, s3: S3Rig) -> None:
        config = s3.config(engine=engine)
        with cshelve.open_from_dict(config) as db:
            db["a"] = 1
            with s3.proxy.counting() as seen:
                db.copy("a", "é ?+")
            assert seen.operations == [GET, COPY]
            assert db["é ?+"] == 1
            db.setdefault("warm-up", 1)
            db.delete("warm-up", db.get_versioned("warm-up")[1])
            with s3.proxy.counting() as seen:
                db.move("a", "b")
            assert seen.operations == [GET, COPY, DELETE]
            assert set(db) == {"é ?+", "b"}

    def test_metadata_and_type_are_kept_and_parameters_of_a_put_count(
        self, engine: str, s3: S3Rig
    ) -> None:
        config = s3.config(engine=engine)
        config["put_params"] = {
            "Metadata.team": "blue",
            "ContentType": "text/plain",
            "StorageClass": "STANDARD_IA",
        }
        with cshelve.open_from_dict(config) as db:
            body: dict[str, Any] = {
                "Bucket": s3.bucket,
                "Key": object_of(db, "a"),
                "Body": b"\x80\x05K\x01.",
            }
            s3.client.put_object(
                **body, ContentType="a/b", Metadata={"cshelve-expires": "99999999999999"}
            )
            with s3.proxy.counting() as seen:
                db.copy("a", "b")
            head = s3.client.head_object(Bucket=s3.bucket, Key=object_of(db, "b"))
        assert (head["ContentType"], head["Metadata"]) == (
            "a/b",
            {"cshelve-expires": "99999999999999"},
        )
        headers = seen.requests[-1].headers
        assert headers["x-amz-storage-class"] == "STANDARD_IA"
        assert "x-amz-metadata-directive" not in headers

    def test_a_key_of_the_customers_goes_with_both_sides(self, engine: str, s3: S3Rig) -> None:
        config = s3.config(engine=engine)
        config["put_params"] = {
            "SSECustomerAlgorithm": "AES256",
            "SSECustomerKeyBase64": "A" * 43 + "=",
            "Tagging": "team=blue",
        }
        with cshelve.open_from_dict(config) as db:
            db["a"] = 1
            with s3.proxy.counting() as seen:
                db.copy("a", "b")
            assert db["b"] == 1
        headers = seen.requests[-1].headers
        key = "server-side-encryption-customer-key"
        assert headers[f"x-amz-copy-source-{key}"] == headers[f"x-amz-{key}"] == "A" * 43 + "="
        assert headers["x-amz-tagging-directive"] == "REPLACE"

    def test_the_copy_is_of_the_version_that_was_looked_at(self, engine: str, s3: S3Rig) -> None:
        with without_pauses(), cshelve.open_from_dict(s3.config(engine=engine)) as db:
            db["a"] = 1

            def write() -> None:
                body = b"\x80\x05K\x02."
                s3.client.put_object(Bucket=s3.bucket, Key=object_of(db, "a"), Body=body)

            s3.proxy.inject(Meanwhile(write), operation=COPY)
            with s3.proxy.counting() as seen:
                db.copy("a", "b")
            assert seen.operations == [GET, COPY, GET, COPY]
            assert db["b"] == 2

    @pytest.mark.parametrize(
        "fault",
        [
            Answer(501, "NotImplemented"),
            Answer(400, "NotImplemented"),
            Answer(405, "MethodNotAllowed"),
            Answer(400, "InvalidRequest", "The specified copy source is larger than the maximum"),
        ],
    )
    def test_what_the_store_cannot_copy_is_read_and_written(
        self, fault: Answer, engine: str, s3: S3Rig
    ) -> None:
        with without_pauses(), cshelve.open_from_dict(s3.config(engine=engine)) as db:
            db["a"] = 1
            s3.proxy.inject(fault, operation=COPY, times=None)
            db.copy("a", "b")
            assert db["b"] == 1

    @pytest.mark.parametrize(
        "fault",
        [
            Answer(200, body=b""),
            Answer(200, body=b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
            Answer(200, body=b"<CopyObjectResult></CopyObjectResult>"),
        ],
    )
    def test_a_response_that_says_nothing_of_a_copy_loses_no_value(
        self, fault: Answer, engine: str, s3: S3Rig
    ) -> None:
        """A bug: `move` deleted the only copy."""
        with without_pauses(), cshelve.open_from_dict(s3.config(engine=engine)) as db:
            db["a"] = 1
            s3.proxy.inject(fault, operation=COPY, times=None)
            db.move("a", "b")
            assert dict(db) == {"b": 1}

    def test_an_error_in_a_response_that_begins_well_loses_no_value(
        self, engine: str, s3: S3Rig
    ) -> None:
        error = b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
        fault = Answer(200, body=b'<?xml version="1.0" encoding="UTF-8"?>' + error)
        with without_pauses(), cshelve.open_from_dict(s3.config(engine=engine)) as db:
            db["a"] = 1
            with s3.proxy.inject(fault, operation=COPY, times=None):
                with pytest.raises(cshelve.StorageError, match="InternalError"):
                    db.move("a", "b")
                assert dict(db) == {"a": 1}
            with s3.proxy.inject(fault, operation=COPY):
                db.move("a", "b")
            assert dict(db) == {"b": 1}

    def test_a_refusal_says_what_is_lacking(self, engine: str, s3: S3Rig) -> None:
        with without_pauses(), cshelve.open_from_dict(s3.config(engine=engine)) as db:
            db["a"] = 1
            s3.proxy.inject(Answer(403, "AccessDenied"), operation=COPY, times=None)
            with pytest.raises(cshelve.AuthError, match="lack s3:GetObject and s3:PutObject"):
                db.copy("a", "b")

    def test_a_target_that_the_server_refuses_is_not_a_missing_source(
        self, engine: str, s3: S3Rig
    ) -> None:
        with cshelve.open_from_dict(s3.config(engine=engine)) as db:
            db["a/k"] = 1
            for target in ("z" * 300, "../x"):  # Which S3 can store, and SeaweedFS cannot.
                for act in (db.copy, db.move):
                    with pytest.raises(cshelve.KeyNotStorableError, match="CopyObject"):
                        act("a/k", target)
                with pytest.raises(cshelve.BulkError) as caught:
                    cshelve.copy(db.prefix("a/"), db.prefix(f"b/{target}"))
                assert isinstance(caught.value.failures["k"], cshelve.KeyNotStorableError)
            assert dict(db) == {"a/k": 1}

    def test_a_source_that_is_gone_in_between_is_missing(self, engine: str, s3: S3Rig) -> None:
        with without_pauses(), cshelve.open_from_dict(s3.config(engine=engine)) as db:
            db["a"] = 1
            s3.proxy.inject(Answer(404, "NoSuchKey"), operation=COPY)
            with pytest.raises(cshelve.KeyNotFoundError) as caught:
                db.prefix("").copy("a", "b")
            assert caught.value.args == ("a",)


def test_the_default_of_a_provider_refuses_another_version() -> None:
    store = InMemory(exists=True)
    version = store.put("a", b"1")
    store.copy("a", "b", if_version=version)
    assert store.get("b") == Item(b"1", store.get("b").version)
    store.put("a", b"2")
    with pytest.raises(cshelve.ConflictError):
        store.copy("a", "b", if_version=version)
