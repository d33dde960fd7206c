"""A name that is most likely meant as something else does not silently make a local shelf."""

from __future__ import annotations

import shelve
from pathlib import Path

import pytest

import cshelve

# Each with a part of what is said against it.
NAMES = {
    "aws-s3.ini\n": "control character",
    "shelf\t": "control character",
    "a\x7fb": "control character",
    "shelf\x85": "control character",
    "s3://bucket/prefix\n": "control character",
    "shelf.ini ": "blank at the end",
    "shelf\u00a0": "blank at the end",
    "memory://name ": "blank at the end",
    "s3:bucket": "begins with s3: but is not a URL",
    "s3:/bucket": "begins with s3: but is not a URL",
    "gs:bucket/x": "begins with gs: but is not a URL",
    "file:shelf.ini": "begins with file: but is not a URL such as file:///folder",
    "notes:2024": "begins with notes: but is not a URL",
    "shelf.toml": r"an ini file, whose name ends in \.ini",
    "shelf.YAML": r"\.ini",
    "shelf.yml": r"\.ini",
    "conf/shelf.json": r"\.ini",
    "shelf.cfg": r"\.ini",
    "shelf.conf": r"\.ini",
    ".env": r"\.ini",
    "": "the name is empty",
    "$SHELF_URL": r'begins with \$SHELF_URL; write os.environ\["SHELF_URL"\]',
    "${SHELF_URL}": r'begins with \$SHELF_URL; write os.environ\["SHELF_URL"\]',
    "$HOME/shelf": r'write os.environ\["HOME"\]',
    # As variables have it from a file of settings whose quotes nobody took off.
    '"aws-s3.ini"': "quotes",
    "'s3://bucket/prefix'": "quotes",
    '"shelf.toml"': "quotes",
    " s3:bucket": "blanks",
    " s3://bucket/prefix": "blanks",
    "aws-s3.ini\ufeff": "invisible characters",
    "\u200bs3://bucket": "invisible characters",
}
STILL_LOCAL = [
    *("shelf", "shelf.db", "shelf.ini.bak", "a b", " shelf", "'shelf'", "shelf.tomls"),
    *("1:2", "./a:b", "$", "$5", "a$b", "./$HOME"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    return tmp_path


def files_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.rglob("*"))


@pytest.mark.parametrize("flag", ["c", "n", "r"])
@pytest.mark.parametrize("name", NAMES)
def test_is_refused_and_nothing_is_made(name: str, flag: str, folder: Path) -> None:
    with pytest.raises(cshelve.ConfigurationError, match=NAMES[name]):
        cshelve.open(name, flag)
    assert files_in(folder) == ["conf"]


@pytest.mark.parametrize("name", ["shelf.toml", "notes:2024", "shelf.ini\n"])
def test_a_path_object_is_refused_alike(name: str, folder: Path) -> None:
    with pytest.raises(cshelve.ConfigurationError, match=NAMES.get(name, "control character")):
        cshelve.open(Path(name))
    assert files_in(folder) == ["conf"]


@pytest.mark.parametrize(
    "name",
    [
        "shelf.toml",
        "conf/shelf.json",
        "s3:bucket",
        "notes:2024",
        "$SHELF_URL",
        "shelf ",
        "shelf.ini\n",
        "'a.ini'",
    ],
)
def test_is_taken_where_there_is_a_local_shelf_of_that_name(name: str) -> None:
    with shelve.open(name) as db:
        db["k"] = 1
    with cshelve.open(name) as db:
        assert db["k"] == 1
    with cshelve.open(name, "n") as db:
        assert not db


def test_a_scheme_that_there_is_not_may_be_the_name_of_a_local_shelf(folder: Path) -> None:
    (folder / "gopher:").mkdir()
    with shelve.open("gopher://shelf") as db:
        db["k"] = 1
    with cshelve.open("gopher://shelf") as db:
        assert db["k"] == 1


def test_is_refused_where_the_file_is_a_configuration(folder: Path) -> None:
    (folder / "shelf.toml").write_text('[default]\nprovider = "in-memory"\n')
    with pytest.raises(cshelve.ConfigurationError, match="an ini file"):
        cshelve.open("shelf.toml")


def test_can_still_be_meant(folder: Path) -> None:
    with cshelve.open(f"dbm://{folder}/shelf.toml") as db:
        db["k"] = 1
    with cshelve.open("shelf.toml") as db:
        assert db["k"] == 1


@pytest.mark.parametrize("name", STILL_LOCAL)
def test_every_other_name_is_a_local_shelf_as_before(name: str) -> None:
    with cshelve.open(name) as db:
        db["k"] = 1
    with shelve.open(name, "r") as db:
        assert db["k"] == 1


@pytest.mark.parametrize("name", ["prod:eu.ini", "PROD:EU.INI", "s3:lab.ini", "file:shelf.ini"])
def test_a_colon_may_be_in_the_name_of_a_configuration(name: str, folder: Path) -> None:
    (folder / name).write_text("[default]\nprovider = in-memory\n")
    for each in (name, Path(name)):
        with cshelve.open(each) as db:
            assert "memory" in repr(db)


def test_a_configuration_with_a_colon_that_there_is_not_is_told_as_one() -> None:
    with pytest.raises(cshelve.ConfigurationError, match=r"prod:eu\.ini: there is no such file"):
        cshelve.open("prod:eu.ini")


def test_quotes_round_a_password_do_not_show_it() -> None:
    with pytest.raises(cshelve.ConfigurationError, match="quotes") as caught:
        cshelve.open('"s3://id:hush-hush@bucket"')
    assert "hush" not in str(caught.value)


def test_nothing_but_the_scheme_is_shown_of_a_name_with_one() -> None:
    with pytest.raises(cshelve.ConfigurationError) as caught:
        cshelve.open("redis:user:hush-hush@host")
    assert "hush" not in str(caught.value)
