"""Credentials that change are boto3's, and are asked for at each request."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cshelve.providers.base import Provider
from testbed.faults import Answer
from tests.providers.aws_s3.engine.rig import FOR_EVER, is_direct
from tests.rigs import S3Rig, finish

pytestmark = [pytest.mark.s3, pytest.mark.once]


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
            finish(direct.put_many([("k", b"")]))
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
