"""The direct engine beside boto3, seen at the wire: the same answers and errors, whatever happens.

The most damaging first. That it sends what boto3 would is tested in `direct/test_parity.py`.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve._config.sections import Sections
from cshelve.exceptions import KeyNotFoundError, KeyNotStorableError
from cshelve.providers import load
from cshelve.providers.base import Provider
from testbed.fault_proxy import Seen
from testbed.faults import Answer, EditResponse, Hang, Reset, WithoutLength
from testbed.http_messages import Response
from testbed.tls_front import TlsFront, write_certificate
from tests.behaviour.test_forks import in_child
from tests.rigs import S3Rig, unique_name

pytestmark = [pytest.mark.s3, pytest.mark.once]

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"
ACTS: dict[str, Callable[[Provider], object]] = {
    GET: lambda provider: provider.get("k"),
    HEAD: lambda provider: provider.contains("k"),
    PUT: lambda provider: provider.put("k", b"value"),
    DELETE: lambda provider: provider.delete("k"),
}
FOR_EVER: Any = None
# The quicker time counts: the machine may have other things to do.
ONE_AND_TWICE_THE_OTHER = ("boto3", "direct", "direct")
MIB = 1024 * 1024


def provider_of(config: dict[str, dict[str, Any]]) -> Provider:
    sections = Sections("the test", config, from_file=False, flag="c")
    return load("aws-s3", "").from_config(sections)


def is_direct(request: Seen) -> bool:
    """Tell which engine sent a request: boto3 numbers its own."""
    return "amz-sdk-invocation-id" not in request.headers


@pytest.fixture
def opened(s3: S3Rig) -> Iterator[Callable[..., Provider]]:
    """Make providers that have had their first request, which is boto3's."""
    made: list[Provider] = []

    def open_one(config: dict[str, dict[str, Any]] | None = None, **options: Any) -> Provider:
        config = config or s3.config(**{"engine": "direct", **options})
        made.append(provider_of(config))
        assert made[-1].exists()
        return made[-1]

    yield open_one
    for provider in made:
        provider.close()


@pytest.fixture
def direct(opened: Callable[..., Provider]) -> Provider:
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
        self, s3: S3Rig, direct: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        direct.put("k", b"value")
        s3.proxy.inject(WithoutLength(), operation=GET, times=FOR_EVER)
        with s3.proxy.counting() as seen:
            for _ in range(4):
                assert direct.get("k").data == b"value"
        # After three in vain boto3 does all, and says so.
        assert [is_direct(request) for request in seen.requests] == [*[True, False] * 3, False]
        assert is_pinned(caplog, "slower")
        assert direct.engine == "boto3"  # type: ignore[attr-defined]

    def test_nor_is_it_one_among_many(self, s3: S3Rig, direct: Provider) -> None:
        names = [f"k{number}" for number in range(8)]
        direct.put_many((name, name.encode()) for name in names)
        s3.proxy.inject(WithoutLength(), operation=GET, times=FOR_EVER)
        assert [item.data for _, item in direct.get_many(names)] == [
            name.encode() for name in names
        ]

    @pytest.mark.parametrize("data", [b"", b"x", b"x" * 70_000])
    def test_a_put_says_how_long_it_is(self, data: bytes, s3: S3Rig, direct: Provider) -> None:
        with s3.proxy.counting() as seen:
            direct.put("single", data)
            direct.put_many([("many", data)])
        for request in seen.requests:
            assert is_direct(request)
            assert request.headers["Content-Length"] == str(len(data))
        assert direct.get("single").data == data
        assert dict(direct.get_many(["many"]))["many"].data == data

    def test_the_empty_key_is_no_request(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        direct = opened(key_prefix=None)
        with s3.proxy.counting() as seen:
            with pytest.raises(KeyNotFoundError):
                direct.get("")
            assert not direct.contains("")
            assert direct.delete("") is False
            assert list(direct.get_many([""])) == []
            with pytest.raises(KeyNotStorableError):
                direct.put("", b"value")
            with pytest.raises(cshelve.BulkError):
                direct.put_many([("", b"value")])
        assert seen.total == 0

    def test_a_value_damaged_on_its_way_is_read_again(self, s3: S3Rig, direct: Provider) -> None:
        direct.put("k", b"value")
        for read in (lambda: direct.get("k"), lambda: dict(direct.get_many(["k"]))["k"]):
            damaging = EditResponse(lambda answer: replace(answer, body=b"valux"))
            s3.proxy.inject(damaging, operation=GET)
            assert read().data == b"value"

    def test_a_body_cut_short_is_no_value(self, s3: S3Rig, direct: Provider) -> None:
        from testbed.faults import CutBody

        direct.put("k", b"value")
        s3.proxy.inject(CutBody(2), operation=GET, times=2)
        assert direct.get("k").data == b"value"

    def test_a_put_that_is_answered_by_no_s3_is_not_taken_for_stored(
        self, s3: S3Rig, direct: Provider
    ) -> None:
        s3.proxy.inject(Answer(200, body=b"<html/>"), operation=PUT, times=FOR_EVER)
        with pytest.raises(cshelve.StorageError, match="no ETag"):
            direct.put("k", b"value")

    def test_names_of_headers_come_in_any_case(self, s3: S3Rig, direct: Provider) -> None:
        def shouting(answer: Response) -> Response:
            return replace(answer, headers=[(n.upper(), v) for n, v in answer.headers])

        s3.proxy.inject(EditResponse(shouting), times=FOR_EVER)
        with s3.proxy.counting() as seen:
            version = direct.put("k", b"value")
            assert direct.get("k").version == version
        assert all(is_direct(request) for request in seen.requests)


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
        # Keys that are given do not change; a profile's may.
        monkeypatch.setattr("cshelve.providers.aws_s3.choice.plain_source", lambda _: "a profile")
        where = "cshelve.providers.aws_s3.clients.credentials_of"
        monkeypatch.setattr(where, lambda *_: credentials)
        return credentials

    def test_new_ones_are_used_from_the_next_request_on(
        self, s3: S3Rig, renewing: Renewing, direct: Provider
    ) -> None:
        s3.proxy.inject(Answer(200, headers={"ETag": '"x"'}), times=FOR_EVER)
        with s3.proxy.counting() as seen:
            direct.put("k", b"")
            direct.put_many([("k", b"")])
        ids = [request.headers["Authorization"].split("/")[0] for request in seen.requests]
        first = int(ids[0].rpartition("-")[2])
        assert [each.rpartition("-")[2] for each in ids] == [str(first), str(first + 1)]
        assert set(renewing.threads) == {threading.current_thread()}

    def test_where_there_are_none_boto3_does_it_and_nothing_is_printed(
        self, s3: S3Rig, renewing: Renewing, direct: Provider, capfd: pytest.CaptureFixture[str]
    ) -> None:
        renewing.fails = True
        with s3.proxy.counting() as seen:
            direct.put("k", b"value")
        renewing.fails = False
        assert [is_direct(request) for request in seen.requests] == [False]
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
        for engine in ("boto3", "direct"):
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
        for engine in ("boto3", "direct"):
            provider = opened(engine=engine, key_prefix=prefix, total_max_attempts=2)
            s3.proxy.inject(Answer(status, code), operation=operation, times=FOR_EVER)
            with s3.proxy.counting() as seen:
                results.append(self.result_of(ACTS[operation], provider))
            s3.proxy.clear()
        assert is_direct(seen.requests[0])
        assert results[0] == results[1]

    def result_of(self, act: Callable[[Provider], object], provider: Provider) -> object:
        try:
            return act(provider)
        except cshelve.Error as error:
            return type(error), str(error)

    @pytest.mark.parametrize("operation", [GET, HEAD])
    def test_an_absent_key_is_one_request(
        self, operation: str, s3: S3Rig, direct: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            with s3.proxy.counting() as seen:
                assert self.result_of(ACTS[operation], direct) in (False, (KeyNotFoundError, "'k'"))
            assert [is_direct(request) for request in seen.requests] == [True]

    def test_a_redirect_is_followed_by_boto3(self, s3: S3Rig, direct: Provider) -> None:
        direct.put("k", b"value")
        there = {"Location": f"{s3.proxy.endpoint_url}/elsewhere"}
        s3.proxy.inject(Answer(307, "TemporaryRedirect", headers=there), operation=GET)
        with s3.proxy.counting() as seen:
            assert direct.get("k").data == b"value"
            assert direct.get("k").data == b"value"
        assert [is_direct(request) for request in seen.requests] == [True, False, True]

    def test_what_is_refused_to_it_alone_is_left_to_boto3(
        self, s3: S3Rig, direct: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(3):
            assert not is_pinned(caplog, "")
            s3.proxy.inject(Answer(403, "AccessDenied"), operation=PUT)
            direct.put("k", b"value")
        assert is_pinned(caplog, "slower")

    def test_one_odd_answer_now_and_then_is_no_reason(
        self, s3: S3Rig, direct: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(5):
            s3.proxy.inject(Answer(403, "AccessDenied"), operation=PUT)
            direct.put("k", b"value")
            assert direct.get("k").data == b"value"
        assert not is_pinned(caplog, "")

    @pytest.mark.usefixtures("quick_boto3")
    def test_nor_is_a_busy_server(
        self, s3: S3Rig, direct: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(5):
            s3.proxy.inject(Answer(503, "SlowDown"), operation=PUT)
            direct.put("k", b"value")
        assert not is_pinned(caplog, "")

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
        assert seconds["direct"] < 1.3 * seconds["boto3"] + 0.2

    @pytest.mark.usefixtures("quick_boto3")
    def test_so_it_is_by_many_requests_at_once(
        self, s3: S3Rig, opened: Callable[..., Provider]
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
        assert seconds["direct"] < 1.3 * seconds["boto3"] + 0.3

    @pytest.mark.usefixtures("quick_boto3")
    def test_a_connection_that_breaks_is_no_reason_either(
        self, s3: S3Rig, direct: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        direct.put("k", b"value")
        for _ in range(5):
            s3.proxy.inject(Reset(), operation=GET, times=2)
            assert direct.get("k").data == b"value"
        assert not is_pinned(caplog, "")

    def test_of_many_what_a_busy_server_refuses_is_asked_for_once_more(
        self, s3: S3Rig, direct: Provider
    ) -> None:
        names = [f"k{number}" for number in range(8)]
        for operation, act in (
            (PUT, lambda: direct.put_many((name, name.encode()) for name in names)),
            (GET, lambda: list(direct.get_many(names))),
        ):
            s3.proxy.inject(Answer(503, "SlowDown"), operation=operation, after=3)
            with s3.proxy.counting() as seen:
                act()
            assert [is_direct(request) for request in seen.requests] == [True] * 9

    @pytest.mark.usefixtures("quick_boto3")
    def test_every_attempt_is_counted(self, s3: S3Rig, direct: Provider) -> None:
        before = direct.stats.requests.copy()
        s3.proxy.inject(Answer(503, "SlowDown"), operation=PUT, times=3)
        with s3.proxy.counting() as seen:
            direct.put("k", b"value")
            direct.get("k")
            direct.contains("k")
            direct.delete("k")
        sent = direct.stats.requests - before
        assert sent == {op: seen.operations.count(op) for op in (PUT, GET, HEAD, DELETE)}
        assert sent[PUT] > 3


class TestWhoWaits:
    """One thread serves all requests of an operation on many keys: nobody may hold it up."""

    def test_a_reader_that_pauses_keeps_no_other_request_waiting(
        self, s3: S3Rig, direct: Provider
    ) -> None:
        names = [f"k{number}" for number in range(100)]
        direct.put_many((name, name.encode()) for name in names)
        with s3.proxy.counting() as seen:
            reading = direct.get_many(names)
            assert next(reading)[0] == "k0"
            assert direct.get("k99").data == b"k99"
            assert seen.total <= direct.concurrency + 1
            assert [name for name, _ in reading] == names[1:]
        assert all(is_direct(request) for request in seen.requests)

    def test_an_end_on_the_way_leaves_all_permits(self, direct: Provider) -> None:
        names = [f"k{number}" for number in range(100)]
        direct.put_many((name, b"value") for name in names)
        for _ in range(2 * direct.concurrency):
            reading = direct.get_many(names)
            next(reading)
            reading.close()  # type: ignore[attr-defined]
        assert len(list(direct.get_many(names))) == len(names)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_a_forked_child_has_a_client_of_its_own(self, s3: S3Rig, direct: Provider) -> None:
        direct.put("k", b"value")

        def read_twice() -> list[bytes]:
            return [direct.get("k").data, direct.get("k").data]

        with s3.proxy.counting() as seen:
            assert in_child(read_twice) == [b"value"] * 2
        assert [is_direct(request) for request in seen.requests] == [True, True]
        assert direct.get("k").data == b"value"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_a_forked_child_outlives_its_parents_clients(self, s3: S3Rig, direct: Provider) -> None:
        """Freeing one in a child waits for threads that are not there: a segmentation fault."""
        direct.put("k", b"value")
        shelves = [provider_of(s3.config(engine="direct")) for _ in range(3)]
        for each in shelves:
            assert each.exists()
            each.put_many((f"k{number}", b"value") for number in range(50))

        def collect_them_and_read() -> list[bytes]:
            shelves.clear()
            gc.collect()
            return [direct.get("k").data for _ in range(50)]

        assert in_child(collect_them_and_read) == [b"value"] * 50
        for each in shelves:
            each.close()


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
        config = s3.config(engine="direct", total_max_attempts=2)
        config["provider_params"] = {"endpoint_url": front.endpoint_url, **params}
        return config

    def is_served_directly(self, s3: S3Rig, provider: Provider) -> bool:
        with s3.proxy.counting() as seen:
            provider.put("k", b"value")
            assert provider.get("k").data == b"value"
        return all(is_direct(request) for request in seen.requests)

    def test_the_authorities_are_those_of_verify(
        self,
        s3: S3Rig,
        front: TlsFront,
        certificates: tuple[Path, Path],
        opened: Callable[..., Provider],
    ) -> None:
        provider = opened(self.config(s3, front, verify=str(certificates[0])))
        assert self.is_served_directly(s3, provider)

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
        assert self.is_served_directly(s3, opened(self.config(s3, front)))

    @pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
    def test_or_anybody_on_demand(
        self, s3: S3Rig, front: TlsFront, opened: Callable[..., Provider]
    ) -> None:
        assert self.is_served_directly(s3, opened(self.config(s3, front, verify=False)))

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


class TestWhichEngine:
    def reason(self, caplog: pytest.LogCaptureFixture) -> str:
        (record,) = [each for each in caplog.records if " engine " in each.message]
        assert record.levelno == logging.INFO
        return record.message

    @pytest.fixture(autouse=True)
    def _log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="cshelve")

    def test_direct_where_it_can_serve(
        self, s3: S3Rig, opened: Callable[..., Provider], caplog: pytest.LogCaptureFixture
    ) -> None:
        provider: Any = opened(engine=None)
        assert provider.engine == "direct"
        told = "engine = auto, boto3 only when it is needed"
        assert self.reason(caplog) == f"{provider.location}: engine direct ({told})"

    def test_boto3_on_demand(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        provider = opened(engine="boto3")
        with s3.proxy.counting() as seen:
            provider.put("k", b"value")
        assert not is_direct(seen.requests[0])

    def test_no_other(self, s3: S3Rig) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"engine: .*did you mean boto3"):
            provider_of(s3.config(engine="boto"))

    @pytest.mark.parametrize(
        ("params", "default", "why"),
        [
            ({"config.proxies.http": "http://127.0.0.1:9"}, {}, "proxy"),
            ({"config.signature_version": "s3"}, {}, "SigV4"),
            ({"config.client_cert": "some.pem"}, {}, "client_cert"),
            ({"config.tcp_keepalive": True}, {}, "tcp_keepalive"),
            ({}, {"total_max_attempts": 1}, "once"),
            ({}, {"bucket_name": "some--use1-az4--x-s3"}, "Express"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_boto3_where_it_cannot_serve_and_why(
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
        config["default"]["engine"] = "direct"
        with pytest.raises(cshelve.ConfigurationError, match=f"engine: direct cannot serve.*{why}"):
            provider_of(config)

    def test_boto3_where_it_reads_the_codes_of_refusals(
        self, s3: S3Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = s3.config(engine="auto", missing_on_forbidden=True)
        with cshelve.open_from_dict(config, "r"):
            assert "missing_on_forbidden" in self.reason(caplog)

    def test_another_checksum_is_boto3s(
        self, s3: S3Rig, opened: Callable[..., Provider], caplog: pytest.LogCaptureFixture
    ) -> None:
        config = s3.config(engine="auto")
        config["put_params"] = {"ChecksumAlgorithm": "SHA256"}
        provider = opened(config)
        provider.put("k", b"value")
        assert provider.get("k").data == b"value"
        assert "another checksum" in self.reason(caplog)

    def test_and_an_error_where_it_is_demanded(self, s3: S3Rig) -> None:
        config = s3.config(engine="direct")
        config["put_params"] = {"ChecksumAlgorithm": "SHA256"}
        with pytest.raises(cshelve.ConfigurationError, match="another checksum"):
            provider_of(config)


class TestAllOfTheDataPath:
    def test_goes_directly(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        direct = opened(multipart_threshold_bytes=0, multipart_chunk_bytes=5 * MIB)
        large = os.urandom(11 * MIB)
        with s3.proxy.counting() as seen:
            version = direct.put("k", b"one", if_absent=True)
            version = direct.put("k", b"two", if_version=version)
            direct.delete("k", if_version=version)
            direct.put("large", large)
            assert direct.get("large").data == large
            direct.put("large", large, if_version=direct.get("large").version)
            direct.put_many([("a", b"a"), ("larger", large)])
            assert len(list(direct.entries())) == 3
            assert dict(direct.get_many(["larger", "a"]))["larger"].data == large
            direct.purge()
        assert {request.operation for request in seen.requests} >= {
            *("PutObject", "DeleteObject", "ListObjectsV2", "DeleteObjects", "GetObject"),
            *("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
        }
        assert [request for request in seen.requests if not is_direct(request)] == []

    def test_boto3_goes_on_where_it_stops(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        """Each request of a large value is done again by boto3 alone."""
        direct = opened(multipart_threshold_bytes=0, multipart_chunk_bytes=5 * MIB)
        large = os.urandom(16 * MIB)
        for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", GET):
            s3.proxy.inject(Reset(), operation=operation, after=0)
        direct.put("large", large)
        s3.proxy.inject(Reset(), operation=GET, after=1)
        assert direct.get("large").data == large
        assert direct.get("large").data == large


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_process_may_be_forked_while_another_thread_reads(direct: Provider) -> None:
    names = [f"k{number}" for number in range(50)]
    direct.put_many((name, b"value") for name in names)
    is_over = threading.Event()

    def read_on() -> None:
        while not is_over.is_set():
            assert len(list(direct.get_many(names))) == len(names)

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        assert [in_child(lambda: direct.get("k1").data) for _ in range(50)] == [b"value"] * 50
    finally:
        is_over.set()
        reader.join()


class TestALargeValueOfWhichTheEngineReadsTheBeginning:
    @pytest.fixture
    def stored(self, opened: Callable[..., Provider]) -> tuple[Any, bytes]:
        direct = opened(multipart_threshold_bytes=0, multipart_chunk_bytes=5 * MIB)
        large = os.urandom(16 * MIB)
        direct.put("large", large)
        return direct, large

    def test_is_whole_although_boto3_does_all_from_there_on(
        self, stored: tuple[Any, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        direct, large = stored
        engines = iter([direct._requests.direct()])
        monkeypatch.setattr(direct._requests, "direct", lambda: next(engines, None))
        assert direct.get("large").data == large

    def test_is_whole_although_a_range_is_answered_by_nothing(
        self, s3: S3Rig, stored: tuple[Any, bytes]
    ) -> None:
        direct, large = stored
        emptied = EditResponse(lambda answer: replace(answer, body=b""))
        s3.proxy.inject(emptied, operation=GET, after=1)
        assert direct.get("large").data == large
