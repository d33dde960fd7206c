"""What S3 is asked for one object's details, at the wire, and how its failures are raised."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

import cshelve
from cshelve.providers import AwsS3
from testbed.faults import Answer, EditResponse
from testbed.http_messages import Response
from tests.providers.aws_s3.rig import each_engine
from tests.rigs import Place, S3Rig, provider_of

pytestmark = [pytest.mark.s3, pytest.mark.once]

GET, HEAD, LIST = "GetObject", "HeadObject", "ListObjectsV2"
LARGE = bytes(3 * 2**20)


@pytest.fixture(params=["direct", "boto3"])
def db(request: pytest.FixtureRequest, s3: S3Rig) -> Any:
    place = Place(s3.config(engine=request.param, serializer="bytes", check_bucket=False))
    db = place.open()
    db["k"] = b"value"
    yield db
    place.close()


def provider(db: cshelve.CloudShelf) -> AwsS3:
    found = provider_of(db)
    assert isinstance(found, AwsS3)
    return found


def test_it_is_one_request_for_the_first_bytes(db: cshelve.CloudShelf, s3: S3Rig) -> None:
    db["large"] = LARGE
    with s3.proxy.counting() as seen:
        info = db.info("large")
    (request,) = seen.requests
    assert (request.operation, request.headers["range"]) == (GET, "bytes=0-63")
    assert info.size_bytes > len(LARGE)
    assert provider(db).inspect("large").head == provider(db).get("large").data[:64]


def test_an_empty_object_costs_a_head_more(db: cshelve.CloudShelf, s3: S3Rig) -> None:
    for _ in range(5):  # More often than the direct engine is given up for odd answers.
        provider(db).put("empty", b"")
        with s3.proxy.counting() as seen:
            assert db.info("empty").size_bytes == 0
        assert seen.operations in ([GET], [GET, HEAD])
    engine = provider(db).engine
    assert engine == db.provider._settings.engine  # type: ignore[attr-defined]  # of a test


def test_a_416_is_followed_by_a_head(db: cshelve.CloudShelf, s3: S3Rig) -> None:
    provider(db).put("empty", b"")
    s3.proxy.inject(Answer(416, "InvalidRange"), operation=GET, times=None)
    with s3.proxy.counting() as seen:
        details = provider(db).inspect("empty")
    assert seen.operations == [GET, HEAD]
    assert (details.size_bytes, details.head) == (0, b"")
    assert details.version == provider(db).put("same", b"")


def test_a_range_that_is_refused_for_good_is_an_error(db: cshelve.CloudShelf, s3: S3Rig) -> None:
    s3.proxy.inject(Answer(416, "InvalidRange"), operation=GET, times=None)
    with pytest.raises(cshelve.StorageError, match="refuses a range"):
        db.info("k")


def test_a_server_without_ranges_is_not_read_to_the_end(db: cshelve.CloudShelf, s3: S3Rig) -> None:
    db["large"] = LARGE
    whole = s3.client.get_object(Bucket=s3.bucket, Key=f"{provider(db)._bucket.prefix}large")
    data = whole["Body"].read()

    def all_of_it(response: Response) -> Response:
        kept = [pair for pair in response.headers if pair[0].lower() != "content-range"]
        return replace(response, status=200, headers=kept, body=data)

    s3.proxy.inject(EditResponse(all_of_it), operation=GET, times=None)
    for _ in range(4):
        details = provider(db).inspect("large")
        assert (details.size_bytes, details.head) == (len(data), data[:64])


def test_a_missing_key_is_one_request(db: cshelve.CloudShelf, s3: S3Rig) -> None:
    with s3.proxy.counting() as seen, pytest.raises(cshelve.KeyNotFoundError):
        db.info("absent")
    assert seen.operations == [GET]
    with s3.proxy.counting() as seen, pytest.raises(cshelve.KeyNotFoundError):
        db.info("x" * 2000)
    assert seen.operations == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", cshelve.AuthError),
        (404, "NoSuchBucket", cshelve.DBDoesNotExistsError),
        (400, "Odd", cshelve.StorageError),
    ],
)
def test_failures_are_those_of_a_read(
    status: int, code: str, error: type[Exception], db: cshelve.CloudShelf, s3: S3Rig
) -> None:
    s3.proxy.inject(Answer(status, code), operation=GET, times=None)
    with pytest.raises(error) as of_read:
        db["k"]
    with pytest.raises(error) as of_info:
        db.info("k")
    assert type(of_info.value) is type(of_read.value)


@pytest.mark.parametrize("content_range", ["bytes 1-5/100", "bytes 0-63/*", "items 0-5/6"])
def test_another_range_is_no_answer(content_range: str, db: cshelve.CloudShelf, s3: S3Rig) -> None:
    def odd(response: Response) -> Response:
        kept = [pair for pair in response.headers if pair[0].lower() != "content-range"]
        return replace(response, headers=[*kept, ("Content-Range", content_range)])

    s3.proxy.inject(EditResponse(odd), operation=GET, times=None)
    with pytest.raises(cshelve.StorageError, match="cannot be read"):
        db.info("k")


def test_metadata_and_content_type_are_told(s3: S3Rig) -> None:
    for engine in ("direct", "boto3"):
        place = Place(s3.config(engine=engine))
        put = {"Metadata": {"Team": "blue"}, "ContentType": "application/x-pickle"}
        place.config["put_params"] = put
        db = place.open()
        db.setdefault("k", 1)  # Which leaves a token there.
        info = db.info("k")
        assert (info.content_type, info.metadata) == ("application/x-pickle", {"team": "blue"})
        assert "cshelve-token" in provider(db).inspect("k").metadata
        place.close()


def test_the_customers_key_is_sent(s3: S3Rig) -> None:
    for engine in ("direct", "boto3"):
        place = Place(s3.config(engine=engine, check_bucket=False))
        place.config["put_params"] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
        db = place.open()
        s3.proxy.inject(Answer(404, "NoSuchKey"), operation=GET, times=1)
        with s3.proxy.counting() as seen, pytest.raises(cshelve.KeyNotFoundError):
            db.info("k")
        assert {"x-amz-server-side-encryption-customer-key", "range"} <= {
            name.lower() for name in seen.requests[0].headers
        }
        place.close()


@each_engine
def test_a_listing_starts_after_a_name_at_the_server(engine: str, s3: S3Rig) -> None:
    place = Place(s3.config(engine=engine))
    db = place.open()
    db.update({f"{number:02}": number for number in range(20)})
    with s3.proxy.counting() as seen:
        assert [*iter(db.keys(start_after="17"))] == ["18", "19"]
        assert [entry.key for entry in db.entries("1", "17")] == ["18", "19"]
    assert [request.operation for request in seen.requests] == [LIST, LIST]
    prefix = place.config["default"]["key_prefix"]
    assert all(f"start-after={prefix}%2F17" in request.query for request in seen.requests)
    place.close()


def test_a_server_that_ignores_start_after_is_corrected(db: cshelve.CloudShelf, s3: S3Rig) -> None:
    db.update(a=b"1", b=b"2", c=b"3")
    prefix = provider(db)._bucket.prefix
    page = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix)
    assert len(page["Contents"]) == 4
    bodies: list[bytes] = []

    def keep(response: Response) -> Response:
        bodies.append(response.body)
        return replace(response, body=bodies[0])

    s3.proxy.inject(EditResponse(keep), operation=LIST, times=None)
    assert len([*iter(db.keys())]) == 4
    assert [*iter(db.keys(start_after="b"))] == ["c", "k"]


def test_versions_and_dates_are_the_same_for_both_engines(s3: S3Rig) -> None:
    place = Place(s3.config())
    place.open()["k"] = 1
    found = set()
    for engine in ("direct", "boto3"):
        place.config["default"]["engine"] = engine
        db = place.open()
        found.add((*next(db.entries()), *db.info("k")[:4]))
    place.close()
    ((_, _, modified, version, _, _, of_info, version_of_info),) = found
    assert isinstance(modified, datetime)
    assert modified.replace(microsecond=0) == of_info
    assert version == version_of_info
