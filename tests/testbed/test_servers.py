"""The testbed itself: the proxy passes bytes on unchanged, and each fault does what it says."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip("boto3")

from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
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
    Fault,
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
from testbed.loopback import NotLoopback, refuse_other_hosts
from testbed.moto import Moto
from testbed.ports import free_ports
from testbed.s3_operations import operation_of
from testbed.seaweedfs import IdentitySpec, SeaweedFS, allow

pytestmark = [pytest.mark.s3, pytest.mark.once]

ONCE = Config(retries={"max_attempts": 0}, read_timeout=5, max_pool_connections=32)
HURRIED = Config(retries={"max_attempts": 0}, read_timeout=0.5)

ODD_KEYS = ["with space", "plus+plus", "per%cent", "%2F", "naïve/ключ/鍵", "q?a=b&c", "it's~(ok)*!"]
ODDER_KEYS = [*ODD_KEYS, "a//b", "/lead", "trail/", "..", "x\\y"]

WRITER_OF_B = IdentitySpec(
    "writer-of-b",
    policies=[("write-b", allow({"Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::*/b/*"]}))],
)


@pytest.fixture(scope="module")
def weed() -> Iterator[SeaweedFS]:
    with SeaweedFS(identities=[WRITER_OF_B]) as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


@pytest.fixture(scope="module")
def shared_proxy(weed: SeaweedFS) -> Iterator[FaultProxy]:
    with FaultProxy(weed.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    yield shared_proxy
    shared_proxy.clear()


@pytest.fixture(scope="module")
def s3(weed: SeaweedFS, shared_proxy: FaultProxy):
    """A client that signs for real, through the proxy."""
    client = weed.client(endpoint_url=shared_proxy.endpoint_url, config=ONCE)
    yield client
    client.close()


def code_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def eventually(check: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 5
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def body_of(client, key: str) -> bytes:
    return client.get_object(Bucket="bucket", Key=key)["Body"].read()


@pytest.mark.parametrize("key", ODD_KEYS)
def test_signed_requests_pass_with_odd_keys(s3, proxy: FaultProxy, key: str) -> None:
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


def test_large_bodies_pass_and_only_their_beginning_is_kept(s3, proxy: FaultProxy) -> None:
    value = os.urandom(5 << 20)
    with proxy.counting() as seen:
        s3.put_object(Bucket="bucket", Key="large", Body=value)
        assert body_of(s3, "large") == value
    assert seen.requests[0].body == value[:65536]


def test_batch_deletes_and_metadata_pass(s3, proxy: FaultProxy) -> None:
    s3.put_object(Bucket="bucket", Key="m", Body=b"", Metadata={"who": "me"})
    assert s3.head_object(Bucket="bucket", Key="m")["Metadata"] == {"who": "me"}
    with proxy.counting() as seen:
        s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "m"}]})
        assert code_of(lambda: s3.head_object(Bucket="bucket", Key="m")) == (404, "404")
    assert seen.operations == ["DeleteObjects", "HeadObject"]
    assert b"<Key>m</Key>" in seen.requests[0].body


def test_headers_are_seen_whatever_their_case(s3, proxy: FaultProxy) -> None:
    with proxy.counting() as seen:
        s3.put_object(Bucket="bucket", Key="h", Body=b"v", IfNoneMatch="*")
    headers = seen.requests[0].headers
    assert headers["if-none-match"] == headers["IF-NONE-MATCH"] == "*"
    assert "x-absent" not in headers
    assert code_of(lambda: s3.put_object(Bucket="bucket", Key="h", IfNoneMatch="*"))[0] == 412


def test_one_client_reuses_its_connection_and_two_have_two(
    weed: SeaweedFS, s3, proxy: FaultProxy
) -> None:
    other = weed.client(endpoint_url=proxy.endpoint_url, config=ONCE)
    with proxy.counting() as seen:
        for client in (s3, s3, other):
            client.list_objects_v2(Bucket="bucket", MaxKeys=1)
    first, second, third = (request.connection for request in seen.requests)
    assert first == second != third
    other.close()


def test_many_threads_at_once(s3, proxy: FaultProxy) -> None:
    def round_trip(number: int) -> bool:
        key = f"threads/{number}"
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode() * 100)
        return body_of(s3, key) == key.encode() * 100

    with proxy.counting() as seen, ThreadPoolExecutor(32) as pool:
        assert all(pool.map(round_trip, range(128)))
    assert seen.total == 256
    assert {request.status for request in seen.requests} == {200}


def test_counting_leaves_out_what_comes_before_and_after(s3, proxy: FaultProxy) -> None:
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


def test_answer_comes_without_the_server(s3, proxy: FaultProxy) -> None:
    rule = proxy.inject(Answer(503, "SlowDown", "later", {"Retry-After": "1"}), times=2)
    assert code_of(lambda: s3.put_object(Bucket="bucket", Key="a1", Body=b"")) == (503, "SlowDown")
    assert code_of(lambda: s3.head_object(Bucket="bucket", Key="a1")) == (503, "503")
    assert code_of(lambda: s3.head_object(Bucket="bucket", Key="a1")) == (404, "404")
    assert rule.hits == 2


def test_rules_match_by_operation_key_and_method(s3, proxy: FaultProxy) -> None:
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


def test_the_oldest_rule_with_hits_left_acts(s3, proxy: FaultProxy) -> None:
    proxy.inject(Answer(500, "First"))
    with proxy.inject(Answer(500, "Second"), times=None):
        codes = [code_of(lambda: s3.head_bucket(Bucket="bucket"))[0] for _ in range(3)]
        listed = code_of(lambda: s3.list_objects_v2(Bucket="bucket"))
    assert codes == [500, 500, 500]
    assert listed == (500, "Second")
    s3.head_bucket(Bucket="bucket")


@pytest.mark.parametrize("before", [True, False])
def test_reset_before_or_after_the_server_acts(s3, proxy: FaultProxy, before: bool) -> None:
    key = f"reset-{before}"
    proxy.inject(Reset(before=before))
    with proxy.counting() as seen, pytest.raises((ConnectionClosedError, HTTPClientError)):
        s3.put_object(Bucket="bucket", Key=key, Body=b"v")
    assert [request.status for request in seen.requests] == [None]
    listed = s3.list_objects_v2(Bucket="bucket", Prefix=key)
    assert listed["KeyCount"] == (0 if before else 1)


@pytest.mark.parametrize("forward_first", [False, True])
def test_hang_ends_with_the_clients_patience(
    weed: SeaweedFS, s3, proxy: FaultProxy, forward_first: bool
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


def test_removing_a_rule_lets_go_of_what_hangs(s3, proxy: FaultProxy) -> None:
    rule = proxy.inject(Hang())
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(s3.head_bucket, Bucket="bucket")
        assert eventually(lambda: rule.hits)
        rule.remove()
        assert isinstance(call.exception(5), HTTPClientError | ConnectionClosedError)


def test_a_cut_body_has_its_true_length_in_the_headers(s3, proxy: FaultProxy) -> None:
    s3.put_object(Bucket="bucket", Key="cut", Body=b"0123456789")
    proxy.inject(CutBody(4))
    answer = s3.get_object(Bucket="bucket", Key="cut")
    assert answer["ContentLength"] == 10
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        answer["Body"].read()
    assert body_of(s3, "cut") == b"0123456789"


def test_delay_passes_on_later(s3, proxy: FaultProxy) -> None:
    proxy.inject(Delay(0.2))
    before = time.monotonic()
    s3.head_bucket(Bucket="bucket")
    assert time.monotonic() - before >= 0.2


def test_absent_keys_are_forbidden_as_on_aws(s3, proxy: FaultProxy) -> None:
    proxy.inject(ForbidAbsent(), times=None)
    assert code_of(lambda: body_of(s3, "absent")) == (403, "AccessDenied")
    assert code_of(lambda: s3.head_object(Bucket="bucket", Key="absent")) == (403, "403")
    s3.put_object(Bucket="bucket", Key="present", Body=b"v")
    assert body_of(s3, "present") == b"v"
    absent_bucket = code_of(lambda: s3.get_object(Bucket="no-such-bucket", Key="k"))
    assert absent_bucket == (404, "NoSuchBucket")


def test_an_edited_response_gets_its_length(s3, proxy: FaultProxy) -> None:
    def edit(response: Response) -> Response:
        return replace(response, body=response.body.replace(b"<Name>bucket<", b"<Name>edited<"))

    proxy.inject(EditResponse(edit))
    assert s3.list_objects_v2(Bucket="bucket")["Name"] == "edited"
    assert s3.list_objects_v2(Bucket="bucket")["Name"] == "bucket"


def test_keys_fail_in_a_delete_result_and_are_not_deleted(s3, proxy: FaultProxy) -> None:
    objects = [{"Key": key} for key in ("d&1", "d2")]
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
    assert "Deleted" not in quiet
    assert s3.list_objects_v2(Bucket="bucket", Prefix="d")["KeyCount"] == 2


def test_an_answer_without_length_ends_with_the_connection(s3, proxy: FaultProxy) -> None:
    s3.put_object(Bucket="bucket", Key="endless", Body=b"v" * 1000)
    proxy.inject(WithoutLength(), operation="GetObject")
    answer = s3.get_object(Bucket="bucket", Key="endless")
    assert "content-length" not in answer["ResponseMetadata"]["HTTPHeaders"]
    assert answer["Body"].read() == b"v" * 1000


def test_a_fault_after_the_server_has_acted(s3, proxy: FaultProxy) -> None:
    proxy.inject(AfterActing(Answer(500, "InternalError")))
    failed = code_of(lambda: s3.put_object(Bucket="bucket", Key="acted", Body=b"v"))
    assert failed == (500, "InternalError")
    assert body_of(s3, "acted") == b"v"


def test_somebody_else_acts_before_the_server_does(weed: SeaweedFS, s3, proxy: FaultProxy) -> None:
    direct = weed.client()
    proxy.inject(Meanwhile(lambda: direct.put_object(Bucket="bucket", Key="meanwhile", Body=b"1")))
    refused = code_of(
        lambda: s3.put_object(Bucket="bucket", Key="meanwhile", Body=b"2", IfNoneMatch="*")
    )
    assert refused[0] == 412
    assert body_of(s3, "meanwhile") == b"1"
    direct.close()


def test_a_late_request_reaches_the_server_just_before_the_next(s3, proxy: FaultProxy) -> None:
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


def test_a_fault_for_the_requests_that_have_a_header(s3, proxy: FaultProxy) -> None:
    proxy.inject(WithHeaders(["if-none-match"], Answer(501, "NotImplemented")), times=None)
    s3.put_object(Bucket="bucket", Key="header", Body=b"1")
    refused = code_of(
        lambda: s3.put_object(Bucket="bucket", Key="header", Body=b"2", IfNoneMatch="*")
    )
    assert refused == (501, "NotImplemented")
    assert body_of(s3, "header") == b"1"


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


def test_identities_may_do_what_their_policies_say(weed: SeaweedFS) -> None:
    clients = {name: weed.client(who) for name, who in weed.identities.items()}
    for key in ("team-a/1", "team-b/1"):
        clients["admin"].put_object(Bucket="bucket", Key=key, Body=b"v")

    def status(name: str, operation: str, **arguments: object) -> int:
        try:
            answer = getattr(clients[name], operation)(Bucket="bucket", **arguments)
        except ClientError as error:
            answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"]

    assert status("reader", "get_object", Key="team-a/1") == 200
    assert status("reader", "put_object", Key="team-a/1") == 403
    assert status("lister", "list_objects_v2") == 200
    assert status("lister", "get_object", Key="team-a/1") == 403
    assert status("scoped", "list_objects_v2", Prefix="team-a/") == 200
    assert status("scoped", "list_objects_v2", Prefix="team-b/") == 403
    assert status("scoped", "list_objects_v2") == 403
    assert status("scoped", "get_object", Key="team-a/1") == 200
    assert status("scoped", "get_object", Key="team-b/1") == 403
    assert status("scoped", "put_object", Key="team-b/2") == 403
    assert status("writer-of-b", "put_object", Key="b/1") == 200
    assert status("writer-of-b", "get_object", Key="b/1") == 403
    for client in clients.values():
        client.close()


def test_what_was_acknowledged_survives_a_crash() -> None:
    with SeaweedFS() as server:
        client = server.client(config=ONCE)
        client.create_bucket(Bucket="bucket")
        large = os.urandom(9 << 20)
        for key, body in (("small", b"v"), ("large", large), ("gone", b"v")):
            client.put_object(Bucket="bucket", Key=key, Body=body)
        client.delete_object(Bucket="bucket", Key="gone")
        server.crash()
        with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
            client.head_bucket(Bucket="bucket")
        server.recover()
        assert body_of(client, "small") == b"v"
        assert body_of(client, "large") == large
        assert code_of(lambda: body_of(client, "gone")) == (404, "NoSuchKey")
        client.close()


def test_nothing_is_left_of_a_stopped_server(tmp_path: Path) -> None:
    code = "from testbed.seaweedfs import SeaweedFS; print(SeaweedFS().start().endpoint_url)"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    # It never stops the server: the end of its process does.
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=True
    )
    port = int(ran.stdout.decode().rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert list(tmp_path.iterdir()) == []
    assert list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock")) == []


@pytest.mark.parametrize("host", ["198.51.100.7", "s3.amazonaws.com", "2001:db8::1"])
def test_other_hosts_are_refused(host: str) -> None:
    with refuse_other_hosts(), pytest.raises(NotLoopback, match=host):
        socket.create_connection((host, 80), timeout=0.1)


def test_loopback_is_not_refused() -> None:
    with refuse_other_hosts(), socket.create_server(("127.0.0.1", 0)) as listener:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, listener.getsockname()[1]), timeout=5).close()


def test_the_guard_ends() -> None:
    # In a process of its own, as the whole suite runs under the guard. Connecting a datagram socket
    # sends nothing.
    program = (
        "import socket; from testbed.loopback import refuse_other_hosts\n"
        "with refuse_other_hosts(): pass\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('198.51.100.7', 9))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


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
