"""One line in the log for each attempt of a request, and a warning for slow ones."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable

import pytest

import cshelve
from testbed.faults import Answer, CutBody, Delay, Reset
from tests.providers.aws_s3.rig import each_engine, warmed_up, without_pauses
from tests.rigs import Place, S3Rig, provider_of

pytestmark = [pytest.mark.s3, pytest.mark.once, each_engine]

SLOW = 0.2
VALUE = "the plaintext of a value"
MANY = {f"n{number}": VALUE for number in range(5)}

Lines = Callable[[], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return the lines about requests so far, with their levels, and forget them."""

    def taken() -> list[str]:
        found = [
            f"{record.levelname} {record.getMessage()}"
            for record in caplog.records
            if ", attempt " in record.getMessage()
        ]
        caplog.clear()
        return found

    return taken


@pytest.fixture
def db(s3: S3Rig, engine: str, caplog: pytest.LogCaptureFixture) -> cshelve.CloudShelf:
    shelf = warmed_up(Place(s3.config(None, engine=engine, slow_request_seconds=SLOW)).open())
    shelf["k"] = VALUE
    caplog.set_level("DEBUG", logger="cshelve")
    caplog.clear()
    return shelf


def without_numbers(line: str) -> str:
    return re.sub(r"[0-9.]+ (?=bytes|received|ms)", "_ ", line)


def test_a_line_has_the_operation_the_key_the_status_and_sizes(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf, lines: Lines
) -> None:
    place = provider_of(db).location
    db["new\n"] = VALUE
    (line,) = lines()
    assert without_numbers(line) == (
        f"DEBUG PutObject of 'new\\n' in {place}: 200, _ bytes sent, _ received, _ ms, attempt 1"
    )
    size = len(provider_of(db).get("new\n").data)
    assert f": 200, {size} bytes sent, 0 received" in line
    (line,) = lines()
    assert f"DEBUG GetObject of 'new\\n' in {place}: 200, 0 bytes sent, {size} received" in line
    assert "absent" not in db
    (line,) = lines()
    assert line.startswith(f"DEBUG HeadObject of 'absent' in {place}: 404, 0 bytes sent, 0 rec")
    assert len([key for key in db]) == 2  # noqa: C416  # list() asks for len too
    (line,) = lines()
    assert line.startswith(f"DEBUG ListObjectsV2 in {place}: 200, ")


def test_each_of_many_keys_has_a_line(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf, lines: Lines
) -> None:
    db.set_many(MANY)
    assert len(lines()) == len(MANY)
    dict(db.get_many(MANY))
    assert len(lines()) == len(MANY)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Answer(503, "SlowDown"), r": 503, .* attempt 1"),
        (Reset(), r": no response \(\w+\), 0 bytes sent, 0 received, .* attempt 1"),
        (CutBody(2), r": 200 \(\w+\), 0 bytes sent, 2 received, .* attempt 1"),
    ],
    ids=["busy", "reset", "cut"],
)
def test_a_retry_has_a_line_of_its_own(
    fault: Answer | Reset | CutBody,
    told: str,
    engine: str,
    s3: S3Rig,
    db: cshelve.CloudShelf,
    lines: Lines,
) -> None:
    with s3.proxy.inject(fault, operation="GetObject"), without_pauses():
        assert db["k"] == VALUE
    first, second = lines()
    assert re.search(told, first)
    assert second.endswith("attempt 2")


def test_a_slow_request_is_a_warning(
    engine: str,
    s3: S3Rig,
    db: cshelve.CloudShelf,
    lines: Lines,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="cshelve")
    with s3.proxy.inject(Delay(SLOW), operation="GetObject"):
        assert db["k"] == VALUE
    (line,) = lines()
    assert line.startswith("WARNING slow request: GetObject of 'k' in ")
    assert db["k"] == VALUE
    assert lines() == []


def test_the_time_that_a_caller_takes_is_not_the_requests_time(
    engine: str,
    s3: S3Rig,
    db: cshelve.CloudShelf,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if engine == "boto3":
        pytest.skip("boto3's requests are in threads, which read while the caller computes")
    clock, later = time.monotonic, 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock() + later)
    db.set_many(MANY)
    lines()
    for _ in db.get_many(MANY):
        later += 10
    assert [line for line in lines() if line.startswith("WARNING")] == []


def test_nothing_is_formatted_unless_it_is_wanted(
    engine: str,
    s3: S3Rig,
    db: cshelve.CloudShelf,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO", logger="cshelve")
    monkeypatch.delitem(sys.modules, "opentelemetry", raising=False)
    monkeypatch.setattr("cshelve.providers.stats.Attempt", None)
    assert db["k"] == VALUE


def test_no_line_has_a_value_or_a_secret(
    engine: str, s3: S3Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="cshelve")
    secrets = ["hush-hush", s3.server.admin.secret_key, s3.server.admin.access_key, VALUE]
    with pytest.raises(cshelve.AuthError):
        Place(s3.config(None, engine=engine, key_secret="hush-hush")).open("r")
    db = warmed_up(Place(s3.config(None, engine=engine)).open())
    for fault in (Answer(500, "InternalError", f"not {VALUE}"), Reset(), CutBody(3)):
        db["k"] = VALUE
        with s3.proxy.inject(fault, operation="GetObject"), without_pauses():
            assert db["k"] == VALUE
    assert len([each for each in caplog.records if each.levelno == logging.DEBUG]) > 9
    assert [secret for secret in secrets if secret in caplog.text] == []


def test_another_logger_gets_the_lines(
    engine: str, s3: S3Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="mine")
    Place(s3.config(None, engine=engine)).open(logger=logging.getLogger("mine"))
    assert {each.name for each in caplog.records if ", attempt " in each.getMessage()} == {"mine"}
