"""The proxy passes bytes on unchanged, and writes down what it saw."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("boto3")

from botocore.exceptions import EndpointConnectionError

from testbed.fault_proxy import FaultProxy
from testbed.faults import Delay, Fault, Hang
from testbed.moto import Moto
from testbed.ports import free_ports
from testbed.s3_operations import operation_of
from testbed.seaweedfs import SeaweedFS
from tests.testbed.rig import ONCE, body_of, code_of, eventually

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = [pytest.mark.s3, pytest.mark.once]

ODD_KEYS = ["with space", "plus+plus", "per%cent", "%2F", "naïve/ключ/鍵", "q?a=b&c", "it's~(ok)*!"]
ODDER_KEYS = [*ODD_KEYS, "a//b", "/lead", "trail/", "..", "x\\y"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_signed_requests_pass_with_odd_keys(s3: S3Client, proxy: FaultProxy, key: str) -> None:
    with proxy.counting() as seen:
        s3.put_object(Bucket="bucket", Key=key, Body=b"value")
        assert body_of(s3, key) == b"value"
        assert s3.head_object(Bucket="bucket", Key=key)["ContentLength"] == 5
        listed = s3.list_objects_v2(Bucket="bucket", Prefix=key)["Contents"]
        s3.delete_object(Bucket="bucket", Key=key)
    assert [entry["Key"] for entry in listed] == [key]
    assert seen.operations == [
        "PutObject",
        "GetObject",
        "HeadObject",
        "ListObjectsV2",
        "DeleteObject",
    ]
    assert {request.key for request in seen.requests} == {key, ""}
    assert [request.status for request in seen.requests] == [200, 200, 200, 200, 204]


def test_paths_reach_the_server_undecoded(moto: Moto) -> None:
    with FaultProxy(moto.endpoint_url) as proxy:
        client = moto.client(endpoint_url=proxy.endpoint_url, config=ONCE)
        for key in ODDER_KEYS:
            client.put_object(Bucket="bucket", Key=key, Body=key.encode())
        assert [request.key for request in proxy.requests] == ODDER_KEYS
        client.close()
    direct = moto.client()
    assert {key: body_of(direct, key) for key in ODDER_KEYS} == {k: k.encode() for k in ODDER_KEYS}
    direct.close()


def test_large_bodies_pass_and_only_their_beginning_is_kept(
    s3: S3Client, proxy: FaultProxy
) -> None:
    value = os.urandom(5 << 20)
    with proxy.counting() as seen:
        s3.put_object(Bucket="bucket", Key="large", Body=value)
        assert body_of(s3, "large") == value
    assert seen.requests[0].body == value[:65536]


def test_batch_deletes_and_metadata_pass(s3: S3Client, proxy: FaultProxy) -> None:
    s3.put_object(Bucket="bucket", Key="m", Body=b"", Metadata={"who": "me"})
    assert s3.head_object(Bucket="bucket", Key="m")["Metadata"] == {"who": "me"}
    with proxy.counting() as seen:
        s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "m"}]})
        assert code_of(lambda: s3.head_object(Bucket="bucket", Key="m")) == (404, "404")
    assert seen.operations == ["DeleteObjects", "HeadObject"]
    assert b"<Key>m</Key>" in seen.requests[0].body


def test_headers_are_seen_whatever_their_case(s3: S3Client, proxy: FaultProxy) -> None:
    with proxy.counting() as seen:
        s3.put_object(Bucket="bucket", Key="h", Body=b"v", IfNoneMatch="*")
    headers = seen.requests[0].headers
    assert headers["if-none-match"] == headers["IF-NONE-MATCH"] == "*"
    assert "x-absent" not in headers
    assert code_of(lambda: s3.put_object(Bucket="bucket", Key="h", IfNoneMatch="*"))[0] == 412


def test_one_client_reuses_its_connection_and_two_have_two(
    weed: SeaweedFS, s3: S3Client, proxy: FaultProxy
) -> None:
    other = weed.client(endpoint_url=proxy.endpoint_url, config=ONCE)
    with proxy.counting() as seen:
        for client in (s3, s3, other):
            client.list_objects_v2(Bucket="bucket", MaxKeys=1)
    first, second, third = (request.connection for request in seen.requests)
    assert first == second != third
    other.close()


def test_many_threads_at_once(s3: S3Client, proxy: FaultProxy) -> None:
    def round_trip(number: int) -> bool:
        key = f"threads/{number}"
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode() * 100)
        return body_of(s3, key) == key.encode() * 100

    with proxy.counting() as seen, ThreadPoolExecutor(32) as pool:
        assert all(pool.map(round_trip, range(128)))
    assert seen.total == 256
    assert {request.status for request in seen.requests} == {200}


def test_counting_leaves_out_what_comes_before_and_after(s3: S3Client, proxy: FaultProxy) -> None:
    s3.head_bucket(Bucket="bucket")
    with proxy.counting() as seen:
        s3.list_objects_v2(Bucket="bucket")
    s3.head_bucket(Bucket="bucket")
    assert seen.operations == ["ListObjectsV2"]


def raw_exchange(proxy: FaultProxy, *parts: bytes) -> bytes:
    """Send the parts, each after the first when something was answered; read to the end."""
    port = int(proxy.endpoint_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        answer = b""
        for part in parts:
            client.sendall(part)
            answer += client.recv(65536)
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(65536):
            answer += data
    return answer


@pytest.fixture
def echo() -> Iterator[tuple[str, list[bytes]]]:
    """A server that keeps the bytes it gets and gives odd, fixed answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 299 Odd  Reason\r\nx-LOWER: a\r\nX-Dup: 1\r\n")
                connection.sendall(b"x-dup: 2\r\nTransfer-Encoding: chunked\r\n\r\n")
                connection.sendall(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_bytes_are_unchanged_both_ways(echo: tuple[str, list[bytes]]) -> None:
    url, received = echo
    request = (
        b"PUT /b/a//%2f+%20?x=%41&y HTTP/1.1\r\nHOST: elsewhere:1\r\nx-B:  two \r\nx-a: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\nTrailer-Field: t\r\n\r\n"
    )
    with FaultProxy(url) as proxy:
        answer = raw_exchange(proxy, request)
        [seen] = proxy.requests
    assert received == [request]
    assert answer == (
        b"HTTP/1.1 299 Odd  Reason\r\nx-LOWER: a\r\nX-Dup: 1\r\nx-dup: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    )
    assert (seen.path, seen.query, seen.key) == ("/b/a//%2f+%20", "x=%41&y", "a///+ ")
    assert seen.body == b"abc"


def test_expect_is_answered_here_and_not_passed_on(echo: tuple[str, list[bytes]]) -> None:
    url, received = echo
    head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with FaultProxy(url) as proxy:
        answer = raw_exchange(proxy, head, b"ab")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 ")
    assert received == [b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"]


def test_a_server_that_cannot_be_reached_is_502() -> None:
    with FaultProxy(f"http://127.0.0.1:{free_ports(1)[0]}") as proxy:
        answer = raw_exchange(proxy, b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"<Code>BadGateway</Code>" in answer


@pytest.mark.parametrize("fault", [Hang(), Delay(60)])
def test_closing_the_proxy_lets_go_of_everything(weed: SeaweedFS, fault: Fault) -> None:
    proxy = FaultProxy(weed.endpoint_url).start()
    client = weed.client(endpoint_url=proxy.endpoint_url, config=ONCE)
    rule = proxy.inject(fault)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.head_bucket, Bucket="bucket")
        assert eventually(lambda: rule.hits)
        proxy.close()
        assert call.exception(5) is not None
    with pytest.raises(EndpointConnectionError):
        client.head_bucket(Bucket="bucket")
    client.close()


@pytest.mark.parametrize(
    ("method", "target", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("HEAD", "/b", {}, "HeadBucket"),
        ("PUT", "/b/", {}, "CreateBucket"),
        ("DELETE", "/b", {}, "DeleteBucket"),
        ("GET", "/b?prefix=list-type", {}, "ListObjects"),
        ("GET", "/b?list-type=2&prefix=", {}, "ListObjectsV2"),
        ("GET", "/b?versions", {}, "ListObjectVersions"),
        ("PUT", "/b?versioning", {}, "PutBucketVersioning"),
        ("POST", "/b?delete", {}, "DeleteObjects"),
        ("GET", "/b/k?versionId=1", {}, "GetObject"),
        ("PUT", "/b//k", {}, "PutObject"),
        ("PUT", "/b/k", {"x-amz-copy-source": "/b/j"}, "CopyObject"),
        ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {}, "UploadPart"),
        ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload"),
        ("GET", "/b/k?tagging", {}, "GetObjectTagging"),
        ("PATCH", "/b/k", {}, "Unknown"),
    ],
)
def test_operations_have_their_s3_names(
    method: str, target: str, headers: dict[str, str], operation: str
) -> None:
    path, _, query = target.partition("?")
    assert operation_of(method, path, query, headers) == operation
