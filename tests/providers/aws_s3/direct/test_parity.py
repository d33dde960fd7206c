"""The direct engine sends what boto3 would send: configurations, operations, nasty keys.

boto3 makes each request and is stopped before it sends it. What the engine would send is compared
with that, byte for byte but for the date, the signature's value (which `test_signing` compares),
the user agent and botocore's bookkeeping; and with one difference that is meant: over TLS boto3
frames a body in chunks and puts its checksum behind it, and we put it into a header.
"""

from __future__ import annotations

import base64
import re
import socket
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from cshelve.exceptions import ConfigurationError
from cshelve.providers.aws_s3 import bulk_delete, multipart
from cshelve.providers.aws_s3.bucket import TOKEN, Bucket
from cshelve.providers.aws_s3.direct.engine import Engine, Source
from cshelve.providers.aws_s3.direct.templates import CRC32, OPERATIONS
from cshelve.providers.aws_s3.errors import fits_in_xml
from cshelve.providers.aws_s3.plain import PlainSource, plain_source
from tests.providers.aws_s3.direct.messages import (
    Head,
    head_of,
    settings_of,
    signature_of,
    signed_by_botocore,
)

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.clients import Clients
    from cshelve.providers.aws_s3.options import S3Settings

pytestmark = [pytest.mark.s3, pytest.mark.once]

# Not compared. `accept-encoding` is added by http.client, which boto3 sends by; a test below looks
# at the wire itself.
UNLIKE = frozenset({"authorization", "x-amz-date", "user-agent", "accept-encoding", "expect"})
BOOKKEEPING = frozenset({"amz-sdk-invocation-id", "amz-sdk-request"})
# boto3's framing of a body with its checksum behind it, over TLS.
FRAMING = frozenset({"transfer-encoding", "x-amz-trailer", "x-amz-decoded-content-length"})
FRAMED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

NASTY_KEYS = [
    *("k", " ", "a b", " a", "a ", "a  b", "a+b", "a%b", "a%2Fb", "%", "%25", "%zz", "~", "a~b"),
    *("é", "e\u0301", "日本", "\U0001f600", "a/b", "/", "//", "/a", "a/", "a//b", "//a//"),
    *(".", "..", "a/../b", "./a", "a/.", "a/..", "../../x", "/./", "a\tb", "a\nb", "a\rb", "\x00"),
    *("\x7f", "\x80", "&", "<", ">", '"', "'", "&amp;", "<>&\"'", "\\", "a\\b", ":", "@", "?", "#"),
    *("a?b=c&d", "a#b", "a:b@c", "=", "a=b", ";", ",", "!", "*", "()", "$", "[]", "{}", "|", "^"),
    *("`", "-", "_", "a.b", "s3://x/y", "http://x", "\ufeff", "\ud7ff", "\ufffe", "\U0010ffff"),
    *("x" * 1024, "é" * 512, "?" * 1024, "cshelve-0-mark", "a/cshelve-0-mark"),
]
FEW_KEYS = ["k", "//a b/../é+%2F~", "?&<>\"'#:@\\\x01"]
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


@dataclass
class Case:
    """A configuration, and who is to understand it."""

    name: str
    is_plain: bool
    """Whether our own table has it; else boto3 has to be asked."""
    default: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    put_params: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    config_file: str = ""
    credentials_file: str = ""
    refusal: str = ""
    """What the engine says where only boto3 can send such requests."""
    error: str = ""
    """What boto3 says where it builds no client."""

    def prepare(self, patch: pytest.MonkeyPatch, folder: Path) -> S3Settings:
        """Set the environment, and return the settings."""
        patch.setenv("HOME", str(folder))
        for text, variable in (
            (self.config_file, "AWS_CONFIG_FILE"),
            (self.credentials_file, "AWS_SHARED_CREDENTIALS_FILE"),
        ):
            if text:
                (folder / variable).write_text(text)
                patch.setenv(variable, str(folder / variable))
        for name, value in self.environ.items():
            patch.setenv(name, value)
        return settings_of(self.default, self.params, self.put_params)


def at(url: str, **params: Any) -> dict[str, Any]:
    return {"endpoint_url": url, **params}


def plain(name: str, **of_case: Any) -> Case:
    return Case(name, True, **of_case)


def boto3s(name: str, **of_case: Any) -> Case:
    return Case(name, False, **of_case)


LOCAL = "http://127.0.0.1:8333"
SECURE = "https://127.0.0.1:8333"
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret/+="}
DEFAULT = {"auth_type": "default"}
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
ACCESS_POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint/mine"

ENDPOINTS = [
    plain("http with port", params=at(LOCAL)),
    plain("https with port", params=at(SECURE)),
    plain("http", params=at("http://storage.example.com")),
    plain("https", params=at("https://storage.example.com")),
    plain("http at 80", params=at("http://storage.example.com:80")),
    plain("https at 443", params=at("https://storage.example.com:443")),
    plain("http at 443", params=at("http://storage.example.com:443")),
    plain("https at 80", params=at("https://storage.example.com:80")),
    plain("a slash at the end", params=at("http://storage.example.com:9000/")),
    plain("default port and a slash", params=at("https://storage.example.com:443/")),
    plain("a host without dots", params=at("http://minio:9000")),
    plain("localhost", params=at("http://localhost")),
    plain("IPv6", params=at("http://[::1]:8333")),
    plain("IPv6 without port", params=at("https://[2001:db8::1]")),
    plain(
        "https, when_required",
        params=at(
            SECURE,
            **{
                "config.request_checksum_calculation": "when_required",
                "config.response_checksum_validation": "when_required",
            },
        ),
    ),
    plain(
        "http, when_required",
        params=at(
            LOCAL,
            **{
                "config.request_checksum_calculation": "when_required",
                "config.response_checksum_validation": "when_required",
            },
        ),
    ),
    plain(
        "only requests when_required",
        params=at(
            SECURE,
            **{
                "config.request_checksum_calculation": "when_required",
            },
        ),
    ),
    plain(
        "only answers when_required",
        params=at(
            SECURE,
            **{
                "config.response_checksum_validation": "when_required",
            },
        ),
    ),
    plain(
        "both when_supported",
        params=at(
            LOCAL,
            **{
                "config.request_checksum_calculation": "when_supported",
                "config.response_checksum_validation": "when_supported",
            },
        ),
    ),
    boto3s("a path", params=at("http://storage.example.com:9000/s3")),
    boto3s("a path and a slash", params=at("https://storage.example.com/s3/")),
    boto3s("upper-case host", params=at("http://Storage.Example.COM:9000")),
    boto3s("upper-case scheme", params=at("HTTP://storage.example.com:9000")),
    boto3s("a port with a nought before it", params=at("http://storage.example.com:080")),
    boto3s("one dot at the end", params=at("http://storage.example.com.:9000")),
    boto3s("virtual with endpoint", params=at(LOCAL, **{"config.s3.addressing_style": "virtual"})),
    boto3s(
        "virtual with a name",
        params=at("http://storage.example.com:9000", **{"config.s3.addressing_style": "virtual"}),
    ),
    plain("path with endpoint", params=at(LOCAL, **{"config.s3.addressing_style": "path"})),
    plain("auto with endpoint", params=at(LOCAL, **{"config.s3.addressing_style": "auto"})),
    boto3s("use_ssl with endpoint", params=at(LOCAL, use_ssl=False)),
    boto3s("AWS as endpoint", params=at("https://s3.eu-west-1.amazonaws.com")),
    boto3s("AWS's bucket as endpoint", params=at("https://s3.amazonaws.com")),
    boto3s(
        "AWS's of a VPC", params=at("https://bucket.vpce-1a2b3c.s3.us-east-1.vpce.amazonaws.com")
    ),
    boto3s("AWS with dualstack", params=at("https://s3.dualstack.eu-west-1.amazonaws.com")),
    boto3s("an empty endpoint", params=at(""), error="Invalid endpoint"),
    boto3s("dualstack with endpoint", params=at(LOCAL, **{"config.use_dualstack_endpoint": True})),
]
REGIONS = [
    plain("AWS, no region"),
    plain("AWS, us-east-1", default={"region_name": "us-east-1"}),
    plain("AWS, eu-west-1", default={"region_name": "eu-west-1"}),
    plain("AWS, ap-southeast-2", default={"region_name": "ap-southeast-2"}),
    plain("AWS, mx-central-1", default={"region_name": "mx-central-1"}),
    plain("AWS, a region that there is not", default={"region_name": "eu-nowhere-9"}),
    plain("AWS, region among the parameters", params={"region_name": "eu-central-1"}),
    plain(
        "AWS, two regions",
        default={"region_name": "eu-west-1"},
        params={"region_name": "eu-central-1"},
    ),
    plain("AWS_DEFAULT_REGION", environ={"AWS_DEFAULT_REGION": "eu-north-1"}),
    plain(
        "AWS_DEFAULT_REGION and another",
        default={"region_name": "eu-west-1"},
        environ={"AWS_DEFAULT_REGION": "eu-north-1"},
    ),
    boto3s("an empty region", params={"region_name": ""}, error="Invalid endpoint"),
    plain("AWS_REGION, which is not boto3's", environ={"AWS_REGION": "eu-north-1"}),
    plain("a region with endpoint", default={"region_name": "eu-west-1"}, params=at(LOCAL)),
    boto3s("any region with endpoint", default={"region_name": "garage"}, params=at(LOCAL)),
    boto3s("AWS, us-gov", default={"region_name": "us-gov-west-1"}),
    boto3s("AWS, China", default={"region_name": "cn-north-1"}),
    boto3s("AWS, aws-global", default={"region_name": "aws-global"}),
    boto3s("AWS, FIPS of old", default={"region_name": "fips-us-east-1"}),
    boto3s("AWS, the European cloud", default={"region_name": "eusc-de-east-1"}),
]
BUCKETS = [
    *(
        plain(f"AWS, bucket {name:.20}", default={"bucket_name": name, "region_name": "eu-west-1"})
        for name in ("abc", "a-b", "123", "a--b", "xn--abc", "x" * 63, "1-2-3-4", "a-s3", "x--s3")
    ),
    *(
        boto3s(f"AWS, bucket {name:.20}", default={"bucket_name": name})
        for name in ("a.b.c", "a_b", "Abc", "ab", "a-", "-ab", "x" * 64, "127.0.0.1", "a..b")
    ),
    *(
        plain(f"endpoint, bucket {name:.20}", default={"bucket_name": name}, params=at(LOCAL))
        for name in ("abc", "a.b.c", "a_b", "Abc", "x" * 63, "127.0.0.1", "a..b", "a.-b")
    ),
    *(
        boto3s(f"endpoint, bucket {name:.20}", default={"bucket_name": name}, params=at(LOCAL))
        for name in ("ab", "x" * 64, "-ab", "ab-", ".ab", "_ab")
    ),
    *(
        boto3s(
            f"S3 Express, {end}",
            default={"bucket_name": f"mine--usw2-az1--{end}-s3"},
            refusal="another request first",
        )
        for end in ("x", "xa")
    ),
    boto3s("an alias", default={"bucket_name": "mine-abcdefgh-s3alias"}),
    boto3s("an alias with endpoint", default={"bucket_name": "m-s3alias"}, params=at(LOCAL)),
    boto3s("an alias of Object Lambda", default={"bucket_name": "mine-abcdefgh--ol-s3"}),
    boto3s("a table bucket", default={"bucket_name": "mine--table-s3"}),
    boto3s(
        "an access point",
        default={"bucket_name": ACCESS_POINT, "region_name": "us-west-2"},
    ),
    boto3s(
        "an access point of all regions",
        default={"bucket_name": "arn:aws:s3::123456789012:accesspoint:mine.mrap"},
        # Signed by SigV4a, which botocore itself needs a native package for.
        refusal="signs by|MissingDependency",
    ),
]
ADDRESSING = [
    plain("AWS, auto", params={"config.s3.addressing_style": "auto"}),
    boto3s("AWS, path", params={"config.s3.addressing_style": "path"}),
    boto3s("AWS, virtual", params={"config.s3.addressing_style": "virtual"}),
    boto3s("AWS without TLS", params={"use_ssl": False}),
    boto3s("AWS with use_ssl", params={"use_ssl": True}),
    boto3s("dualstack", params={"config.use_dualstack_endpoint": True}),
    boto3s("dualstack of S3's own", params={"config.s3.use_dualstack_endpoint": True}),
    boto3s("FIPS", params={"config.use_fips_endpoint": True}),
    boto3s("accelerate", params={"config.s3.use_accelerate_endpoint": True}),
    boto3s("us-east-1 by its name", params={"config.s3.us_east_1_regional_endpoint": "regional"}),
    boto3s("payloads signed", params={"config.s3.payload_signing_enabled": True}),
    boto3s(
        "payloads not signed",
        params=at(LOCAL, **{"config.s3.payload_signing_enabled": False}),
        refusal="does not sign",
    ),
    boto3s("SigV2", params=at(LOCAL, **{"config.signature_version": "s3"}), refusal="signs by"),
    boto3s("SigV4 by name", params=at(LOCAL, **{"config.signature_version": "s3v4"})),
]
CREDENTIALS = [
    plain("a session token", default={"session_token": "to/ken+="}),
    plain("a session token over http", default={"session_token": "to/ken+="}, params=at(LOCAL)),
    plain("anonymous", default={"auth_type": "anonymous"}),
    plain("anonymous over http", default={"auth_type": "anonymous"}, params=at(LOCAL)),
    plain("anonymous over https", default={"auth_type": "anonymous"}, params=at(SECURE)),
    plain(
        "anonymous at the usual port",
        default={"auth_type": "anonymous"},
        params=at("https://storage.example.com:443"),
    ),
    plain("anonymous, IPv6", default={"auth_type": "anonymous"}, params=at("http://[::1]:80")),
    boto3s(
        "anonymous at an upper-case host",
        default={"auth_type": "anonymous"},
        params=at("http://Storage.Example.COM"),
    ),
    plain("keys of the environment", default=DEFAULT, environ=KEYS),
    plain(
        "a token of the environment",
        default=DEFAULT,
        params=at(LOCAL),
        environ={**KEYS, "AWS_SESSION_TOKEN": "token"},
    ),
    plain(
        "an empty token of the environment",
        default=DEFAULT,
        params=at(LOCAL),
        environ={**KEYS, "AWS_SESSION_TOKEN": ""},
    ),
    plain("others' keys in the environment", environ={**KEYS, "AWS_SESSION_TOKEN": "token"}),
    plain(
        "keys of $ variables",
        default={"key_id": "$A", "key_secret": "$B"},
        environ={"A": "AKID", "B": "secret"},
    ),
    plain(
        "keys among the parameters",
        default=DEFAULT,
        params=at(LOCAL, aws_access_key_id="AKID", aws_secret_access_key="secret"),
        environ=KEYS,
    ),
    plain(
        "keys and a token among the parameters",
        default=DEFAULT,
        params={
            "aws_access_key_id": "AKID",
            "aws_secret_access_key": "secret",
            "aws_session_token": "token",
        },
    ),
    plain(
        "an empty token among the parameters",
        default=DEFAULT,
        params=at(LOCAL, aws_access_key_id="A", aws_secret_access_key="s", aws_session_token=""),
    ),
    boto3s(
        "keys in both places",
        params=at(LOCAL, aws_access_key_id="AKIDEXAMPLE"),
    ),
    boto3s(
        "AWS_SECURITY_TOKEN",
        default=DEFAULT,
        params=at(LOCAL),
        environ={**KEYS, "AWS_SECURITY_TOKEN": "token"},
    ),
    boto3s(
        "a profile",
        default={"auth_type": "profile", "profile_name": "mine"},
        credentials_file="[mine]\naws_access_key_id=AKID\naws_secret_access_key=secret\n",
    ),
    boto3s(
        "keys in a file",
        default=DEFAULT,
        params=at(LOCAL),
        credentials_file="[default]\naws_access_key_id=AKID\naws_secret_access_key=secret\n",
    ),
    boto3s(
        "a file, and keys in the environment",
        default=DEFAULT,
        params=at(LOCAL),
        environ=KEYS,
        credentials_file="[default]\naws_access_key_id=other\naws_secret_access_key=other\n",
    ),
]
PUT_PARAMS = [
    *(
        boto3s(f"put_params, {name}, {scheme}", params=params, put_params=given, refusal=refusal)
        for scheme, params in (("http", at(LOCAL)), ("https", at(SECURE)))
        for name, given, refusal in (
            ("Metadata", {"Metadata.Author": "Ann B.", "Metadata.x-Y": '1,2; "q"'}, ""),
            ("Metadata with two blanks", {"Metadata.a": "two  blanks"}, "blanks"),
            ("Metadata without anything", {"Metadata.a": ""}, ""),
            ("Metadata with a tab", {"Metadata.a": "a\tb"}, "plain text"),
            ("ContentType", {"ContentType": "text/plain; charset=utf-8"}, ""),
            ("ContentEncoding", {"ContentEncoding": "gzip"}, ""),
            ("ContentEncoding with two", {"ContentEncoding": "gzip, br"}, ""),
            ("CacheControl", {"CacheControl": "no-cache, max-age=0"}, ""),
            ("Expires", {"Expires": "2030-01-01T00:00:00Z"}, ""),
            ("Tagging", {"Tagging": "a=b&c=d%20e+f"}, ""),
            ("StorageClass and ACL", {"StorageClass": "STANDARD_IA", "ACL": "private"}, ""),
            (
                "SSE",
                {
                    "ServerSideEncryption": "aws:kms",
                    "SSEKMSKeyId": "alias/mine",
                    "BucketKeyEnabled": "true",
                },
                "",
            ),
            ("SSE-C", SSE_C, ""),
            ("RequestPayer", {"RequestPayer": "requester"}, ""),
            ("ExpectedBucketOwner", {"ExpectedBucketOwner": "123456789012"}, ""),
            ("CRC-32", {"ChecksumAlgorithm": "CRC32"}, ""),
            ("SHA-256", {"ChecksumAlgorithm": "SHA256"}, "checksum"),
        )
    ),
    boto3s(
        "all of them, when_required",
        params=at(SECURE, **{"config.request_checksum_calculation": "when_required"}),
        put_params={**SSE_C, "RequestPayer": "requester", "Metadata.Author": "Ann"},
    ),
    boto3s(
        "CRC-32, when_required",
        params=at(SECURE, **{"config.request_checksum_calculation": "when_required"}),
        put_params={"ChecksumAlgorithm": "CRC32"},
    ),
    boto3s("AWS, put_params", put_params={"Metadata.Author": "Ann", "ContentType": "a/b"}),
]
ENVIRONMENT = [
    plain("AWS_ENDPOINT_URL", environ={"AWS_ENDPOINT_URL": LOCAL}),
    plain("AWS_ENDPOINT_URL_S3", environ={"AWS_ENDPOINT_URL_S3": SECURE}),
    plain(
        "both",
        environ={"AWS_ENDPOINT_URL": "http://not.example.com", "AWS_ENDPOINT_URL_S3": LOCAL},
    ),
    plain(
        "the first one empty",
        environ={"AWS_ENDPOINT_URL": LOCAL, "AWS_ENDPOINT_URL_S3": ""},
    ),
    plain("both empty", environ={"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": ""}),
    plain(
        "an endpoint given and another in the environment",
        params=at(LOCAL),
        environ={"AWS_ENDPOINT_URL": "http://not.example.com"},
    ),
    boto3s(
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        environ={"AWS_ENDPOINT_URL": LOCAL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    ),
    boto3s("AWS_USE_FIPS_ENDPOINT", environ={"AWS_USE_FIPS_ENDPOINT": "true"}),
    boto3s("AWS_USE_DUALSTACK_ENDPOINT", environ={"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    boto3s(
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        environ={"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"},
    ),
    boto3s(
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        environ={"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"},
    ),
    boto3s("AWS_DEFAULTS_MODE", environ={"AWS_DEFAULTS_MODE": "standard"}),
    boto3s(
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
        default={"region_name": "us-east-1"},
        environ={"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy"},
    ),
    boto3s("AWS_AUTH_SCHEME_PREFERENCE", environ={"AWS_AUTH_SCHEME_PREFERENCE": "sigv4"}),
    boto3s(
        "AWS_PROFILE",
        params=at(LOCAL),
        environ={"AWS_PROFILE": "mine"},
        config_file="[profile mine]\nregion = eu-west-3\n",
    ),
    boto3s("a region in a file", config_file="[default]\nregion = eu-west-3\n"),
    boto3s("an endpoint in a file", config_file=f"[default]\nendpoint_url = {LOCAL}\n"),
    boto3s(
        "an endpoint of a service",
        config_file=f"[default]\nservices = x\n[services x]\ns3 =\n  endpoint_url = {LOCAL}\n",
    ),
    boto3s("path style in a file", config_file="[default]\ns3 =\n  addressing_style = path\n"),
    boto3s("virtual in a file", config_file="[default]\ns3 =\n  addressing_style = virtual\n"),
    boto3s(
        "a file with nothing of ours",
        config_file="[default]\noutput = json\n",
        params=at(LOCAL),
    ),
    *(
        Case(
            f"AWS Lambda, {name}",
            not put_params,
            params=at(SECURE),
            put_params=put_params,
            environ={"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": trace},
        )
        for put_params in ({}, {"ContentType": "a/b"})
        for name, trace in (
            (
                f"a trace, {put_params}",
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=5;Sampled=1",
            ),
            (f"an odd trace, {put_params}", "a b/é\n\"',{}[]&+:;~%"),
            (f"an empty trace, {put_params}", ""),
        )
    ),
    plain("a trace without a function", environ={"_X_AMZN_TRACE_ID": "Root=1-2"}),
    # Empty ones are set by many a CI.
    *(
        Case(f"{name} is empty", is_plain, environ={name: ""}, error=error)
        for name, is_plain, error in (
            ("AWS_PROFILE", False, "profile"),
            ("AWS_DEFAULT_PROFILE", False, "profile"),
            ("AWS_DEFAULT_REGION", False, "Invalid endpoint"),
            ("AWS_DATA_PATH", False, ""),
            ("AWS_CONFIG_FILE", True, ""),
            ("AWS_SHARED_CREDENTIALS_FILE", True, ""),
            ("AWS_USE_FIPS_ENDPOINT", False, ""),
            ("AWS_USE_DUALSTACK_ENDPOINT", False, ""),
            ("AWS_REQUEST_CHECKSUM_CALCULATION", False, "Unsupported"),
            ("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT", False, "us-east-1"),
            ("AWS_DEFAULTS_MODE", False, "defaults mode"),
        )
    ),
    plain(
        "an empty region and another",
        default={"region_name": "eu-west-1"},
        environ={"AWS_DEFAULT_REGION": ""},
    ),
]
TIMES = [
    plain("time-outs", default={"connect_timeout_seconds": 3, "read_timeout_seconds": 4.5}),
    plain("attempts", default={"total_max_attempts": 7}, params=at(LOCAL)),
    plain("concurrency", default={"concurrency": 3}, params=at(LOCAL)),
    plain("a large concurrency", default={"concurrency": 300}, params=at(LOCAL)),
    plain(
        "time-outs of botocore's",
        params=at(LOCAL, **{"config.connect_timeout": 2.5, "config.read_timeout": 7}),
    ),
    plain(
        "a small pool",
        default={"concurrency": 20},
        params=at(LOCAL, **{"config.max_pool_connections": 5}),
    ),
    plain(
        "a large pool",
        default={"concurrency": 20},
        params=at(LOCAL, **{"config.max_pool_connections": 50}),
    ),
    boto3s("retries", params=at(LOCAL, **{"config.retries.max_attempts": 2})),
    boto3s("a mode of retries", params=at(LOCAL, **{"config.retries.mode": "legacy"})),
    plain("AWS_MAX_ATTEMPTS", environ={"AWS_MAX_ATTEMPTS": "9"}),
    plain("AWS_RETRY_MODE", environ={"AWS_RETRY_MODE": "adaptive"}),
]
AUTHORITIES = [
    plain("anybody", params=at(SECURE, verify=False)),
    plain("the usual ones", params=at(SECURE, verify=True)),
    plain("given ones", params=at(SECURE, verify="/ca.pem"), environ={"AWS_CA_BUNDLE": "/no.pem"}),
    plain(
        "the usual ones, whatever the environment says",
        params=at(SECURE, verify=True),
        environ={"AWS_CA_BUNDLE": "/no.pem", "REQUESTS_CA_BUNDLE": "/no.pem"},
    ),
    plain("AWS_CA_BUNDLE", environ={"AWS_CA_BUNDLE": "/a.pem", "REQUESTS_CA_BUNDLE": "/no.pem"}),
    plain("REQUESTS_CA_BUNDLE", environ={"REQUESTS_CA_BUNDLE": "/a.pem"}),
    *(
        boto3s(f"{name} is empty", environ={name: ""}, error="Invalid CA bundle")
        for name in ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
    ),
    boto3s(
        "authorities are empty, without TLS",
        params=at(LOCAL),
        environ={"AWS_CA_BUNDLE": " "},
        error="Invalid CA bundle",
    ),
    boto3s("verify is empty", params=at(SECURE, verify=""), error="Invalid CA bundle"),
    boto3s("authorities in a file", config_file="[default]\nca_bundle = /a.pem\n"),
]
CASES = [
    *(ENDPOINTS + REGIONS + BUCKETS + ADDRESSING + CREDENTIALS),
    *(PUT_PARAMS + ENVIRONMENT + TIMES + AUTHORITIES),
]


class Boto3:
    """boto3's client of a configuration, and our own, that asks it."""

    def __init__(self, settings: S3Settings) -> None:
        from cshelve.providers.aws_s3.captured import Captured
        from cshelve.providers.aws_s3.clients import Clients
        from cshelve.providers.aws_s3.session import checked_parameters

        self.clients: Clients = Clients(settings, lambda _: None)
        self.bucket = Bucket(settings)
        self.bucket.parameters = checked_parameters(settings, self.clients)
        self.captured = Captured(lambda: self.clients, self.bucket)

    def made(self, wanted: Wanted, key: str | None) -> Any:
        """Return the request that boto3 would send."""
        return self.clients.captured(wanted.operation, self.parameters(wanted, key))

    def parameters(self, wanted: Wanted, key: str | None) -> dict[str, Any]:
        """Return what boto3 gets to make a request of, as `Requests` puts it together."""
        given = {**self.bucket.request(wanted.operation), **wanted.parameters}
        given.pop("EncodingType", None)
        if "Metadata" in wanted.parameters:
            of_bucket = self.bucket.request(wanted.operation).get("Metadata", {})
            given["Metadata"] = {**of_bucket, **wanted.parameters["Metadata"]}
        if key is not None:
            given["Key"] = key
        return {**given, **wanted.of_boto3}


def expected(request: Any, body: bytes | None) -> tuple[Head, str, dict[str, str]]:
    """Return what is to be sent for a request of boto3's: its head, host, and what it signs by.

    The headers are those that are to be equal.
    """
    from botocore.auth import _host_from_url

    url = urlsplit(request.url)
    headers = {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    authorization = headers.get("authorization", "")
    # This is what botocore signs, and what http.client sends.
    headers["host"] = _host_from_url(request.url)
    signed = set()
    if authorization:
        signature = signature_of(authorization)
        signed = set(signature.signed) - BOOKKEEPING
    if headers.get("x-amz-trailer"):
        assert url.scheme == "https"
        assert headers["x-amz-trailer"] == CRC32
        assert headers.get("x-amz-content-sha256") in {FRAMED, None}
        assert body is not None
        assert headers["x-amz-decoded-content-length"] == str(len(body))
        headers["content-length"] = str(len(body))
        headers[CRC32] = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
        if authorization:
            signed.add(CRC32)
        else:
            del headers["x-amz-content-sha256"]
        codings = headers.pop("content-encoding").split(",")
        assert "aws-chunked" in codings
        if codings != ["aws-chunked"]:
            headers["content-encoding"] = ",".join(c for c in codings if c != "aws-chunked")
        else:
            signed.discard("content-encoding")
        headers = {name: value for name, value in headers.items() if name not in FRAMING}
        signed -= FRAMING
    elif not authorization:
        # Only where the framing needs it.
        assert "x-amz-content-sha256" not in headers
    target = url.path + (f"?{url.query}" if url.query else "")
    by = {"credential": "", "signed": ""}
    if authorization:
        by = {"credential": signature.credential, "signed": ";".join(sorted(signed))}
    return Head(request.method, target, without_own(headers)), url.scheme, by


def without_own(headers: Mapping[str, str]) -> dict[str, str]:
    return {n: v for n, v in headers.items() if n not in UNLIKE | BOOKKEEPING}


def compare(boto3: Boto3, source: Source, wanted: Wanted, key: str | None) -> None:
    """Compare a request with boto3's."""
    what = f"{wanted.operation} {wanted.parameters} {key!r}"
    made = boto3.made(wanted, key)
    head, scheme, by = expected(made, wanted.body)
    request = Engine(source, lambda _: None, 1).request(
        wanted.operation, key, wanted.parameters, wanted.body
    )
    ours = head_of(request.head)
    assert (ours.method, ours.target) == (head.method, head.target), what
    assert without_own(ours.headers) == head.headers, what
    if wanted.operation in {"DeleteObjects", "CompleteMultipartUpload"}:
        assert made.body == request.body, what
    # As the day may have changed in between, the date is not compared.
    authorization = ours.headers.get("authorization")
    if authorization is None:
        assert by["signed"] == "", what
        assert "x-amz-date" not in ours.headers
        return
    signature = signature_of(authorization)
    assert ";".join(sorted(signature.signed)) == by["signed"], what
    assert without_date(signature.credential) == without_date(by["credential"]), what
    credentials, region = source.credentials, source.templates[wanted.operation].region
    assert credentials is not None
    assert region is not None
    resigned = signed_by_botocore(ours, credentials, region, is_secure=scheme == "https")
    assert resigned.headers == ours.headers, what


def without_date(credential: str) -> list[str]:
    parts = credential.split("/")
    return [*parts[:-4], *parts[-3:]]


def sources(settings: S3Settings, boto3: Boto3) -> Iterator[Source]:
    of_table = plain_source(settings)
    if isinstance(of_table, PlainSource):
        yield of_table
    yield boto3.captured


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_sends_what_boto3_sends(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cshelve.providers.aws_s3.captured import NoTemplateError

    settings = case.prepare(monkeypatch, tmp_path)
    of_table = plain_source(settings)
    assert isinstance(of_table, PlainSource) == case.is_plain, of_table
    if case.error:
        with pytest.raises(ConfigurationError, match=case.error):
            Boto3(settings)
        return
    boto3 = Boto3(settings)
    if case.refusal:
        with pytest.raises(NoTemplateError, match=case.refusal):
            _ = boto3.captured.templates["PutObject"]
        return
    for source in sources(settings, boto3):
        for wanted in OF_KEYS:
            for key in FEW_KEYS:
                compare(boto3, source, wanted, key)
        for wanted in OF_BUCKETS:
            compare(boto3, source, wanted, None)
        compare_endpoints(boto3, source)


def compare_endpoints(boto3: Boto3, source: Source) -> None:
    """Compare where requests go, and whom they trust there."""
    url = urlsplit(boto3.made(Wanted("GetObject"), "k").url)
    endpoint = source.endpoint
    usual = {"http": 80, "https": 443}[url.scheme]
    assert (endpoint.host, endpoint.port) == (url.hostname, url.port or usual)
    assert endpoint.is_secure == (url.scheme == "https")
    authorities = boto3.clients.authorities_path() if endpoint.is_secure else None
    assert endpoint.ca_path == authorities
    assert endpoint.connect_seconds == boto3.clients.config.connect_timeout
    if isinstance(source, PlainSource):
        assert source.client_config == boto3.clients.client_config


# Over TLS and without it, by host and by path, signed and not.
THOROUGH = [
    case
    for case in CASES
    if case.name
    in {
        "http with port",
        "https with port",
        "AWS, eu-west-1",
        "anonymous over http",
        "AWS, path",
    }
]


@pytest.mark.parametrize("case", THOROUGH, ids=lambda case: case.name)
def test_no_key_is_too_nasty(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = case.prepare(monkeypatch, tmp_path)
    boto3 = Boto3(settings)
    for source in sources(settings, boto3):
        for key in NASTY_KEYS:
            for wanted in (OF_KEYS[0], OF_KEYS[5], OF_KEYS[-1]):
                compare(boto3, source, wanted, key)


def test_the_table_has_all_operations() -> None:
    assert {wanted.operation for wanted in OF_KEYS + OF_BUCKETS} == set(OPERATIONS)
    assert len(THOROUGH) == 5


class Listener:
    """Keeps the head of each request, which it answers by an ETag."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                head, end, body = data.partition(b"\r\n\r\n")
                self.seen.append(head + end)
                if b"100-continue" in head:
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                length = re.search(rb"(?i)content-length: *([0-9]+)", head)
                while length is not None and len(body) < int(length[1]):
                    body += connection.recv(65536)
                connection.sendall(
                    b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n'
                    b"Connection: close\r\n\r\n"
                )


def test_the_wire_shows_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What http.client and urllib3 make of botocore's requests, the other tests do not see."""
    listener = Listener()
    try:
        case = plain("", params=at(listener.url))
        settings = case.prepare(monkeypatch, tmp_path)
        source = plain_source(settings)
        assert isinstance(source, PlainSource)
        boto3 = Boto3(settings)
        engine = Engine(source, lambda _: None, 10)
        for key in (*FEW_KEYS, "..", "a/../b", "%zz", "é"):
            for wanted in OF_KEYS:
                given = boto3.parameters(wanted, key)
                with boto3.clients.client() as client:
                    client._make_api_call(wanted.operation, given)
                engine.send(engine.request(wanted.operation, key, wanted.parameters, wanted.body))
                by_boto3, ours = (on_the_wire(head) for head in listener.seen[-2:])
                assert ours == by_boto3, wanted
    finally:
        listener.close()


def on_the_wire(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Read a head, of which the names of headers may be in any case."""
    first, *fields = head.decode("ascii").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [field.split(": ", 1) if ": " in field else [field.rstrip(":"), ""] for field in fields]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs)
    assert headers["accept-encoding"] == "identity"
    return method, target, without_own(headers)


def test_a_checksum_of_another_kind_is_refused() -> None:
    """No configuration of today's makes boto3 send this one."""
    from cshelve.providers.aws_s3.captured import NoTemplateError, _has_crc32

    assert _has_crc32({CRC32: "x"})
    for name in ("content-md5", "x-amz-checksum-crc64nvme"):
        with pytest.raises(NoTemplateError, match="another checksum"):
            _has_crc32({CRC32: "x", name: "y"})


def test_each_call_of_a_function_has_its_own_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = boto3s(
        "",
        params=at(LOCAL),
        put_params={"ContentType": "a/b"},
        environ={"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": "first"},
    )
    boto3 = Boto3(case.prepare(monkeypatch, tmp_path))
    for trace in ("first", "second"):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
        compare(boto3, boto3.captured, OF_KEYS[0], "k")
        engine = Engine(boto3.captured, lambda _: None, 1)
        headers = head_of(engine.request("GetObject", "k").head).headers
        assert headers["x-amzn-trace-id"] == trace
