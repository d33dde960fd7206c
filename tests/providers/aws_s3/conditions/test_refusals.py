"""Busy servers, refusals and conflicts: what is sent again, and what is an error at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

import cshelve
from cshelve.providers.aws_s3.errors import RefusalError
from testbed.faults import Answer
from tests.providers.aws_s3.conditions.rig import (
    ATTEMPTS,
    BUSY,
    DELETE,
    GET,
    PUT,
    Write,
    add_it,
    conditions_of,
    delete_it,
    names_in_bucket,
    of_fault,
    replace_it,
    unread,
)
from tests.rigs import S3Rig, object_of

pytestmark = pytest.mark.s3

# Each kind of conditional request: what sends it, its operation, and its key.
ALL: dict[str, tuple[Write, str, str]] = {
    "put if unchanged": (replace_it, PUT, "k"),
    "put if absent": (add_it, PUT, "n"),
    "delete": (delete_it, DELETE, "k"),
}


def looks(request_: str, error: Exception) -> list[str]:
    """Name the request that asks whether what is in the way of a new key has expired."""
    is_asked = request_ == "put if absent" and isinstance(error, cshelve.ConflictError)
    return [GET] if is_asked else []


@pytest.mark.parametrize("request_", ALL)
class TestABusyServer:
    @pytest.mark.parametrize("busy", BUSY)
    def test_is_asked_again(
        self,
        request_: str,
        busy: str,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        pauses: list[int],
    ) -> None:
        write, operation, key = ALL[request_]
        times = ATTEMPTS - 1
        s3.proxy.inject(BUSY[busy], operation=operation, key=object_of(db, key), times=times)
        with s3.proxy.counting() as seen:
            write(db)
        assert unread(seen.operations) == [operation] * (times + 1)
        assert len({conditions_of(r) for r in seen.requests if r.operation == operation}) == 1
        assert pauses == list(range(times))
        assert db.get(key) == (None if operation == DELETE else "new")

    @pytest.mark.parametrize("busy", BUSY)
    def test_for_ever_is_an_error_that_leaves_the_value(
        self, request_: str, busy: str, s3: S3Rig, db: cshelve.CloudShelf, pauses: list[int]
    ) -> None:
        write, operation, key = ALL[request_]
        s3.proxy.inject(BUSY[busy], operation=operation, key=object_of(db, key), times=None)
        with s3.proxy.counting() as seen, pytest.raises(cshelve.StorageError) as caught:
            write(db)
        is_conflict = busy == "conflict"
        assert type(caught.value) is (
            cshelve.ConflictError if is_conflict else cshelve.StorageError
        )
        assert isinstance(caught.value.__cause__, ClientError | RefusalError)
        assert unread(seen.operations) == [operation] * ATTEMPTS + looks(request_, caught.value)
        assert pauses == list(range(ATTEMPTS - 1))
        assert names_in_bucket(s3, db) == ["k"]
        assert db["k"] == "old"


@pytest.mark.parametrize("request_", ALL)
class TestARefusal:
    """An answer like this is one: the request is sent once, and nothing is looked for."""

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (Answer(412, "PreconditionFailed"), cshelve.ConflictError),
            (Answer(404, "NoSuchKey"), cshelve.ConflictError),
            (Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
            (Answer(403, "AccessDenied"), cshelve.AuthError),
            (Answer(400, "ExpiredToken"), cshelve.AuthError),
            (Answer(501, "NotImplemented"), cshelve.ConditionsNotSupportedError),
            (Answer(400, "InvalidArgument"), cshelve.ConditionsNotSupportedError),
        ],
        ids=lambda value: of_fault(value) if isinstance(value, Answer) else None,
    )
    def test_is_an_error_of_its_own_kind_at_once(
        self,
        request_: str,
        answer: Answer,
        error: type[Exception],
        s3: S3Rig,
        db: cshelve.CloudShelf,
    ) -> None:
        write, operation, key = ALL[request_]
        s3.proxy.inject(answer, operation=operation, key=object_of(db, key), times=None)
        with s3.proxy.counting() as seen, pytest.raises(error) as caught:
            write(db)
        assert type(caught.value) is error
        assert isinstance(caught.value.__cause__, ClientError | RefusalError)
        assert unread(seen.operations) == [operation, *looks(request_, caught.value)]
        assert db.get("k") == "old"


class TestAConflict:
    """As SeaweedFS says it, not the proxy."""

    @pytest.mark.parametrize(
        ("write", "requests"),
        [
            (lambda db, version: db.replace("k", "new", version), [PUT]),
            # Whether it has expired, the answer to the put does not tell.
            (lambda db, _: db.replace("k", "new", None), [PUT, GET]),
            (lambda db, version: db.delete("k", version), [DELETE]),
        ],
        ids=["replace", "replace None", "delete"],
    )
    def test_costs_no_more_than_it_has_to_and_leaves_what_another_wrote(
        self,
        write: Callable[[cshelve.CloudShelf, str], Any],
        requests: list[str],
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        version = db.get_versioned("k")[1]
        other["k"] = "theirs"
        with s3.proxy.counting() as seen, pytest.raises(cshelve.ConflictError) as caught:
            write(db, version)
        assert seen.operations == requests
        assert caught.value.__cause__ is not None
        assert db["k"] == "theirs"

    @pytest.mark.parametrize(
        "write",
        [
            lambda db, version: db.replace("k", "new", version),
            lambda db, version: db.delete("k", version),
        ],
        ids=["replace", "delete"],
    )
    def test_is_what_a_version_of_an_absent_key_is(
        self,
        write: Callable[[cshelve.CloudShelf, str], Any],
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        version = db.get_versioned("k")[1]
        del other["k"]
        with s3.proxy.counting() as seen, pytest.raises(cshelve.ConflictError):
            write(db, version)
        assert seen.total == 1
        assert "k" not in db
