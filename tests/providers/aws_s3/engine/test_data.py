"""What would lose data if the direct engine took it for something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import cshelve
from cshelve.exceptions import KeyNotFoundError, KeyNotStorableError
from cshelve.providers.base import Item, Provider
from testbed.faults import Answer, EditResponse, WithoutLength
from testbed.http_messages import Response
from tests.providers.aws_s3.engine.rig import (
    FOR_EVER,
    GET,
    PUT,
    is_direct,
    is_pinned,
    read_among_many,
)
from tests.rigs import S3Rig, finish

pytestmark = [pytest.mark.s3, pytest.mark.once]


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
        finish(direct.put_many((name, name.encode()) for name in names))
        s3.proxy.inject(WithoutLength(), operation=GET, times=FOR_EVER)
        assert [item and item.data for _, item in direct.get_many(names)] == [
            name.encode() for name in names
        ]

    @pytest.mark.parametrize("data", [b"", b"x", b"x" * 70_000])
    def test_a_put_says_how_long_it_is(self, data: bytes, s3: S3Rig, direct: Provider) -> None:
        with s3.proxy.counting() as seen:
            direct.put("single", data)
            finish(direct.put_many([("many", data)]))
        for request in seen.requests:
            assert is_direct(request)
            assert request.headers["Content-Length"] == str(len(data))
        assert direct.get("single").data == data
        assert read_among_many(direct, "many").data == data

    def test_the_empty_key_is_no_request(self, s3: S3Rig, opened: Callable[..., Provider]) -> None:
        direct = opened(key_prefix=None)
        with s3.proxy.counting() as seen:
            with pytest.raises(KeyNotFoundError):
                direct.get("")
            assert not direct.contains("")
            assert direct.delete("") is False
            assert list(direct.get_many([""])) == [("", None)]
            with pytest.raises(KeyNotStorableError):
                direct.put("", b"value")
            with pytest.raises(cshelve.BulkError):
                finish(direct.put_many([("", b"value")]))
        assert seen.total == 0

    def test_a_value_damaged_on_its_way_is_read_again(self, s3: S3Rig, direct: Provider) -> None:
        direct.put("k", b"value")
        reads: list[Callable[[], Item]] = [
            lambda: direct.get("k"),
            lambda: read_among_many(direct, "k"),
        ]
        for read in reads:
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
