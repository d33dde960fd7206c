"""A URL is a place and options: what each scheme stands for, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import shelve
from pathlib import Path

import pytest

import cshelve
from cshelve._config.names import FORMS
from cshelve._config.url import sections_from_url
from tests.rigs import provider_of, unique_name

SECRET = "hush-hush"


def default_of(url: str) -> dict[str, object]:
    return sections_from_url(url, "c")[1]["default"]


def memory(options: str = "") -> str:
    return f"memory://{unique_name()}{options}"


def refusal_of(url: str) -> str:
    """Open a URL, and return what is said against it."""
    with pytest.raises(cshelve.ConfigurationError) as caught:
        cshelve.open(url)
    return str(caught.value)


class TestPlaces:
    def test_s3_is_a_bucket_and_a_prefix(self) -> None:
        assert default_of("s3://bucket/a/b") == {
            "provider": "aws-s3",
            "bucket_name": "bucket",
            "key_prefix": "a/b",
            "auth_type": "default",
        }
        assert "key_prefix" not in default_of("s3://bucket")
        assert "key_prefix" not in default_of("s3://bucket/")

    def test_gs_is_a_bucket_and_a_prefix_too(self) -> None:
        assert default_of("gs://bucket/a/b?auth_type=anonymous") == {
            "provider": "gcs",
            "bucket_name": "bucket",
            "key_prefix": "a/b",
            "auth_type": "anonymous",
        }
        assert default_of("gs://bucket")["auth_type"] == "default"
        with pytest.raises(cshelve.ConfigurationError, match=r"Write gs://bucket/prefix .*whole"):
            sections_from_url("gs://bucket", "n")
        _, contents = sections_from_url("gs://bucket?whole_bucket=true", "n")
        assert "whole_bucket" not in contents["default"]

    def test_az_is_an_account_a_container_and_a_prefix(self) -> None:
        assert default_of("az://account/box/a/b") == {
            "provider": "azure-blob",
            "account_url": "https://account.blob.core.windows.net",
            "container_name": "box",
            "key_prefix": "a/b",
            "auth_type": "passwordless",
        }
        assert "key_prefix" not in default_of("az://account/box/")
        other = "az://account/box?account_url=http://127.0.0.1:10000/account&auth_type=anonymous"
        assert default_of(other)["account_url"] == "http://127.0.0.1:10000/account"
        for url in ("az://", "az://account", "az://account/", "az:///box"):
            assert "names no container" in refusal_of(url)

    def test_emptying_a_whole_container_has_to_be_confirmed(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"whole_bucket=true\.$"):
            sections_from_url("az://account/box", "n")
        assert "whole_bucket" not in default_of("az://account/box?whole_bucket=true")

    @pytest.mark.parametrize("host", ["", "localhost"])
    def test_file_is_a_folder(self, host: str, tmp_path: Path) -> None:
        with cshelve.open(f"file://{host}{tmp_path}/shelf") as db:
            db["k"] = 1
            assert db.provider.location == str(tmp_path / "shelf")
        assert (tmp_path / "shelf" / "k").is_file()

    def test_memory_is_a_name_that_shelves_share(self) -> None:
        url = memory("/a")
        with cshelve.open(url) as db:
            db["k"] = 1
        with cshelve.open_from_dict(
            {"default": {"provider": "in-memory", "persist-key": url.removeprefix("memory://")}}
        ) as db:
            assert db["k"] == 1

    def test_dbm_is_the_path_of_a_local_shelf(self, tmp_path: Path) -> None:
        with cshelve.open(f"dbm://{tmp_path}/shelf") as db:
            db["k"] = 1
        with shelve.open(str(tmp_path / "shelf"), "r") as db:
            assert db["k"] == 1

    def test_a_scheme_may_be_in_capitals(self) -> None:
        assert default_of("S3://Bucket/P")["bucket_name"] == "Bucket"

    def test_one_line_serves_every_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for url in (memory(), f"file://{tmp_path}/folder", f"dbm://{tmp_path}/local"):
            monkeypatch.setenv("SHELF_URL", url)
            with cshelve.open(os.environ["SHELF_URL"]) as db:
                db["k"] = 1
                assert dict(db.items()) == {"k": 1}

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("s3://", "names no bucket: write s3://bucket/prefix"),
            ("s3:///prefix", "names no bucket"),
            ("gs://", "names no bucket: write gs://bucket/prefix"),
            ("memory://", "names no shelf: write memory://name"),
            ("file://", "names no path: write file:///folder"),
            ("file:///", "names no path"),
            ("dbm:///", "names no path: write dbm:///path"),
            ("file://folder/shelf", "on the computer 'folder': .* third slash"),
            ("dbm://notes", "on the computer 'notes'"),
            ("file://~/shelf", "on the computer '~'"),
        ],
    )
    def test_a_place_that_is_none_says_how_one_is_written(self, url: str, problem: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=problem):
            cshelve.open(url)

    @pytest.mark.parametrize("scheme", ["s3a", "abfs", "ssh", "redis", "http"])
    def test_a_scheme_that_there_is_not_says_which_there_are(self, scheme: str) -> None:
        said = refusal_of(f"{scheme}://user:{SECRET}@place/path")
        assert f"no scheme {scheme}://" in said
        assert f"there are {', '.join(f'{each}://' for each in FORMS)}" in said
        assert {"s3", "gs", "az", "file", "memory", "dbm"} <= set(FORMS)
        assert SECRET not in said

    @pytest.mark.parametrize(
        "url", ["s3://lab/shelf.ini", "file:///etc/Shelf.INI", "memory://a.ini"]
    )
    def test_the_name_of_a_configuration_is_not_taken_for_a_place(self, url: str) -> None:
        assert "has to be a local file" in refusal_of(url)
        assert "has to be a local file" in refusal_of(f"{url}?serializer=json")

    @pytest.mark.parametrize("name", ["file:///folder", "memory://name", "gs://bucket/x"])
    def test_a_path_made_of_one_is_refused_with_the_reason(self, name: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="lost a slash"):
            cshelve.open(Path(name))


class TestText:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("$HOME", "$HOME"),
            ("$$x", "$$x"),
            ("a+b", "a+b"),
            ("a#b", "a#b"),
            ("100%25", "100%"),
            ("a%20b", "a b"),
            ("%C3%A9", "é"),
            ("a%3Fb", "a?b"),
            ("'a'", "'a'"),
            ("a;b", "a;b"),
        ],
    )
    def test_is_meant_as_it_is_but_for_what_is_percent_encoded(
        self, written: str, meant: str, tmp_path: Path
    ) -> None:
        assert default_of(f"s3://bucket/{written}")["key_prefix"] == meant
        assert default_of(f"s3://bucket/p?shelf_name={written}")["shelf_name"] == meant
        with cshelve.open(f"file://{tmp_path}/{written}") as db:
            assert db.provider.location == str(tmp_path / meant)
        name = unique_name()
        with cshelve.open(f"memory://{name}{written}?shelf_name={written}") as db:
            assert db.provider.location == f"memory, {name + meant!r}"

    def test_a_slash_may_be_part_of_a_bucket_such_as_an_access_point(self) -> None:
        default = default_of("s3://arn:aws:s3:eu-west-1:1:accesspoint%2Fname/prefix")
        assert default["bucket_name"] == "arn:aws:s3:eu-west-1:1:accesspoint/name"
        assert default["key_prefix"] == "prefix"

    @pytest.mark.parametrize("written", ["100%", "%zz", "%4", "%FF", "a%00b"])
    def test_that_cannot_be_decoded_is_an_error(self, written: str) -> None:
        for url in (memory(written), memory(f"?shelf_name={written}"), memory(f"?{written}=x")):
            assert "memory://" in refusal_of(url)


class TestOptions:
    def test_stand_behind_the_question_mark(self, tmp_path: Path) -> None:
        with cshelve.open(f"file://{tmp_path}/s?serializer=json&use_versioning=true") as db:
            db["k"] = {"a": 1}
        assert json.dumps({"a": 1}, separators=(",", ":")).encode() in (
            tmp_path / "s" / "k"
        ).read_bytes().replace(b" ", b"")

    def test_of_other_sections_name_them(self, tmp_path: Path) -> None:
        with cshelve.open(f"file://{tmp_path}/s?compression.algorithm=zlib") as db:
            db["k"] = "x" * 10_000
        assert (tmp_path / "s" / "k").stat().st_size < 1000

    def test_a_bare_name_is_of_default_but_for_the_endpoint(self) -> None:
        _, contents = sections_from_url(
            "s3://b/p?region_name=eu-west-1&Endpoint_URL=http://localhost:9000"
            "&provider_params.config.s3.addressing_style=path&put_params.StorageClass=X",
            "c",
        )
        assert contents["default"]["region_name"] == "eu-west-1"
        assert contents["provider_params"] == {
            "endpoint_url": "http://localhost:9000",
            "config.s3.addressing_style": "path",
        }
        assert contents["put_params"] == {"StorageClass": "X"}

    def test_may_say_how_to_authenticate(self) -> None:
        assert default_of("s3://b?auth_type=anonymous")["auth_type"] == "anonymous"

    def test_that_begin_with_a_dollar_name_no_variable(self) -> None:
        said = refusal_of(memory("?serializer=$SHELF_SERIALIZER"))
        assert "no choice '$shelf_serial" in said

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ("use_pikle=false", r"\[default\] use_pikle: .*did you mean use_pickle"),
            ("checksum=maybe", r"\[default\] checksum: is true or false"),
            ("compresion.algorithm=zlib", r"\[compresion\].*did you mean \[compression\]"),
            ("compression.level=3", r"\[compression\] algorithm: this option is required"),
            ("checksum=1&checksum=1", r"\[default\] checksum: the option is given twice"),
            ("checksum=1&Checksum=1", r"\[default\] checksum: the option is given twice"),
            ("checksum=1&default.checksum=1", r"\[default\] checksum: the option is given twice"),
            ("compression.level=1&compression.Level=1", r"\[compression\].*twice"),
            ("provider=filesystem", r"\[default\] provider: the option is given twice"),
            ("persist-key=x", r"\[default\] persist-key: the option is given twice"),
            ("checksum", "name=value"),
            ("=1", "name=value"),
            ("checksum=1&", "name=value"),
            ("folder_path=x", r"\[default\] folder_path: there is no such option"),
            ("endpoint_url=http://x", "provider_params"),
        ],
    )
    def test_are_checked_as_in_a_file(self, options: str, problem: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=problem):
            cshelve.open(memory(f"?{options}"))

    def test_of_records_are_refused_for_a_local_shelf(self, tmp_path: Path) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="so that shelve can read them"):
            cshelve.open(f"dbm://{tmp_path}/shelf?serializer=json")

    def test_none_at_all_is_none(self) -> None:
        cshelve.open(memory("?")).close()

    def test_win_over_the_call(self, tmp_path: Path) -> None:
        params = {"folder_path": str(tmp_path / "of the call")}
        with cshelve.open(f"file://{tmp_path}/of-the-url", provider_params=params) as db:
            assert db.provider.location == str(tmp_path / "of-the-url")


class TestSecrets:
    @pytest.mark.parametrize(
        ("url", "name"),
        [
            (f"memory://x?encryption.algorithm=aes256&encryption.key={SECRET}", "encryption] key"),
            (f"memory://x?signing.algorithm=hmac-sha256&signing.key={SECRET}", "signing] key"),
        ],
    )
    def test_are_refused_and_not_shown(self, url: str, name: str) -> None:
        said = refusal_of(url)
        assert f"[{name}: a secret has no place in a URL" in said
        assert SECRET not in said

    @pytest.mark.s3
    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ("auth_type=access_key&key_id=x&key_secret={}", "default] key_secret"),
            ("session_token={}", "default] session_token"),
            ("provider_params.aws_secret_access_key={}", "provider_params] aws_secret_access_key"),
            ("provider_params.aws_session_token={}", "provider_params] aws_session_token"),
            ("put_params.SSECustomerKey={}", "put_params] SSECustomerKey"),
            ("provider_params.config.proxies.http=http://u:{}@x", "config.proxies.http"),
        ],
    )
    def test_of_s3_are_refused_too(self, options: str, name: str) -> None:
        said = refusal_of(f"s3://bucket/p?{options.format(SECRET)}")
        assert f"{name}: a secret has no place in a URL" in said
        assert SECRET not in said

    @pytest.mark.parametrize("url", [f"s3://id:{SECRET}@bucket/p", f"file://u:{SECRET}@host/p"])
    def test_before_the_place_are_refused_and_not_shown(self, url: str) -> None:
        said = refusal_of(url)
        assert "a user name or a password" in said
        assert SECRET not in said

    def test_a_key_may_be_named_by_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELF_KEY", cshelve.generate_key())
        with cshelve.open(
            memory("?signing.algorithm=hmac-sha256&signing.environment_key=SHELF_KEY")
        ) as db:
            db["k"] = 1
            assert db["k"] == 1


class TestPickles:
    def test_open_the_same_shelf_with_the_same_options(self, tmp_path: Path) -> None:
        with cshelve.open(f"file://{tmp_path}/$odd%20name?serializer=json", "n") as db:
            db["k"] = [1]
            pickled = pickle.dumps(db)
        with pickle.loads(pickled) as again:
            assert again["k"] == [1]
            assert again.provider.location == str(tmp_path / "$odd name")
            again["k"] = (2,)
            assert again["k"] == [2]

    def test_of_every_scheme(self, tmp_path: Path) -> None:
        for url in (memory("$x"), f"dbm://{tmp_path}/$local"):
            with cshelve.open(url) as db:
                db["k"] = 1
                pickled, location = pickle.dumps(db), provider_of(db).location
            with pickle.loads(pickled) as again:
                assert again["k"] == 1
                assert provider_of(again).location == location


class TestWholeBuckets:
    @pytest.mark.parametrize(
        "url", ["s3://company-data", "s3://company-data/", "s3://company-data?whole_bucket=no"]
    )
    def test_are_not_emptied_unless_the_url_says_so(self, url: str) -> None:
        with pytest.raises(
            cshelve.ConfigurationError, match="every object of the bucket"
        ) as caught:
            cshelve.open(url, "n")
        assert "company-data" in str(caught.value)
        assert "?whole_bucket=true" in str(caught.value)

    @pytest.mark.parametrize("flag", ["r", "w", "c"])
    def test_are_opened_with_every_other_flag(self, flag: str) -> None:
        sections_from_url("s3://company-data", flag)

    def test_are_meant_where_the_url_says_so(self) -> None:
        _, contents = sections_from_url("s3://company-data?whole_bucket=true&checksum=1", "n")
        assert contents["default"] == {
            "provider": "aws-s3",
            "bucket_name": "company-data",
            "auth_type": "default",
            "checksum": "1",
        }
        sections_from_url("s3://company-data/prefix", "n")
        sections_from_url("s3://company-data?key_prefix=prefix", "n")

    def test_have_no_prefix(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="whole_bucket: the URL has a prefix"):
            cshelve.open("s3://company-data/prefix?whole_bucket=true", "n")

    @pytest.mark.parametrize("value", ["", "perhaps"])
    def test_are_told_by_a_boolean(self, value: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="whole_bucket: is true or false"):
            cshelve.open(f"s3://company-data?whole_bucket={value}", "n")

    def test_are_named_by_a_url_alone(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="whole_bucket: there is no such opt"):
            cshelve.open(memory("?whole_bucket=true"))
        config = {"default": {"provider": "in-memory", "whole_bucket": "true"}}
        with pytest.raises(cshelve.ConfigurationError, match="whole_bucket: there is no such opt"):
            cshelve.open_from_dict(config)


class TestSftp:
    @pytest.mark.parametrize(
        ("url", "options"),
        [
            ("alice@host/srv/notes", ("alice", "host", "/srv/notes")),
            ("alice@host/~/notes", ("alice", "host", "notes")),
            ("alice@host/~", ("alice", "host", "")),
            ("a%40b@files.example.com/a%20b", ("a@b", "files.example.com", "/a b")),
            ("alice@[::1]/srv", ("alice", "::1", "/srv")),
        ],
    )
    def test_is_a_user_a_server_and_a_path(self, url: str, options: tuple[str, str, str]) -> None:
        found = default_of(f"sftp://{url}")
        assert (found["username"], found["hostname"], found["remote_path"]) == options
        assert found["auth_type"] == "agent"
        assert "port" not in found

    def test_may_have_a_port_and_options(self) -> None:
        found = default_of("sftp://alice@host:2222/srv?auth_type=key_filename&key_filename=/k")
        assert (found["port"], found["auth_type"]) == ("2222", "key_filename")

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("sftp://host/srv", "names no user: write sftp://user@host/path"),
            ("sftp://@host/srv", "names no user"),
            ("sftp://alice@/srv", "names no server"),
            ("sftp://alice@host:ssh/srv", "a wrong port"),
            ("sftp://alice@host", "names no path"),
            ("sftp://alice@host/", "names no path"),
        ],
    )
    def test_says_what_is_missing(self, url: str, problem: str) -> None:
        assert problem in refusal_of(url)

    def test_never_has_a_password(self) -> None:
        said = refusal_of(f"sftp://alice:{SECRET}@host/srv")
        assert "contains a password" in said
        assert SECRET not in said

    @pytest.mark.sftp
    def test_never_has_a_password_as_an_option(self) -> None:
        assert "no place in a URL" in refusal_of("sftp://a@h/srv?auth_type=password&password=x")
