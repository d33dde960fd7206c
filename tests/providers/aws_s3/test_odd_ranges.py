"""What servers may make of a GET of an object's first bytes, and what a shelf makes of that."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator

import pytest

import cshelve
from testbed.faults import Answer, EditResponse, Fault
from testbed.http_messages import Response
from tests.providers.aws_s3.rig import each_engine, ranges_of_any_size, without_pauses
from tests.rigs import Place, S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once, each_engine]

RANGE = 1 << 16
LARGE = os.urandom(RANGE + 7)


@pytest.fixture
def db(s3: S3Rig, engine: str) -> Iterator[cshelve.CloudShelf]:
    sizes = {"multipart_threshold_bytes": RANGE, "multipart_chunk_bytes": RANGE}
    plain = {"use_versioning": False, "serializer": "bytes"}
    config = s3.config(None, engine=engine, **sizes, **plain)
    key = f"{config['default']['key_prefix']}/k"
    s3.client.put_object(Bucket=s3.bucket, Key=key, Body=LARGE)
    with without_pauses(), ranges_of_any_size(), Place(config).open() as shelf:
        yield shelf


def with_header(name: str, value: str | None) -> Fault:
    def edit(response: Response) -> Response:
        kept = [pair for pair in response.headers if pair[0].lower() != name]
        response.headers[:] = kept if value is None else [*kept, (name, value)]
        return response

    return EditResponse(edit)


@pytest.mark.parametrize(
    "fault",
    [
        with_header("content-range", None),
        with_header("content-range", "bytes 0-3/*"),
        with_header("content-range", "bytes 1-4/9"),
        with_header("last-modified", None),
        Answer(416, "InvalidRange"),
        Answer(200, body=b"<html>Log in</html>"),
        Answer(204),
    ],
)
@pytest.mark.parametrize(
    "act", [lambda db: db.provider.inspect("k"), lambda db: db.download("k", io.BytesIO())]
)
def test_a_response_that_cannot_be_right_is_an_error(
    act: Callable[[cshelve.CloudShelf], object],
    fault: Fault,
    engine: str,
    s3: S3Rig,
    db: cshelve.CloudShelf,
) -> None:
    """A bug: without Content-Range, a download ended after the first part, without an error."""
    s3.proxy.inject(fault, operation="GetObject", times=None)
    with pytest.raises(cshelve.StorageError, match="server"):
        act(db)


@pytest.mark.parametrize(
    "fault", [with_header("etag", None), Answer(416, "InvalidRange"), Answer(503, "SlowDown")]
)
def test_one_odd_response_costs_only_requests(
    fault: Fault, engine: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    s3.proxy.inject(fault, operation="GetObject")
    file = io.BytesIO()
    db.download("k", file)
    assert file.getvalue() == LARGE
