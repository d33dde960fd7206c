"""Large values: all of their requests go directly, and boto3 takes over where one fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cshelve.providers.base import Provider
from testbed.faults import EditResponse, Reset
from tests.providers.aws_s3.engine.rig import GET, is_direct, read_among_many
from tests.rigs import S3Rig, finish

pytestmark = [pytest.mark.s3, pytest.mark.once]

MIB = 1024 * 1024


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
            finish(direct.put_many([("a", b"a"), ("larger", large)]))
            assert len(list(direct.entries())) == 3
            assert read_among_many(direct, "larger", "a").data == large
            finish(direct.purge())
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
