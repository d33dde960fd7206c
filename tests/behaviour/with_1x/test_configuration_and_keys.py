"""Files of configuration, and keys, mean the same to 1.6 and to us."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from testbed.cshelve_1x import Cshelve1x, RefusedBy1x
from tests.behaviour.with_1x.rig import PLAIN, opened, read, write, written

pytestmark = pytest.mark.old


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
