"""The direct engine makes the requests that boto3 makes, under every configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from cshelve.exceptions import ConfigurationError
from cshelve.providers.aws_s3.direct.engine import Engine
from cshelve.providers.aws_s3.direct.templates import CRC32, OPERATIONS
from cshelve.providers.aws_s3.plain import PlainSource, plain_source
from tests.providers.aws_s3.direct.messages import head_of
from tests.providers.aws_s3.direct.parity.comparison import (
    Boto3,
    compare,
    compare_endpoints,
    sources_of,
    unreported,
)
from tests.providers.aws_s3.direct.parity.configurations import CASES, LOCAL, Case, at, boto3s
from tests.providers.aws_s3.direct.parity.wanted import NASTY_KEYS, ODD_KEY, OF_BUCKETS, OF_KEYS

pytestmark = [pytest.mark.s3, pytest.mark.once, pytest.mark.usefixtures("quick_clients")]

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
# The first request of each operation, and a conditional write: a configuration that changes one
# request of an operation changes all of them, unless it adds parameters.
OF_EACH_OPERATION = [
    *{wanted.operation: wanted for wanted in reversed(OF_KEYS)}.values(),
    next(wanted for wanted in OF_KEYS if wanted.parameters.keys() >= {"IfMatch", "Metadata"}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_sends_what_boto3_sends(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cshelve.providers.aws_s3.direct.templates import NoTemplateError

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
    sources = sources_of(settings, boto3)
    is_thorough = case in THOROUGH or case.put_params
    for wanted in OF_KEYS if is_thorough else OF_EACH_OPERATION:
        compare(boto3, sources, wanted, ODD_KEY)
    for wanted in (OF_BUCKETS[0], OF_BUCKETS[4], OF_BUCKETS[-2]):
        compare(boto3, sources, wanted, None)
    for source in sources:
        compare_endpoints(boto3, source)


@pytest.mark.parametrize("case", THOROUGH, ids=lambda case: case.name)
def test_no_key_and_no_prefix_is_too_nasty(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = case.prepare(monkeypatch, tmp_path)
    boto3 = Boto3(settings)
    sources = sources_of(settings, boto3)
    for key in NASTY_KEYS:
        for wanted in (OF_KEYS[0], OF_KEYS[5], OF_KEYS[-1]):
            compare(boto3, sources, wanted, key)
    for wanted in OF_BUCKETS:
        compare(boto3, sources, wanted, None)


def test_the_table_has_all_operations() -> None:
    assert {wanted.operation for wanted in OF_KEYS + OF_BUCKETS} == set(OPERATIONS)
    assert {wanted.operation for wanted in OF_EACH_OPERATION + OF_BUCKETS} == set(OPERATIONS)
    assert len(THOROUGH) == 5


def test_a_checksum_of_another_kind_is_refused() -> None:
    """No configuration of today's makes boto3 send this one."""
    from cshelve.providers.aws_s3.captured import _has_crc32
    from cshelve.providers.aws_s3.direct.templates import NoTemplateError

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
        compare(boto3, [boto3.captured], OF_KEYS[0], "k")
        engine = Engine(boto3.captured, unreported, 1)
        headers = head_of(engine.request("GetObject", "k").head).headers
        assert headers["x-amzn-trace-id"] == trace
