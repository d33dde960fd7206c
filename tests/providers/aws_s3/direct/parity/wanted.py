"""Every request that the provider asks for, with nasty keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cshelve.providers.aws_s3 import bulk_delete, multipart
from cshelve.providers.aws_s3.bucket import TOKEN
from cshelve.providers.aws_s3.errors import fits_in_xml

NASTY_KEYS = [
    *("k", " ", "a b", " a", "a ", "a  b", "a+b", "a%b", "a%2Fb", "%", "%25", "%zz", "~", "a~b"),
    *("é", "e\u0301", "日本", "\U0001f600", "a/b", "/", "//", "/a", "a/", "a//b", "//a//"),
    *(".", "..", "a/../b", "./a", "a/.", "a/..", "../../x", "/./", "a\tb", "a\nb", "a\rb", "\x00"),
    *("\x7f", "\x80", "&", "<", ">", '"', "'", "&amp;", "<>&\"'", "\\", "a\\b", ":", "@", "?", "#"),
    *("a?b=c&d", "a#b", "a:b@c", "=", "a=b", ";", ",", "!", "*", "()", "$", "[]", "{}", "|", "^"),
    *("`", "-", "_", "a.b", "s3://x/y", "http://x", "\ufeff", "\ud7ff", "\ufffe", "\U0010ffff"),
    *("x" * 1024, "é" * 512, "?" * 1024, "cshelve-0-mark", "a/cshelve-0-mark"),
]
ODD_KEY = "//a b/../é+%2F~?&<>\"'#:@\\\x01"
UPLOAD = "a+b/c=d&e f~-._"
BODIES = [b"", b"body", bytes(range(256)) * 20]
PARTS = [{"PartNumber": 1, "ETag": '"a&b"'}, {"PartNumber": 2, "ETag": '"c"', "ChecksumCRC32": "x"}]


class Wanted(NamedTuple):
    """A request, as our code asks for it."""

    operation: str
    parameters: Mapping[str, Any] = {}
    body: bytes | None = None
    of_boto3: Mapping[str, Any] = {}
    """What boto3 gets besides, or instead."""


def put(parameters: Mapping[str, Any], body: bytes = b"body", what: str = "PutObject") -> Wanted:
    return Wanted(what, parameters, body, {"Body": body})


def completion(parameters: Mapping[str, Any]) -> Wanted:
    parts = {"MultipartUpload": {"Parts": PARTS}}
    document = multipart._document(PARTS)
    return Wanted(
        "CompleteMultipartUpload", {"UploadId": UPLOAD, **parts, **parameters}, document, parts
    )


# As `by_boto3`, `conditional`, `multipart` and `ranged_reads` ask for them.
CONDITIONS: list[dict[str, Any]] = [{"IfNoneMatch": "*"}, {"IfMatch": '"3858f62230ac3c915f300c66"'}]
OF_KEYS = [
    Wanted("GetObject"),
    Wanted("GetObject", {"Range": "bytes=0-0"}),
    Wanted("GetObject", {"Range": "bytes=8388608-16777215", "IfMatch": '"a-2"'}),
    Wanted("HeadObject"),
    *(put({}, body) for body in BODIES),
    *(put({**each, "Metadata": {TOKEN: "0123456789abcdef"}}) for each in CONDITIONS),
    put({"Metadata": {TOKEN: "0"}}),
    Wanted("DeleteObject"),
    Wanted("DeleteObject", CONDITIONS[1]),
    Wanted("CreateMultipartUpload"),
    Wanted("CreateMultipartUpload", {"Metadata": {TOKEN: "0123456789abcdef"}}),
    put({"UploadId": UPLOAD, "PartNumber": 1}, what="UploadPart"),
    put({"UploadId": "id", "PartNumber": 10_000}, BODIES[2], "UploadPart"),
    *(completion(each) for each in ({}, *CONDITIONS)),
    Wanted("AbortMultipartUpload", {"UploadId": UPLOAD}),
]
# As `bucket.listing` and `pages` ask for them.
ODD = "a b/ü+&=%?#'~*\"<"
LISTINGS: list[dict[str, Any]] = [
    {},
    {"MaxKeys": 1},
    {"Prefix": "p/", "StartAfter": "p/"},
    {"Prefix": ODD},
    {"Prefix": ODD, "StartAfter": ODD + "/", "MaxKeys": 1000},
    {"Prefix": "p/", "StartAfter": "p/", "ContinuationToken": "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/+="},
    {"ContinuationToken": ODD},
    {"StartAfter": "\x01\n/ "},
]
XML_KEYS = [key for key in NASTY_KEYS if fits_in_xml(key)]
OF_BUCKETS = [
    *(
        # Without the encoding, which boto3 asks for by itself.
        Wanted("ListObjectsV2", {**each, "EncodingType": "url"}, None, each)
        for each in LISTINGS
    ),
    *(
        Wanted(
            "DeleteObjects",
            {},
            bulk_delete._document(keys),
            {"Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": False}},
        )
        for keys in (["k"], XML_KEYS)
    ),
]
