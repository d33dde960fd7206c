"""Faults while it is probed whether the server honours conditions."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import Answer, Fault, Reset
from tests.providers.aws_s3.conditions.rig import (
    BROKEN,
    DELETE,
    PROBES,
    PUT,
    kinds,
    names_in_bucket,
    of_fault,
    probes,
    warnings_of,
)
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig

pytestmark = pytest.mark.s3

# Which of a probe's requests, counted from 0 among those of its operation.
STEPS: dict[str, tuple[str, str, int]] = {
    "the put if unchanged": ("replace", PUT, 0),
    "the first put if absent": ("setdefault", PUT, 1),
    "the second put if absent": ("setdefault", PUT, 2),
    "the put of what is to be deleted": ("pop", PUT, 1),
    "the delete if unchanged": ("pop", DELETE, 0),
}

REFUSED = Answer(403, "AccessDenied")
FAULTS_OF_A_PROBE: list[tuple[str, Fault, type[Exception]]] = [
    *((step, REFUSED, cshelve.AuthError) for step in STEPS),
    *((step, BROKEN, cshelve.StorageError) for step in STEPS),
    ("the put if unchanged", Answer(400, "ExpiredToken"), cshelve.AuthError),
    ("the put if unchanged", Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
    ("the put if unchanged", Answer(503, "SlowDown"), cshelve.StorageError),
    ("the put if unchanged", Reset(), cshelve.StorageError),
]


class TestAFaultDuringTheProbe:
    @pytest.mark.parametrize(
        ("step", "fault", "error"),
        FAULTS_OF_A_PROBE,
        ids=[f"{of_fault(fault)} for {step}" for step, fault, _ in FAULTS_OF_A_PROBE],
    )
    def test_is_an_error_of_its_own_kind_and_the_next_operation_probes_again(
        self,
        step: str,
        fault: Fault,
        error: type[Exception],
        s3: S3Rig,
        fresh: cshelve.CloudShelf,
    ) -> None:
        operation, kind, number = STEPS[step]
        act, expected = PROBES[operation]
        # A refusal is not repeated; the rest is, by boto3, once. What the direct engine does not
        # settle itself, it has sent before.
        times = 2 if error is cshelve.StorageError else 1
        is_settled = (
            error is not cshelve.StorageError and step != "the put of what is to be deleted"
        )
        times += 0 if is_settled else SENT_IF_REFUSED - 1
        s3.proxy.inject(fault, operation=kind, after=number, times=times)
        with pytest.raises(error) as caught:
            act(fresh)
        assert type(caught.value) is error
        assert caught.value.__cause__ is not None
        assert names_in_bucket(s3, fresh) == ["k"]
        assert fresh["k"] == "old"
        with s3.proxy.counting() as seen:
            act(fresh)
        # What the first put told is known by then.
        is_first = step == "the put if unchanged"
        assert kinds(probes(seen)) == (expected if is_first else expected[1:])

    def test_keeps_setdefault_from_going_on_unguarded(
        self, s3: S3Rig, fresh: cshelve.CloudShelf, caplog: pytest.LogCaptureFixture
    ) -> None:
        s3.proxy.inject(REFUSED, operation=PUT)
        with pytest.raises(cshelve.AuthError):
            fresh.setdefault("n", 1)
        assert warnings_of(caplog) == []
        assert names_in_bucket(s3, fresh) == ["k"]


def test_what_the_probe_cannot_remove_is_left_behind_unseen(s3: S3Rig) -> None:
    db = Place(s3.config()).open()
    refused = Answer(403, "AccessDenied", "Access Denied")
    with s3.proxy.inject(refused, operation="DeleteObject", times=None):
        assert db.setdefault("k", 1) == 1
    assert list(db) == ["k"]


def test_a_400_for_another_reason_is_told_and_not_remembered(s3: S3Rig) -> None:
    db = Place(s3.config()).open()
    refused = Answer(400, "InvalidStorageClass", "no such class")
    with s3.proxy.inject(refused, operation="PutObject", times=None):
        for _ in range(2):
            with pytest.raises(cshelve.StorageError, match="InvalidStorageClass") as caught:
                db.replace("k", 1, None)
            assert not isinstance(caught.value, cshelve.ConditionsNotSupportedError)
    db.replace("k", 1, None)
    assert db["k"] == 1
