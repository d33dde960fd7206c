"""One shelf, two releases: cshelve 1.6.0 reads what we write, and we read what it writes.

Both open the same ini file; what 1.x does not know in it, it ignores. It is run as its users run
it, in a process of its own.
"""

from __future__ import annotations

import itertools
import pickle
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cshelve
from testbed.cshelve_1x import Cshelve1x, RefusedBy1x, find_python
from tests.rigs import S3Rig, unique_name

pytestmark = pytest.mark.old

COMPRESSIBLE = b"How fares the fair weather? " * 100
INCOMPRESSIBLE = random.Random(0).randbytes(5_000)
BYTES = {
    "empty": b"",
    "one": b"x",
    "two": b"xy",
    "a/b": bytes(100_000),
    "with space": INCOMPRESSIBLE,
}
NESTED = {"ünïcode": [{"ü": (1, 2.5, None)}, {b"bytes"}], 3: True}
OBJECTS = {
    "none": None,
    "number": -7,
    "ünïcode": NESTED,
    "text": "Wie schön ist das Wetter? " * 5_000,
}
# 1.x calls them corrupted once it has encrypted them, unless compression made them longer first.
TINY = {"empty": b"", "one": b"x"}

WEAK_KEY = r"key of (16|24) bytes encrypts with AES-"
UNPROTECTED = "accept_unprotected: whoever can write to the store"


@pytest.fixture(scope="module")
def old() -> Iterator[Cshelve1x]:
    try:
        find_python()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with Cshelve1x() as process:
        yield process


@dataclass(frozen=True)
class Settings:
    """The settings that 1.x has for values."""

    use_pickle: bool = True
    use_versionning: bool = True
    level: str | None = None
    """zlib's, "" where none is written; None for no compression."""
    key_bytes: int = 0
    """0 for no encryption."""

    def __str__(self) -> str:
        return "-".join(
            [
                "pickle" if self.use_pickle else "bytes",
                *(["versioned"] if self.use_versionning else []),
                *([] if self.level is None else [f"zlib{self.level}"]),
                *([f"aes{8 * self.key_bytes}"] if self.key_bytes else []),
            ]
        )

    @property
    def values(self) -> dict[str, Any]:
        return BYTES | OBJECTS if self.use_pickle else BYTES

    @property
    def values_for_1x(self) -> dict[str, Any]:
        """Leave out what 1.x cannot always read, which has tests of its own."""
        if self.use_pickle or not self.key_bytes:
            return self.values
        return {key: value for key, value in self.values.items() if key not in TINY}

    @property
    def warning(self) -> str | None:
        """What our shelf says when it is opened."""
        return WEAK_KEY if 0 < self.key_bytes < 32 else None

    def ini(self, folder: Path, store: str = "", *, more: str = "") -> Path:
        """Write it down, for a folder unless another store is given; `more` goes to the end."""
        lines = [
            "[default]",
            store or f"provider = filesystem\nfolder_path = {folder / 'shelf'}",
            f"use_pickle = {str(self.use_pickle).lower()}",
            f"use_versionning = {str(self.use_versionning).lower()}",
        ]
        if self.level is not None:
            lines += ["[compression]", "algorithm = zlib"]
            lines += [f"level = {self.level}"] if self.level else []
        if self.key_bytes:
            lines += ["[encryption]", "algorithm = aes256", f"key = {'k' * self.key_bytes}"]
        return written("\n".join([*lines, more]), folder)


PLAIN = Settings()
ZLIB = Settings(level="")
AES = Settings(key_bytes=32)

each_setting = pytest.mark.parametrize(
    "settings",
    [
        pytest.param(each, id=str(each), marks=[pytest.mark.encryption] if each.key_bytes else [])
        for each in itertools.starmap(
            Settings,
            itertools.product((True, False), (True, False), (None, "", "0", "9"), (0, 16, 24, 32)),
        )
    ],
)


def written(text: str, folder: Path) -> Path:
    ini = folder / f"{unique_name()}.ini"
    ini.write_text(text, encoding="utf-8")
    return ini


def write(ini: Path, values: Mapping[str, Any], warning: str | None = None) -> None:
    """Write with our shelf."""
    with opened(ini, "c", warning) as db:
        for key, value in values.items():
            db[key] = value


def read(ini: Path, keys: Mapping[str, Any], warning: str | None = None) -> dict[str, Any]:
    """Read with our shelf."""
    with opened(ini, "r", warning) as db:
        return {key: db[key] for key in keys}


def opened(ini: Path, flag: str = "r", warning: str | None = None) -> cshelve.CloudShelf:
    with pytest.warns(UserWarning, match=warning) if warning else nullcontext():
        shelf = cshelve.open(ini, flag)
    assert isinstance(shelf, cshelve.CloudShelf)
    return shelf


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name the keys whose values differ, if only in type; the values are too long to be shown."""
    return [key for key in one.keys() | other.keys() if repr(one.get(key)) != repr(other.get(key))]


class TestEverySetting:
    @each_setting
    def test_1x_reads_what_we_write(
        self, settings: Settings, old: Cshelve1x, tmp_path: Path
    ) -> None:
        ini = settings.ini(tmp_path)
        write(ini, settings.values, settings.warning)
        expected = settings.values_for_1x
        assert not differing(old.read(ini, expected), expected)

    @each_setting
    def test_we_read_what_1x_writes(
        self, settings: Settings, old: Cshelve1x, tmp_path: Path
    ) -> None:
        ini = settings.ini(tmp_path)
        old.write(ini, settings.values)
        assert not differing(read(ini, settings.values, settings.warning), settings.values)


@pytest.mark.encryption
class TestEncryptedValuesOfLessThanTwoBytes:
    @pytest.mark.parametrize("key", TINY)
    @pytest.mark.parametrize("versioned", [True, False])
    def test_are_read_by_us_and_not_by_1x_which_wrote_them(
        self, versioned: bool, key: str, old: Cshelve1x, tmp_path: Path
    ) -> None:
        ini = Settings(False, versioned, key_bytes=32).ini(tmp_path)
        old.write(ini, TINY)
        assert read(ini, TINY) == TINY
        with pytest.raises(RefusedBy1x, match="EncryptedDataCorruptionError"):
            old.read(ini, [key])

    @pytest.mark.parametrize("versioned", [True, False])
    def test_are_read_by_1x_where_they_are_compressed_too(
        self, versioned: bool, old: Cshelve1x, tmp_path: Path
    ) -> None:
        ini = Settings(False, versioned, level="", key_bytes=32).ini(tmp_path)
        write(ini, TINY)
        assert old.read(ini, TINY) == TINY


class TestCompression:
    @pytest.mark.parametrize(
        ("more", "value"),
        [("", INCOMPRESSIBLE), ("min_size_bytes = 10000", COMPRESSIBLE)],
        ids=["does-not-shrink", "below-min-size"],
    )
    def test_that_was_left_out_is_not_missed_by_1x(
        self, more: str, value: bytes, old: Cshelve1x, tmp_path: Path
    ) -> None:
        ini = ZLIB.ini(tmp_path, more=more)
        write(ini, {"key": value})
        assert value in (tmp_path / "shelf" / "key").read_bytes()
        assert old.read(ini, ["key"]) == {"key": value}

    def test_that_1x_no_longer_has_configured_is_undone_by_us_alone(
        self, old: Cshelve1x, tmp_path: Path
    ) -> None:
        old.write(ZLIB.ini(tmp_path), {"key": COMPRESSIBLE})
        uncompressing = PLAIN.ini(tmp_path)
        assert read(uncompressing, {"key": ...}) == {"key": COMPRESSIBLE}
        with pytest.raises(RefusedBy1x, match="DataProcessingSignatureError"):
            old.read(uncompressing, ["key"])

    def test_of_some_records_and_not_of_others_is_read_by_both(
        self, old: Cshelve1x, tmp_path: Path
    ) -> None:
        compressing = ZLIB.ini(tmp_path)
        old.write(PLAIN.ini(tmp_path), {"old, plain": COMPRESSIBLE})
        write(PLAIN.ini(tmp_path), {"ours, plain": COMPRESSIBLE})
        old.write(compressing, {"old, zlib": COMPRESSIBLE})
        write(compressing, {"ours, zlib": COMPRESSIBLE})
        keys = dict.fromkeys(["old, plain", "ours, plain", "old, zlib", "ours, zlib"], COMPRESSIBLE)
        assert old.read(compressing, keys) == keys
        assert read(compressing, keys) == keys


@pytest.mark.encryption
class TestEncryption:
    def test_that_is_newer_than_a_value_of_1x_makes_us_refuse_the_value(
        self, old: Cshelve1x, tmp_path: Path
    ) -> None:
        old.write(PLAIN.ini(tmp_path), OBJECTS)
        with opened(AES.ini(tmp_path)) as db, pytest.raises(cshelve.UntrustedRecordError):
            db["none"]

    def test_that_is_newer_than_a_value_of_1x_is_forgiven_on_demand(
        self, old: Cshelve1x, tmp_path: Path
    ) -> None:
        old.write(PLAIN.ini(tmp_path), OBJECTS)
        ini = AES.ini(tmp_path, more="accept_unprotected = true")
        assert read(ini, OBJECTS, UNPROTECTED) == OBJECTS

    def test_is_on_every_value_after_we_have_rewritten_a_shelf_of_1x(
        self, old: Cshelve1x, tmp_path: Path
    ) -> None:
        old.write(PLAIN.ini(tmp_path), OBJECTS)
        with opened(AES.ini(tmp_path, more="accept_unprotected = true"), "w", UNPROTECTED) as db:
            db.rewrite()
        ini = AES.ini(tmp_path)
        assert read(ini, OBJECTS) == OBJECTS
        assert old.read(ini, OBJECTS) == OBJECTS

    def test_with_another_key_is_undone_by_neither(self, old: Cshelve1x, tmp_path: Path) -> None:
        other = Settings(key_bytes=24).ini(tmp_path)
        old.write(AES.ini(tmp_path), {"old": 1})
        write(AES.ini(tmp_path), {"ours": 1})
        with (
            opened(other, "r", WEAK_KEY) as db,
            pytest.raises(cshelve.EncryptedDataCorruptionError),
        ):
            db["old"]
        with pytest.raises(RefusedBy1x, match="EncryptedDataCorruptionError"):
            old.read(other, ["ours"])

    @pytest.mark.parametrize(
        ("line", "warning"),
        [
            ("key = " + "é" * 16, None),
            (f'key = "{"q" * 30}"', "the quotes are taken as a part of the key"),
            ("environment_key = SHELF_KEY", None),
            ("key = $SHELF_KEY", None),
        ],
        ids=["not-ascii", "quoted", "environment-key", "variable"],
    )
    def test_has_the_same_key_however_it_is_given(
        self,
        line: str,
        warning: str | None,
        old: Cshelve1x,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SHELF_KEY", "v" * 32)
        ini = PLAIN.ini(tmp_path, more=f"[encryption]\nalgorithm = aes256\n{line}")
        old.write(ini, {"old": 1})
        with opened(ini, "w", warning) as db:
            assert db["old"] == 1
            db["ours"] = 2
        assert old.read(ini, ["ours"]) == {"ours": 2}


class TestBarePickles:
    """What was written before records had versions: no header, and nothing done to the pickle."""

    @pytest.fixture(params=range(2, pickle.HIGHEST_PROTOCOL + 1))
    def bare(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        (tmp_path / "shelf").mkdir()
        (tmp_path / "shelf" / "key").write_bytes(pickle.dumps(NESTED, request.param))

    @pytest.mark.usefixtures("bare")
    @pytest.mark.parametrize("settings", [PLAIN, ZLIB, Settings(use_versionning=False)], ids=str)
    def test_are_read_by_both(self, settings: Settings, old: Cshelve1x, tmp_path: Path) -> None:
        ini = settings.ini(tmp_path)
        assert old.read(ini, ["key"]) == {"key": NESTED}
        assert read(ini, {"key": ...}) == {"key": NESTED}

    @pytest.mark.usefixtures("bare")
    @pytest.mark.encryption
    def test_are_refused_by_us_where_values_are_encrypted(
        self, old: Cshelve1x, tmp_path: Path
    ) -> None:
        ini = AES.ini(tmp_path)
        assert old.read(ini, ["key"]) == {"key": NESTED}
        with opened(ini) as db, pytest.raises(cshelve.UntrustedRecordError):
            db["key"]


class TestIniFiles:
    @pytest.mark.parametrize(
        "text",
        [
            "folder_path = {absolute}",
            "folder_path = relative/deeper",
            "folder_path = ./one/../other",
            "[provider_params]\nfolder_path = {absolute}",
            "[provider_params]\nfolder_path = relative",
            "folder_path = {absolute}\n[provider_params]\nfolder_path = {absolute}-not",
            "folder_path = $SHELF_FOLDER",
            "folder_path = relative\nencoding = latin-1",
            "folder_path = relative\n"
            "[logging]\nhttp = true\ncredentials = false\nlevel = DEBUG\nenabled = true",
            "# A comment.\n; Another.\nFOLDER_PATH: relative\nUse_Pickle = TRUE",
        ],
    )
    def test_mean_the_same_to_both(
        self, text: str, old: Cshelve1x, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SHELF_FOLDER", str(tmp_path / "from the environment"))
        text = text.format(absolute=tmp_path / "absolute")
        ini = written(f"[default]\nprovider = filesystem\n{text}", tmp_path)
        old.write(ini, {"ünïcode/old": 1})
        with opened(ini, "w") as db:
            assert list(db) == ["ünïcode/old"]
            assert db["ünïcode/old"] == 1
            db["ünïcode/ours"] = 2
        assert old.read(ini, ["ünïcode/ours"]) == {"ünïcode/ours": 2}


class TestKeys:
    KEYS = (
        *("a", "b/c", "b/d/e", "with space", " at the ends ", "ünïcode", ".hidden", "...", "x."),
        *("50%", "%20", "a=b&c", "a:b", 'a*b?"<|>', "back\\slash", "two\nlines", "con", "x" * 200),
    )

    def test_of_1x_are_ours(self, old: Cshelve1x, tmp_path: Path) -> None:
        ini = PLAIN.ini(tmp_path)
        values = {key: key for key in self.KEYS}
        old.write(ini, values)
        with opened(ini) as db:
            assert dict(db) == values

    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="we escape some of them there")
    def test_of_ours_are_found_by_1x(self, old: Cshelve1x, tmp_path: Path) -> None:
        ini = PLAIN.ini(tmp_path)
        values = {key: key for key in self.KEYS}
        write(ini, values)
        assert old.read(ini, values) == values

    def test_of_ours_are_all_that_1x_lists(self, old: Cshelve1x, tmp_path: Path) -> None:
        ini = PLAIN.ini(tmp_path)
        write(ini, dict.fromkeys(self.KEYS))
        assert old.keys(ini) == set(self.KEYS)

    def test_that_one_overwrites_are_the_others_too(self, old: Cshelve1x, tmp_path: Path) -> None:
        ini = PLAIN.ini(tmp_path)
        old.write(ini, {"a/b": "first, and longer than what comes behind it"})
        write(ini, {"a/b": "second"})
        assert old.read(ini, ["a/b"]) == {"a/b": "second"}
        old.write(ini, {"a/b": "third"})
        assert read(ini, {"a/b": ...}) == {"a/b": "third"}

    def test_that_one_deletes_are_gone_for_the_other(self, old: Cshelve1x, tmp_path: Path) -> None:
        ini = PLAIN.ini(tmp_path)
        old.write(ini, {"a": 1, "b": 1})
        with opened(ini, "w") as db:
            del db["a"]
            with pytest.raises(RefusedBy1x, match="KeyNotFoundError"):
                old.read(ini, ["a"])
            old.delete(ini, "b")
            assert "b" not in db

    def test_are_gone_when_1x_begins_anew(self, old: Cshelve1x, tmp_path: Path) -> None:
        ini = PLAIN.ini(tmp_path)
        write(ini, {"a": 1, "b/c": 1})
        old.write(ini, {"d": 1}, flag="n")
        with opened(ini, "w") as db:
            assert list(db) == ["d"]
            db["a"] = 2
        assert old.read(ini, ["a"]) == {"a": 2}


@pytest.mark.s3
class TestOnS3:
    @pytest.fixture
    def bucket(self, s3: S3Rig) -> str:
        """Give the options of a bucket of its own, which 1.x has no prefixes in."""
        admin = s3.server.admin
        return "\n".join(
            [
                "provider = aws-s3",
                f"bucket_name = with-1x-{unique_name()}",
                "auth_type = access_key",
                f"key_id = {admin.access_key}",
                f"key_secret = {admin.secret_key}",
            ]
        )

    @pytest.fixture
    def more(self, s3: S3Rig) -> str:
        return f"[provider_params]\nendpoint_url = {s3.server.endpoint_url}"

    handful = pytest.mark.parametrize(
        "settings",
        [
            PLAIN,
            ZLIB,
            pytest.param(AES, marks=pytest.mark.encryption),
            pytest.param(Settings(level="9", key_bytes=32), marks=pytest.mark.encryption),
            Settings(use_pickle=False),
            pytest.param(Settings(False, False, "", 32), marks=pytest.mark.encryption),
        ],
        ids=str,
    )

    @handful
    def test_1x_reads_what_we_write(
        self, settings: Settings, old: Cshelve1x, tmp_path: Path, bucket: str, more: str
    ) -> None:
        ini = settings.ini(tmp_path, bucket, more=more)
        write(ini, settings.values)
        assert old.keys(ini) == set(settings.values)
        expected = settings.values_for_1x
        assert not differing(old.read(ini, expected), expected)

    @handful
    def test_we_read_what_1x_writes(
        self, settings: Settings, old: Cshelve1x, tmp_path: Path, bucket: str, more: str
    ) -> None:
        ini = settings.ini(tmp_path, bucket, more=more)
        old.write(ini, settings.values)
        with opened(ini) as db:
            assert not differing(dict(db), settings.values)

    def test_what_one_changes_is_changed_for_the_other(
        self, old: Cshelve1x, tmp_path: Path, bucket: str, more: str
    ) -> None:
        ini = PLAIN.ini(tmp_path, bucket, more=more)
        old.write(ini, {"a": 1, "b": 1, "c": 1})
        with opened(ini, "w") as db:
            db["a"] = 2
            db.modify("b", lambda value: value + 1)
            del db["c"]
        assert old.keys(ini) == {"a", "b"}
        assert old.read(ini, ["a", "b"]) == {"a": 2, "b": 2}
        old.delete(ini, "a")
        with opened(ini) as db:
            assert dict(db) == {"b": 2}
