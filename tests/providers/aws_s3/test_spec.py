"""The contract page, `aws-s3.md`: each configuration and call on it, run as it is written."""

from __future__ import annotations

import os
import shelve
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest

import cshelve
from tests.rigs import S3Rig, unique_name

pytestmark = pytest.mark.s3

# ruff: noqa: E501  # the page is quoted as it is

ACCESS_KEY_INI = """\
[default]
provider = aws-s3
bucket_name = cshelve
auth_type = access_key
# Here the environment variable containing the key is named AWS_KEY_ID and the secret AWS_KEY_SECRET.
key_id = $AWS_KEY_ID
key_secret = $AWS_KEY_SECRET
"""

AWS_S3_INI = """\
[default]
provider = aws-s3
bucket_name = cshelve
auth_type = access_key
key_id = $AWS_KEY_ID
key_secret = $AWS_KEY_SECRET

[provider_params]
endpoint_url = "http://localhost:9000"
"""


@pytest.fixture(autouse=True)
def folder(s3: S3Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the page's files, its environment, and nothing in the bucket `cshelve`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_KEY_ID", s3.server.admin.access_key)
    monkeypatch.setenv("AWS_KEY_SECRET", s3.server.admin.secret_key)
    (tmp_path / "access-key.ini").write_text(ACCESS_KEY_INI)
    # The page's address is that of a server on the reader's machine; ours has another port.
    (tmp_path / "aws-s3.ini").write_text(
        AWS_S3_INI.replace("http://localhost:9000", s3.proxy.endpoint_url)
    )
    yield tmp_path
    client = s3.client
    if has_bucket(s3):
        for found in client.list_objects_v2(Bucket="cshelve").get("Contents", []):
            client.delete_object(Bucket="cshelve", Key=found["Key"])


@pytest.fixture
def no_bucket(s3: S3Rig) -> None:
    """No bucket `cshelve`. (Others keep it: SeaweedFS takes most of a second to make one.)"""
    if has_bucket(s3):
        s3.client.delete_bucket(Bucket="cshelve")


def has_bucket(s3: S3Rig) -> bool:
    return "cshelve" in {found["Name"] for found in s3.client.list_buckets()["Buckets"]}


def test_provider_params_in_the_call(s3: S3Rig) -> None:
    provider_params = {"endpoint_url": s3.proxy.endpoint_url}

    with cshelve.open("access-key.ini", provider_params=provider_params) as db:
        db["k"] = {"a": 1}

    with cshelve.open("access-key.ini", "r", provider_params=provider_params) as db:
        assert db["k"] == {"a": 1}


def test_provider_params_in_the_file_with_quotes_round_the_url() -> None:
    with cshelve.open("aws-s3.ini") as db:
        db["k"] = [1, 2]
    with cshelve.open("aws-s3.ini") as db:
        assert db["k"] == [1, 2]


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_value_may_be_bare_or_in_either_kind_of_quotes(quote: str, s3: S3Rig) -> None:
    text = ACCESS_KEY_INI.replace("= cshelve", f"= {quote}cshelve{quote}")
    text = text.replace("$AWS_KEY_ID", f"{quote}$AWS_KEY_ID{quote}")
    endpoint = f"[provider_params]\nendpoint_url = {quote}{s3.proxy.endpoint_url}{quote}\n"
    Path("quoted.ini").write_text(text + endpoint)
    with cshelve.open("quoted.ini") as db:
        db["k"] = 1
    assert cshelve.open("aws-s3.ini", "r")["k"] == 1


def test_where_file_and_call_give_the_same_parameter_the_file_wins() -> None:
    elsewhere = {"endpoint_url": "http://127.0.0.1:1"}
    with cshelve.open("aws-s3.ini", provider_params=elsewhere) as db:
        db["k"] = 1
        assert db["k"] == 1


def test_one_object_a_key(s3: S3Rig) -> None:
    with cshelve.open("aws-s3.ini") as db:
        db["users/ada"] = 1
        db["plain"] = 2
    found = s3.client.list_objects_v2(Bucket="cshelve")["Contents"]
    assert {each["Key"] for each in found} == {"users/ada", "plain"}


def test_a_variable_that_is_not_set_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_KEY_SECRET")
    with pytest.raises(cshelve.ConfigurationError, match=r"key_secret.*'AWS_KEY_SECRET'"):
        cshelve.open("aws-s3.ini")


class TestFlags:
    @pytest.mark.usefixtures("no_bucket")
    @pytest.mark.parametrize("flag", ["r", "w"])
    def test_r_and_w_want_a_bucket_that_exists(self, flag: str) -> None:
        with pytest.raises(cshelve.DBDoesNotExistsError, match="s3://cshelve"):
            cshelve.open("aws-s3.ini", flag)

    @pytest.mark.usefixtures("no_bucket")
    @pytest.mark.parametrize("flag", ["c", "n"])
    def test_c_and_n_create_the_bucket(self, flag: str) -> None:
        with cshelve.open("aws-s3.ini", flag) as db:
            db["k"] = 1
        assert cshelve.open("aws-s3.ini", "r")["k"] == 1

    def test_c_is_the_default(self) -> None:
        cshelve.open("aws-s3.ini").close()
        cshelve.open("aws-s3.ini", "r").close()

    def test_n_purges_the_shelf(self) -> None:
        with cshelve.open("aws-s3.ini") as db:
            db["k"] = 1
        with cshelve.open("aws-s3.ini", "n") as db:
            assert dict(db) == {}

    def test_r_reads_and_refuses_to_write(self) -> None:
        with cshelve.open("aws-s3.ini") as db:
            db["k"] = 1
        with cshelve.open("aws-s3.ini", "r") as db:
            assert db["k"] == 1
            with pytest.raises(cshelve.ReadOnlyError):
                db["k"] = 2
            with pytest.raises(cshelve.ReadOnlyError):
                del db["k"]
            assert db["k"] == 1


class TestTheRestOfTheSurface:
    def test_a_name_ends_in_ini_in_any_case(self, folder: Path) -> None:
        (folder / "aws-s3.ini").rename(folder / "SHELF.INI")
        with cshelve.open("SHELF.INI") as db:
            db["k"] = 1
            assert isinstance(db, cshelve.CloudShelf)

    def test_a_path_object_is_a_name(self, folder: Path) -> None:
        with cshelve.open(folder / "aws-s3.ini") as db:
            db["k"] = 1
        with cshelve.open(Path("aws-s3.ini"), "r") as db:
            assert db["k"] == 1

    def test_a_url_is_a_store_with_the_default_credentials(
        self, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.server.admin.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.server.admin.secret_key)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.proxy.endpoint_url)
        with cshelve.open("s3://cshelve/some/prefix") as db:
            db["k"] = 1
        found = s3.client.list_objects_v2(Bucket="cshelve")["Contents"]
        assert [each["Key"] for each in found] == ["some/prefix/k"]

    def test_a_url_takes_the_rest_from_provider_params(self, s3: S3Rig) -> None:
        params = {
            "endpoint_url": s3.proxy.endpoint_url,
            "aws_access_key_id": s3.server.admin.access_key,
            "aws_secret_access_key": s3.server.admin.secret_key,
        }
        with cshelve.open("s3://cshelve", provider_params=params) as db:
            db["k"] = 1
        assert cshelve.open("aws-s3.ini", "r")["k"] == 1

    def test_a_path_made_of_a_url_is_refused_with_the_reason(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="lost a slash"):
            cshelve.open(Path("s3://cshelve/prefix"))

    def test_any_other_name_is_a_local_shelf(self) -> None:
        with cshelve.open("local") as db:
            db["k"] = 1
        with shelve.open("local", "r") as db:
            assert db["k"] == 1

    def test_a_local_shelf_has_no_provider_params(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="local shelf"):
            cshelve.open("local", provider_params={})

    def test_open_from_dict_is_the_same_from_a_dict(self, s3: S3Rig) -> None:
        config = {
            "default": {
                "provider": "aws-s3",
                "bucket_name": "cshelve",
                "auth_type": "access_key",
                "key_id": "$AWS_KEY_ID",
                "key_secret": "$AWS_KEY_SECRET",
                "use_pickle": True,
                "concurrency": 4,
            },
            "provider_params": {"endpoint_url": s3.proxy.endpoint_url, "use_ssl": False},
        }
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
        assert cshelve.open("aws-s3.ini", "r")["k"] == 1

    def test_what_open_returns_is_a_shelf_in_every_respect(self) -> None:
        with cshelve.open("aws-s3.ini", writeback=True) as db:
            assert isinstance(db, shelve.Shelf)
            assert isinstance(db, MutableMapping)
            assert isinstance(db, cshelve.CloudShelf)
            assert db.writeback is True
            db["k"] = []
            db["k"].append(1)
            db.sync()
            assert cshelve.open("aws-s3.ini", "r")["k"] == [1]
        with pytest.raises(ValueError, match="closed shelf"):
            db["k"]

    def test_values_are_bytes_without_pickle(self, s3: S3Rig, folder: Path) -> None:
        text = (folder / "aws-s3.ini").read_text()
        raw = text.replace("[provider_params]", "use_pickle = false\n\n[provider_params]")
        (folder / "raw.ini").write_text(raw)
        with cshelve.open("raw.ini") as db:
            db["k"] = b"as they are"
            assert db["k"] == b"as they are"
        stored = s3.client.get_object(Bucket="cshelve", Key="k")["Body"].read()
        assert stored == b"\0\0\x0b" + bytes(7) + b"as they are"

    @pytest.mark.parametrize("option", ["use_versionning", "use_versioning"])
    def test_no_header_without_versioning(self, option: str, s3: S3Rig, folder: Path) -> None:
        text = (folder / "aws-s3.ini").read_text()
        raw = text.replace(
            "[provider_params]", f"use_pickle = no\n{option} = off\n\n[provider_params]"
        )
        (folder / "raw.ini").write_text(raw)
        with cshelve.open("raw.ini") as db:
            db["k"] = b"as they are"
            assert db["k"] == b"as they are"
        stored = s3.client.get_object(Bucket="cshelve", Key="k")["Body"].read()
        assert stored == b"as they are"

    @pytest.mark.encryption
    def test_compression_and_encryption(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHELF_KEY", "k" * 32)
        with (folder / "aws-s3.ini").open("a") as file:
            file.write("\n[compression]\nalgorithm = zlib\nlevel = 9\n")
            file.write("\n[encryption]\nalgorithm = aes256\nenvironment_key = SHELF_KEY\n")
        with cshelve.open("aws-s3.ini") as db:
            db["k"] = "text" * 100
        assert cshelve.open("aws-s3.ini", "r")["k"] == "text" * 100

    def test_the_logging_section_of_1x_is_accepted(self, folder: Path) -> None:
        with (folder / "aws-s3.ini").open("a") as file:
            file.write(
                "\n[logging]\nhttp = true\ncredentials = false\nlevel = DEBUG\nenabled = 1\n"
            )
        with cshelve.open("aws-s3.ini") as db:
            db["k"] = 1

    @pytest.mark.parametrize("option", ["key_id", "key_secret"])
    def test_access_key_needs_both_its_options(self, option: str, folder: Path) -> None:
        lines = ACCESS_KEY_INI.splitlines()
        text = "\n".join(line for line in lines if not line.startswith(option))
        (folder / "half.ini").write_text(text)
        with pytest.raises(cshelve.AuthArgumentError, match=option):
            cshelve.open("half.ini")


def test_two_processes_share_a_shelf(folder: Path) -> None:
    import subprocess
    import sys

    program = "import cshelve; db = cshelve.open('aws-s3.ini'); db['from'] = {'pid': 1}; db.close()"
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=os.environ, check=True)
    with cshelve.open("aws-s3.ini", "r") as db:
        assert db["from"] == {"pid": 1}


def test_flag_n_stays_within_the_prefix(s3: S3Rig) -> None:
    config = s3.config(key_prefix=unique_name())
    client = s3.client
    prefix = config["default"]["key_prefix"]
    marker, neighbour = f"{prefix}/", f"{prefix}le/k"
    for key in (marker, neighbour):
        client.put_object(Bucket=s3.bucket, Key=key, Body=b"")
    with cshelve.open_from_dict(config) as db:
        db["k"] = 1
        assert list(db) == ["k"]
    with cshelve.open_from_dict(config, "n") as db:
        assert not db
    left = client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix)["Contents"]
    assert {each["Key"] for each in left} == {marker, neighbour}
