"""Failures: what boto3 says, where and as fast as it says it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import cshelve
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.base import Provider
from testbed.faults import Answer, Delay, Hang, Reset
from tests.providers.aws_s3.engine.rig import DELETE, FOR_EVER, GET, HEAD, PUT, is_direct, is_pinned
from tests.rigs import S3Rig, finish, unique_name

pytestmark = [pytest.mark.s3, pytest.mark.once]

ACTS: dict[str, Callable[[Provider], object]] = {
    GET: lambda provider: provider.get("k"),
    HEAD: lambda provider: provider.contains("k"),
    PUT: lambda provider: provider.put("k", b"value"),
    DELETE: lambda provider: provider.delete("k"),
}

READ_SECONDS = 0.15


@pytest.fixture
def quick_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 make no pauses between attempts."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


def seconds_of_failure(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    with pytest.raises(cshelve.StorageError, match="did not respond in time"):
        act()
    return time.perf_counter() - start


def assert_hardly_longer(wait: Callable[[str], float]) -> None:
    """Compare how long each engine waits; the machine may have been busy some of the times."""
    most = 1.3 * wait("boto3") + 0.4 * READ_SECONDS
    assert any(wait("direct") < most for _ in range(5))


def test_responses_that_boto3_would_wait_for_do_not_speak_against_the_engine(s3: S3Rig) -> None:
    config = s3.config(engine="direct", total_max_attempts=2, read_timeout_seconds=0.6)
    with cshelve.open_from_dict(config) as db:
        db["k"] = 1
        # With two attempts, the direct engine waits half as long as boto3.
        s3.proxy.inject(Delay(0.4), operation=GET, times=8)
        for _ in range(4):
            assert db["k"] == 1
        assert db.stats.engine == "direct"


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
    @pytest.mark.parametrize("attempts", [2, 5])
    def test_a_server_that_hangs_is_waited_for_hardly_longer(
        self, attempts: int, s3: S3Rig, opened: Callable[..., Provider]
    ) -> None:
        def wait(engine: str) -> float:
            provider = opened(
                engine=engine,
                total_max_attempts=attempts,
                read_timeout_seconds=READ_SECONDS,
                concurrency=1,
            )
            provider.put("k", b"value")
            with s3.proxy.inject(Hang(), operation=GET, times=FOR_EVER):
                return seconds_of_failure(lambda: provider.get("k"))

        assert_hardly_longer(wait)

    @pytest.mark.usefixtures("quick_boto3")
    def test_so_it_is_by_many_requests_at_once(
        self, s3: S3Rig, opened: Callable[..., Provider]
    ) -> None:
        names = [f"k{number}" for number in range(6)]

        def wait(engine: str) -> float:
            provider = opened(
                engine=engine,
                total_max_attempts=4,
                read_timeout_seconds=READ_SECONDS,
                concurrency=3,
            )
            with s3.proxy.inject(Hang(), operation=PUT, times=FOR_EVER):
                return seconds_of_failure(
                    lambda: finish(provider.put_many((name, b"value") for name in names))
                )

        assert_hardly_longer(wait)

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
            (PUT, lambda: finish(direct.put_many((name, name.encode()) for name in names))),
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
