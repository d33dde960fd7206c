"""Servers that say odd things: every loop that goes by what they say ends by itself, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import cshelve
from testbed.exchange import Exchange
from testbed.faults import Answer, EditResponse, Fault
from testbed.http_messages import Response
from tests.rigs import S3Rig, object_of

pytestmark = [pytest.mark.s3, pytest.mark.once]

FOR_EVER: Any = None


@pytest.fixture(params=["direct", "boto3"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def db(s3: S3Rig, engine: str) -> Iterator[cshelve.CloudShelf]:
    with cshelve.open_from_dict(s3.config(engine=engine, modify_timeout_seconds=20)) as db:
        yield db


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 10


LISTINGS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "len": len,
    "list": list,
    "items": lambda db: list(db.items()),
    "clear": lambda db: db.clear(),
    "popitem": lambda db: db.popitem(),
}


class TestAListingThatNeverEnds:
    """It repeats its NextContinuationToken, or two of them by turns."""

    @pytest.mark.parametrize("name", LISTINGS)
    @pytest.mark.parametrize("tokens", [("A",), ("A", "B")], ids=["A, A", "A, B, A"])
    def test_is_an_error_that_says_so(
        self, tokens: tuple[str, ...], name: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(again_and_again(tokens), operation="ListObjectsV2", times=FOR_EVER)
        with pytest.raises(cshelve.StorageError, match="NextContinuationToken twice"):
            LISTINGS[name](db)

    def test_ends_flag_n_too(self, s3: S3Rig, engine: str) -> None:
        s3.proxy.inject(again_and_again(("A",)), operation="ListObjectsV2", times=FOR_EVER)
        with pytest.raises(cshelve.StorageError, match="NextContinuationToken twice"):
            cshelve.open_from_dict(s3.config(engine=engine), "n")


def again_and_again(tokens: tuple[str, ...]) -> Fault:
    """Answer each ListObjectsV2 with one key that is not there, and with these tokens by turns."""
    asked = 0

    def page(exchange: Exchange) -> None:
        nonlocal asked
        token = tokens[asked % len(tokens)]
        asked += 1
        prefix = exchange.request.query.partition("prefix=")[2].partition("&")[0]
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
            f"<KeyCount>1</KeyCount><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
            f"<NextContinuationToken>{token}</NextContinuationToken><Contents><Key>{prefix}k</Key>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>"
            "</ListBucketResult>"
        )
        Answer(200, body=body.encode(), headers={"Content-Type": "application/xml"})(exchange)

    return page


def with_etag(alter: Callable[[str], str | None]) -> EditResponse:
    """Alter the ETags of answers; None leaves them out."""

    def altered(response: Response) -> Response:
        headers = []
        for name, value in response.headers:
            changed = alter(value) if name.lower() == "etag" else value
            if changed is not None:
                headers.append((name, changed))
        return replace(response, headers=headers)

    return EditResponse(altered)


# How servers and proxies alter the ETags that If-Match is to match.
NEVER_MATCHING: dict[str, Callable[[str], str | None]] = {
    "weak": lambda etag: f"W/{etag}",
    "of a proxy that compresses": lambda etag: etag.rstrip('"') + '-gzip"',
    "absent": lambda _: None,
}


class TestETags:
    @pytest.mark.parametrize("kind", NEVER_MATCHING)
    def test_that_never_match_are_told_from_other_writers(
        self, kind: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        db["n"] = 1
        for operation in ("GetObject", "HeadObject"):
            fault = with_etag(NEVER_MATCHING[kind])
            s3.proxy.inject(fault, operation=operation, times=FOR_EVER)
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="ETag"):
            db.modify("n", lambda n: n + 1)
        assert db["n"] == 1

    @pytest.mark.parametrize("kind", NEVER_MATCHING)
    @pytest.mark.parametrize("take", [lambda db: db.pop("n"), lambda db: db.popitem()[1]])
    def test_so_pop_goes_on_unguarded_and_says_so(
        self,
        take: Callable[[cshelve.CloudShelf], object],
        kind: str,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        db["n"] = 1
        for operation in ("GetObject", "HeadObject"):
            fault = with_etag(NEVER_MATCHING[kind])
            s3.proxy.inject(fault, operation=operation, times=FOR_EVER)
        assert take(db) == 1
        assert "n" not in db
        assert "does not honour conditions" in caplog.text

    def test_without_quotes_work(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        db["n"] = 1
        s3.proxy.inject(with_etag(lambda etag: etag.strip('"')), times=FOR_EVER)
        with s3.proxy.counting() as seen:
            assert db.modify("n", lambda n: n + 1) == 2
            assert db.pop("n") == 2
        sent = [
            r.headers["If-Match"]
            for r in seen.requests
            if r.key.endswith("/n") and "If-Match" in r.headers
        ]
        assert len(sent) == 2
        assert not any('"' in etag for etag in sent)

    def test_of_a_proxy_that_compresses_leave_large_values_readable(
        self, s3: S3Rig, engine: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = s3.config(
            engine=engine, multipart_threshold_bytes=0, multipart_chunk_bytes=5 * 2**20
        )
        value = bytes(range(256)) * 65536
        with cshelve.open_from_dict(config) as db:
            db["k"] = value
            fault = with_etag(NEVER_MATCHING["of a proxy that compresses"])
            s3.proxy.inject(fault, operation="GetObject", times=FOR_EVER)
            for _ in range(4):
                assert db["k"] == value
            assert "large values are read by one request each" in caplog.text


class TestARedirect:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_to_https_is_one_error_that_names_both_addresses(
        self, status: int, s3: S3Rig, engine: str
    ) -> None:
        there = {"Location": "https://127.0.0.1:1/somewhere"}
        s3.proxy.inject(Answer(status, headers=there, body=b"<html/>"), times=FOR_EVER)
        with s3.proxy.counting() as seen, pytest.raises(cshelve.StorageError) as caught:
            cshelve.open_from_dict(s3.config(engine=engine))
        assert type(caught.value) is cshelve.StorageError
        assert "https://127.0.0.1:1" in str(caught.value)
        assert s3.proxy.endpoint_url in str(caught.value)
        assert seen.total <= 2

    def test_shows_no_secret_of_where_it_leads(self, s3: S3Rig, engine: str) -> None:
        there = {"Location": "https://id:hush-hush@127.0.0.1:1/hush-hush?token=hush-hush"}
        s3.proxy.inject(Answer(308, headers=there, body=b"<html/>"), times=FOR_EVER)
        with pytest.raises(cshelve.StorageError, match=r"https://127\.0\.0\.1:1;") as caught:
            cshelve.open_from_dict(s3.config(engine=engine))
        assert "hush-hush" not in str(caught.value)


class TestPopitem:
    def test_passes_over_what_is_no_record(
        self, s3: S3Rig, db: cshelve.CloudShelf, caplog: pytest.LogCaptureFixture
    ) -> None:
        odd = object_of(db, "a folder of a console")
        s3.client.put_object(Bucket=s3.bucket, Key=odd, Body=b"")
        db["good"] = 1
        db["more"] = 2
        assert dict([db.popitem(), db.popitem()]) == {"good": 1, "more": 2}
        assert "a folder of a console" in caplog.text
        with pytest.raises(cshelve.RecordError, match="a folder of a console"):
            db.popitem()
