"""`put`, `rm`, `expire` and `rewrite`."""

from __future__ import annotations

from pathlib import Path

import pytest

import cshelve
from tests import rigs
from tests.cli.rig import errors, objects, on_terminal, output, run, s3_ini


@pytest.fixture
def shelf(tmp_path: Path) -> str:
    """The URL of a shelf in a folder, with some values."""
    url = f"file://{tmp_path}/shelf"
    with cshelve.open(url) as db:
        db.update({"june/1": 1, "june/2": 2, "july/1": 3})
    return url


def keys_of(shelf: str | Path) -> list[str]:
    with cshelve.open(shelf, "r") as db:
        return sorted(db)


@pytest.mark.s3
def test_put_stores_text_bytes_and_json(s3: rigs.S3Rig, tmp_path: Path) -> None:
    shelf = s3_ini(tmp_path / "shelf.ini", s3)
    (tmp_path / "file").write_bytes(b"\x00\xff")
    output("put", shelf, "text", "grüße")
    output("put", shelf, "json", '{"n": [1]}', "--type", "json")
    output("put", shelf, "file", "--file", tmp_path / "file")
    output("put", shelf, "piped", stdin=b"from a pipe")
    with cshelve.open(shelf, "r") as db:
        assert dict(db.items()) == {
            "text": "grüße",
            "json": {"n": [1]},
            "file": b"\x00\xff",
            "piped": b"from a pipe",
        }


@pytest.mark.s3
def test_a_file_is_streamed_into_a_shelf_of_plain_bytes(s3: rigs.S3Rig, tmp_path: Path) -> None:
    shelf = s3_ini(tmp_path / "shelf.ini", s3, serializer="bytes", use_versioning="false")
    (tmp_path / "file").write_bytes(b"x" * 10_000_000)
    done = run("put", "--stats", shelf, "file", "--file", tmp_path / "file")
    assert b"UploadPart" in done.stderr or b"PutObject" in done.stderr
    with cshelve.open(shelf, "r") as db:
        assert len(db["file"]) == 10_000_000


def test_put_creates_a_shelf_only_when_asked(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/nosuch"
    assert "--create" in errors("put", url, "k", "v")
    assert "check the name" in errors("ls", url)
    assert list(tmp_path.iterdir()) == []
    output("put", url, "k", "v", "--create")
    assert keys_of(url) == ["k"]


def test_put_refuses_what_exists_and_what_is_no_json(shelf: str) -> None:
    assert "exists already" in errors("put", shelf, "june/1", "other", "--if-absent")
    assert "not JSON" in errors("put", shelf, "june/1", "{", "--type", "json")
    output("put", shelf, "new", "v", "--if-absent")
    with cshelve.open(shelf, "r") as db:
        assert (db["june/1"], db["new"]) == (1, "v")


def test_rm_deletes_named_keys_and_reports_the_missing(shelf: str) -> None:
    assert run("rm", shelf, "june/1", "absent").returncode == 3
    assert keys_of(shelf) == ["july/1", "june/2"]


def test_rm_takes_what_ls_prints(shelf: str) -> None:
    listed = output("ls", "--json", shelf, "june/").encode()
    assert "--yes" in errors("rm", "--stdin", shelf, stdin=listed, status=2)
    would = output("rm", "--stdin", "--dry-run", shelf, stdin=listed)
    assert sorted(would.split()) == ["june/1", "june/2"]
    assert len(keys_of(shelf)) == 3
    output("rm", "--stdin", "--yes", shelf, stdin=listed)
    assert keys_of(shelf) == ["july/1"]


def test_rm_of_a_prefix_asks_first(shelf: str) -> None:
    for answer, left in (("n", 3), ("y", 1)):
        with on_terminal("rm", shelf, "--prefix", "june/") as child:
            child.expect("Delete all keys that begin with 'june/'")
            child.sendline(answer)
            child.read()
        assert len(keys_of(shelf)) == left
    assert output("rm", shelf, "--all", "--dry-run").split() == ["july/1"]
    output("rm", shelf, "--all", "--yes")
    assert keys_of(shelf) == []


def test_put_creates_no_shelf_for_what_it_cannot_store(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shelf"
    deep = b"[" * 100_000 + b"]" * 100_000
    for wrong, text in ((b"{", "not JSON"), (deep, "too many levels")):
        message = errors("put", "--create", url, "k", "--type", "json", stdin=wrong)
        assert text in message
        assert len(message.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_rm_that_can_ask_nobody_sends_nothing(tmp_path: Path) -> None:
    for each in ("--all", "--prefix=k", "--stdin"):
        assert "--yes" in errors("rm", f"file://{tmp_path}/nosuch", each, status=2)


def test_rm_wants_exactly_one_way_to_say_which_keys(shelf: str) -> None:
    for wrong in ([], ["k", "--all"], ["--all", "--prefix", "x"], ["--prefix", ""]):
        errors("rm", shelf, "--yes", *wrong, status=2)
    assert len(keys_of(shelf)) == 3


def test_expire_deletes_what_is_over(shelf: str) -> None:
    output("put", shelf, "short", "v", "--expire-after-seconds", "0.001")
    assert output("expire", "--dry-run", shelf).split() == ["short"]
    assert objects(output("expire", "--dry-run", "--json", shelf)) == [{"key": "short"}]
    assert "short" in keys_of(shelf)
    assert objects(output("expire", "--json", shelf)) == [{"expired": 1}]
    assert "short" not in keys_of(shelf)


def test_rewrite_stores_what_is_not_up_to_date(shelf: str) -> None:
    url = f"{shelf}?compression.algorithm=zlib"
    with cshelve.open(shelf) as db:
        db["june/1"] = "x" * 1000
    assert b"1 value rewritten" in run("rewrite", url).stderr
    assert objects(output("rewrite", "--json", url)) == [{"rewritten": 0}]
    with cshelve.open(url, "r") as db:
        assert db.info("june/1").compression == "zlib"


def test_nothing_is_written_where_writing_is_wrong(tmp_path: Path) -> None:
    for command in (["rm", "k"], ["put", "k", "v"], ["expire"], ["rewrite"]):
        errors(command[0], tmp_path / "nosuch", *command[1:])
    assert list(tmp_path.iterdir()) == []
