"""A bucket that 1.6 and we take turns at."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.cshelve_1x import Cshelve1x
from tests.behaviour.with_1x.rig import AES, PLAIN, ZLIB, Settings, differing, opened, write
from tests.rigs import S3Rig, unique_name

pytestmark = pytest.mark.old


@pytest.mark.s3
class TestOnS3:
    @pytest.fixture
    def bucket(self, s3: S3Rig) -> str:
        """Return the options of a bucket of its own, as 1.x has no prefixes."""
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
