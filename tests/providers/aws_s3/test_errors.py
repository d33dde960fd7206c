"""Only an absent key is a `KeyError`: what every other failure is, at the wire."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from testbed.faults import (
    Answer,
    CutBody,
    ForbidAbsent,
    Hang,
    Reset,
    fail_keys_in_delete_result,
)
from testbed.moto import Moto
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig

pytestmark = pytest.mark.s3

# Two attempts and short time-outs, so that what fails for ever does so soon.
IMPATIENT = {"total_max_attempts": 2, "read_timeout_seconds": 0.5}

READS: dict[str, Callable[[cshelve.CloudShelf], Any]] = {
    "getitem": lambda db: db["k"],
    "get": lambda db: db.get("k", "default"),
    "in": lambda db: "k" in db,
    "pop": lambda db: db.pop("k", "default"),
    "setdefault": lambda db: db.setdefault("k", "default"),
    "del": lambda db: db.__delitem__("k"),
    "items": lambda db: list(db.items()),
    "popitem": lambda db: db.popitem(),
}


@pytest.fixture(scope="module")
def shared(s3_rig: S3Rig) -> cshelve.CloudShelf:
    """One shelf for all tests here, since building a boto3 client is what takes longest."""
    return Place(s3_rig.config(**IMPATIENT)).open()


@pytest.fixture
def db(s3: S3Rig, shared: cshelve.CloudShelf) -> cshelve.CloudShelf:
    shared.clear()
    shared["k"] = "value"
    return shared


def stored(s3: S3Rig, db: cshelve.CloudShelf, key: str = "k") -> bytes:
    prefix = db._objects.records.provider.location.removeprefix(f"s3://{s3.bucket}/")
    return s3.client.get_object(Bucket=s3.bucket, Key=f"{prefix}/{key}")["Body"].read()


@pytest.fixture(scope="module")
def shared_hasty(s3_rig: S3Rig) -> cshelve.CloudShelf:
    return Place(s3_rig.config(**{**IMPATIENT, "total_max_attempts": 1})).open()


class TestARefusalOrAnOutageIsNeverTakenForAbsence:
    """With one attempt: what more of them do is botocore's, and takes a pause each."""

    @pytest.fixture
    def db(self, s3: S3Rig, shared_hasty: cshelve.CloudShelf) -> cshelve.CloudShelf:
        shared_hasty.clear()
        shared_hasty["k"] = "value"
        return shared_hasty

    @pytest.mark.parametrize("operation", READS)
    @pytest.mark.parametrize("key", ["k"])
    def test_refused(self, operation: str, key: str, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        before = stored(s3, db)
        with (
            s3.proxy.inject(
                Answer(403, "AccessDenied", "Access Denied"), key=full(db, key), times=None
            ),
            pytest.raises(cshelve.AuthError, match=r"s3:GetObject"),
        ):
            READS[operation](db)
        assert stored(s3, db) == before

    @pytest.mark.parametrize("operation", READS)
    @pytest.mark.parametrize(
        ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")]
    )
    def test_throttled_or_broken_for_ever(
        self, operation: str, status: int, code: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        before = stored(s3, db)
        with (
            s3.proxy.inject(Answer(status, code, "later"), key=full(db), times=None),
            pytest.raises(cshelve.StorageError) as caught,
        ):
            READS[operation](db)
        assert not isinstance(caught.value, KeyError | cshelve.AuthError)
        assert caught.value.__cause__ is not None
        assert stored(s3, db) == before

    @pytest.mark.parametrize("operation", ["getitem", "in", "setdefault"])
    def test_connection_dropped_for_ever(
        self, operation: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Reset(), key=full(db), times=None),
            pytest.raises(cshelve.StorageError, match=r"no connection|closed"),
        ):
            READS[operation](db)

    @pytest.mark.parametrize("operation", ["getitem", "in", "setdefault"])
    def test_no_answer_in_time(self, operation: str, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with (
            s3.proxy.inject(Hang(), key=full(db), times=None),
            pytest.raises(cshelve.StorageError, match="did not answer in time"),
        ):
            READS[operation](db)


class TestWhatPassesIsRetried:
    @pytest.mark.parametrize(
        "fault", [Answer(503, "SlowDown"), Answer(500, "InternalError"), Reset()], ids=str
    )
    @pytest.mark.parametrize("operation", ["getitem", "in", "items"])
    def test_a_fault_that_happens_once_is_not_noticed(
        self, fault: Any, operation: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(fault, key=full(db))
        assert READS[operation](db)


class TestACutBody:
    def test_is_read_again_once(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        s3.proxy.inject(CutBody(12), operation="GetObject")
        with s3.proxy.counting() as seen:
            assert db["k"] == "value"
        assert seen.operations == ["GetObject"] * 2

    def test_for_ever_is_an_error_and_never_a_short_value(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(CutBody(12), operation="GetObject", times=None),
            pytest.raises(cshelve.StorageError, match=r"GetObject of 'k' in s3://.*cut short"),
        ):
            db["k"]


class TestAnAbsentBucket:
    @pytest.fixture
    def orphan(self, s3: S3Rig) -> cshelve.CloudShelf:
        return Place(s3.config(bucket_name="not-there", check_bucket=False)).open("c")

    @pytest.mark.parametrize(
        "operation",
        [
            lambda db: db["k"],
            lambda db: db.get("k"),
            lambda db: db.__setitem__("k", 1),
            len,
            bool,
            lambda db: db.clear(),
            lambda db: db.update(a=1),
            lambda db: db.setdefault("k"),
            lambda db: list(db.items()),
        ],
        ids=["getitem", "get", "set", "len", "bool", "clear", "update", "setdefault", "items"],
    )
    def test_is_told_wherever_the_answer_can_tell(
        self, operation: Callable[[Any], Any], orphan: cshelve.CloudShelf
    ) -> None:
        with pytest.raises(cshelve.DBDoesNotExistsError, match="s3://not-there"):
            operation(orphan)

    def test_looks_like_an_absent_key_to_a_head(self, orphan: cshelve.CloudShelf) -> None:
        assert "k" not in orphan


class TestCredentials:
    @pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
    def test_a_wrong_secret_is_an_auth_error_and_creates_nothing(
        self, flag: str, s3: S3Rig
    ) -> None:
        place = Place(s3.config(key_secret="wrong"))
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.AuthError, match="key_secret") as caught,
        ):
            place.open(flag)
        assert seen.operations == ["ListObjectsV2"] * SENT_IF_REFUSED
        assert "wrong'" not in str(caught.value)

    @pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
    def test_a_wrong_key_id_is_an_auth_error(self, flag: str, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthError, match="key_id"):
            Place(s3.config(key_id="nobody")).open(flag)

    def test_a_missing_permission_names_operation_bucket_key_and_action(self, s3: S3Rig) -> None:
        shelf = Place(s3.config(s3.server.reader)).open("w")
        with pytest.raises(
            cshelve.AuthError, match=rf"PutObject of 'k' in s3://{s3.bucket}/.*s3:PutObject"
        ):
            shelf["k"] = 1

    def test_a_listing_that_is_refused_names_its_action(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.AuthError, match="s3:ListBucket"):
            Place(s3.config(s3.server.scoped, key_prefix="team-b")).open("r")

    def test_the_least_permissions_of_a_prefix_are_enough(self, s3: S3Rig) -> None:
        shelf = Place(s3.config(s3.server.scoped, key_prefix="team-a")).open("w")
        shelf["k"] = 1
        assert shelf["k"] == 1
        assert "k" in shelf
        assert len(shelf) == 1
        shelf.clear()
        assert not shelf

    @pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
    def test_an_expired_token_is_an_auth_error(
        self, code: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(400, code, "expired"), key=full(db), times=None),
            pytest.raises(cshelve.AuthError, match="expired"),
        ):
            db["k"]

    def test_an_expired_token_is_found_behind_the_bodyless_400_of_a_head(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(400, "ExpiredToken", "expired"), key=full(db), times=None),
            pytest.raises(cshelve.AuthError, match="expired"),
        ):
            "k" in db  # noqa: B015

    def test_creating_a_bucket_that_may_not_be_created(self, s3: S3Rig) -> None:
        place = Place(s3.config(s3.server.reader, bucket_name="nobody-may"))
        with pytest.raises(cshelve.CreateRefusedError, match="s3:CreateBucket") as caught:
            place.open("c")
        assert isinstance(caught.value, cshelve.AuthError)
        assert isinstance(caught.value, cshelve.CanNotCreateDBError)

    def test_no_credentials_at_all(self, s3: S3Rig) -> None:
        config = s3.config(auth_type="default", key_id=None, key_secret=None)
        with pytest.raises(cshelve.AuthError, match="no usable credentials"):
            Place(config).open("r")


class TestMissingOnForbidden:
    """A caller without ListBucket gets a 403 for an absent key, as on AWS."""

    @pytest.fixture
    def reader(self, s3: S3Rig) -> cshelve.CloudShelf:
        config = s3.config(missing_on_forbidden=True)
        writer = {**config, "default": {**config["default"], "missing_on_forbidden": False}}
        with cshelve.open_from_dict(writer) as shelf:
            shelf["k"] = "value"
            shelf["empty"] = None
        s3.client.put_object(
            Bucket=s3.bucket, Key=f"{config['default']['key_prefix']}/nothing", Body=b""
        )
        s3.proxy.inject(ForbidAbsent(), times=None)
        return Place(config).open("r")

    def test_access_denied_counts_as_missing(self, reader: cshelve.CloudShelf) -> None:
        assert reader["k"] == "value"
        assert "k" in reader
        assert reader.get("x", "default") == "default"
        assert "x" not in reader
        with pytest.raises(KeyError):
            reader["x"]

    def test_in_is_a_get_of_one_byte(self, s3: S3Rig, reader: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as seen:
            assert "k" in reader
        (request,) = seen.requests
        assert request.operation == "GetObject"
        assert request.headers["Range"] == "bytes=0-0"

    def test_an_empty_object_is_there(self, reader: cshelve.CloudShelf) -> None:
        assert "nothing" in reader

    @pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId"])
    @pytest.mark.parametrize("operation", ["getitem", "get", "in"])
    def test_any_other_refusal_does_not(
        self, code: str, operation: str, s3: S3Rig, reader: cshelve.CloudShelf
    ) -> None:
        s3.proxy.clear()
        with (
            s3.proxy.inject(Answer(403, code, "no"), times=None),
            pytest.raises(cshelve.AuthError),
        ):
            READS[operation](reader)

    def test_without_the_option_it_is_an_auth_error(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(ForbidAbsent(), times=None)
        with pytest.raises(cshelve.AuthError, match="missing_on_forbidden"):
            db.get("x")

    @pytest.mark.parametrize("flag", ["w", "c", "n"])
    def test_it_goes_with_flag_r_only(self, flag: str, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"missing_on_forbidden.*'r'"):
            Place(s3.config(missing_on_forbidden=True)).open(flag)


def test_leaving_a_loop_over_values_does_not_wait_for_every_attempt(s3: S3Rig) -> None:
    patience = {"total_max_attempts": 8, "read_timeout_seconds": 0.5}
    db = Place(s3.config(**patience)).open()
    db.update(a=1, b=2, c=3)
    with s3.proxy.counting() as seen:
        for key in "bc":
            s3.proxy.inject(Hang(), key=full(db, key), times=None)
        for pair in db.items():
            assert pair == ("a", 1)
            break
    assert not [t for t in threading.enumerate() if t.name.startswith("cshelve")]
    # One attempt for each of the two values; the others would have been sixteen.
    assert seen.operations.count("GetObject") <= 5


class TestWritingMany:
    MANY = 300

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Answer(503, "SlowDown"), cshelve.StorageError),
            (Reset(), cshelve.StorageError),
            (Answer(403, "InvalidAccessKeyId"), cshelve.AuthError),
            (Answer(400, "ExpiredToken"), cshelve.AuthError),
            (Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
        ],
        ids=str,
    )
    def test_stops_at_what_is_wrong_with_the_whole_shelf(
        self, fault: Any, error: type[Exception], s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(fault, operation="PutObject", times=None),
            s3.proxy.counting() as seen,
            pytest.raises(error) as caught,
        ):
            db.update({f"k{number}": number for number in range(self.MANY)})
        assert not isinstance(caught.value, cshelve.BulkError)
        # 32 fly at a time, each twice at most.
        assert seen.total < self.MANY / 2
        assert not [t for t in threading.enumerate() if t.name.startswith("cshelve")]

    @pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState"])
    def test_goes_on_past_what_is_wrong_with_one_key(
        self, code: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(403, code), key=full(db, "k7"), times=None),
            pytest.raises(cshelve.BulkError, match="'k7'") as caught,
        ):
            db.update({f"k{number}": number for number in range(40)})
        assert set(caught.value.failures) == {"k7"}
        assert caught.value.__cause__ is caught.value.failures["k7"]
        assert len(db) == 40  # `k` was there before.


class TestDeletingMany:
    @pytest.fixture
    def three(self, s3: S3Rig) -> cshelve.CloudShelf:
        shelf = Place(s3.config(**IMPATIENT)).open()
        shelf.update(a=1, b=2, c=3)
        return shelf

    def test_a_failure_of_single_keys_inside_a_200_is_a_failure_of_those_keys(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        fault = fail_keys_in_delete_result("AccessDenied", [full(three, "b")])
        s3.proxy.inject(fault, operation="DeleteObjects", times=None)
        with pytest.raises(cshelve.BulkError, match="'b'") as caught:
            three.clear()
        assert set(caught.value.failures) == {"b"}
        assert isinstance(caught.value.failures["b"], cshelve.AuthError)

    def test_slowdown_of_single_keys_inside_a_200_costs_time_and_not_the_keys(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        fault = fail_keys_in_delete_result("SlowDown", [full(three, k) for k in "abc"])
        s3.proxy.inject(fault, operation="DeleteObjects")
        three.clear()
        assert list(three) == []

    def test_slowdown_for_ever_is_a_failure_of_those_keys(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        fault = fail_keys_in_delete_result("SlowDown", [full(three, "c")])
        s3.proxy.inject(fault, operation="DeleteObjects", times=None)
        with pytest.raises(cshelve.BulkError) as caught:
            three.clear()
        assert set(caught.value.failures) == {"c"}
        assert isinstance(caught.value.failures["c"], cshelve.StorageError)

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (501, "NotImplemented"),
            (405, "MethodNotAllowed"),
            (400, "MissingContentMD5"),
            (400, "InvalidRequest"),
        ],
    )
    def test_a_server_without_it_gets_single_deletes(
        self, status: int, code: str, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Answer(status, code, "no"), operation="DeleteObjects", times=None)
        with s3.proxy.counting() as seen:
            three.clear()
        assert sorted(seen.operations) == [
            *["DeleteObject"] * 3,
            *["DeleteObjects"] * SENT_IF_REFUSED,
            "ListObjectsV2",
        ]
        three["d"] = 4
        with s3.proxy.counting() as seen:
            three.clear()
        assert seen.operations == ["ListObjectsV2", "DeleteObject"]

    def test_a_key_that_xml_cannot_carry_is_deleted_too(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        three["control\x01"] = 1
        three["line\r\nend"] = 1
        three.clear()
        assert list(three) == []


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
            s3.proxy.inject(Answer(400, "InvalidRequest", "no"), key=full(db), times=None),
            pytest.raises(cshelve.StorageError, match="InvalidRequest"),
        ):
            db["k"]


class TestWhatTheMessageSays:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(501, "NotImplemented"), (400, "InvalidArgument"), (411, "MissingContentLength")],
    )
    def test_a_server_that_refuses_checksums_names_the_option(
        self, status: int, code: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(status, code, "header"), operation="PutObject", times=None),
            pytest.raises(
                cshelve.StorageError, match=r"config\.request_checksum_calculation = when_required"
            ),
        ):
            db["k"] = 1

    def test_the_wrong_region_names_the_right_one(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        answer = Answer(
            301, "PermanentRedirect", "elsewhere", headers={"x-amz-bucket-region": "eu-west-3"}
        )
        with (
            s3.proxy.inject(answer, times=None),
            pytest.raises(cshelve.StorageError, match=r"eu-west-3.*region_name"),
        ):
            db["k"]

    def test_no_server(self, s3: S3Rig) -> None:
        config = s3.config(total_max_attempts=1)
        config["provider_params"]["endpoint_url"] = "http://127.0.0.1:1"
        with pytest.raises(cshelve.StorageError, match="endpoint_url"):
            Place(config).open("r")

    @pytest.mark.parametrize("name", ["no/bucket", "s3://bucket", "bucket ; comment", '"bucket'])
    def test_a_bucket_name_that_is_none(self, name: str, s3: S3Rig) -> None:
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.ConfigurationError, match=r"\[default\] bucket_name: "),
        ):
            Place(s3.config(bucket_name=name)).open("r")
        assert seen.total == 0

    def test_secrets_appear_in_no_error_repr_or_record(
        self, s3: S3Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG", logger="cshelve")
        place = Place(s3.config(key_secret="hush-hush"))
        with pytest.raises(cshelve.AuthError) as caught:
            place.open("r")
        shelf = Place(s3.config()).open()
        texts = [str(caught.value), repr(shelf), repr(shelf._objects.records.provider), caplog.text]
        secrets = ["hush-hush", s3.server.admin.secret_key]
        assert not [secret for secret in secrets for text in texts if secret in text]


class TestObjectsThatAreNoRecords:
    @pytest.mark.parametrize(
        "data", [b"", b"\0", b"\0\0\x05", b"hello, world", b'{"a": 1}', b"\0\0" + bytes(7) + b"\1"]
    )
    def test_are_a_record_error_that_names_the_key(
        self, data: bytes, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.client.put_object(Bucket=s3.bucket, Key=full(db, "theirs"), Body=data)
        with pytest.raises(cshelve.RecordError, match="'theirs' in s3://"):
            db["theirs"]
        with pytest.raises(cshelve.RecordError):
            db.get("theirs")
        assert "theirs" in db
        assert len(db) == 2

    def test_items_goes_on_behind_one(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        db.update(a=1, z=26)
        s3.client.put_object(Bucket=s3.bucket, Key=full(db, "b"), Body=b"hello")
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
        s3.proxy.inject(Answer(403, "AccessDenied"), key=full(db, "a"), times=None)
        pairs = iter(db.items())
        with pytest.raises(cshelve.AuthError, match="'a'"):
            list(pairs)
        assert list(pairs) == []

    def test_items_leaves_out_what_was_deleted_since_it_was_listed(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        db.update(a=1, z=26)
        s3.proxy.inject(Answer(404, "NoSuchKey"), key=full(db, "a"), times=None)
        assert dict(db.items()) == {"k": "value", "z": 26}
        assert list(db.values()) == ["value", 26]


def full(db: cshelve.CloudShelf, key: str = "k") -> str:
    """Name the object of a key, prefix and all."""
    _, _, rest = db._objects.records.provider.location.removeprefix("s3://").partition("/")
    return f"{rest}/{key}"


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
        provider = db._objects.records.provider
        version = provider.put("k", b"data")
        provider.delete("k")
        with pytest.raises(cshelve.ConflictError):
            provider.put("k", b"other", if_version=version)


class TestAServerThatIsNoS3:
    """A gateway or a console that answers with pages of its own."""

    PAGE = b"<html><body>Hello</body></html>"

    # Not `in` and `del`: a HEAD's 404 is all that there is to see.
    @pytest.mark.parametrize("operation", [name for name in READS if name not in {"in", "del"}])
    @pytest.mark.parametrize("on", ["GetObject", None])
    def test_its_404_is_no_absence(
        self, operation: str, on: str | None, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(404, body=self.PAGE), operation=on, times=None),
            pytest.raises(cshelve.StorageError, match="404"),
        ):
            READS[operation](db)

    def test_its_404_for_a_key_that_xml_cannot_carry_is_no_absence_either(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        db["\x01"] = 1
        with (
            s3.proxy.inject(Answer(404, body=self.PAGE), operation="GetObject", times=None),
            pytest.raises(cshelve.StorageError, match="404"),
        ):
            db.get("\x01")

    @pytest.mark.parametrize("body", [PAGE, b""])
    @pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
    def test_its_200_is_no_empty_shelf(self, flag: str, body: bytes, s3: S3Rig) -> None:
        with (
            s3.proxy.inject(Answer(200, body=body), times=None),
            pytest.raises(cshelve.StorageError, match="no listing"),
        ):
            Place(s3.config()).open(flag)

    def test_its_200_is_no_stored_value(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with (
            s3.proxy.inject(Answer(200, body=self.PAGE), operation="PutObject", times=None),
            pytest.raises(cshelve.StorageError, match="no ETag"),
        ):
            db["k"] = 1
