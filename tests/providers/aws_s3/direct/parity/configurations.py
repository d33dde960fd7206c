"""Every kind of configuration, and whether our own table has it or boto3 has to be asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.providers.aws_s3.direct.messages import settings_of

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.options import S3Settings


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
    boto3s("an empty endpoint", params=at(""), error="endpoint_url: gives no address"),
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
    boto3s("an empty region", params={"region_name": ""}, error="region_name: gives no address"),
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
        for name in ("a.b.c", "a_b", "Abc", "-ab", "x" * 64, "127.0.0.1", "a..b")
    ),
    *(
        plain(f"endpoint, bucket {name:.20}", default={"bucket_name": name}, params=at(LOCAL))
        for name in ("abc", "a.b.c", "a_b", "Abc", "x" * 63, "127.0.0.1", "a..b", "a.-b")
    ),
    *(
        boto3s(f"endpoint, bucket {name:.20}", default={"bucket_name": name}, params=at(LOCAL))
        for name in ("x" * 64, "-ab", "ab-", ".ab", "_ab")
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
            ("AWS_DEFAULT_REGION", False, "AWS_DEFAULT_REGION: gives no address"),
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
