"""Each fault does what it says."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("boto3")

from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from testbed.fault_proxy import FaultProxy
from testbed.faults import (
    AfterActing,
    Answer,
    CutBody,
    Delay,
    EditResponse,
    ForbidAbsent,
    Hang,
    Late,
    Meanwhile,
    Reset,
    WithHeaders,
    WithoutHeaders,
    WithoutLength,
    fail_keys_in_delete_result,
)
from testbed.http_messages import Response
from testbed.moto import Moto
from testbed.seaweedfs import SeaweedFS
from tests.testbed.rig import ONCE, body_of, code_of, eventually

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = [pytest.mark.s3, pytest.mark.once]

HURRIED = Config(retries={"max_attempts": 0}, read_timeout=0.5)


def test_answer_comes_without_the_server(s3: S3Client, proxy: FaultProxy) -> None:
    rule = proxy.inject(Answer(503, "SlowDown", "later", {"Retry-After": "1"}), times=2)
    assert code_of(lambda: s3.put_object(Bucket="bucket", Key="a1", Body=b"")) == (503, "SlowDown")
    assert code_of(lambda: s3.head_object(Bucket="bucket", Key="a1")) == (503, "503")
    assert code_of(lambda: s3.head_object(Bucket="bucket", Key="a1")) == (404, "404")
    assert rule.hits == 2


def test_rules_match_by_operation_key_and_method(s3: S3Client, proxy: FaultProxy) -> None:
    s3.put_object(Bucket="bucket", Key="k1", Body=b"1")
    s3.put_object(Bucket="bucket", Key="k2", Body=b"2")
    by_key = proxy.inject(Answer(403, "AccessDenied"), key="k1", method="GET")
    by_operation = proxy.inject(Answer(404, "NoSuchBucket"), operation="ListObjectsV2", after=1)
    assert body_of(s3, "k2") == b"2"
    s3.head_object(Bucket="bucket", Key="k1")
    assert code_of(lambda: body_of(s3, "k1")) == (403, "AccessDenied")
    s3.list_objects_v2(Bucket="bucket")
    assert code_of(lambda: s3.list_objects_v2(Bucket="bucket")) == (404, "NoSuchBucket")
    assert (by_key.hits, by_operation.hits) == (1, 1)


def test_the_oldest_rule_with_hits_left_acts(s3: S3Client, proxy: FaultProxy) -> None:
    proxy.inject(Answer(500, "First"))
    with proxy.inject(Answer(500, "Second"), times=None):
        codes = [code_of(lambda: s3.head_bucket(Bucket="bucket"))[0] for _ in range(3)]
        listed = code_of(lambda: s3.list_objects_v2(Bucket="bucket"))
    assert codes == [500, 500, 500]
    assert listed == (500, "Second")
    s3.head_bucket(Bucket="bucket")


@pytest.mark.parametrize("before", [True, False])
def test_reset_before_or_after_the_server_acts(
    s3: S3Client, proxy: FaultProxy, before: bool
) -> None:
    key = f"reset-{before}"
    proxy.inject(Reset(before=before))
    with proxy.counting() as seen, pytest.raises((ConnectionClosedError, HTTPClientError)):
        s3.put_object(Bucket="bucket", Key=key, Body=b"v")
    assert [request.status for request in seen.requests] == [None]
    listed = s3.list_objects_v2(Bucket="bucket", Prefix=key)
    assert listed["KeyCount"] == (0 if before else 1)


@pytest.mark.parametrize("forward_first", [False, True])
def test_hang_ends_with_the_clients_patience(
    weed: SeaweedFS, s3: S3Client, proxy: FaultProxy, forward_first: bool
) -> None:
    key = f"hang-{forward_first}"
    hurried = weed.client(endpoint_url=proxy.endpoint_url, config=HURRIED)
    with (
        proxy.inject(Hang(forward_first=forward_first)) as rule,
        pytest.raises(ReadTimeoutError),
    ):
        hurried.put_object(Bucket="bucket", Key=key, Body=b"v")
    assert rule.hits == 1
    listed = s3.list_objects_v2(Bucket="bucket", Prefix=key)
    assert listed["KeyCount"] == (1 if forward_first else 0)
    hurried.close()


def test_removing_a_rule_lets_go_of_what_hangs(s3: S3Client, proxy: FaultProxy) -> None:
    rule = proxy.inject(Hang())
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(s3.head_bucket, Bucket="bucket")
        assert eventually(lambda: rule.hits)
        rule.remove()
        assert isinstance(call.exception(5), HTTPClientError | ConnectionClosedError)


def test_a_cut_body_has_its_true_length_in_the_headers(s3: S3Client, proxy: FaultProxy) -> None:
    s3.put_object(Bucket="bucket", Key="cut", Body=b"0123456789")
    proxy.inject(CutBody(4))
    answer = s3.get_object(Bucket="bucket", Key="cut")
    assert answer["ContentLength"] == 10
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        answer["Body"].read()
    assert body_of(s3, "cut") == b"0123456789"


def test_delay_passes_on_later(s3: S3Client, proxy: FaultProxy) -> None:
    proxy.inject(Delay(0.2))
    before = time.monotonic()
    s3.head_bucket(Bucket="bucket")
    assert time.monotonic() - before >= 0.2


def test_absent_keys_are_forbidden_as_on_aws(s3: S3Client, proxy: FaultProxy) -> None:
    proxy.inject(ForbidAbsent(), times=None)
    assert code_of(lambda: body_of(s3, "absent")) == (403, "AccessDenied")
    assert code_of(lambda: s3.head_object(Bucket="bucket", Key="absent")) == (403, "403")
    s3.put_object(Bucket="bucket", Key="present", Body=b"v")
    assert body_of(s3, "present") == b"v"
    absent_bucket = code_of(lambda: s3.get_object(Bucket="no-such-bucket", Key="k"))
    assert absent_bucket == (404, "NoSuchBucket")


def test_an_edited_response_gets_its_length(s3: S3Client, proxy: FaultProxy) -> None:
    def edit(response: Response) -> Response:
        return replace(response, body=response.body.replace(b"<Name>bucket<", b"<Name>edited<"))

    proxy.inject(EditResponse(edit))
    assert s3.list_objects_v2(Bucket="bucket")["Name"] == "edited"
    assert s3.list_objects_v2(Bucket="bucket")["Name"] == "bucket"


def test_keys_fail_in_a_delete_result_and_are_not_deleted(s3: S3Client, proxy: FaultProxy) -> None:
    objects: list[Any] = [{"Key": key} for key in ("d&1", "d2")]
    for entry in objects:
        s3.put_object(Bucket="bucket", Body=b"", **entry)
    fault = fail_keys_in_delete_result("InternalError", ["d&1"], "try again")
    proxy.inject(fault, operation="DeleteObjects", times=2)
    failed = [{"Key": "d&1", "Code": "InternalError", "Message": "try again"}]
    result = s3.delete_objects(Bucket="bucket", Delete={"Objects": objects})
    assert result["Errors"] == failed
    assert result["Deleted"] == [{"Key": "d2"}]
    quiet = s3.delete_objects(Bucket="bucket", Delete={"Objects": objects, "Quiet": True})
    assert quiet["Errors"] == failed
    assert quiet.get("Deleted") is None
    assert s3.list_objects_v2(Bucket="bucket", Prefix="d")["KeyCount"] == 2


def test_an_answer_without_length_ends_with_the_connection(s3: S3Client, proxy: FaultProxy) -> None:
    s3.put_object(Bucket="bucket", Key="endless", Body=b"v" * 1000)
    proxy.inject(WithoutLength(), operation="GetObject")
    answer = s3.get_object(Bucket="bucket", Key="endless")
    assert "content-length" not in answer["ResponseMetadata"]["HTTPHeaders"]
    assert answer["Body"].read() == b"v" * 1000


def test_a_fault_after_the_server_has_acted(s3: S3Client, proxy: FaultProxy) -> None:
    proxy.inject(AfterActing(Answer(500, "InternalError")))
    failed = code_of(lambda: s3.put_object(Bucket="bucket", Key="acted", Body=b"v"))
    assert failed == (500, "InternalError")
    assert body_of(s3, "acted") == b"v"


def test_somebody_else_acts_before_the_server_does(
    weed: SeaweedFS, s3: S3Client, proxy: FaultProxy
) -> None:
    direct = weed.client()
    proxy.inject(Meanwhile(lambda: direct.put_object(Bucket="bucket", Key="meanwhile", Body=b"1")))
    refused = code_of(
        lambda: s3.put_object(Bucket="bucket", Key="meanwhile", Body=b"2", IfNoneMatch="*")
    )
    assert refused[0] == 412
    assert body_of(s3, "meanwhile") == b"1"
    direct.close()


def test_a_late_request_reaches_the_server_just_before_the_next(
    s3: S3Client, proxy: FaultProxy
) -> None:
    proxy.inject(Late(), operation="PutObject", times=2)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        s3.put_object(Bucket="bucket", Key="late", Body=b"first")
    assert code_of(lambda: body_of(s3, "late"))[0] == 404
    refused = code_of(
        lambda: s3.put_object(Bucket="bucket", Key="late", Body=b"second", IfNoneMatch="*")
    )
    assert refused[0] == 412
    assert body_of(s3, "late") == b"first"


def test_headers_that_are_left_out_do_not_reach_the_server(moto: Moto) -> None:
    with FaultProxy(moto.endpoint_url) as proxy:
        client = moto.client(endpoint_url=proxy.endpoint_url, config=ONCE)
        client.put_object(Bucket="bucket", Key="stripped", Body=b"1")
        proxy.inject(WithoutHeaders(["if-none-match"]))
        metadata = {"kept": "yes"}
        client.put_object(
            Bucket="bucket", Key="stripped", Body=b"2", IfNoneMatch="*", Metadata=metadata
        )
        assert proxy.requests[-1].headers["If-None-Match"] == "*"
        answer = client.get_object(Bucket="bucket", Key="stripped")
        assert (answer["Body"].read(), answer["Metadata"]) == (b"2", metadata)
        client.close()


def test_a_fault_for_the_requests_that_have_a_header(s3: S3Client, proxy: FaultProxy) -> None:
    proxy.inject(WithHeaders(["if-none-match"], Answer(501, "NotImplemented")), times=None)
    s3.put_object(Bucket="bucket", Key="header", Body=b"1")
    refused = code_of(
        lambda: s3.put_object(Bucket="bucket", Key="header", Body=b"2", IfNoneMatch="*")
    )
    assert refused == (501, "NotImplemented")
    assert body_of(s3, "header") == b"1"
