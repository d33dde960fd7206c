"""`AwsS3(…)` without a configuration: it sends what the same options in a configuration send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

import cshelve
from cshelve.providers import AwsS3, Sections
from tests.rigs import S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]

# What differs from one request to the next, and what names the object.
OF_ONE_REQUEST = frozenset(
    {"authorization", "x-amz-date", "amz-sdk-invocation-id", "host", "user-agent"}
)

each_engine = pytest.mark.parametrize("engine", ["direct", "boto3"])


@each_engine
def test_sends_what_a_configuration_sends(s3: S3Rig, engine: str) -> None:
    config = s3.config(engine=engine, concurrency=3, multipart_chunk_bytes=6 * 2**20)
    config["put_params"] = {"StorageClass": "STANDARD", "Metadata": {"made-by": "$me"}}
    written = dict(config["default"])
    del written["provider"]
    bucket = written.pop("bucket_name")
    in_config = {
        **config,
        "put_params": {"StorageClass": "STANDARD", "Metadata": {"made-by": "$me"}},
    }
    made = AwsS3(
        bucket,
        **written,
        endpoint_url=config["provider_params"]["endpoint_url"],
        put_params=config["put_params"],
    )
    sections = Sections("a test", in_config, from_file=False, flag="c")
    sections.declare(AwsS3.options)
    configured = AwsS3.from_config(sections)
    sent = [sent_by(s3, provider) for provider in (made, configured)]
    assert sent[0] == sent[1]
    assert made.engine == configured.engine == engine
    assert made.location == configured.location
    assert made.concurrency == configured.concurrency == 3
    made.close()
    configured.close()


def sent_by(s3: S3Rig, provider: AwsS3) -> list[Any]:
    """Use a provider, and return what it sends, but for what differs each time."""
    with s3.proxy.counting() as seen:
        assert provider.exists()
        provider.put("k", b"value")
        assert provider.get("k").data == b"value"
        assert list(provider.names()) == ["k"]
        provider.delete("k")
    return [
        (
            request.method,
            request.path,
            request.query,
            {n.lower(): v for n, v in request.headers.items() if n.lower() not in OF_ONE_REQUEST},
            request.body,
        )
        for request in seen.requests
    ]


def test_is_opened_as_a_shelf(s3: S3Rig) -> None:
    config = s3.config()
    options = {name: value for name, value in config["default"].items() if name != "provider"}
    with cshelve.open_provider(AwsS3(**options, **config["provider_params"])) as db:
        db["k"] = "value"
    with cshelve.open_from_dict(config) as db:
        assert db["k"] == "value"


def test_has_credentials_of_a_session(s3: S3Rig) -> None:
    import boto3

    config = s3.config()
    default = config["default"]
    session = boto3.Session(default["key_id"], default["key_secret"], region_name="us-east-1")
    provider = AwsS3(
        default["bucket_name"],
        key_prefix=default["key_prefix"],
        session=session,
        **config["provider_params"],
    )
    provider.put("k", b"value")
    assert provider.get("k").data == b"value"
    assert not provider.can_be_reopened
    provider.close()


def test_looks_nothing_up_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFIX", "other")
    assert AwsS3("bucket", key_prefix="$PREFIX").location == "s3://bucket/$PREFIX"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AwsS3(""), "AwsS3, .default. bucket_name: must not be empty"),
        (lambda: AwsS3("bucket", auth_type="access_key"), "key_id: this option is required"),
        (
            lambda: AwsS3("bucket", key_id="a", key_secret="b"),
            "does not go with auth_type = default",
        ),
        (
            lambda: AwsS3("bucket", concurency=3),
            "concurency: there is no such option .*concurrency",
        ),
        (lambda: AwsS3("bucket", engine="curl"), "engine: .*write one of auto, boto3, direct"),
        (
            lambda: AwsS3("bucket", provider_params={"region": "x"}),
            "no such parameter .*region_name",
        ),
        (lambda: AwsS3("bucket", endpoint_url="host"), "begins with http"),
        (lambda: AwsS3("bucket", session=cast("Any", "dev")), "boto3_session: is an object"),
    ],
)
def test_mistakes_are_errors(make: Callable[[], AwsS3], message: str) -> None:
    with pytest.raises(cshelve.ConfigurationError, match=message):
        make()
