"""A cache in front of S3: what goes over the wire, and what another user may see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer
from tests.providers.caching.rig import MODES, entry_files
from tests.rigs import S3Rig
from tests.scripts import result_of

pytestmark = [pytest.mark.s3, pytest.mark.once]

Config = dict[str, dict[str, Any]]
ENGINES = ["direct", "boto3"]
GET = "GetObject"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def config(s3: S3Rig, folder: Path, engine: str) -> Config:
    return {**s3.config(engine=engine), "cache": {"folder": str(folder)}}


def with_mode(config: Config, mode: str) -> Config:
    return {**config, "cache": {"folder": config["cache"]["folder"], **MODES[mode]}}


def test_an_unchanged_value_is_a_304_without_a_body(s3: S3Rig, config: Config) -> None:
    value = b"x" * 100_000
    with cshelve.open_from_dict(config) as db:
        db["k"] = value
        with s3.proxy.counting() as seen:
            assert db["k"] == value
            assert dict(db.get_many(["k"])) == {"k": value}
        told = [(each.operation, each.status, each.bytes_sent) for each in seen.requests]
        assert told == [(GET, 304, 0), (GET, 304, 0)]
        assert (db.cache.hits, db.cache.misses) == (2, 0)
        assert db.stats.engine == config["default"]["engine"]


def test_a_changed_value_comes_by_the_same_request(s3: S3Rig, config: Config) -> None:
    plain = {name: section for name, section in config.items() if name != "cache"}
    with cshelve.open_from_dict(config) as db, cshelve.open_from_dict(plain) as other:
        db["k"], db["l"], db["m"] = "old", "old", "same"
        other["k"] = other["l"] = "new"
        with s3.proxy.counting() as seen:
            assert db["k"] == "new"
            found = dict(db.get_many(["l", "absent", "m"]))
        assert found == {"l": "new", "m": "same"}
        assert [each.status for each in seen.requests if each.operation == GET][:1] == [200]
        del other["k"]
        assert db.get("k") is None


@pytest.mark.parametrize("mode", ["ttl", "immutable"])
def test_nothing_is_sent(mode: str, s3: S3Rig, config: Config) -> None:
    with cshelve.open_from_dict(with_mode(config, mode)) as db:
        db["k"] = "value"
        with s3.proxy.counting() as seen:
            assert db["k"] == "value"
            assert dict(db.get_many(["k"])) == {"k": "value"}
        assert seen.operations == []


def test_a_large_value_is_revalidated_too(s3: S3Rig, config: Config) -> None:
    config["default"] |= {"multipart_threshold_bytes": 5 << 20, "multipart_chunk_bytes": 5 << 20}
    value = bytes(range(256)) * (6 << 12)
    with cshelve.open_from_dict(config) as db:
        db["k"] = value
        with s3.proxy.counting() as seen:
            assert db["k"] == value
        assert [each.status for each in seen.requests] == [304]
        s3.client.delete_object(Bucket=s3.bucket, Key=f"{config['default']['key_prefix']}/k")
        with pytest.raises(KeyError):
            db["k"]


def test_many_values_are_revalidated_in_parallel(s3: S3Rig, config: Config) -> None:
    keys = [f"key-{number}" for number in range(30)]
    with cshelve.open_from_dict(config) as db:
        db.set_many((key, key * 100) for key in keys)
        expected = {key: key * 100 for key in keys}
        assert dict(db.get_many(keys)) == expected
        with s3.proxy.counting() as seen:
            assert list(db.get_many(keys)) == list(expected.items())
        assert {each.status for each in seen.requests} == {304}
        assert seen.total == 30
        assert len({each.connection for each in seen.requests}) > 1


def test_a_304_that_nobody_asked_for_is_an_error(s3: S3Rig, config: Config) -> None:
    with (
        cshelve.open_from_dict(config) as db,
        s3.proxy.inject(Answer(304, ""), operation=GET, times=None),
        pytest.raises(cshelve.StorageError),
    ):
        db["k"]


def test_a_second_process_has_what_the_first_one_read(s3: S3Rig, config: Config) -> None:
    with cshelve.open_from_dict(config) as db:
        db["k"] = "value"
    program = """
        import cshelve
        with cshelve.open_from_dict(config) as db:
            with db.stats.measuring() as used:
                value = db["k"]
            print(json.dumps([value, db.cache.hits, used.requests, used.bytes_received]))
    """
    assert result_of(program, config) == ["value", 1, {GET: 1}, 0]


@pytest.mark.parametrize("mode", MODES)
def test_a_user_does_not_see_what_only_another_may_read(
    mode: str, s3: S3Rig, config: Config, folder: Path
) -> None:
    config = with_mode(config, mode)
    with cshelve.open_from_dict(config) as db:
        db["k"] = "of the admin"
    scoped = s3.server.scoped  # He may read below one prefix, and this is another.
    keys = {"key_id": scoped.access_key, "key_secret": scoped.secret_key, "check_bucket": False}
    other = {**config, "default": {**config["default"], **keys}}
    with cshelve.open_from_dict(other) as db, pytest.raises(cshelve.AuthError):
        db["k"]
    assert len(entry_files(folder)) == 1


def test_a_profile_has_a_cache(
    s3: S3Rig, config: Config, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = config["default"]
    keys = [default.pop(name) for name in ("key_id", "key_secret")]
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[ada]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    default |= {"auth_type": "profile", "profile_name": "ada"}
    for _ in range(2):
        with cshelve.open_from_dict(config) as db:
            db["k"] = "value"
            with s3.proxy.counting() as seen:
                assert db["k"] == "value"
            assert [each.status for each in seen.requests] == [304]
    assert len(entry_files(folder)) == 1


def test_setdefault_and_modify_send_what_they_send_without_a_cache(
    s3: S3Rig, config: Config
) -> None:
    with cshelve.open_from_dict(with_mode(config, "immutable")) as db:
        db["k"] = 1
        db.modify("k", lambda number: number + 1)  # The first one finds out about conditions.
        with s3.proxy.counting() as seen:
            db.modify("k", lambda number: number + 1)
            assert db.setdefault("k", 0) == 3
        assert seen.operations == [GET, "PutObject", GET]
        assert {each.status for each in seen.requests} == {200}
        assert json.dumps(db["k"]) == "3"
