"""Values that expire in S3: a HEAD tells, since the object's metadata has the time too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from tests.clocks import Clock
from tests.providers.aws_s3.rig import each_engine, warmed_up
from tests.rigs import Place, S3Rig, object_of

pytestmark = [pytest.mark.s3, pytest.mark.once]

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"
HEADER = "x-amz-meta-cshelve-expires"
LARGE: dict[str, Any] = {"multipart_threshold_bytes": 5 * 2**20, "multipart_chunk_bytes": 5 * 2**20}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.rule(monkeypatch)
    return clock


@pytest.fixture(params=["direct", "boto3"])
def db(s3: S3Rig, clock: Clock, request: pytest.FixtureRequest) -> Iterator[cshelve.CloudShelf]:
    place = Place(s3.config(engine=request.param, **LARGE))
    yield warmed_up(place.open())
    place.close()


def metadata_of(s3: S3Rig, db: cshelve.CloudShelf, key: str) -> dict[str, str]:
    """Return an object's metadata, without the token of a conditional put."""
    found = s3.client.head_object(Bucket=s3.bucket, Key=object_of(db, key))["Metadata"]
    return {name.lower(): value for name, value in found.items() if "token" not in name.lower()}


def with_other_metadata(s3: S3Rig, db: cshelve.CloudShelf, key: str, **metadata: str) -> None:
    """Change an object's metadata as anybody could who may write to the bucket."""
    name = object_of(db, key)
    data = s3.client.get_object(Bucket=s3.bucket, Key=name)["Body"].read()
    given = {each.replace("_", "-"): value for each, value in metadata.items()}
    s3.client.put_object(Bucket=s3.bucket, Key=name, Body=data, Metadata=given)


def set_and_modify(db: cshelve.CloudShelf) -> None:
    db.set("k", 1, expire_after_seconds=10)
    db.modify("k", lambda number: number + 1)


WRITES: dict[str, Callable[[cshelve.CloudShelf], Any]] = {
    "set": lambda db: db.set("k", 1, expire_after_seconds=10),
    "set large": lambda db: db.set("k", bytes(6 * 2**20), expire_after_seconds=10),
    "modify": set_and_modify,
}


class TestTheMetadata:
    @pytest.mark.parametrize("name", WRITES)
    def test_has_the_time_in_milliseconds(
        self, name: str, s3: S3Rig, db: cshelve.CloudShelf, clock: Clock
    ) -> None:
        clock.time = 1_700_000_000.123
        WRITES[name](db)
        assert metadata_of(s3, db, "k") == {"cshelve-expires": "1700000010123"}
        assert ("k" in db, bool(db["k"])) == (True, True)
        clock.move(10)
        assert ("k" in db, db.get("k")) == (False, None)

    def test_has_nothing_of_values_that_stay(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        db.set_many({"k": 1, "m": bytes(6 * 2**20)})
        db.setdefault("n", 1)
        assert [metadata_of(s3, db, key) for key in "kmn"] == [{}, {}, {}]

    @each_engine
    def test_has_the_time_after_every_write_of_a_shelf_whose_values_expire(
        self, engine: str, s3: S3Rig, clock: Clock
    ) -> None:
        place = Place(s3.config(engine=engine, expire_after_seconds=10, **LARGE))
        db = place.open()
        db["a"] = 1
        db.set_many({"b": 1, "c": bytes(6 * 2**20), "d": 2})
        db.setdefault("e", 1)
        db.replace("f", 1, None)
        db.replace("f", 2, db.get_versioned("f")[1])
        db.modify("g", lambda number: number, default=1)
        wanted = {"cshelve-expires": str(round(1000 * (clock.time + 10)))}
        assert [metadata_of(s3, db, key) for key in "abcdefg"] == [wanted] * 7
        place.close()

    @each_engine
    def test_goes_with_the_users_own(self, engine: str, s3: S3Rig, clock: Clock) -> None:
        config = {**s3.config(engine=engine), "put_params": {"Metadata.team": "blue"}}
        place = Place(config)
        db = place.open()
        db.set("k", 1, expire_after_seconds=10)
        db.set_many({"m": 1})
        db.modify("k", lambda number: number)
        assert metadata_of(s3, db, "k") == {
            "team": "blue",
            "cshelve-expires": str(round(1000 * (clock.time + 10))),
        }
        assert metadata_of(s3, db, "m") == {"team": "blue"}
        place.close()

    def test_is_not_the_users_to_set(self, s3: S3Rig) -> None:
        config = {**s3.config(), "put_params": {"Metadata.cshelve-expires": "5"}}
        with pytest.raises(cshelve.ConfigurationError, match="cshelve-expires is set by the shelf"):
            Place(config).open()

    def test_goes_with_the_token_of_a_conditional_put(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            db.set("k", 1, expire_after_seconds=10)
            db.modify("k", lambda number: number)
        _, _, put = seen.requests
        assert put.headers[HEADER] == "1700000010000"
        assert put.headers["x-amz-meta-cshelve-token"]


class TestRequests:
    @pytest.fixture
    def over(self, db: cshelve.CloudShelf, clock: Clock) -> cshelve.CloudShelf:
        db.set("over", 1, expire_after_seconds=10)
        clock.move(10)
        db["there"] = 1
        return db

    @pytest.mark.parametrize(
        ("act", "expected"),
        [
            (lambda db: "over" in db, [HEAD]),
            (lambda db: "there" in db, [HEAD]),
            (lambda db: "absent" in db, [HEAD]),
            (lambda db: db.get("over"), [GET]),
            (lambda db: db.pop("over", None), [GET]),
            (lambda db: db.setdefault("over", 2), [GET, PUT]),
            (lambda db: db.modify("over", lambda n: n, default=2), [GET, PUT]),
            (lambda db: db.replace("over", 2, None), [PUT, GET, GET, PUT]),
            (lambda db: db.replace("absent", 2, None), [PUT]),
        ],
    )
    def test_are_no_more_than_are_needed(
        self,
        act: Callable[[cshelve.CloudShelf], Any],
        expected: list[str],
        s3: S3Rig,
        over: cshelve.CloudShelf,
    ) -> None:
        with s3.proxy.counting() as seen:
            act(over)
        assert seen.operations == expected

    def test_of_a_del_of_an_expired_key_are_one(self, s3: S3Rig, over: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as seen, pytest.raises(KeyError):
            del over["over"]
        assert seen.operations == [HEAD]

    def test_of_expire_are_one_a_key_and_one_for_each_that_is_deleted(
        self, s3: S3Rig, over: cshelve.CloudShelf
    ) -> None:
        over.expire()
        over.set_many({f"k{number}": 1 for number in range(5)})
        over.set("big", bytes(2**20), expire_after_seconds=1e6)
        over.set("over", 1, expire_after_seconds=1e-3)
        with s3.proxy.counting() as seen:
            assert over.expire() == 0
        assert sorted(seen.operations) == [GET] * 8 + ["ListObjectsV2"]
        assert {each.headers["Range"] for each in seen.requests if each.operation == GET} == {
            "bytes=0-63"
        }

    def test_of_expire_delete_under_a_condition(
        self, s3: S3Rig, over: cshelve.CloudShelf, clock: Clock
    ) -> None:
        over.set("k", 1, expire_after_seconds=1)
        clock.move(1)
        assert over.expire() == 2  # From here on the server's conditions are known.
        over.set("k", 1, expire_after_seconds=1)
        clock.move(1)
        with s3.proxy.counting() as seen:
            assert over.expire() == 1
        assert sorted(seen.operations) == [DELETE, GET, GET, "ListObjectsV2"]
        (delete,) = [each for each in seen.requests if each.operation == DELETE]
        assert "If-Match" in delete.headers


class TestWhoCanWriteToTheBucket:
    """The time in the metadata is not authenticated: it matters for `in` alone."""

    @pytest.fixture
    def sealed(self, s3: S3Rig, clock: Clock) -> Iterator[cshelve.CloudShelf]:
        signing = {"algorithm": "hmac-sha256", "key": cshelve.generate_key()}
        place = Place({**s3.config(), "signing": signing})
        db = place.open()
        db.set("k", "value", expire_after_seconds=10)
        yield db
        place.close()

    def test_can_make_in_say_no(self, s3: S3Rig, sealed: cshelve.CloudShelf) -> None:
        with_other_metadata(s3, sealed, "k", cshelve_expires="5")
        assert "k" not in sealed
        assert sealed["k"] == "value"
        assert sealed.expire() == 0

    @pytest.mark.parametrize("written", ["99999999999999", "", "soon", "-5", "5" * 50])
    def test_can_make_in_say_yes(
        self, written: str, s3: S3Rig, sealed: cshelve.CloudShelf, clock: Clock
    ) -> None:
        with_other_metadata(s3, sealed, "k", **({"cshelve_expires": written} if written else {}))
        clock.move(10)
        assert "k" in sealed
        assert sealed.get("k") is None
        assert sealed.setdefault("k", "new") == "new"

    def test_cannot_change_the_time_in_the_record(
        self, s3: S3Rig, sealed: cshelve.CloudShelf
    ) -> None:
        name = object_of(sealed, "k")
        data = bytearray(s3.client.get_object(Bucket=s3.bucket, Key=name)["Body"].read())
        data[17] ^= 1
        s3.client.put_object(Bucket=s3.bucket, Key=name, Body=bytes(data))
        with pytest.raises(cshelve.UntrustedRecordError):
            sealed["k"]


def test_where_only_a_get_has_a_code_that_tells_it_too(s3: S3Rig, clock: Clock) -> None:
    place = Place(s3.config())
    db = place.open()
    db.set("k", 1, expire_after_seconds=10)
    db.provider.put("empty", b"")
    place.config["default"]["missing_on_forbidden"] = True
    reader = place.open("r")
    with s3.proxy.counting() as seen:
        assert "k" in reader
        clock.move(10)
        assert "k" not in reader
        assert "empty" in reader
        assert "absent" not in reader
    assert set(seen.operations) == {GET}
    place.close()
