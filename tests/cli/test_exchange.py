"""`export` and `import`: what comes back is exactly what was there, in both formats."""

from __future__ import annotations

import base64
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cshelve
from cshelve._concurrency.progress_bar import Bar
from cshelve.cli import folders
from cshelve.cli.program import program as commands
from cshelve.testing import ODD_NAMES
from tests import rigs
from tests.cli.rig import (
    PROGRAM,
    environment,
    errors,
    ini_file,
    objects,
    on_terminal,
    output,
    run,
    s3_ini,
    screen,
)
from tests.cli.test_cp import Planted, Stranger, contents, folder
from tests.codec.making import GCM, HMAC

# Runs the program in a process that can write no files larger than 50,000 bytes.
WITH_SMALL_FILES = """
import resource, signal
from cshelve.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
main()
"""
FORMATS = ("jsonl", "files")
every_format = pytest.mark.parametrize("form", FORMATS)
VALUES: dict[str, Any] = {
    "users/ada": {"born": 1815, "names": ["Ada", "King"]},
    "users": "both a value and a folder",
    "data": b"\x00\xff",
    "data.bytes": b"1",
    "data.txt": "2",
    "data.json": [3],
    "data.pickle": b"4",
    "data.expires": b"5",
    "tuple": (1, 2),
    "nothing": None,
    "infinite": math.inf,
    "day": date(2026, 3, 1),
    "surrogate": "\ud800",
    "set": {1, 2},
    "mutable": bytearray(b"6"),
}
# SeaweedFS may lose one of two objects that are written at the same time, if the name of one is
# also the folder of the other.
IN_S3 = {key: value for key, value in VALUES.items() if key != "users"}


def exported(shelf: str | Path, tmp_path: Path, form: str) -> Path:
    path = Path(tempfile.mkdtemp(dir=tmp_path), "exported")
    output("export", shelf, path, "--format", form)
    return path


# Values that are read from a record are compared by `repr`, in which 1 differs from True.
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
pickled = (
    st.tuples(plain, plain) | st.dates() | st.complex_numbers() | st.decimals() | st.just(Stranger)
)
# The path of a longer name would be too long.
odd_names = [name for name in ODD_NAMES if len(name) < 1000]
keys = (
    st.text(max_size=100)
    | st.sampled_from([*odd_names, "a", "A", "a/b", "", "../a", "/", "a.txt", "a.txt.expires"])
    | st.text("ab/.", max_size=5)
)


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands that run in this process show no bars, if pytest runs on a terminal."""
    monkeypatch.setattr("cshelve.cli.transfers.new_bar", Bar)


@every_format
@settings(max_examples=30)
@given(values=st.dictionaries(keys, plain | st.binary() | pickled, max_size=6))
def test_what_is_imported_equals_what_was_exported(form: str, values: dict[str, Any]) -> None:
    source, target = (f"memory://{rigs.unique_name()}" for _ in range(2))
    with tempfile.TemporaryDirectory() as there, cshelve.open(source) as db:
        db.update(values)
        path = os.path.join(there, "exported")
        call("export", source, path, "--format", form)
        assert os.listdir(there) == ["exported"]
        with cshelve.open(target) as copy:
            call("import", target, path, "--format", form)
            assert sorted(copy) == sorted(db)
            for key, value in values.items():
                assert repr(copy[key]) == repr(value)


def call(*args: str) -> object:
    """Run a command in this process, where it finds shelves in memory; return its exit status."""
    return commands.main(list(args), standalone_mode=False)


def test_a_key_that_no_file_can_have_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"memory://{rigs.unique_name()}"
    with cshelve.open(source) as db:
        db.update({"x": 1, "y" * 5000: 2})
        assert call("export", source, str(tmp_path / "files"), "--format", "files") == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("cshelve: 'yyy")
    assert "File name too long" in told[0]
    assert told[1:] == ["1 key exported, 1 failed"]


@every_format
def test_every_kind_of_value_comes_back(tmp_path: Path, form: str) -> None:
    values = {**VALUES, "large": 10**5000}  # Python does not convert so many digits.
    source = folder(tmp_path / "a", values)
    path = exported(source, tmp_path, form)
    target = f"file://{tmp_path}/b"
    done = run("import", target, path, "--create")
    assert (done.returncode, done.stderr) == (0, b"16 keys imported\n")
    found = contents(target)
    assert found == values
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in values.items()
    }


@pytest.mark.s3
@pytest.mark.encryption
@pytest.mark.msgpack
@every_format
@pytest.mark.parametrize(
    ("options", "sections", "values"),
    [
        ({}, {}, IN_S3),
        ({}, {"encryption": GCM}, IN_S3),
        ({}, {"signing": HMAC}, IN_S3),
        ({"serializer": "bytes"}, {}, {"a": b"", "b.txt": b"\xff"}),
        ({"serializer": "bytes"}, {"signing": HMAC}, {"a": b"", "b.txt": b"\xff"}),
        ({"serializer": "json"}, {}, {"a": {"b": [1, None, 1.5, "ä"]}, "c": "d"}),
        ({"serializer": "msgpack"}, {}, {"a": {1: b"\xff"}, "b": [1], "c": b"1", "d": math.nan}),
    ],
    ids=["pickle", "encrypted", "signed", "bytes", "signed bytes", "json", "msgpack"],
)
def test_a_shelf_in_s3_comes_back(
    s3: rigs.S3Rig,
    tmp_path: Path,
    form: str,
    options: dict[str, Any],
    sections: dict[str, Any],
    values: dict[str, Any],
) -> None:
    source, target = (
        ini_file(tmp_path / f"{name}.ini", {**s3.config(**options), **sections}) for name in "ab"
    )
    with cshelve.open(source) as db:
        db.update(values)
    output("import", target, exported(source, tmp_path, form))
    assert repr(sorted(contents(target).items())) == repr(sorted(values.items()))


def test_lines_are_readable_json(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"x": {"born": 1815}, "y": b"\x00", "z": (1,), "ä": "ö"})
    found = {each.pop("key"): each for each in objects(output("export", source))}
    payload = base64.b64decode(found.pop("z")["pickle"])
    assert pickle.loads(payload) == (1,)
    assert found == {"x": {"value": {"born": 1815}}, "y": {"base64": "AA=="}, "ä": {"value": "ö"}}
    assert list(objects(output("export", source, "-", "--prefix", "x"))) == [
        {"key": "x", "value": {"born": 1815}}
    ]


def test_a_folder_has_a_file_for_each_key(tmp_path: Path) -> None:
    values = {"a/b": {"c": 1}, "a": "text\r\n", "logo.png": b"\x89PNG", "notes.txt": b"1", "t": ()}
    path = exported(folder(tmp_path / "a", values), tmp_path, "files")
    found = {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}
    assert found == {"a/b.json", "a.txt", "logo.png", "notes.txt.bytes", "t.pickle"}
    assert (path / "a.txt").read_bytes() == b"text\r\n"
    assert (path / "logo.png").read_bytes() == b"\x89PNG"
    assert json.loads((path / "a/b.json").read_bytes()) == {"c": 1}


@every_format
def test_values_expire_when_they_would_have(tmp_path: Path, form: str) -> None:
    source = f"file://{tmp_path}/a"
    with cshelve.open(source) as db:
        db.set("brief", 0, expire_after_seconds=0.001)
        db.set("long", 1, expire_after_seconds=86400)
        db["forever"] = 2
        times = {key: db.info(key).expires for key in ("long", "forever")}
    path = exported(source, tmp_path, form)
    target = f"file://{tmp_path}/b"
    assert run("import", target, path, "--create").stderr == b"2 keys imported\n"
    with cshelve.open(target, "r") as db:
        assert {key: db.info(key).expires for key in db} == times


@every_format
def test_never_is_kept_where_values_expire_by_default(tmp_path: Path, form: str) -> None:
    source, target = (f"file://{tmp_path}/{name}?expire_after_seconds=86400" for name in "ab")
    with cshelve.open(source) as db:
        db.set("forever", 1, expire_after_seconds=math.inf)
        db["day"] = 2
    output("import", target, exported(source, tmp_path, form), "--create")
    with cshelve.open(target, "r") as db:
        assert db.info("forever").expires is None
        assert db.info("day").expires is not None
    # What says nothing expires as the target is configured; what has expired is skipped.
    lines = b'{"key": "new", "value": 1}\n{"key": "old", "value": 1, "expires": "2001-01-01T00Z"}\n'
    assert run("import", target, stdin=lines).stderr == b"1 key imported, 1 skipped\n"
    with cshelve.open(target, "r") as db:
        assert db.info("new").expires is not None
        assert "old" not in db


@every_format
def test_a_planted_pickle_is_carried_and_never_executed(tmp_path: Path, form: str) -> None:
    planted = Planted(tmp_path / "executed")
    source = folder(tmp_path / "a", {"planted": planted, "stranger": Stranger()})
    target = f"file://{tmp_path}/b"
    output("import", target, exported(source, tmp_path, form), "--create")
    assert not (tmp_path / "executed").exists()
    with cshelve.open(target, "r") as db:
        assert bytes(db.dict[b"planted"]) == pickle.dumps(planted, 5)
        assert isinstance(db["stranger"], Stranger)
        assert db["planted"] is None
    assert (tmp_path / "executed").exists()


@every_format
def test_a_list_that_contains_itself_many_times_is_carried(tmp_path: Path, form: str) -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value, value]
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    cycle: list[Any] = []
    cycle.append(cycle)
    source = folder(tmp_path / "a", {"shared": value, "deep": deep, "cycle": cycle})
    target = f"file://{tmp_path}/b"
    output("import", target, exported(source, tmp_path, form), "--create")
    with cshelve.open(target, "r") as db:
        assert db["deep"] == deep
        found = db["shared"]
        assert found[0] is found[1]
        assert db["cycle"][0][0] is not None


@every_format
def test_a_shelf_with_another_serializer_refuses_pickles(tmp_path: Path, form: str) -> None:
    source = folder(tmp_path / "a", {"x": [1], "tuple": (1,), "data": b"1"})
    target = f"file://{tmp_path}/b?serializer=json"
    done = run("import", "--json", "--create", target, exported(source, tmp_path, form))
    assert done.returncode == 1
    assert objects(done.stdout.decode()) == [{"imported": 1, "skipped": 0, "failed": 2}]
    told = sorted(done.stderr.decode().splitlines())
    assert told[0].startswith("cshelve: 'data': the value can't be written with serializer = json")
    assert told[1].startswith("cshelve: 'tuple': the value is a pickle, which is not unpickled")
    assert contents(target) == {"x": [1]}


@pytest.mark.msgpack
def test_what_messagepack_has_and_json_has_not_becomes_a_pickle(tmp_path: Path) -> None:
    source = f"file://{tmp_path}/a?serializer=msgpack"
    with cshelve.open(source) as db:
        db["x"] = {1: b"2"}
    lines = output("export", source).encode()
    assert "msgpack" in objects(lines.decode())[0]
    output("import", "--create", f"file://{tmp_path}/b", stdin=lines)
    assert contents(f"file://{tmp_path}/b") == {"x": {1: b"2"}}


def test_json_of_other_programs_is_carried_unchanged(tmp_path: Path) -> None:
    options = "serializer=json&use_versioning=false"
    source, target = (f"file://{tmp_path}/{name}?{options}" for name in "ab")
    with cshelve.open(source) as db:
        db["x"] = 1
    (tmp_path / "a/x").write_bytes(b"[NaN]")
    lines = output("export", source).encode()
    output("import", "--create", target, stdin=lines)
    assert (tmp_path / "b/x").read_bytes() == b"[NaN]"


@every_format
def test_a_record_that_cannot_be_read_is_reported(tmp_path: Path, form: str) -> None:
    source = folder(tmp_path / "a", {"x": 1, "y": 2})
    (tmp_path / "a/x").write_bytes(b"\0damaged")
    done = run("export", source, tmp_path / "out", "--format", form)
    assert done.returncode == 1
    told = done.stderr.decode().splitlines()
    assert told[0].startswith("cshelve: 'x' in ")
    assert told[1] == "1 key exported, 1 failed"
    output("import", "--create", tmp_path / "b", tmp_path / "out")
    assert contents(tmp_path / "b") == {"y": 2}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"users/ada", "this is not JSON"),
        (b'{"key": "a", "value": "trunca', "this is not JSON"),
        (b'\xff{"key": "a"}', "this is not JSON"),
        (b'{"key": "a", "value": NaN}', "this is not JSON: NaN is no number"),
        (b"[" * 100_000, "this is not JSON"),
        (b"[]", "expected an object with a key"),
        (b'{"key": 1, "value": 1}', "expected an object with a key"),
        (b'{"key": "a"}', "expected one of the fields value, base64"),
        (b'{"key": "a", "value": 1, "base64": ""}', "expected one of the fields value, base64"),
        (b'{"key": "a", "base64": "?"}', "the field base64 is not in Base64"),
        (b'{"key": "a", "pickle": 1}', "the field pickle is not in Base64"),
        (b'{"key": "a", "value": 1, "expire": 1}', "there is no field 'expire'"),
        (b'{"key": "a", "value": 1, "expires": "2026-03-01T12:00:00"}', "a time zone"),
        (b'{"key": "a", "value": 1, "expires": 1}', "a time zone"),
        (b'{"key": "a", "value": 1, "expires": "soon"}', "Invalid isoformat string"),
    ],
)
def test_a_wrong_line_is_named_and_ends_the_import(
    tmp_path: Path, line: bytes, problem: str
) -> None:
    lines = b'{"key": "x", "value": 1}\n\n' + line + b'\n{"key": "z", "value": 3}\n'
    done = run("import", "--create", tmp_path / "b", stdin=lines)
    assert done.returncode == 1
    assert done.stderr.startswith(b"1 key imported\ncshelve: standard input, line 3: ")
    assert problem in done.stderr.decode()
    assert contents(tmp_path / "b") == {"x": 1}


def test_the_last_line_of_a_key_counts(tmp_path: Path) -> None:
    lines = b"".join(b'{"key": "x", "value": %d}\n' % number for number in range(200))
    output("import", "--create", tmp_path / "b", stdin=lines)
    assert contents(tmp_path / "b") == {"x": 199}


def test_a_payload_that_is_no_json_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "files"
    path.mkdir()
    (path / "a.json").write_bytes(b"{")
    (path / "b.txt").write_bytes(b"\xff")
    (path / "c.txt").write_text("later")
    (path / "c.txt.expires").write_text("soon")
    (path / "d").write_text("whole")
    done = run("import", "--create", tmp_path / "b", path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 4
    assert contents(tmp_path / "b") == {"d": b"whole"}


def test_two_files_of_one_key_are_refused_before_anything_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "files"
    path.mkdir()
    (path / "a.json").write_text("1")
    (path / "a.txt").write_text("1")
    target = tmp_path / "b"
    told = errors("import", "--create", target, path)
    assert "are both values of the key 'a'" in told
    (path / "a.txt").unlink()
    (path / "c.txt.expires").write_text("never")
    assert "that file is missing" in errors("import", "--create", target, path)
    assert not list(tmp_path.glob("b*"))


@pytest.mark.parametrize("what", ["a link", "a linked folder", "a pipe", "an odd name"])
def test_a_folder_with_what_would_not_be_imported_is_refused(tmp_path: Path, what: str) -> None:
    path, odd = tmp_path / "files", tmp_path / "files/sub/odd"
    odd.parent.mkdir(parents=True)
    (path / "x").write_text("1")
    (tmp_path / "secret").write_text("secret")
    match what:
        case "a link":
            odd.symlink_to(tmp_path / "secret")
        case "a linked folder":
            odd.symlink_to(tmp_path)
        case "a pipe":
            os.mkfifo(odd)
        case _:
            (path / os.fsdecode(b"sub/odd\xff")).write_text("2")
    target = tmp_path / "b"
    assert "files/sub/odd" in errors("import", "--create", target, path)
    assert not list(tmp_path.glob("b*"))


def test_files_are_written_to_an_empty_folder_only(tmp_path: Path) -> None:
    source, path = folder(tmp_path / "a", {"x": 1}), tmp_path / "files"
    path.mkdir()
    (path / "other").write_text("mine")
    assert "is not empty" in errors("export", source, path, "--format", "files")
    assert [each.name for each in path.iterdir()] == ["other"]


def test_where_case_is_ignored_each_key_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_ignores_case", lambda _: True)
    source = folder(tmp_path / "a", {"ada": 1, "Ada": 2, "ADA/x": 3, "a:b": 4, "con": 5})
    call("export", source, str(tmp_path / "files"), "--format", "files")
    files = [each for each in (tmp_path / "files").rglob("*") if each.is_file()]
    assert len({str(each).lower() for each in files}) == 5
    output("import", "--create", tmp_path / "b", tmp_path / "files")
    assert contents(tmp_path / "b") == contents(source)


def test_resume_skips_the_keys_that_are_there(tmp_path: Path) -> None:
    target = folder(tmp_path / "b", {"x": "other"})
    lines = b'{"key": "x", "value": 1}\n{"key": "y", "value": 2}\n'
    assert run("import", "--resume", target, stdin=lines).stderr == b"1 key imported, 1 skipped\n"
    assert contents(target) == {"x": "other", "y": 2}


def test_only_create_creates_a_shelf(tmp_path: Path) -> None:
    target = f"file://{tmp_path}/b"
    assert "does not exist" in errors("import", target, stdin=b'{"key": "x", "value": 1}\n')
    assert "nosuch" in errors("import", "--create", target, tmp_path / "nosuch")
    assert "no folder" in errors("import", target, tmp_path / "x", "--format", "files", status=2)
    assert "is a folder" in errors("import", target, tmp_path, "--format", "jsonl", status=2)
    assert "does not exist" in errors("export", target, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_file_and_one_line(tmp_path: Path) -> None:
    for size in (100, 100_000):  # The first is written as the file is closed.
        source = folder(tmp_path / str(size), {"x": "x" * size})
        told = errors("export", source, "/dev/full")
        assert told == "cshelve: /dev/full: No space left on device\n"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PROGRAM, "export", source],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"cshelve: No space left on device\n"
    for form in FORMATS:
        path = tmp_path / form
        done = subprocess.run(
            [sys.executable, "-c", WITH_SMALL_FILES, "export", source, path, "--format", form],
            capture_output=True,
            env=environment(),
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.startswith(b"cshelve: ")
        assert b"File too large" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not path.is_file()
        assert not [each for each in path.rglob("*") if each.is_file()]
    assert not list(tmp_path.glob(".*"))


def test_the_end_of_a_pipe_ends_it_without_a_message(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {f"{number:03}": "x" * 1000 for number in range(500)})
    program = subprocess.Popen(
        [PROGRAM, "export", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.read(100)
    program.stdout.close()
    with program.stderr:
        assert program.stderr.read() == b""
    assert program.wait(60) == 1


@pytest.mark.s3
def test_an_interrupted_import_says_how_to_continue(s3: rigs.S3Rig, tmp_path: Path) -> None:
    target = s3_ini(tmp_path / "b.ini", s3, concurrency=2)
    program = subprocess.Popen(
        [PROGRAM, "import", target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert program.stdin is not None
    with s3.proxy.counting() as count:
        for number in range(20):
            program.stdin.write(b'{"key": "%d", "value": 1}\n' % number)
        program.stdin.flush()
        rigs.wait_until(lambda: count.operations.count("PutObject") >= 18)
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=60)
    assert program.returncode == 130
    again = f"cshelve import --resume {target}"
    assert told.decode() == f"cshelve: interrupted. To continue, run: {again}\n"


def test_a_terminal_sees_no_character_that_controls_it(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"k\x9b": "\x1b]0;title\x07\x9b31m"})
    shown = screen("export", source)
    assert "\x9b" not in shown
    assert "\x1b" not in shown
    assert "1 key exported" in shown
    assert "exported:" not in shown  # A bar would be in the middle of the lines.
    shown = screen("export", source, tmp_path / "out")
    assert "exported: 1 keys" in shown


def test_a_terminal_is_no_source_of_lines(tmp_path: Path) -> None:
    with on_terminal("import", "--create", tmp_path / "b") as child:
        assert "pipe lines in" in child.read()
