"""Only an absent key is a `KeyError`: no refusal, outage, cut body or absent bucket is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

import cshelve
from testbed.faults import Answer, CutBody, ForbidAbsent, Hang, Reset
from tests.providers.aws_s3.errors.rig import IMPATIENT, READS
from tests.rigs import Place, S3Rig, object_of

pytestmark = pytest.mark.s3


def stored(s3: S3Rig, db: cshelve.CloudShelf, key: str = "k") -> bytes:
    return s3.client.get_object(Bucket=s3.bucket, Key=object_of(db, key))["Body"].read()


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
                Answer(403, "AccessDenied", "Access Denied"), key=object_of(db, key), times=None
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
            s3.proxy.inject(Answer(status, code, "later"), key=object_of(db), times=None),
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
            s3.proxy.inject(Reset(), key=object_of(db), times=None),
            pytest.raises(cshelve.StorageError, match=r"no connection|closed"),
        ):
            READS[operation](db)

    @pytest.mark.parametrize("operation", ["getitem", "in", "setdefault"])
    def test_no_answer_in_time(self, operation: str, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with (
            s3.proxy.inject(Hang(), key=object_of(db), times=None),
            pytest.raises(cshelve.StorageError, match="did not respond in time"),
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
        s3.proxy.inject(fault, key=object_of(db))
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


class TestAnAnswerWithoutContent:
    @pytest.fixture
    def plain(self, s3: S3Rig) -> Iterator[cshelve.CloudShelf]:
        """A shelf in which no bytes at all are a value."""
        options = {"serializer": "bytes", "use_versioning": False}
        place = Place(s3.config(None, **{**IMPATIENT, **options}))
        db = place.open()
        db["k"] = b"value"
        yield db
        place.close()

    READS: ClassVar[dict[str, Callable[[cshelve.CloudShelf], object]]] = {
        "getitem": lambda db: db["k"],
        "get_many": lambda db: dict(db.get_many(["k"])),
        "get_versioned": lambda db: db.get_versioned("k"),
        "in": lambda db: "k" in db,
    }

    @pytest.mark.parametrize("operation", READS)
    @pytest.mark.parametrize("status", [204, 205])
    def test_is_no_value(
        self, status: int, operation: str, s3: S3Rig, plain: cshelve.CloudShelf
    ) -> None:
        """A bug: a 204 was taken for a value without bytes, as boto3 takes it."""
        with (
            s3.proxy.inject(Answer(status), key=object_of(plain), times=None),
            pytest.raises(cshelve.StorageError, match=f"status {status}"),
        ):
            self.READS[operation](plain)


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
