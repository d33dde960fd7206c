"""A shelf of a whole bucket: emptying it is told, and so is creating it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from cshelve.providers import Wrapper
from tests.rigs import ENGINE, Place, S3Rig, provider_of, unique_name

pytestmark = [pytest.mark.s3, pytest.mark.once]


@pytest.fixture
def bucket(s3: S3Rig) -> Iterator[str]:
    """A bucket with three objects, one of them not a shelf's."""
    name = unique_name()
    s3.client.create_bucket(Bucket=name)
    for key in ("a", "b", "reports/2024.csv"):
        s3.client.put_object(Bucket=name, Key=key, Body=b"")
    yield name
    for key in keys_in(s3, name):
        s3.client.delete_object(Bucket=name, Key=key)
    s3.client.delete_bucket(Bucket=name)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and record.name.startswith("cshelve")
    ]


def keys_in(s3: S3Rig, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def whole(s3: S3Rig, bucket: str, **options: Any) -> Place:
    return Place(s3.config(bucket_name=bucket, key_prefix=None, **options))


@pytest.mark.parametrize("how", ["n", "clear", "clear of a view of all"])
def test_emptying_one_is_a_warning_with_the_number_of_objects(
    how: str, bucket: str, s3: S3Rig, warnings: Callable[[], list[str]]
) -> None:
    place = whole(s3, bucket)
    if how == "n":
        place.open("n")
    elif how == "clear":
        place.open().clear()
    else:
        place.open().prefix("").clear()
    assert keys_in(s3, bucket) == []
    (warning,) = warnings()
    assert f"s3://{bucket}: " in warning
    assert "3 objects were deleted" in warning


@pytest.mark.parametrize("how", ["n", "clear"])
def test_a_wrapper_tells_as_well(
    how: str, bucket: str, s3: S3Rig, warnings: Callable[[], list[str]]
) -> None:
    with whole(s3, bucket).open() as db:
        wrapped = cshelve.open_provider(Wrapper(db.provider), "n" if how == "n" else "w")
        wrapped.clear()
    assert keys_in(s3, bucket) == []
    (warning,) = warnings()
    assert "3 objects were deleted" in warning


def test_emptying_what_is_empty_is_not_told(
    bucket: str, s3: S3Rig, warnings: Callable[[], list[str]]
) -> None:
    place = whole(s3, bucket)
    db = place.open("n")
    db["k"] = 1
    db.clear()
    db.clear()
    place.open("n")
    _, warning = warnings()
    assert "1 object was deleted" in warning


def test_emptying_a_part_of_one_is_not_told(
    bucket: str, s3: S3Rig, warnings: Callable[[], list[str]]
) -> None:
    place = Place(s3.config(bucket_name=bucket, key_prefix="reports"))
    place.open("n")
    whole(s3, bucket).open().prefix("a").clear()
    assert keys_in(s3, bucket) == ["b"]
    assert warnings() == []


def test_the_logger_of_the_call_is_told(
    bucket: str, s3: S3Rig, caplog: pytest.LogCaptureFixture
) -> None:
    whole(s3, bucket).open("n", logger=logging.getLogger("mine"))
    assert [each.levelname for each in caplog.records if each.name == "mine"][-1] == "WARNING"


class TestUrls:
    @pytest.fixture(autouse=True)
    def credentials(self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.server.admin.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.server.admin.secret_key)

    def url_of(self, s3: S3Rig, bucket: str) -> str:
        return f"s3://{bucket}?endpoint_url={s3.proxy.endpoint_url}&engine={ENGINE}"

    def test_are_refused_with_n_and_nothing_is_sent(self, bucket: str, s3: S3Rig) -> None:
        with (
            s3.proxy.counting() as seen,
            pytest.raises(cshelve.ConfigurationError, match="every object of the bucket"),
        ):
            cshelve.open(self.url_of(s3, bucket), "n")
        assert seen.operations == []
        assert len(keys_in(s3, bucket)) == 3

    def test_empty_a_bucket_if_they_say_so(self, bucket: str, s3: S3Rig) -> None:
        with cshelve.open(f"{self.url_of(s3, bucket)}&whole_bucket=true", "n") as db:
            assert provider_of(db).location == f"s3://{bucket}"
        assert keys_in(s3, bucket) == []


@pytest.mark.parametrize("flag", ["c", "n"])
def test_a_bucket_that_is_created_is_a_warning(
    flag: str, s3: S3Rig, warnings: Callable[[], list[str]]
) -> None:
    name = unique_name()
    place = whole(s3, name)
    place.open(flag)
    assert warnings() == [f"s3://{name}: the bucket did not exist, and was created"]
    place.open("c")
    assert len(warnings()) == 1
    s3.client.delete_bucket(Bucket=name)
