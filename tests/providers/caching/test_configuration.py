"""The section `[cache]`: who has which cache, and what it tells."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve._config.sections import Sections
from cshelve.providers import AwsS3, Filesystem
from cshelve.providers.aws_s3.options import settings_from
from cshelve.providers.aws_s3.who_asks import who_asks
from cshelve.providers.caching.provider import Cached
from cshelve.testing import CountingProvider
from tests.providers.caching.rig import MODES, entry_files
from tests.rigs import memory_config, provider_of

Config = dict[str, dict[str, Any]]
KEYS: Any = {"auth_type": "access_key", "key_id": "ADA", "key_secret": "not to be told"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def config(tmp_path: Path, folder: Path) -> Config:
    return {
        "default": {"provider": "filesystem", "folder_path": str(tmp_path / "shelf")},
        "cache": {"folder": str(folder)},
    }


def opened(config: Mapping[str, Mapping[str, Any]]) -> cshelve.CloudShelf[Any]:
    return cshelve.open_from_dict(config)


class TestOptions:
    @pytest.mark.parametrize("mode", MODES)
    def test_each_mode(self, mode: str, config: Config) -> None:
        config["cache"] |= MODES[mode]
        with opened(config) as db:
            db["k"] = "value"
            assert db["k"] == "value"
            assert db.cache.hits == 1

    def test_by_a_url(self, tmp_path: Path, folder: Path) -> None:
        url = f"file://{tmp_path}/shelf?cache.folder={folder}&cache.mode=immutable"
        with cshelve.open(url) as db:
            db["k"] = "value"
            assert db["k"] == "value"
            assert db.cache.hits == 1
        assert len(entry_files(folder)) == 1

    def test_by_a_file(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "shelf.ini").write_text(
            f"[default]\nprovider = filesystem\nfolder_path = {tmp_path}/shelf\n"
            f"[cache]\nfolder = {folder}\nmax_bytes = 1000000\nmode = ttl\nttl_seconds = 60\n"
        )
        with cshelve.open(tmp_path / "shelf.ini") as db:
            db["k"] = "value"
            assert (db["k"], db.cache.hits) == ("value", 1)

    def test_with_open_provider(self, tmp_path: Path, folder: Path) -> None:
        cache = {"cache": {"folder": str(folder), "mode": "immutable"}}
        with cshelve.open_provider(Filesystem(tmp_path / "shelf"), config=cache) as db:
            db["k"] = "value"
        with cshelve.open_provider(Filesystem(tmp_path / "shelf"), config=cache) as db:
            assert (db["k"], db.cache.hits) == ("value", 1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, r"\[cache\] folder: this option is required"),
            ({"folder": ""}, r"\[cache\] folder: must not be empty"),
            ({"folder": "f", "mode": "ttl"}, r"\[cache\] ttl_seconds: this option is required"),
            (
                {"folder": "f", "ttl_seconds": 1},
                r"ttl_seconds: goes with mode = ttl only, and this is revalidate",
            ),
            ({"folder": "f", "mode": "tll"}, "there is no choice 'tll'"),
            ({"folder": "f", "max_bytes": 0}, r"max_bytes: must be 1 or more"),
            ({"folder": "f", "size": 0}, r"\[cache\] size: there is no such option"),
        ],
    )
    def test_a_wrong_one(self, options: dict[str, Any], message: str) -> None:
        config = {**memory_config(), "cache": options}
        with pytest.raises(cshelve.ConfigurationError, match=message):
            opened(config)

    def test_a_local_shelf_has_none(self, tmp_path: Path) -> None:
        config = {
            "default": {"provider": "dbm", "path": str(tmp_path / "local")},
            "cache": {"folder": ":memory:"},
        }
        with pytest.raises(cshelve.ConfigurationError, match=r"\[cache\]: a local shelf"):
            opened(config)

    def test_a_folder_in_the_home(
        self, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        config["cache"]["folder"] = "~/mine"
        with opened(config) as db:
            db["k"] = "value"
        assert len(entry_files(tmp_path / "mine")) == 1

    def test_a_folder_that_cannot_be_is_a_warning(
        self, config: Config, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder.write_text("a file")
        with opened(config) as db:
            db["k"] = "value"
            assert dict(db.get_many(["k"])) == {"k": db["k"]}
        (record,) = (record for record in caplog.records if record.levelname == "WARNING")
        assert "[cache] folder" in record.message


def test_hits_misses_and_bytes(config: Config) -> None:
    with opened(config) as db:
        db.set_many({"a": 1, "b": 2})
        with db.stats.measuring() as used:
            for _ in range(2):
                assert dict(db.get_many(["a", "b", "c"])) == {"a": 1, "b": 2}
        record_bytes = sum(entry.size_bytes for entry in db.entries())
        assert (db.cache.hits, db.cache.misses, db.cache.bytes) == (2, 2, record_bytes)
        assert (used.cache_hits, used.cache_misses, used.cache_bytes) == (2, 2, record_bytes)


def test_without_a_cache_there_are_zeros() -> None:
    with opened(memory_config()) as db:
        db["k"] = "value"
        assert db["k"] == "value"
        assert (db.cache.hits, db.cache.misses, db.cache.bytes) == (0, 0, 0)


def test_views_and_writeback_share_it(config: Config) -> None:
    with cshelve.open_from_dict(config, writeback=True) as db:
        view = db.prefix("a/")
        view["k"] = ["value"]
        db.sync()
        db["a/k"].append("more")
        assert (view.cache.hits, db.cache.hits) == (1, 1)
        db.sync()
        assert db["a/k"] == ["value", "more"]


def test_a_shelf_for_asyncio_has_it_too(config: Config) -> None:
    config["cache"]["mode"] = "immutable"

    async def main() -> None:
        async with cshelve.aopen(config) as db:
            await db.set("k", 1)
            assert await db.get("k") == 1
            with opened({"default": config["default"]}) as other:
                other["k"] = 2
            assert await db.get("k") == 1
            assert await db.setdefault("k", 0) == 2
            assert await db.modify("k", lambda number: number + 1) == 3
            assert db.stats.cache_hits == 2

    asyncio.run(main())


def test_a_pickled_shelf_has_the_same_cache(config: Config, folder: Path) -> None:
    with opened(config) as db:
        db["k"] = "value"
        with pickle.loads(pickle.dumps(db)) as other:
            assert (other["k"], other.cache.hits) == ("value", 1)
    assert len(entry_files(folder)) == 1


@pytest.mark.encryption
def test_sealed_records_stay_sealed(config: Config, folder: Path) -> None:
    config["encryption"] = {"algorithm": "aes256-gcm", "key": cshelve.generate_key()}
    with opened(config) as db:
        db["k"] = "a secret of ours"
        assert (db["k"], db.cache.hits) == ("a secret of ours", 1)
    (file,) = entry_files(folder)
    assert b"secret" not in file.read_bytes()


def test_a_copy_between_shelves_passes_by(config: Config, tmp_path: Path) -> None:
    other = {**config, "default": {**config["default"], "folder_path": str(tmp_path / "other")}}
    with opened(config) as source, opened(other) as target:
        source["k"] = target["l"] = "value"
        cshelve.copy(source, target)
        assert dict(target) == {"k": "value", "l": "value"}
        target.copy("k", "l2")
        target.move("l", "l3")
        assert sorted(target) == ["k", "l2", "l3"]


class TestFiles:
    def test_an_upload_is_seen_and_a_download_is_the_latest(
        self, config: Config, tmp_path: Path
    ) -> None:
        config["default"] |= {"serializer": "bytes", "use_versioning": False}
        config["cache"]["mode"] = "immutable"
        (tmp_path / "file").write_bytes(b"of the file")
        with opened(config) as db:
            db["k"] = b"old"
            db.upload("k", tmp_path / "file")
            assert db["k"] == b"of the file"
            (tmp_path / "shelf" / "k").write_bytes(b"theirs")
            db.download("k", tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == b"theirs"


def text_of(provider_params: Mapping[str, Any] | None = None, **default: Any) -> str | None:
    """Return who asks, as a configuration of S3 says it."""
    contents = {
        "default": {"bucket_name": "bucket", "auth_type": "default", "key_prefix": "p", **default},
        "provider_params": provider_params or {},
    }
    config = Sections("it", contents, from_file=False, flag="c")
    config.declare(AwsS3.options)
    return who_asks(settings_from(config))


@pytest.mark.s3
class TestWhoAsksS3:
    @pytest.fixture(autouse=True)
    def _home(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        self.credentials = tmp_path / "credentials"

    def test_places_and_users_differ(self) -> None:
        texts = [
            text_of(**KEYS),
            text_of(**{**KEYS, "key_id": "GRACE"}),
            text_of(**KEYS, region_name="eu-west-1"),
            text_of({"endpoint_url": "http://here"}, **KEYS),
            text_of(**{**KEYS, "bucket_name": "other"}),
            text_of(**{**KEYS, "key_prefix": "other"}),
            text_of(auth_type="anonymous"),
            text_of(auth_type="profile", profile_name="ada"),
            text_of(auth_type="profile", profile_name="grace"),
            text_of(),
        ]
        assert len({*texts}) == len(texts)

    def test_secrets_are_not_told(self) -> None:
        text = text_of(**KEYS, session_token="nor this")
        assert text is not None
        assert "ADA" in text
        assert "not to be told" not in text
        assert "nor this" not in text

    def test_a_new_secret_is_the_same_user(self) -> None:
        assert text_of(**KEYS) == text_of(**{**KEYS, "key_secret": "rotated"})

    @pytest.mark.parametrize(
        "variable", ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL"]
    )
    def test_variables_that_decide_count(
        self, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = text_of()
        monkeypatch.setenv(variable, "ada")
        ada = text_of()
        monkeypatch.setenv(variable, "grace")
        assert len({before, ada, text_of()}) == 3

    def test_other_keys_in_the_file_of_credentials_are_another_user(self) -> None:
        before = text_of()
        self.credentials.write_text("[default]\naws_access_key_id = ADA\n")
        ada = text_of()
        self.credentials.write_text("[default]\naws_access_key_id = GRACE\n")
        grace = text_of()
        assert len({before, ada, grace}) == 3
        assert text_of() == grace
        assert "GRACE" not in str(grace)

    def test_a_session_of_the_program_is_not_known(self) -> None:
        import boto3

        assert text_of({"boto3_session": boto3.Session()}) is None


class TestWhoAsks:
    def test_a_provider_that_does_not_say_has_the_cache_of_its_configuration(
        self, config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Filesystem, "who_asks", lambda _: None)
        for _ in range(2):
            with opened(config) as db:
                db["k"] = "value"
        assert len(entry_files(folder)) == 1
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "another user's")
        with opened(config) as db:
            db["k"] = "value"
        assert len(entry_files(folder)) == 2
        config["cache"]["max_bytes"] = 1_000_000
        with opened(config) as db:
            assert (db["k"], db.cache.hits) == ("value", 1)

    def test_an_unknown_provider_object_has_a_cache_of_its_own(
        self, tmp_path: Path, folder: Path
    ) -> None:
        cache = {"cache": {"folder": str(folder)}}
        for _ in range(2):
            unknown = CountingProvider(Filesystem(tmp_path / "shelf"))
            with cshelve.open_provider(unknown, config=cache) as db:
                db["k"] = "value"
                assert isinstance(provider_of(db), Cached)
        assert len(entry_files(folder)) == 2

    def test_two_shelves_in_memory_do_not_share(self, folder: Path) -> None:
        cache = {"folder": str(folder), "mode": "immutable"}
        with opened({**memory_config(), "cache": cache}) as one:
            one["k"] = "value"
        with opened({**memory_config(), "cache": cache}) as other:
            assert other.get("k") is None


def test_the_folder_of_another_user_is_no_use(folder: Path, config: Config) -> None:
    with opened(config) as db:
        db["k"] = "value"
    if os.geteuid() == 0:
        os.chown(folder / "cshelve-cache-1", 12345, 12345)
        with opened(config) as db:
            assert (db["k"], db.cache.hits) == ("value", 0)
