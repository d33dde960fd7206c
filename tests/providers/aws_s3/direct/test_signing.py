"""Signatures equal those of botocore's own signer, at any time and for anything that is signed."""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cshelve.providers.aws_s3.direct import templates as signing
from cshelve.providers.aws_s3.direct.templates import (
    CRC32,
    OPERATIONS,
    Credentials,
    Template,
    authorization,
    timestamp,
)
from tests.providers.aws_s3.direct.messages import Head, head_of, signature_of, signed_by_botocore

pytestmark = [pytest.mark.s3, pytest.mark.once]

# All of Unicode that has bytes; the most interesting of it more often.
KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.text("/.~%+ ?#&=;:@'\"\\é", min_size=1, max_size=20),
)
QUERY_VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
# Without white space at an end or twice, as a signature has it, and as `captured` makes sure.
WORD = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=10)
VALUES = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
NAMES = st.text("abcdefgXYZ0189-_.", min_size=1, max_size=10)
SECRETS = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=60)
CREDENTIALS = st.builds(
    Credentials,
    st.text("ABCXYZ0189", min_size=3, max_size=20),
    SECRETS,
    st.one_of(st.none(), SECRETS),
)
REGIONS = st.sampled_from(["us-east-1", "eu-west-3", "garage", "auto", "x_y"])
HOSTS = st.sampled_from(
    ["s3.example.com", "127.0.0.1:8333", "[::1]:9000", "bucket.s3.eu-west-1.amazonaws.com", "h"]
)
STAMPS = st.datetimes().map(
    # `%Y` has no noughts before it on some systems.
    lambda time: f"{time.year:04}{time:%m%dT%H%M%SZ}"
)
BODIES = st.one_of(st.none(), st.binary(max_size=100))
PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "IfMatch": VALUES,
    "IfNoneMatch": st.just("*"),
    "Range": st.just("bytes=1-2"),
    "Prefix": QUERY_VALUES,
    "StartAfter": QUERY_VALUES,
    "MaxKeys": st.integers(1, 1000),
    "ContinuationToken": QUERY_VALUES,
    "EncodingType": st.just("url"),
    "UploadId": QUERY_VALUES,
    "PartNumber": st.integers(1, 10_000),
    # Names that differ in case alone are one.
    "Metadata": st.lists(
        st.tuples(NAMES, VALUES), max_size=3, unique_by=lambda pair: pair[0].lower()
    ).map(dict),
    "Bucket": st.just("not sent"),
}


@st.composite
def templates(draw: st.DrawFn) -> Template:
    model = OPERATIONS[draw(st.sampled_from(sorted(OPERATIONS)))]
    kept = draw(
        st.dictionaries(NAMES.map(lambda name: f"x-amz-{name.lower()}"), VALUES, max_size=3)
    )
    # Metadata of the parameters is beside it.
    others = [(name, value) for name, value in kept.items() if not name.startswith("x-amz-meta-")]
    return Template(
        model.method,
        draw(st.sampled_from(["/", "/bucket/", "/a.b/"])),
        model.query,
        (("host", draw(HOSTS)), *others),
        draw(REGIONS),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@given(
    templates(),
    KEYS,
    CREDENTIALS,
    st.fixed_dictionaries({}, optional=PARAMETERS),
    BODIES,
    STAMPS,
)
@hypothesis_settings(max_examples=150)
def test_a_request_is_signed_as_botocore_signs_it(
    template: Template,
    key: str,
    credentials: Credentials,
    parameters: Mapping[str, Any],
    body: bytes | None,
    stamp: str,
) -> None:
    head = head_of(template.request(key, credentials, parameters, body, stamp))
    assert head.headers["x-amz-date"] == stamp
    assert template.region is not None
    # What botocore's signer adds to the rest, and what it makes of all.
    assert head == signed_by_botocore(head, credentials, template.region, is_secure=True)
    check_what_is_sent(head, template, key, parameters, body)


def check_what_is_sent(
    head: Head, template: Template, key: str, parameters: Mapping[str, Any], body: bytes | None
) -> None:
    path, _, query = head.target.partition("?")
    assert unquote(path, errors="strict") == template.path + key
    said = [unquote(part.partition("=")[2], errors="strict") for part in query.split("&")]
    of_query = ("Prefix", "StartAfter", "ContinuationToken", "UploadId")
    assert all(parameters[name] in said for name in of_query if name in parameters)
    for name, value in parameters.get("Metadata", {}).items():
        assert head.headers[f"x-amz-meta-{name.lower()}"] == value
    hashed = head.headers["x-amz-content-sha256"]
    if body is None:
        assert hashed == hashlib.sha256(b"").hexdigest()
    elif template.signs_body:
        assert hashed == hashlib.sha256(body).hexdigest()
    else:
        assert hashed == "UNSIGNED-PAYLOAD"
    has_crc32 = template.has_crc32 and body is not None
    assert (CRC32 in head.headers) == has_crc32
    if has_crc32:
        crc32 = int.from_bytes(base64.b64decode(head.headers[CRC32]), "big")
        assert crc32 == zlib.crc32(body or b"")


@given(CREDENTIALS, REGIONS, STAMPS, HOSTS, st.dictionaries(NAMES.map(str.lower), VALUES))
@hypothesis_settings(max_examples=100)
def test_the_function_alone_does(
    credentials: Credentials, region: str, stamp: str, host: str, others: dict[str, str]
) -> None:
    headers = {f"x-{name}": value for name, value in others.items()}
    headers |= {"host": host, "x-amz-date": stamp, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    if credentials.token is not None:
        headers["x-amz-security-token"] = credentials.token
    made = authorization(
        *(credentials, region, stamp, "PUT", "/a%20b", "a=&b=c"),
        sorted(headers.items()),
        "UNSIGNED-PAYLOAD",
    )
    # The query need not be in order where it is sent.
    head = Head("PUT", "/a%20b?b=c&a", headers | {"authorization": made})
    assert signed_by_botocore(head, credentials, region, is_secure=True).headers == head.headers


@pytest.mark.parametrize("credentials", [Credentials("id", "secret"), None])
def test_no_signature_without_a_region_or_credentials(credentials: Credentials | None) -> None:
    template = Template("PUT", "/b/", (), (("host", "h"),), None, True, True)
    for each in (template, template._replace(region="us-east-1")):
        if each.region is not None and credentials is not None:
            continue
        headers = head_of(each.request("k", credentials, None, b"body")).headers
        assert set(headers) == {"host", CRC32, "user-agent", "accept-encoding", "content-length"}


def test_an_empty_token_is_none() -> None:
    template = Template("GET", "/b/", (), (("host", "h"),), "us-east-1", False, True)
    stamp = "20260101T000000Z"
    without = template.request("k", Credentials("id", "secret", None), stamp=stamp)
    assert template.request("k", Credentials("id", "secret", ""), stamp=stamp) == without


def test_a_key_of_one_day_region_or_secret_is_not_that_of_another() -> None:
    """The last one derived is kept; others come in between."""
    stamps = ["20260101T000000Z", "20260101T235959Z", "20260102T000000Z"]
    everything = [
        (Credentials("id", secret), region, stamp)
        for _ in range(2)
        for secret in ("a", "b", "a")
        for region in ("us-east-1", "eu-west-1")
        for stamp in (*stamps, *reversed(stamps))
    ]
    for credentials, region, stamp in everything:
        template = Template("GET", "/", (), (("host", "h"),), region, False, True)
        head = head_of(template.request("k", credentials, stamp=stamp))
        assert head == signed_by_botocore(head, credentials, region, is_secure=False)
        of_scope = signature_of(head.headers["authorization"]).credential
        assert of_scope == f"id/{stamp[:8]}/{region}/s3/aws4_request"


def test_the_time_is_that_of_now_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_767_225_599.2]
    monkeypatch.setattr(signing, "_last_stamp", (0, ""))
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert timestamp() == "20251231T235959Z"
        now[0] += 0.7
        assert timestamp() == "20251231T235959Z"
        now[0] += 0.2
        assert timestamp() == "20260101T000000Z"
        # A clock that is set back is followed.
        now[0] -= 3600
        assert timestamp() == "20251231T230000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_credentials_do_not_show_what_is_secret() -> None:
    shown = repr(Credentials("AKID", "hidden-secret", "hidden-token"))
    assert "AKID" in shown
    assert "hidden" not in shown
