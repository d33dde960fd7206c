"""A page of a listing is read as botocore would read it, whatever is on it."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from hypothesis import given, settings
from hypothesis import strategies as st

import cshelve
from cshelve.providers.aws_s3.direct.connections import NotSentError
from cshelve.providers.aws_s3.direct.engine import Engine
from cshelve.providers.aws_s3.listing import Page, page_from_boto3, plain_page
from testbed.faults import Answer, Delay, EditResponse
from testbed.http_messages import Response
from tests.forks import forks, in_child
from tests.rigs import ENGINE, SENT_IF_REFUSED, Place, S3Rig, provider_of, small_pages, wait_until

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.s3

DATE = "2026-11-24T06:50:01.123Z"
ODD_KEYS = (
    *("a b", "a+b", "a%2Bb", "%", "%zz", "per%cent", "&amp;", "<a>&'\"", "line\n", "\r\n", "\x01"),
    *("\x7f", "\x85", "\u2028", "\ufeff", "\ufffe", "é", "e\u0301", "鍵", "\U0001f511", " ", "~"),
    *("a/b", "a//b", "/lead", "trail/", ".", "..", "x\\y", "nul\0", "s" * 900),
)


class Answering:
    """A boto3 client that gets the same body for every request, and sends none."""

    def __init__(self) -> None:
        self.client: S3Client = boto3.session.Session().client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="id",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.body = b""
        events: Any = self.client.meta.events  # Of which the stubs say that none returns anything.
        events.register("before-send.s3", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 200, {}, Raw(self.body))  # type: ignore[arg-type]

    def reads(self, body: bytes) -> object:
        """Return what boto3 reads on a page; None if it refuses the page."""
        self.body = body
        try:
            answer = self.client.list_objects_v2(Bucket="bucket")
            return said_by(page_from_boto3(answer))
        except (ClientError, BotoCoreError, ResponseParserError):
            return None
        except (ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError):
            return None  # botocore's own, of what no server should say.
        except RuntimeWarning:
            return None  # dateutil's, of a time zone that there is not.


def said_by(page: Page | None) -> object:
    """Return all that a page says; None if it is not read."""
    objects = None if page is None else page.objects()
    if page is None or objects is None:
        return None
    return page.is_truncated, page.token, list(objects.rows())


def is_read_alike(body: bytes, boto3: Answering) -> bool:
    """Return whether boto3 reads the same on a page that we read ourselves; it reads all others."""
    try:
        ours = said_by(plain_page(body))
    except ValueError:
        ours = None  # A date that there is not, which is told when the dates are wanted.
    return ours is None or ours == boto3.reads(body)


class Raw(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.getvalue()


@pytest.fixture(scope="module")
def plain(quick_clients: None) -> Iterator[Answering]:
    with closing((made := Answering()).client):
        yield made


def page(*objects: str, before: str = "", after: str = "", encoding: str | None = "url") -> bytes:
    """Write a page as servers do."""
    encoded = "" if encoding is None else f"<EncodingType>{encoding}</EncodingType>"
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
        f"<Prefix></Prefix><KeyCount>{len(objects)}</KeyCount>{encoded}{before}"
        f"<IsTruncated>false</IsTruncated>{''.join(objects)}{after}</ListBucketResult>"
    )
    return text.encode()


def an_object(key: str = "key", size: str = "1", date: str = DATE, more: str = "") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{date}</LastModified>"
        f"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{size}</Size>{more}"
        "</Contents>"
    )


OWNER = "<Owner><ID>admin</ID><DisplayName>The admin</DisplayName></Owner>"
PAGES_AS_SERVERS_WRITE_THEM = {
    "AWS": page(an_object(more="<StorageClass>STANDARD</StorageClass>")),
    "an owner": page(an_object(more=f"{OWNER}<StorageClass>STANDARD</StorageClass>")),
    "checksums": page(
        an_object(more="<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>A</ChecksumType>")
    ),
    "a date without fractions": page(an_object(date="2026-11-24T06:50:01Z")),
    "a token behind": page(
        an_object(), after="<NextContinuationToken>t/=</NextContinuationToken><MaxKeys>1</MaxKeys>"
    ),
    "a prefix before": page(an_object(), before="<StartAfter>a%20b</StartAfter><Delimiter/>"),
    "odd keys": page(*(an_object(quote(key)) for key in ODD_KEYS)),
    "odd keys with plus": page(*(an_object(quote_plus(key)) for key in ODD_KEYS)),
}
ODD_PAGES = {
    "no objects": page(),
    "no encoding": page(an_object("a%2Bb+c"), encoding=None),
    "another encoding": page(an_object("a%2Bb+c"), encoding="base64"),
    "two encodings": page(an_object("a%2Bb"), before="<EncodingType>url</EncodingType>"),
    "escapes in a key": page(an_object("a&amp;b&#x41;")),
    "unicode in a key": page(an_object("ключ")),
    "CDATA": page(an_object("<![CDATA[a<b]]>")),
    "a comment": page(an_object(), "<!-- more -->", an_object("b")),
    "a comment in a key": page(an_object("a<!-- -->b")),
    "spaces between": page(an_object(), "\n  ", an_object("b")),
    "spaces in a size": page(an_object(size=" 1 ")),
    "a negative size": page(an_object(size="-1")),
    "no number": page(an_object(size="many")),
    "an empty size": page(an_object(size="")),
    "an empty key": page(an_object("")),
    "an empty date": page(an_object(date="")),
    "a date of seconds": page(an_object(date="1764000000")),
    "a date with a zone": page(an_object(date="2026-11-24T06:50:01+02:00")),
    "a date in words": page(an_object(date="Tue, 24 Nov 2026 06:50:01 GMT")),
    "no such day": page(an_object(date="2026-02-30T06:50:01.000Z")),
    "a point and no fraction": page(an_object(date="2026-11-24T06:50:01.Z")),
    "nanoseconds": page(an_object(date="2026-11-24T06:50:01.123456789Z")),
    "half a second": page(an_object(date="2026-11-24T06:50:01.5Z")),
    "digits elsewhere": page(an_object(date="20261-1-24T06:50:01.000Z")),
    "the 25th hour": page(an_object(date="2026-11-24T25:00:00.000Z")),
    "two keys in one": page(an_object(more="<Key>other</Key>")),
    "no size": page(re.sub("<Size>1</Size>", "", an_object())),
    "something new": page(an_object(more="<New><Key>no</Key></New>")),
    "objects in two places": page(an_object(), before=an_object("a")),
    "common prefixes": page(
        an_object(), after="<CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes>"
    ),
    "an entity that nobody defined": page(an_object().replace("&quot;", "&bogus;")),
    "a control character": page(an_object().replace("d41d", "\x01")),
    "an end of CDATA": page(an_object().replace("d41d", "]]>")),
    "a doctype": page(an_object()).replace(b"\n<", b'\n<!DOCTYPE x [<!ENTITY quot "?">]><', 1),
    "an attribute": page(an_object().replace("<Size>", '<Size a="b">')),
    "another namespace": page(an_object().replace("<Key>", '<Key xmlns="other">')),
    "cut": page(an_object(), an_object())[:-60],
    "cut behind an object": page(an_object()).removesuffix(b"</ListBucketResult>"),
    "something behind": page(an_object()) + b"<more/>",
    "an error": b"<Error><Code>InternalError</Code><Message>m</Message></Error>",
    "nothing": b"",
    "a page of a web server": b"<!DOCTYPE html><html><body>Hello</body></html>",
    "another root": page(an_object()).replace(b"ListBucketResult", b"ListBucket"),
    "an unknown prefix of a namespace": page(an_object()).replace(b"xmlns=", b"x:y="),
}


@pytest.mark.once
@pytest.mark.parametrize("name", PAGES_AS_SERVERS_WRITE_THEM)
def test_what_servers_write_is_read_and_means_the_same(name: str, plain: Answering) -> None:
    body = PAGES_AS_SERVERS_WRITE_THEM[name]
    assert said_by(plain_page(body)) is not None
    assert said_by(plain_page(body)) == plain.reads(body)


@pytest.mark.once
@pytest.mark.parametrize("name", ODD_PAGES)
def test_an_odd_page_is_left_to_boto3_or_means_the_same(name: str, plain: Answering) -> None:
    assert is_read_alike(ODD_PAGES[name], plain)


keys = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])).map(quote),
    st.text(st.characters(exclude_categories=["Cs"])).map(quote_plus),
    st.text("az09%+/&<>'\" \t", max_size=8).map(escape),
    st.sampled_from(ODD_KEYS).map(quote),
)
sizes = st.one_of(st.integers(0, 1 << 50).map(str), st.text("0123456789-+_. ", max_size=5))
dates = st.one_of(
    st.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"),
    st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
    st.text("0123456789-:TZ.+", max_size=25),
)
MOSTLY_THERE = [
    *("<ETag>&quot;d41d-2&quot;</ETag>", "<StorageClass>STANDARD</StorageClass>", OWNER),
    *("<ETag/>", "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>", "<Owner></Owner>"),
]
SELDOM_THERE = ["<Key>x</Key>", "<!-- -->", " ", "text", "<Restore><A>1</A></Restore>", "<New/>"]


@st.composite
def objects(draw: Callable[..., Any], extras: list[str]) -> str:
    parts = [
        f"<Key>{draw(keys)}</Key>",
        f"<Size>{draw(sizes)}</Size>",
        f"<LastModified>{draw(dates)}</LastModified>",
        *draw(st.lists(st.sampled_from(extras), max_size=3, unique=True)),
    ]
    return f"<Contents>{''.join(draw(st.permutations(parts)))}</Contents>"


around = st.lists(
    st.sampled_from(
        [
            *("<MaxKeys>1000</MaxKeys>", "<Delimiter/>", "<StartAfter>a%2Fb</StartAfter>", "\n"),
            *("<NextContinuationToken>t&amp;</NextContinuationToken>", "<!-- -->"),
            "<CommonPrefixes><Prefix>p</Prefix></CommonPrefixes>",
        ]
    ),
    max_size=2,
).map("".join)
pages = st.builds(
    lambda rows, before, after, encoding: page(
        *rows, before=before, after=after, encoding=encoding
    ),
    st.lists(st.one_of(objects(MOSTLY_THERE), objects(MOSTLY_THERE + SELDOM_THERE)), max_size=4),
    around,
    around,
    st.sampled_from(["url", "url", "url", None]),
)


@pytest.mark.once
@settings(max_examples=150)
@given(pages)
def test_any_page_means_the_same(plain: Answering, body: bytes) -> None:
    assert is_read_alike(body, plain)


@pytest.mark.once
@settings(max_examples=100)
@given(pages, st.data())
def test_a_damaged_page_means_the_same(plain: Answering, body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 40)))
    damaged = body[:start] + data.draw(st.binary(max_size=2)) + body[end:]
    assert is_read_alike(damaged, plain)


@pytest.mark.once
def test_a_control_character_is_no_xml() -> None:
    body = page()
    assert plain_page(body) is not None
    assert plain_page(body.replace(b"http://s3", b"\0http://s3", 1)) is None


def test_a_page_of_seaweedfs_is_taken_and_is_what_boto3_lists(s3: S3Rig, s3_place: Place) -> None:
    db = s3_place.open()
    # Of the others this server makes other keys, or refuses them.
    unfaithful = {"a//b", "/lead", "trail/", ".", "..", "x\\y", "nul\0", "s" * 900}
    db.update(dict.fromkeys(set(ODD_KEYS).difference(unfaithful), 1))
    bodies: list[bytes] = []

    def keep(answer: Response) -> Response:
        bodies.append(answer.body)
        return answer

    s3.proxy.inject(EditResponse(keep), operation="ListObjectsV2")
    prefix = s3_place.config["default"]["key_prefix"] + "/"
    listed = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix)["Contents"]
    entries = list(provider_of(db).entries())
    assert [(prefix + e.name, e.size_bytes, e.modified, e.version) for e in entries] == [
        (each["Key"], each["Size"], each["LastModified"], each["ETag"]) for each in listed
    ]
    assert {entry.name for entry in entries} == set(ODD_KEYS).difference(unfaithful)
    assert said_by(plain_page(bodies[0])) is not None


def test_a_listing_without_sizes_has_keys_but_no_entries(s3: S3Rig, s3_place: Place) -> None:
    db = s3_place.open()
    db["k"] = 1

    def without_sizes(answer: Response) -> Response:
        return replace(answer, body=re.sub(b"<Size>[0-9]+</Size>", b"", answer.body))

    s3.proxy.inject(EditResponse(without_sizes), operation="ListObjectsV2", times=None)
    assert list(iter(db.keys())) == ["k"]
    with pytest.raises(cshelve.StorageError, match="has no size"):
        list(provider_of(db).entries())


def test_a_page_that_was_damaged_on_its_way_is_asked_for_again(s3: S3Rig, s3_place: Place) -> None:
    db = s3_place.open()
    db.update(a=1, b=2)
    s3.proxy.inject(instead_of_keys(b"<K<>"), operation="ListObjectsV2")
    with s3.proxy.counting() as seen:
        assert sorted(iter(db)) == ["a", "b"]
    assert seen.operations == ["ListObjectsV2"] * 2


def test_a_page_that_only_botocore_can_read_is_asked_of_it(s3: S3Rig, s3_place: Place) -> None:
    db = s3_place.open()
    db.update(a=1, b=2)
    s3.proxy.inject(instead_of_keys(b" <Key>"), operation="ListObjectsV2", times=None)
    with s3.proxy.counting() as seen:
        assert sorted(iter(db)) == ["a", "b"]
    assert seen.operations == ["ListObjectsV2"] * SENT_IF_REFUSED


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        (b"<Size>[0-9]+</Size>", b"<Size>x</Size>"),
        (b"<Size>[0-9]+</Size>", b"<Size></Size>"),
        (b"<Key>[^<]+</Key>", b""),
    ],
)
def test_a_page_that_nobody_can_read_is_an_error(
    s3: S3Rig, s3_place: Place, text: bytes, odd: bytes
) -> None:
    db = s3_place.open()
    db["k"] = 1
    damage = EditResponse(lambda answer: replace(answer, body=re.sub(text, odd, answer.body)))
    s3.proxy.inject(damage, operation="ListObjectsV2", times=None)
    with pytest.raises(cshelve.StorageError, match="the server's response cannot be read"):
        list(iter(db))


def test_nor_one_that_is_odd_all_over(s3: S3Rig, s3_place: Place) -> None:
    db = s3_place.open()
    db["k"] = 1

    def damage(answer: Response) -> Response:
        body = re.sub(b"<MaxKeys>[0-9]+<", b"<MaxKeys>x<", answer.body)
        return replace(answer, body=body.replace(b"<Contents>", b" <Contents>"))

    s3.proxy.inject(EditResponse(damage), operation="ListObjectsV2", times=None)
    with pytest.raises(cshelve.StorageError, match="the server's response cannot be read"):
        list(iter(db))


def instead_of_keys(text: bytes) -> EditResponse:
    return EditResponse(lambda answer: replace(answer, body=answer.body.replace(b"<Key>", text)))


@pytest.fixture(scope="module")
def three_pages(s3_rig: S3Rig) -> dict[str, dict[str, Any]]:
    config = s3_rig.config()
    # By the engine that is fast, and round the proxy, which is not.
    quick = {
        "default": {**config["default"], "engine": "direct"},
        "provider_params": {"endpoint_url": s3_rig.server.endpoint_url},
    }
    with cshelve.open_from_dict(quick) as db:
        db.set_many((f"k{number:03}", number) for number in range(250))
    return config


class TestPagesAhead:
    """The direct engine's: it sends a request and reads another one's answer meanwhile."""

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        small_pages(monkeypatch, 100)

    @pytest.fixture
    def db(self, s3: S3Rig, three_pages: dict[str, dict[str, Any]]) -> Iterator[cshelve.CloudShelf]:
        with cshelve.open_from_dict(three_pages) as db:
            yield db

    def test_cost_no_request_more(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as seen:
            assert len(db) == 250
        assert seen.operations == ["ListObjectsV2"] * 3

    @pytest.mark.skipif(ENGINE == "boto3", reason="boto3 waits for what it has sent")
    def test_are_asked_for_while_the_second_is_read(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with s3.proxy.counting() as seen:
            keys = iter(db)
            for _ in range(100):
                next(keys)
            assert seen.total == 1
            next(keys)
            wait_until(lambda: seen.total == 3)
            assert len(list(keys)) == 149

    def test_fail_where_they_are_wanted(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        keys = iter(db)
        for _ in range(100):
            next(keys)
        s3.proxy.inject(Answer(403, "AccessDenied"), operation="ListObjectsV2", after=1, times=None)
        for _ in range(100):
            next(keys)
        with pytest.raises(cshelve.AuthError):
            next(keys)

    def test_are_let_go_when_the_reader_leaves(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        for number, _ in enumerate(db):
            if number == 150:
                break
        assert not any(thread.name.startswith("cshelve_") for thread in threading.enumerate())
        assert len(db) == 250

    @pytest.mark.skipif(ENGINE == "boto3", reason="boto3 waits for what it has sent")
    def test_are_not_waited_for_then(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        slow = s3.proxy.inject(Delay(2.0), operation="ListObjectsV2", after=2)
        began = time.monotonic()
        for number, _ in enumerate(db):
            if number == 150:
                break
        wait_until(lambda: slow.hits == 1)
        assert time.monotonic() - began < 1.5

    @pytest.mark.skipif(ENGINE == "boto3", reason="boto3 waits for what it has sent")
    def test_are_left_to_boto3_if_they_cannot_be_sent(
        self, db: cshelve.CloudShelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise NotSentError("no connection")

        monkeypatch.setattr(Engine, "post", refuse)
        assert len(set(db)) == 250

    @forks
    def test_are_asked_for_anew_in_a_child(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        sent = 2 if ENGINE == "boto3" else 3  # The third is the one that is asked for ahead.
        keys = iter(db)
        with s3.proxy.counting() as seen:
            for _ in range(150):
                next(keys)
            wait_until(lambda: seen.total == sent)
            assert in_child(lambda: len(list(keys))) == 100
            assert seen.total == sent + 1
            assert len(list(keys)) == 100
            assert seen.total == (sent + 2 if ENGINE == "boto3" else sent + 1)

    def test_are_not_where_one_request_may_fly(
        self, s3: S3Rig, three_pages: dict[str, dict[str, Any]]
    ) -> None:
        config = {**three_pages, "default": {**three_pages["default"], "concurrency": 1}}
        with cshelve.open_from_dict(config) as db, s3.proxy.counting() as seen:
            keys = iter(db)
            for _ in range(101):
                next(keys)
            time.sleep(0.1)
            assert seen.operations == ["ListObjectsV2"] * 2
            assert len(list(keys)) == 149
