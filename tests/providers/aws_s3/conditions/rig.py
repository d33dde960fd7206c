"""Conditional requests: what sends them, the faults that they meet, and looks at the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import cshelve
from cshelve.providers.aws_s3.bucket import PROBE
from cshelve.providers.aws_s3.errors import AnswerLostError, RefusalError
from testbed.fault_proxy import Count, Seen
from testbed.faults import AfterActing, Answer, Fault, Reset
from tests.rigs import S3Rig, object_of

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"

TOKEN = "x-amz-meta-cshelve-token"
ATTEMPTS = 3

BROKEN = Answer(500, "InternalError", "sorry")
BEFORE: dict[str, Fault] = {"reset": Reset(), "500": BROKEN}
AFTER = {name: AfterActing(fault) for name, fault in BEFORE.items()}
BUSY = {
    "conflict": Answer(409, "ConditionalRequestConflict"),
    "429": Answer(429, "TooManyRequests"),
    "slow down": Answer(503, "SlowDown"),
}

Write = Callable[[cshelve.CloudShelf], Any]


def etag(s3: S3Rig, db: cshelve.CloudShelf, key: str = "k") -> str:
    """Ask round the code under test which version lies there."""
    return s3.client.head_object(Bucket=s3.bucket, Key=object_of(db, key))["ETag"]


def tokens(seen: Count) -> list[str | None]:
    """Return the tokens of the puts, in their order."""
    return [request.headers.get(TOKEN) for request in seen.requests if request.operation == PUT]


def names_in_bucket(s3: S3Rig, db: cshelve.CloudShelf) -> list[str]:
    listed = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=object_of(db, ""))
    return [found["Key"].removeprefix(object_of(db, "")) for found in listed.get("Contents", ())]


def replace_it(db: cshelve.CloudShelf) -> str:
    return db.replace("k", "new", db.get_versioned("k")[1])


def add_it(db: cshelve.CloudShelf) -> str:
    return db.replace("n", "new", None)


def delete_it(db: cshelve.CloudShelf) -> None:
    db.delete("k", db.get_versioned("k")[1])


def of_fault(fault: Fault) -> str:
    """Name a fault in a test's name."""
    return fault.code or str(fault.status) if isinstance(fault, Answer) else type(fault).__name__


def unread(operations: list[str]) -> list[str]:
    """Leave out the GET by which a test learns a version."""
    return operations[1:] if operations[0] == GET else operations


def unknown(operation: Callable[[], object]) -> cshelve.OutcomeUnknownError:
    """Expect that nobody can know, and give the error."""
    with pytest.raises(cshelve.OutcomeUnknownError) as caught:
        operation()
    return caught.value


def is_lost_answer(cause: BaseException | None) -> bool:
    """Return whether an error is one of a broken connection or of a server's failure."""
    if isinstance(cause, ClientError | RefusalError):
        return int(cause.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500
    return isinstance(cause, BotoCoreError | AnswerLostError)


def conditions_of(request: Seen) -> tuple[str | None, ...]:
    """Return what decides the outcome of a request, and its token."""
    headers = ("If-Match", "If-None-Match", TOKEN)
    return tuple(request.headers.get(header) for header in headers)


def probes(seen: Count) -> list[Seen]:
    return [r for r in seen.requests if r.key.rpartition("/")[2].startswith(PROBE)]


def kinds(requests: list[Seen]) -> list[str]:
    """Write requests down with their conditions."""
    return [
        " ".join(
            [r.operation, *(h for h in ("If-Match", "If-None-Match") if h in r.headers)],
        )
        for r in requests
    ]


PROBE_UNCHANGED = ["PutObject If-Match"]
PROBE_ABSENT = ["PutObject If-None-Match"] * 2 + ["DeleteObject"]
PROBE_DELETE = ["PutObject", "DeleteObject If-Match", "DeleteObject"]
PROBES: dict[str, tuple[Write, list[str]]] = {
    "modify": (lambda db: db.modify("k", str.upper), PROBE_UNCHANGED),
    "replace": (replace_it, PROBE_UNCHANGED),
    "replace None": (add_it, PROBE_UNCHANGED + PROBE_ABSENT),
    "setdefault": (lambda db: db.setdefault("n", 1), PROBE_UNCHANGED + PROBE_ABSENT),
    "pop": (lambda db: db.pop("k"), PROBE_UNCHANGED + PROBE_DELETE),
    "popitem": (lambda db: db.popitem(), PROBE_UNCHANGED + PROBE_DELETE),
    "delete": (delete_it, PROBE_UNCHANGED + PROBE_DELETE),
}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("cshelve") and record.levelname == "WARNING"
    ]
