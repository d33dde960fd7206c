"""The Common Runtime beside boto3, seen at the wire: the same requests, answers and errors.

What it does wrong if one lets it (an answer without length is an empty value, a server that hangs
is waited for three minutes, a bad certificate two) are the tests here, the most damaging first.
"""

from __future__ import annotations

import base64
import gc
import logging
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import cshelve
from cshelve._config import Sections
from cshelve.exceptions import KeyNotFoundError, KeyNotStorableError
from cshelve.providers import load
from cshelve.providers.base import Provider
from testbed.exchange import Exchange
from testbed.fault_proxy import Seen
from testbed.faults import Answer, EditResponse, Hang, Reset, WithoutLength
from testbed.http_messages import Response
from testbed.tls_front import TlsFront, write_certificate
from tests.rigs import S3Rig, unique_name
from tests.test_forks import in_child

pytest.importorskip("cshelve.providers.aws_s3.crt", reason="needs awscrt; elsewhere boto3 does all")
pytestmark = pytest.mark.s3

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"
ACTS: dict[str, Callable[[Provider], object]] = {
    GET: lambda provider: provider.get("k"),
    HEAD: lambda provider: provider.contains("k"),
    PUT: lambda provider: provider.put("k", b"value"),
    DELETE: lambda provider: provider.delete("k"),
}
FOR_EVER: Any = None
# The quicker time counts: the machine may have other things to do.
ONE_AND_TWICE_THE_OTHER = ("boto3", "crt", "crt")
MIB = 1024 * 1024


def provider_of(config: dict[str, dict[str, Any]]) -> Provider:
    sections = Sections("the test", config, from_file=False, flag="c")
    return load("aws-s3", "").from_config(sections)


def is_by_crt(request: Seen) -> bool:
    """Tell which engine sent a request: boto3 numbers its own."""
    return "amz-sdk-invocation-id" not in request.headers


@pytest.fixture
def opened(s3: S3Rig) -> Iterator[Callable[..., Provider]]:
    """Make providers that have had their first request, which is boto3's."""
    made: list[Provider] = []

    def open_one(config: dict[str, dict[str, Any]] | None = None, **options: Any) -> Provider:
        config = config or s3.config(**{"engine": "crt", **options})
        made.append(provider_of(config))
        assert made[-1].exists()
        return made[-1]

    yield open_one
    for provider in made:
        provider.close()


@pytest.fixture
def crt(opened: Callable[..., Provider]) -> Provider:
    return opened()


@pytest.fixture
def quick_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 make no pauses between attempts."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


def is_pinned(caplog: pytest.LogCaptureFixture, why: str) -> bool:
    return any(
        record.levelno == logging.WARNING
        and "engine boto3 from now on" in record.message
        and why in record.message
        for record in caplog.records
    )


class TestWhatWouldLoseData:
    def test_an_answer_without_length_is_no_empty_value(
        self, s3: S3Rig, crt: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        crt.put("k", b"value")
        s3.proxy.inject(WithoutLength(), operation=GET, times=2)
        with s3.proxy.counting() as seen:
            assert crt.get("k").data == b"value"
            assert crt.get("k").data == b"value"
        assert [is_by_crt(request) for request in seen.requests] == [True, False, False]
        assert is_pinned(caplog, "length")

    def test_nor_is_it_one_among_many(self, s3: S3Rig, crt: Provider) -> None:
        names = [f"k{number}" for number in range(8)]
        crt.put_many((name, name.encode()) for name in names)
        s3.proxy.inject(WithoutLength(), operation=GET, times=FOR_EVER)
        assert [item.data for _, item in crt.get_many(names)] == [name.encode() for name in names]

    @pytest.mark.parametrize("data", [b"", b"x", b"x" * 70_000])
    def test_a_put_says_how_long_it_is(self, data: bytes, s3: S3Rig, crt: Provider) -> None:
        with s3.proxy.counting() as seen:
            crt.put("single", data)
            crt.put_many([("many", data)])
        for request in seen.requests:
            assert is_by_crt(request)
            assert request.headers["Content-Length"] == str(len(data))
        assert crt.get("single").data == data
        assert dict(crt.get_many(["many"]))["many"].data == data

    def test_the_empty_key_is_no_request(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        crt = opened(key_prefix=None)
        with s3.proxy.counting() as seen:
            with pytest.raises(KeyNotFoundError):
                crt.get("")
            assert not crt.contains("")
            assert crt.delete("") is False
            assert list(crt.get_many([""])) == []
            with pytest.raises(KeyNotStorableError):
                crt.put("", b"value")
            with pytest.raises(cshelve.BulkError):
                crt.put_many([("", b"value")])
        assert seen.total == 0

    def test_a_value_damaged_on_its_way_is_read_again(self, s3: S3Rig, crt: Provider) -> None:
        crt.put("k", b"value")
        for read in (lambda: crt.get("k"), lambda: dict(crt.get_many(["k"]))["k"]):
            damaging = EditResponse(lambda answer: replace(answer, body=b"valux"))
            s3.proxy.inject(damaging, operation=GET)
            assert read().data == b"value"

    def test_a_body_cut_short_is_no_value(self, s3: S3Rig, crt: Provider) -> None:
        from testbed.faults import CutBody

        crt.put("k", b"value")
        s3.proxy.inject(CutBody(2), operation=GET, times=2)
        assert crt.get("k").data == b"value"

    def test_a_put_that_is_answered_by_no_s3_is_not_taken_for_stored(
        self, s3: S3Rig, crt: Provider
    ) -> None:
        s3.proxy.inject(Answer(200, body=b"<html/>"), operation=PUT, times=FOR_EVER)
        with pytest.raises(cshelve.StorageError, match="no ETag"):
            crt.put("k", b"value")

    def test_names_of_headers_come_in_any_case(self, s3: S3Rig, crt: Provider) -> None:
        def shouting(answer: Response) -> Response:
            return replace(answer, headers=[(n.upper(), v) for n, v in answer.headers])

        s3.proxy.inject(EditResponse(shouting), times=FOR_EVER)
        with s3.proxy.counting() as seen:
            version = crt.put("k", b"value")
            assert crt.get("k").version == version
        assert all(is_by_crt(request) for request in seen.requests)


class TestSameRequests:
    """What boto3 sends, the Common Runtime sends."""

    OWN = frozenset(
        {"user-agent", "authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request"}
        # Asked for by boto3 only; answered or not, the body is there.
        | {"expect", "connection", "accept", "accept-encoding"}
    )

    def sent(self, s3: S3Rig, config: dict[str, dict[str, Any]], engine: str) -> dict[str, Any]:
        default = {**config["default"], "engine": engine, "check_bucket": False}
        provider = provider_of({**config, "default": default})
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}), times=FOR_EVER)
        provider.contains("first")
        with s3.proxy.counting() as seen:
            provider.put("a b/ü", b"value")
            provider.contains("a b/ü")
            provider.delete("a b/ü")
            provider.get("a b/ü")
        s3.proxy.clear()
        provider.close()
        by_crt = engine == "crt"
        assert [is_by_crt(request) for request in seen.requests] == [by_crt] * 4
        return {
            request.operation: (
                request.path,
                request.query,
                {n.lower(): v for n, v in request.headers.pairs if n.lower() not in self.OWN},
            )
            for request in seen.requests
        }

    @pytest.mark.parametrize(
        ("default", "params", "put_params"),
        [
            ({}, {}, {}),
            ({"auth_type": "anonymous", "key_id": None, "key_secret": None}, {}, {}),
            ({"session_token": "a-token"}, {"region_name": "eu-west-1"}, {}),
            (
                {},
                {
                    "config.request_checksum_calculation": "when_required",
                    "config.response_checksum_validation": "when_required",
                },
                {},
            ),
            (
                {},
                {},
                {
                    "Metadata.team": "blue",
                    "ContentType": "text/x-odd",
                    "ContentEncoding": "gzip",
                    "Tagging": "a=b",
                    "StorageClass": "STANDARD",
                    "RequestPayer": "requester",
                    "ExpectedBucketOwner": "123456789012",
                },
            ),
        ],
        ids=["plain", "unsigned", "token and region", "without checksums", "put_params"],
    )
    def test_but_for_time_and_signature(
        self,
        default: dict[str, Any],
        params: dict[str, Any],
        put_params: dict[str, Any],
        s3: S3Rig,
    ) -> None:
        config = s3.config(**default)
        config["provider_params"].update(params)
        config["put_params"] = put_params
        assert self.sent(s3, config, "crt") == self.sent(s3, config, "boto3")

    def test_with_a_signature_for_the_same_region(self, s3: S3Rig) -> None:
        config = s3.config(engine="crt", check_bucket=False)
        config["provider_params"]["region_name"] = "eu-west-1"
        provider = provider_of(config)
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}), times=FOR_EVER)
        with s3.proxy.counting() as seen:
            provider.put("k", b"")
            provider.put("k", b"")
        by_boto3, by_crt = (request.headers["Authorization"] for request in seen.requests)
        assert not is_by_crt(seen.requests[0])
        assert is_by_crt(seen.requests[1])
        scope = "/eu-west-1/s3/aws4_request"
        assert scope in by_boto3
        assert scope in by_crt

    def test_with_the_crc_32_of_the_value(self, s3: S3Rig, crt: Provider) -> None:
        with s3.proxy.counting() as seen:
            crt.put("k", b"value")
        crc = base64.b64encode(zlib.crc32(b"value").to_bytes(4, "big")).decode()
        assert seen.requests[0].headers["x-amz-checksum-crc32"] == crc

    def test_with_a_signature_of_the_value(self, s3: S3Rig, crt: Provider) -> None:
        def changed(exchange: Exchange) -> None:
            exchange.request = replace(exchange.request, wire_body=b"valux")
            exchange.send(exchange.forward())

        s3.proxy.inject(changed, operation=PUT)
        with s3.proxy.counting() as seen:
            crt.put("k", b"value")
        assert [request.status for request in seen.requests] == [400, 200]
        assert crt.get("k").data == b"value"

    @pytest.mark.parametrize(
        ("params", "host", "path"),
        [
            ({}, "bkt.s3.eu-west-1.amazonaws.com", "/"),
            ({"config.s3.addressing_style": "path"}, "s3.eu-west-1.amazonaws.com", "/bkt/"),
            ({"config.use_fips_endpoint": True}, "bkt.s3-fips.eu-west-1.amazonaws.com", "/"),
            (
                {"config.use_dualstack_endpoint": True},
                "bkt.s3.dualstack.eu-west-1.amazonaws.com",
                "/",
            ),
            ({"endpoint_url": "https://gateway.example/s3"}, "gateway.example", "/s3/bkt/"),
        ],
    )
    def test_to_the_host_that_boto3_takes(
        self, params: dict[str, Any], host: str, path: str
    ) -> None:
        from cshelve.providers.aws_s3.template import MARK, template_of

        config = {
            "default": {
                "provider": "aws-s3",
                "bucket_name": "bkt",
                "auth_type": "access_key",
                "key_id": "an-id",
                "key_secret": "a-secret",
                "region_name": "eu-west-1",
            },
            "provider_params": params,
        }
        connections: Any = provider_of(config)._connections  # type: ignore[attr-defined]
        template = template_of(connections.captured(GET, {"Bucket": "bkt", "Key": MARK}))
        assert (dict(template.headers)["Host"], template.path) == (host, path)
        assert template.region == "eu-west-1"
        assert template.is_secure


class TestCredentials:
    """Asked of boto3's credentials for each request, in the thread that makes it."""

    class Renewing:
        def __init__(self, s3: S3Rig) -> None:
            self.who = s3.server.admin
            self.threads: list[threading.Thread] = []
            self.fails = False

        def get_frozen_credentials(self) -> Any:
            from botocore.credentials import ReadOnlyCredentials

            if self.fails:
                raise RuntimeError("expired")
            self.threads.append(threading.current_thread())
            key_id = f"{self.who.access_key}-{len(self.threads)}"
            return ReadOnlyCredentials(key_id, self.who.secret_key, None)

    @pytest.fixture
    def renewing(self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> Renewing:
        credentials = self.Renewing(s3)
        where = "cshelve.providers.aws_s3.connections.credentials_of"
        monkeypatch.setattr(where, lambda *_: credentials)
        return credentials

    def test_new_ones_are_used_from_the_next_request_on(
        self, s3: S3Rig, renewing: Renewing, crt: Provider
    ) -> None:
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}), times=FOR_EVER)
        with s3.proxy.counting() as seen:
            crt.put("k", b"")
            crt.put_many([("k", b"")])
        ids = [request.headers["Authorization"].split("/")[0] for request in seen.requests]
        assert [each.rpartition("-")[2] for each in ids] == ["1", "2"]
        assert renewing.threads == [threading.current_thread()] * 2

    def test_where_there_are_none_boto3_does_it_and_nothing_is_printed(
        self, s3: S3Rig, renewing: Renewing, crt: Provider, capfd: pytest.CaptureFixture[str]
    ) -> None:
        renewing.fails = True
        with s3.proxy.counting() as seen:
            crt.put("k", b"value")
        renewing.fails = False
        assert [is_by_crt(request) for request in seen.requests] == [False]
        assert capfd.readouterr().err == ""


class TestFailures:
    """What boto3 says, where and as fast as it says it."""

    @pytest.mark.usefixtures("quick_boto3")
    @pytest.mark.parametrize(
        ("status", "code"),
        [(500, "InternalError"), (503, "SlowDown"), (503, None), (403, "AccessDenied")],
    )
    @pytest.mark.parametrize("operation", [GET, HEAD, PUT, DELETE])
    def test_a_server_that_never_does_it_is_the_same_error(
        self,
        operation: str,
        status: int,
        code: str | None,
        s3: S3Rig,
        opened: Callable[..., Provider],
    ) -> None:
        prefix = unique_name()
        errors = []
        for engine in ("boto3", "crt"):
            provider = opened(engine=engine, key_prefix=prefix, total_max_attempts=2)
            s3.proxy.inject(Answer(status, code), operation=operation, times=FOR_EVER)
            with pytest.raises(cshelve.StorageError) as caught:
                ACTS[operation](provider)
            s3.proxy.clear()
            errors.append((type(caught.value), str(caught.value), caught.value.about_shelf))
        assert errors[0] == errors[1]
        assert f"'k' in s3://{s3.bucket}/{prefix}" in errors[1][1]

    @pytest.mark.usefixtures("quick_boto3")
    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (404, "NoSuchKey"),
            (404, "NoSuchBucket"),
            (404, None),
            (412, "PreconditionFailed"),
            (304, None),
            (301, "PermanentRedirect"),
            (400, "ExpiredToken"),
            (429, "TooManyRequests"),
        ],
    )
    @pytest.mark.parametrize("operation", [GET, HEAD, PUT, DELETE])
    def test_a_refusal_means_the_same(
        self,
        operation: str,
        status: int,
        code: str | None,
        s3: S3Rig,
        opened: Callable[..., Provider],
    ) -> None:
        prefix = unique_name()
        results = []
        for engine in ("boto3", "crt"):
            provider = opened(engine=engine, key_prefix=prefix, total_max_attempts=2)
            s3.proxy.inject(Answer(status, code), operation=operation, times=FOR_EVER)
            with s3.proxy.counting() as seen:
                results.append(self.result_of(ACTS[operation], provider))
            s3.proxy.clear()
        assert is_by_crt(seen.requests[0])
        assert results[0] == results[1]

    def result_of(self, act: Callable[[Provider], object], provider: Provider) -> object:
        try:
            return act(provider)
        except cshelve.Error as error:
            return type(error), str(error)

    @pytest.mark.parametrize("operation", [GET, HEAD])
    def test_an_absent_key_is_one_request(
        self, operation: str, s3: S3Rig, crt: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            with s3.proxy.counting() as seen:
                assert self.result_of(ACTS[operation], crt) in (False, (KeyNotFoundError, "'k'"))
            assert [is_by_crt(request) for request in seen.requests] == [True]

    def test_a_redirect_is_followed_by_boto3(self, s3: S3Rig, crt: Provider) -> None:
        crt.put("k", b"value")
        there = {"Location": f"{s3.proxy.endpoint_url}/elsewhere"}
        s3.proxy.inject(Answer(307, "TemporaryRedirect", headers=there), operation=GET)
        with s3.proxy.counting() as seen:
            assert crt.get("k").data == b"value"
            assert crt.get("k").data == b"value"
        assert [is_by_crt(request) for request in seen.requests] == [True, False, True]

    def test_what_is_refused_to_it_alone_is_left_to_boto3(
        self, s3: S3Rig, crt: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.proxy.inject(Answer(403, "AccessDenied"), operation=PUT)
        crt.put("k", b"value")
        assert is_pinned(caplog, "403")

    @pytest.mark.usefixtures("quick_boto3")
    @pytest.mark.parametrize("attempts", [2, 3, 5])
    def test_a_server_that_hangs_is_waited_for_hardly_longer(
        self, attempts: int, s3: S3Rig, opened: Callable[..., Provider]
    ) -> None:
        seconds: dict[str, float] = {}
        for engine in ONE_AND_TWICE_THE_OTHER:
            provider = opened(
                engine=engine, total_max_attempts=attempts, read_timeout_seconds=0.5, concurrency=1
            )
            provider.put("k", b"value")
            s3.proxy.inject(Hang(), operation=GET, times=FOR_EVER)
            start = time.perf_counter()
            with pytest.raises(cshelve.StorageError, match="did not answer in time"):
                provider.get("k")
            taken = time.perf_counter() - start
            seconds[engine] = min(taken, seconds.get(engine, taken))
            s3.proxy.clear()
        assert seconds["crt"] < 1.3 * seconds["boto3"] + 0.2

    @pytest.mark.usefixtures("quick_boto3")
    def test_so_it_is_by_many_requests_at_once(
        self, s3: S3Rig, opened: Callable[..., Provider], caplog: pytest.LogCaptureFixture
    ) -> None:
        names = [f"k{number}" for number in range(6)]
        seconds: dict[str, float] = {}
        for engine in ONE_AND_TWICE_THE_OTHER:
            provider = opened(
                engine=engine, total_max_attempts=4, read_timeout_seconds=0.5, concurrency=3
            )
            s3.proxy.inject(Hang(), operation=PUT, times=FOR_EVER)
            start = time.perf_counter()
            with pytest.raises(cshelve.StorageError, match="did not answer in time"):
                provider.put_many((name, b"value") for name in names)
            taken = time.perf_counter() - start
            seconds[engine] = min(taken, seconds.get(engine, taken))
            s3.proxy.clear()
        assert seconds["crt"] < 1.3 * seconds["boto3"] + 0.3
        assert is_pinned(caplog, "no answer")

    @pytest.mark.usefixtures("quick_boto3")
    def test_a_connection_that_breaks_pins_the_shelf(
        self, s3: S3Rig, crt: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        crt.put("k", b"value")
        s3.proxy.inject(Reset(), operation=GET, times=2)
        assert crt.get("k").data == b"value"
        assert is_pinned(caplog, "AWS_")

    @pytest.mark.usefixtures("quick_boto3")
    def test_every_attempt_is_counted(self, s3: S3Rig, crt: Provider) -> None:
        before = crt.stats.requests.copy()
        s3.proxy.inject(Answer(503, "SlowDown"), operation=PUT, times=3)
        with s3.proxy.counting() as seen:
            crt.put("k", b"value")
            crt.get("k")
            crt.contains("k")
            crt.delete("k")
        sent = crt.stats.requests - before
        assert sent == {op: seen.operations.count(op) for op in (PUT, GET, HEAD, DELETE)}
        assert sent[PUT] > 3


class TestWhoWaits:
    """One thread of the Common Runtime's serves all requests: nobody may hold it up."""

    def test_a_reader_that_pauses_keeps_no_other_request_waiting(
        self, s3: S3Rig, crt: Provider
    ) -> None:
        names = [f"k{number}" for number in range(100)]
        crt.put_many((name, name.encode()) for name in names)
        with s3.proxy.counting() as seen:
            reading = crt.get_many(names)
            assert next(reading)[0] == "k0"
            assert crt.get("k99").data == b"k99"
            assert seen.total <= crt.concurrency + 1
            assert [name for name, _ in reading] == names[1:]
        assert all(is_by_crt(request) for request in seen.requests)

    def test_an_end_on_the_way_leaves_all_permits(self, crt: Provider) -> None:
        names = [f"k{number}" for number in range(100)]
        crt.put_many((name, b"value") for name in names)
        for _ in range(2 * crt.concurrency):
            reading = crt.get_many(names)
            next(reading)
            reading.close()  # type: ignore[attr-defined]
        assert len(list(crt.get_many(names))) == len(names)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_a_forked_child_has_a_client_of_its_own(self, s3: S3Rig, crt: Provider) -> None:
        crt.put("k", b"value")

        def read_twice() -> list[bytes]:
            return [crt.get("k").data, crt.get("k").data]

        with s3.proxy.counting() as seen:
            assert in_child(read_twice) == [b"value"] * 2
        # A process's first request is boto3's.
        assert [is_by_crt(request) for request in seen.requests] == [False, True]
        assert crt.get("k").data == b"value"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_a_forked_child_outlives_its_parents_clients(self, s3: S3Rig, crt: Provider) -> None:
        """Freeing one in a child waits for threads that are not there: a segmentation fault."""
        crt.put("k", b"value")
        shelves = [provider_of(s3.config(engine="crt")) for _ in range(3)]
        for each in shelves:
            assert each.exists()
            each.put_many((f"k{number}", b"value") for number in range(50))

        def collect_them_and_read() -> list[bytes]:
            shelves.clear()
            gc.collect()
            return [crt.get("k").data for _ in range(50)]

        assert in_child(collect_them_and_read) == [b"value"] * 50
        for each in shelves:
            each.close()


class TestTheProcess:
    """What the shelves of a process share of the Common Runtime, for as long as it lives."""

    def test_opening_shelf_after_shelf_starts_no_more_threads(
        self, s3: S3Rig, crt: Provider
    ) -> None:
        crt.put("k", b"value")
        threads = threads_of_crt()
        shelves = [provider_of(s3.config(engine="crt")) for _ in range(10)]
        for each in shelves:
            assert each.exists()
            with s3.proxy.counting() as seen:
                each.put("k", b"value")
            assert all(is_by_crt(request) for request in seen.requests)
        assert threads_of_crt() == threads
        for each in shelves:
            each.close()

    def test_each_shelf_reaches_its_own_server(self, s3: S3Rig, crt: Provider) -> None:
        """The Common Runtime tells servers apart by their names, and not by their ports."""
        crt.put("k", b"value")
        config = s3.config(engine="crt")
        config["provider_params"]["endpoint_url"] = s3.server.endpoint_url
        directly = provider_of(config)
        assert directly.exists()
        with s3.proxy.counting() as seen:
            directly.put("k", b"value")
            assert directly.get("k").data == b"value"
        assert seen.total == 0
        with s3.proxy.counting() as seen:
            assert crt.get("k").data == b"value"
        assert [is_by_crt(request) for request in seen.requests] == [True]
        directly.close()

    def test_its_threads_stay_known_to_the_interpreter(self, crt: Provider) -> None:
        """Else a child that is forked while one is made known may hang for ever."""
        crt.put("k", b"value")
        of_thread = threading.local()
        before: list[int] = []

        def landed(_: object) -> None:
            before.append(getattr(of_thread, "flights", 0))
            of_thread.flights = before[-1] + 1
            is_over.set()

        for _ in range(5):
            is_over = threading.Event()
            sender = crt._transport._values.sender  # type: ignore[attr-defined]
            flight = sender.flight("GetObject", landed)
            assert flight.acquire()
            assert sender.send(flight, "k", None)
            assert is_over.wait(10)
        assert before == [0, 1, 2, 3, 4]

    def test_whatever_they_do_first(self, crt: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
        """Any of these may be the first that a thread does."""
        seen: set[str] = set()

        def noted() -> None:
            seen.add(sys._getframe(1).f_code.co_name)

        monkeypatch.setattr("cshelve.providers.aws_s3.crt.stay_attached", noted)
        crt.put("k", b"value")
        assert crt.get("k").data == b"value"
        assert seen == {"readinto1", "_counted", "_on_headers", "_on_body", "_on_done"}

    def test_what_has_landed_is_complete(self, crt: Provider) -> None:
        """The Common Runtime tells who waits that a request is over before its last callback."""
        names = [f"k{number}" for number in range(200)]
        crt.put_many((name, name.encode()) for name in names)
        sender = crt._transport._values.sender  # type: ignore[attr-defined]
        landed: SimpleQueue[Any] = SimpleQueue()
        for name in names:
            flight = sender.flight("GetObject", landed.put)
            assert flight.acquire(10)
            assert sender.send(flight, name, None)
        replies = [landed.get(timeout=10).reply for _ in names]
        assert all(reply.status == 200 and "etag" in reply.headers for reply in replies)
        assert {reply.body for reply in replies} == {name.encode() for name in names}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_may_be_forked_while_requests_land(self, crt: Provider) -> None:
        names = [f"k{number}" for number in range(50)]
        crt.put_many((name, b"value") for name in names)
        is_over = threading.Event()

        def read_on() -> None:
            while not is_over.is_set():
                assert len(list(crt.get_many(names))) == len(names)

        reader = threading.Thread(target=read_on)
        reader.start()
        try:
            assert [in_child(lambda: "alive") for _ in range(100)] == ["alive"] * 100
        finally:
            is_over.set()
            reader.join()


def threads_of_crt() -> list[str]:
    """Name the Common Runtime's threads; none on other systems than Linux."""
    names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    return sorted(name for name in names if name.startswith("AwsEventLoop"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Give two certificates for this machine, each its own authority."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = folder / "ours.pem", folder / "theirs.pem"
    write_certificate(ours)
    write_certificate(theirs)
    return ours, theirs


class TestTls:
    @pytest.fixture
    def front(self, s3: S3Rig, certificates: tuple[Path, Path]) -> Iterator[TlsFront]:
        with TlsFront(s3.proxy.endpoint_url, certificates[0]) as front:
            yield front

    def config(self, s3: S3Rig, front: TlsFront, **params: Any) -> dict[str, dict[str, Any]]:
        config = s3.config(engine="crt", total_max_attempts=2)
        config["provider_params"] = {"endpoint_url": front.endpoint_url, **params}
        return config

    def is_served_by_crt(self, s3: S3Rig, provider: Provider) -> bool:
        with s3.proxy.counting() as seen:
            provider.put("k", b"value")
            assert provider.get("k").data == b"value"
        return all(is_by_crt(request) for request in seen.requests)

    def test_the_authorities_are_those_of_verify(
        self,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        opened: Callable[..., Provider],
    ) -> None:
        provider = opened(self.config(s3, front, verify=str(certificates[0])))
        assert self.is_served_by_crt(s3, provider)

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
    def test_or_of_the_environment(
        self,
        variable: str,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        opened: Callable[..., Provider],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(variable, str(certificates[0]))
        assert self.is_served_by_crt(s3, opened(self.config(s3, front)))

    @pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
    def test_or_anybody_on_demand(
        self, s3: S3Rig, front: TlsFront, opened: Callable[..., Provider]
    ) -> None:
        assert self.is_served_by_crt(s3, opened(self.config(s3, front, verify=False)))

    def test_a_bad_certificate_is_told_at_once(
        self,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Which boto3 does not heed.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
        provider = provider_of(self.config(s3, front, verify=str(certificates[1])))
        start = time.perf_counter()
        with pytest.raises(cshelve.StorageError, match="no secure connection"):
            provider.get("k")
        assert time.perf_counter() - start < 3
        provider.close()

    @pytest.mark.usefixtures("quick_boto3")
    def test_one_that_only_it_refuses_pins_the_shelf(
        self,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        opened: Callable[..., Provider],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("cshelve.providers.aws_s3.sender.FIRST_SECURE_ANSWER_SECONDS", 0.5)
        where = "cshelve.providers.aws_s3.connections.authorities_path"
        monkeypatch.setattr(where, lambda *_: str(certificates[1]))
        provider = opened(self.config(s3, front, verify=str(certificates[0])))
        start = time.perf_counter()
        assert not self.is_served_by_crt(s3, provider)
        assert time.perf_counter() - start < 3
        assert is_pinned(caplog, "no answer to PutObject in 0.5 seconds")


class TestWhichEngine:
    def reason(self, caplog: pytest.LogCaptureFixture) -> str:
        (record,) = [each for each in caplog.records if " engine " in each.message]
        assert record.levelno == logging.INFO
        return record.message

    @pytest.fixture(autouse=True)
    def _log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="cshelve")

    def test_crt_where_it_can_serve(
        self, s3: S3Rig, opened: Callable[..., Provider], caplog: pytest.LogCaptureFixture
    ) -> None:
        provider: Any = opened(engine=None)
        assert provider.engine == "crt"
        assert self.reason(caplog) == f"{provider.location}: engine crt (engine = auto)"

    def test_boto3_on_demand(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        provider = opened(engine="boto3")
        with s3.proxy.counting() as seen:
            provider.put("k", b"value")
        assert not is_by_crt(seen.requests[0])

    def test_no_other(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"engine: .*did you mean boto3"):
            provider_of(s3.config(engine="boto"))

    @pytest.mark.parametrize(
        ("params", "default", "why"),
        [
            ({"config.proxies.http": "http://127.0.0.1:9"}, {}, "proxies"),
            ({"config.signature_version": "s3"}, {}, "SigV4"),
            ({"config.client_cert": "some.pem"}, {}, "client_cert"),
            ({"config.tcp_keepalive": True}, {}, "tcp_keepalive"),
            ({}, {"total_max_attempts": 1}, "once"),
            ({}, {"bucket_name": "some--use1-az4--x-s3"}, "Express"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_boto3_where_crt_cannot_serve_and_why(
        self,
        params: dict[str, Any],
        default: dict[str, Any],
        why: str,
        s3: S3Rig,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        config = s3.config(**{"engine": "auto", **default})
        config["provider_params"].update(params)
        provider: Any = provider_of(config)
        assert provider.engine == "boto3"
        assert why in self.reason(caplog)
        config["default"]["engine"] = "crt"
        with pytest.raises(cshelve.ConfigurationError, match=f"engine: crt cannot serve.*{why}"):
            provider_of(config)

    def test_boto3_where_it_reads_the_codes_of_refusals(
        self, s3: S3Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = s3.config(engine="auto", missing_on_forbidden=True)
        with cshelve.open_from_dict(config, "r"):
            assert "missing_on_forbidden" in self.reason(caplog)

    def test_boto3_without_the_native_package(
        self, s3: S3Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cshelve.providers.aws_s3.engine._is_installed", lambda: False)
        provider: Any = provider_of(s3.config(engine="auto"))
        assert provider.engine == "boto3"
        assert "pip install --upgrade 'cshelve[aws-s3]'" in self.reason(caplog)

    def test_another_checksum_is_boto3s(
        self, s3: S3Rig, opened: Callable[..., Provider], caplog: pytest.LogCaptureFixture
    ) -> None:
        config = s3.config(engine="auto")
        config["put_params"] = {"ChecksumAlgorithm": "SHA256"}
        provider = opened(config)
        provider.put("k", b"value")
        assert provider.get("k").data == b"value"
        assert is_pinned(caplog, "another checksum")

    def test_and_an_error_where_crt_is_demanded(self, s3: S3Rig) -> None:
        config = s3.config(engine="crt")
        config["put_params"] = {"ChecksumAlgorithm": "SHA256"}
        provider = provider_of(config)
        provider.exists()
        with pytest.raises(cshelve.ConfigurationError, match="another checksum"):
            provider.put("k", b"value")

    def test_conditions_are_boto3s(self, s3: S3Rig, crt: Provider) -> None:
        with s3.proxy.counting() as seen:
            version = crt.put("k", b"one", if_absent=True)
            crt.delete("k", if_version=version)
        assert not any(is_by_crt(request) for request in seen.requests)


class TestSizes:
    """It holds a whole value before it tells its size: large ones are boto3's."""

    @pytest.fixture(autouse=True)
    def _small_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cshelve.providers.aws_s3.crt_transport.MOST_BYTES", 1000)

    def engines_of(self, s3: S3Rig, act: Callable[[], object], operation: str) -> list[bool]:
        with s3.proxy.counting() as seen:
            act()
        return [is_by_crt(each) for each in seen.requests if each.operation == operation]

    def test_a_large_value_is_written_by_boto3(self, s3: S3Rig, crt: Provider) -> None:
        assert self.engines_of(s3, lambda: crt.put("k", bytes(1000)), PUT) == [True]
        assert self.engines_of(s3, lambda: crt.put("k", bytes(1001)), PUT) == [False]
        pairs = [("k", bytes(1000)), ("large", bytes(1001))]
        assert sorted(self.engines_of(s3, lambda: crt.put_many(pairs), PUT)) == [False, True]

    def test_reads_go_by_boto3_once_one_was_written(self, s3: S3Rig, crt: Provider) -> None:
        crt.put("k", b"value")
        assert self.engines_of(s3, lambda: crt.get("k"), GET) == [True]
        crt.put("large", bytes(1001))
        assert self.engines_of(s3, lambda: crt.get("k"), GET) == [False]
        assert self.engines_of(s3, lambda: list(crt.get_many(["k"])), GET) == [False]

    def test_or_read(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        config = s3.config(engine="crt")
        opened(config).put("large", bytes(1001))
        crt = opened(config)
        assert self.engines_of(s3, lambda: crt.get("large"), GET) == [True]
        assert self.engines_of(s3, lambda: crt.get("large"), GET) == [False]

    def test_small_ones_of_a_listing_still_go_by_crt(
        self, s3: S3Rig, opened: Callable[..., Provider]
    ) -> None:
        config = s3.config(engine="crt")
        opened(config).put_many([("a", bytes(1001)), ("b", b"b"), ("c", b"c")])
        crt = opened(config)
        act = lambda: list(crt.get_many(crt.names()))  # noqa: E731
        assert sorted(self.engines_of(s3, act, GET)) == [False, True, True]
        assert self.engines_of(s3, lambda: crt.get("x") if crt.contains("x") else None, GET) == []
