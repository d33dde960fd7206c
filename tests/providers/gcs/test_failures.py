"""What fails, and how: retries, advice, and statistics of each attempt."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest

import cshelve
from cshelve.providers import Gcs
from cshelve.providers.streams import Target
from testbed.ports import free_ports
from testbed.scripted_server import CLOSE, RESET, SILENCE, Answer
from tests.providers.gcs.wire import FORBIDDEN, Wire, error, media, response, wire, written

pytestmark = pytest.mark.gcs

VALUE = media(b"value")


class TestTemporaryFailures:
    @pytest.mark.parametrize(
        "failure",
        [
            [RESET],
            [CLOSE],
            error(408, "slow"),
            error(429, "rate"),
            response(500),
            response(502, b"<html>"),
            response(503),
            response(504),
            [VALUE[:-2], CLOSE],
            media(b"valuf", headers={"X-Goog-Hash": "crc32c=n03x6A==,md5=x"}),
        ],
    )
    def test_are_tried_again(self, failure: Answer, server: Wire) -> None:
        server.answers(failure, failure, VALUE)
        assert server.provider.get("k").data == b"value"
        assert server.provider.stats.requests == {"objects.get": 3}
        assert server.provider.stats.retries == 2

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 501])
    def test_are_none_of_these(self, status: int) -> None:
        with wire(credentials=None) as server:
            server.answers(error(status, "No such object"))
            with pytest.raises(cshelve.Error):
                server.provider.get("k")
            assert len(server.asked) == 1

    def test_that_do_not_end_are_an_error_that_says_how_often(self) -> None:
        with wire(total_max_attempts=3) as server:
            server.answers(*[[RESET]] * 3)
            with pytest.raises(cshelve.StorageError, match="in 3 attempts") as caught:
                server.provider.get("k")
            assert caught.value.about_shelf
            assert caught.value.__cause__ is not None

    def test_of_a_value_that_is_always_cut_short_name_the_key(self) -> None:
        with wire(total_max_attempts=2) as server:
            cut: Answer = [VALUE[:-2], CLOSE]
            server.answers(cut, cut)
            with pytest.raises(
                cshelve.StorageError, match=r"objects\.get of 'k' in gs://bucket/app"
            ):
                server.provider.get("k")

    def test_a_server_that_is_silent_is_waited_for_as_long_as_configured(self) -> None:
        with wire(total_max_attempts=2, read_timeout_seconds=0.05) as server:
            server.answers([SILENCE], [SILENCE])
            with pytest.raises(cshelve.StorageError, match="read_timeout_seconds"):
                server.provider.put("k", b"value")

    def test_a_server_that_is_not_there_is_told_from_a_bucket_that_is_not(self) -> None:
        [port] = free_ports(1)
        provider = Gcs(
            "bucket",
            auth_type="anonymous",
            api_endpoint=f"http://127.0.0.1:{port}",
            total_max_attempts=1,
        )
        with pytest.raises(cshelve.StorageError, match="api_endpoint") as caught:
            provider.exists()
        assert not isinstance(caught.value, cshelve.DBDoesNotExistsError)
        provider.close()

    def test_a_conditional_write_that_was_never_sent_has_no_unknown_outcome(self) -> None:
        [port] = free_ports(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cshelve.providers.gcs.requests.PAUSE_SECONDS", 0.001)
            endpoint = f"http://127.0.0.1:{port}"
            provider = Gcs("bucket", auth_type="anonymous", api_endpoint=endpoint)
            with pytest.raises(cshelve.StorageError) as caught:
                provider.put("k", b"value", if_absent=True)
            assert not isinstance(caught.value, cshelve.OutcomeUnknownError)
            provider.close()


class TestAdvice:
    def test_a_denied_read_may_be_a_missing_key(self, server: Wire) -> None:
        server.answers(response(403, FORBIDDEN.encode()))
        with pytest.raises(cshelve.AuthError, match=r"storage\.objects\.list, without") as caught:
            server.provider.get("k")
        assert "reader@example.org" in str(caught.value)

    def test_names_the_permission(self, server: Wire) -> None:
        server.answers(error(403, "denied"), error(403, "denied"), error(403, "denied"))
        with pytest.raises(cshelve.AuthError, match=r"storage\.objects\.create"):
            server.provider.put("k", b"value")
        with pytest.raises(cshelve.AuthError, match=r"storage\.objects\.delete"):
            server.provider.delete("k")
        with pytest.raises(cshelve.AuthError, match=r"storage\.objects\.list"):
            list(server.provider.names())

    def test_wrong_credentials_fail_for_every_key(self, server: Wire) -> None:
        server.answers(error(401, "Invalid Credentials"))
        with pytest.raises(cshelve.AuthError, match="auth_type") as caught:
            server.provider.get("k")
        assert caught.value.about_shelf

    def test_throttling_says_how_to_slow_down(self) -> None:
        with wire(total_max_attempts=1) as server:
            server.answers(error(429, "The object exceeded the rate limit"))
            with pytest.raises(cshelve.StorageError, match="about once per second"):
                server.provider.put("k", b"value")

    def test_a_bucket_that_is_gone_is_told_in_every_operation(self, server: Wire) -> None:
        gone = error(404, "The specified bucket does not exist.")
        provider = server.provider
        server.answers(*[gone] * 6)
        for act in (
            lambda: provider.get("k"),
            lambda: provider.put("k", b""),
            lambda: provider.put("k", b"", if_absent=True),
            lambda: provider.delete("k"),
            lambda: list(provider.names()),
            lambda: provider.download("k", Target(io.BytesIO())),
        ):
            with pytest.raises(cshelve.DBDoesNotExistsError, match="flag 'c'"):
                act()
        assert len(server.asked) == 6


class TestManyKeys:
    def test_end_at_a_failure_of_all(self) -> None:
        with wire(total_max_attempts=1, concurrency=2) as server:
            server.answers(*[error(401, "Invalid Credentials")] * 9)
            outcomes = list(server.provider.put_many((f"k{n}", b"") for n in range(50)))
            failures = [outcome.failure for outcome in outcomes]
            assert len(failures) < 5
            assert any(isinstance(failure, cshelve.AuthError) for failure in failures)
            # The other of the two may have begun, and notices that the operation has ended.
            assert all(
                isinstance(failure, cshelve.AuthError) or "given up" in str(failure)
                for failure in failures
            )

    def test_go_on_past_a_failure_of_one(self) -> None:
        with wire(concurrency=1) as server:
            server.answers(written(1), error(403, "denied"), written(2))
            outcomes = list(server.provider.put_many([("a", b""), ("b", b""), ("c", b"")]))
            assert [outcome.failure is None for outcome in outcomes] == [True, False, True]


class TestStats:
    def test_count_each_request_with_its_status(self, server: Wire) -> None:
        told: list[tuple[Any, ...]] = []

        def count(operation: str, **of: Any) -> None:
            told.append((operation, of["key"], of["status"], of["sent"], of["received"]))
            assert of["seconds"] >= 0

        server.provider.stats.count = count  # type: ignore[method-assign]
        server.answers(written(8), [RESET], VALUE, error(403, "denied"), response(200, {}))
        server.provider.put("k", b"12345")
        server.provider.get("k")
        with pytest.raises(cshelve.AuthError):
            server.provider.delete("k")
        list(server.provider.names())
        assert told == [
            ("objects.insert", "app/k", 200, 5, 0),
            ("objects.get", "app/k", 0, 0, 0),
            ("objects.get", "app/k", 200, 0, 5),
            ("objects.delete", "app/k", 403, 0, 0),
            ("objects.list", None, 200, 0, 0),
        ]

    def test_nothing_costs_what_is_not_known(self, server: Wire) -> None:
        server.answers(VALUE)
        server.provider.get("k")
        assert server.provider.stats.cost().total == 0


def test_a_permit_is_held_for_no_longer_than_an_attempt(server: Wire) -> None:
    permits = server.provider._requests._permits.get()
    taken: list[int] = []
    original = socket.socket.connect
    with pytest.MonkeyPatch.context() as patch:

        def connect(self: socket.socket, address: Any) -> None:
            taken.append(permits.taken)
            original(self, address)

        patch.setattr(socket.socket, "connect", connect)
        patch.setattr("time.sleep", lambda _: taken.append(permits.taken))
        server.answers([RESET], VALUE)
        server.provider.get("k")
    assert taken[:2] == [1, 0]
    assert permits.taken == 0
