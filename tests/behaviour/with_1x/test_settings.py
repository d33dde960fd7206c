"""Shelves that 1.6 and we take turns at, with every setting for values that it has."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import pytest

import cshelve
from testbed.cshelve_1x import Cshelve1x, RefusedBy1x
from tests.behaviour.with_1x.rig import (
    AES,
    INCOMPRESSIBLE,
    NESTED,
    OBJECTS,
    PLAIN,
    TINY,
    WEAK_KEY,
    ZLIB,
    Settings,
    differing,
    opened,
    read,
    write,
)

pytestmark = pytest.mark.old

COMPRESSIBLE = b"How fares the fair weather? " * 100

UNPROTECTED = "accept_unprotected: anyone who can write to the store"

each_setting = pytest.mark.parametrize(
    "settings",
    [
        pytest.param(each, id=str(each), marks=[pytest.mark.encryption] if each.key_bytes else [])
        for each in itertools.starmap(
            Settings,
            [
                *itertools.product((True, False), (True, False), (None, ""), (0, 16, 24, 32)),
                # The level of compression changes nothing for the key of encryption.
                *itertools.product((True, False), (True, False), ("0", "9"), (0, 32)),
            ],
        )
    ],
)


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
            (f'key = "{"q" * 30}"', "the quotes are treated as a part of the key"),
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
