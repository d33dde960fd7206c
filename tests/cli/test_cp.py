"""`cp`, also when it is interrupted or killed in the middle."""

from __future__ import annotations

import os
import pickle
import subprocess
import time
from pathlib import Path
from signal import SIGINT, SIGKILL, Signals
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer, Delay
from tests import rigs
from tests.cli.rig import (
    ESCAPE,
    errors,
    ini_file,
    objects,
    output,
    run,
    s3_ini,
    screen,
    started,
)
from tests.codec.making import GCM, HMAC

NUMBER = 60
MANY = {f"k{number:03}": [number] * 50 for number in range(NUMBER)}


class Stranger:
    """A class that the program cannot import."""


class Planted:
    """A value whose pickle creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def folder(path: Path, values: dict[str, Any] | None = None) -> str:
    """Return the URL of a shelf in a folder; create it with these values, if there are any."""
    url = f"file://{path}"
    if values is not None:
        with cshelve.open(url) as db:
            db.update(values)
    return url


def contents(shelf: str | Path) -> dict[str, Any]:
    with cshelve.open(shelf, "r") as db:
        return dict(db.items())


def test_the_keys_are_copied_and_those_of_the_target_stay(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"x/1": 1, "x/2": b"2", "y": "3"})
    target = folder(tmp_path / "b", {"x/1": "old", "z": 4})
    done = run("cp", source, target)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"3 keys copied\n")
    assert contents(target) == {"x/1": 1, "x/2": b"2", "y": "3", "z": 4}


def test_a_prefix_stays_in_the_keys(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"x/1": 1, "x/2": 2, "y": 3})
    summary = objects(output("cp", "--json", "--create", "--prefix", "x/", source, tmp_path / "b"))
    assert summary == [{"copied": 2, "skipped": 0, "failed": 0}]
    assert contents(tmp_path / "b") == {"x/1": 1, "x/2": 2}


def test_only_create_creates_the_target(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "a", {"x": 1}), f"file://{tmp_path}/b"
    assert "does not exist" in errors("cp", source, target)
    assert "does not exist" in errors("cp", "--dry-run", source, target)
    assert "does not exist" in errors("cp", "--create", f"file://{tmp_path}/nosuch", target)
    assert output("cp", "--dry-run", "--create", source, target) == "x\n"
    assert not (tmp_path / "b").exists()
    assert output("cp", "--create", source, target) == ""
    assert contents(target) == {"x": 1}


def test_resume_skips_the_keys_that_are_there(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"x": 1, "y": 2})
    target = folder(tmp_path / "b", {"x": "other"})
    assert output("cp", "--resume", "--dry-run", source, target) == "y\n"
    done = run("cp", "--resume", "--verify", source, target)
    assert done.stderr == b"1 key copied, 1 skipped\n"
    assert contents(target) == {"x": "other", "y": 2}


@pytest.mark.s3
def test_a_dry_run_sends_only_listings(s3: rigs.S3Rig, tmp_path: Path) -> None:
    source, target = (s3_ini(tmp_path / f"{name}.ini", s3) for name in "ab")
    with cshelve.open(source) as db:
        db.update({"x/1": 1, "x/2": 2, "y": 3})
    with s3.proxy.counting() as count:
        done = run("cp", "--dry-run", "--json", "--prefix", "x/", "--resume", source, target)
    assert [each["key"] for each in objects(done.stdout.decode())] == ["x/1", "x/2"]
    assert b"2 keys, " in done.stderr
    assert b"would be copied" in done.stderr
    assert set(count.operations) <= {"ListObjectsV2", "HeadBucket"}
    assert contents(target) == {}


@pytest.mark.s3
def test_statistics_are_of_both_shelves(s3: rigs.S3Rig, tmp_path: Path) -> None:
    target = s3_ini(tmp_path / "b.ini", s3)
    done = run("cp", "--stats", folder(tmp_path / "a", {"x": 1}), target)
    told = done.stderr.decode().splitlines()
    assert [line.partition(": ")[0] for line in told] == ["1 key copied", "target", "source"]


def test_a_key_that_fails_is_reported_and_the_others_are_copied(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"x/1": 1, "x/2": 2})
    (tmp_path / "a/x/1").write_bytes(b"\0damaged")
    target = f"file://{tmp_path}/b?serializer=json"
    done = run("cp", "--json", "--create", "--prefix", "x/", source, target)
    assert done.returncode == 1
    assert objects(done.stdout.decode()) == [{"copied": 1, "skipped": 0, "failed": 1}]
    assert done.stderr.startswith(b"cshelve: 'x/1' in ")
    assert len(done.stderr.splitlines()) == 1
    assert contents(target) == {"x/2": 2}


@pytest.mark.s3
def test_a_failure_of_every_key_says_how_to_continue(s3: rigs.S3Rig, tmp_path: Path) -> None:
    source, target = folder(tmp_path / "a", MANY), s3_ini(tmp_path / "b.ini", s3, concurrency=1)
    expired = Answer(400, "ExpiredToken", "The provided token has expired.")
    with s3.proxy.inject(expired, operation="PutObject", times=None, after=5):
        told = errors("cp", source, target).splitlines()
    assert told[0] == (
        f"cshelve: stopped early. To continue, run: cshelve cp --resume {source} {target}"
    )
    assert "expired" in told[-1]
    assert run("cp", "--resume", source, target).stderr == b"55 keys copied, 5 skipped\n"


def interrupted(
    s3: rigs.S3Rig, how: Signals, operation: str, *args: object
) -> subprocess.CompletedProcess[bytes]:
    """Run `cp` through a slow network, and send a signal in the middle."""
    with (
        s3.proxy.counting() as count,
        s3.proxy.inject(Delay(0.05), operation=operation, times=None),
        started("cp", *args) as program,
    ):
        rigs.wait_until(lambda: count.operations.count(operation) >= 10)
        program.send_signal(how)
        return program.end()


@pytest.mark.s3
@pytest.mark.encryption
@pytest.mark.parametrize(
    ("how", "from_s3", "sections", "operation"),
    [
        pytest.param(SIGINT, True, {}, "CopyObject", id="within a server"),
        pytest.param(SIGKILL, True, {}, "CopyObject", id="within a server, killed"),
        pytest.param(SIGINT, False, {}, "PutObject", id="folder to S3"),
        pytest.param(SIGKILL, False, {}, "PutObject", id="folder to S3, killed"),
        # Which signal it was makes no difference to what is written next.
        pytest.param(
            SIGKILL, False, {"encryption": GCM}, "PutObject", id="into an encrypted shelf"
        ),
        pytest.param(SIGINT, True, {"signing": HMAC}, "PutObject", id="into a signed shelf"),
    ],
)
def test_a_copy_that_was_stopped_continues(
    s3: rigs.S3Rig,
    tmp_path: Path,
    how: Signals,
    from_s3: bool,
    sections: dict[str, Any],
    operation: str,
) -> None:
    source: str | Path = s3_ini(tmp_path / "a.ini", s3) if from_s3 else f"file://{tmp_path}/a"
    with cshelve.open(source) as db:
        db.update(MANY)
        db["stranger"] = Stranger()
        db["planted"] = Planted(tmp_path / "executed")
        db.set("brief", "expired", expire_after_seconds=0.001)
        db.set("long", "kept", expire_after_seconds=86400)
    config = s3.config(concurrency=2)
    target = ini_file(tmp_path / "b.ini", {**config, **sections})
    done = interrupted(s3, how, operation, source, target)
    if how is SIGINT:
        assert done.returncode == 130
        again = f"cshelve cp --resume {source} {target}"
        assert done.stderr.decode() == f"cshelve: interrupted. To continue, run: {again}\n"
    else:
        assert done.returncode == -SIGKILL
    assert done.stdout == b""
    with cshelve.open(target, "r") as db:
        # Everything that is there is whole.
        copied = {key: db[key] for key in db if key in MANY}
        present = len(db)
    assert 5 <= len(copied) < NUMBER
    assert copied == {key: MANY[key] for key in copied}

    summary = objects(output("cp", "--resume", "--json", source, target))
    expected = NUMBER + 3
    assert summary == [{"copied": expected - present, "skipped": present + 1, "failed": 0}]
    assert not (tmp_path / "executed").exists()
    with cshelve.open(target, "r") as db:
        assert {key: db[key] for key in MANY} == MANY
        assert set(db) - MANY.keys() == {"stranger", "planted", "long"}
        assert isinstance(db["stranger"], Stranger)
        expires = db.info("long").expires
        assert expires is not None
        assert abs(expires.timestamp() - time.time() - 86400) < 600
        assert bytes(db.dict[b"planted"]) == pickle.dumps(Planted(tmp_path / "executed"), 5)


def test_a_bar_is_shown_on_a_terminal(tmp_path: Path) -> None:
    shown = screen("cp", "--create", folder(tmp_path / "a", MANY), f"file://{tmp_path}/b")
    assert "copied: 60 keys" in ESCAPE.sub("", shown)
    assert "60 keys copied\n" in shown


def test_a_shelf_is_not_copied_into_a_part_of_itself(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"x": 1})
    assert "one contains the other" in errors("cp", source, source)
