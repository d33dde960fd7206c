"""One configuration for several places: the provider comes from a variable, each has a section."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.providers.test_loading import install
from tests.rigs import provider_of

FILE = """
[default]
provider = $SHELF_PROVIDER
checksum = true

[aws-s3]
bucket_name = $CSHELVE_TEST_NOT_SET
auth_type = access_key
key_id = $CSHELVE_TEST_NOT_SET
key_secret = {secret}

[aws-s3.provider_params]
endpoint_url = $CSHELVE_TEST_NOT_SET
config.proxies.http = http://user:{secret}@proxy

[aws-s3.put_params]
StorageClass = STANDARD_IA

[filesystem]
folder_path = {folder}/shelf

[in-memory]
persist-key = {folder}

[dbm]
path = {folder}/local
"""
SECRET = "hush-hush"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shelf.ini"
    path.write_text(FILE.format(folder=tmp_path, secret=SECRET))
    return path


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF_PROVIDER", "in-memory")
    monkeypatch.delenv("CSHELVE_TEST_NOT_SET", raising=False)


def refusal_of(config: dict[str, dict[str, Any]], provider: str = "in-memory") -> str:
    with pytest.raises(cshelve.ConfigurationError) as caught:
        cshelve.open_from_dict({"default": {"provider": provider}, **config})
    return str(caught.value)


class TestTheChosenProvider:
    def test_comes_from_a_variable_and_reads_its_own_section(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        locations = {
            "filesystem": str(file.parent / "shelf"),
            "in-memory": f"memory, {str(file.parent)!r}",
        }
        for name, location in locations.items():
            monkeypatch.setenv("SHELF_PROVIDER", name)
            with cshelve.open(file) as db:
                db["k"] = 1
                assert db["k"] == 1
                assert db.provider.location == location

    @pytest.mark.s3
    def test_may_be_a_bucket(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELF_PROVIDER", "aws-s3")
        with pytest.raises(
            cshelve.ConfigurationError, match=r"\[aws-s3\] bucket_name: .*'CSHELVE_TEST_NOT_SET'"
        ):
            cshelve.open(file)

    def test_that_lacks_an_option_of_default_is_strict(self, file: Path) -> None:
        file.write_text(file.read_text().replace("checksum", "folder_path"))
        with pytest.raises(cshelve.ConfigurationError, match=r"\[default\] folder_path: .*no such"):
            cshelve.open(file)

    def test_has_no_option_in_default_too(self) -> None:
        config = {"default": {"provider": "in-memory", "persist-key": "x"}}
        with pytest.raises(
            cshelve.ConfigurationError,
            match=r"\[in-memory\] persist-key: the option is in \[default\] too",
        ):
            cshelve.open_from_dict({**config, "in-memory": {"Persist-Key": "x"}})

    @pytest.mark.s3
    def test_has_no_parameter_in_two_sections(self) -> None:
        config: dict[str, dict[str, Any]] = {
            "provider_params": {"endpoint_url": "http://x"},
            "aws-s3.provider_params": {"endpoint_url": "http://x"},
        }
        said = refusal_of(config, "aws-s3")
        assert "[aws-s3.provider_params] endpoint_url: the option is in [provider_params]" in said

    def test_has_only_its_own_options_in_its_section(self) -> None:
        said = refusal_of({"in-memory": {"serializer": "json"}})
        assert "[in-memory] serializer: there is no such option" in said
        assert "[in-memory] provider: " in refusal_of({"in-memory": {"provider": "dbm"}})

    def test_has_sections_that_are_checked(self) -> None:
        said = refusal_of({"in-memory": {"persist_key": "x"}})
        assert (
            "[in-memory] persist_key: there is no such option (did you mean persist-key?)" in said
        )
        said = refusal_of({"filesystem.provider_parms": {}}, "filesystem")
        assert "(did you mean [filesystem.provider_params]?)" in said

    def test_names_the_section_of_a_bad_value(self) -> None:
        assert "[in-memory] exists: is true or false" in refusal_of({"in-memory": {"exists": "?"}})

    def test_reads_parameters_of_its_own_section(self, tmp_path: Path) -> None:
        config: dict[str, dict[str, Any]] = {
            "default": {"provider": "filesystem"},
            "filesystem.provider_params": {"folder_path": str(tmp_path / "s")},
        }
        with cshelve.open_from_dict(config) as db:
            assert db.provider.location == str(tmp_path / "s")


class TestOtherProviders:
    @pytest.mark.parametrize(
        ("config", "problem"),
        [
            ({"filesystem": {"folder": "x"}}, r"[filesystem] folder: there is no such option"),
            ({"aws-s3": {"bucket": "x"}}, "[aws-s3] bucket: there is no such option"),
            ({"aws-s3.put_parms": {}}, "(did you mean [aws-s3.put_params]?)"),
            ({"filesystem.put_params": {}}, "[filesystem.put_params]: there is no such section"),
            ({"aws_s3": {}}, "[aws_s3]: there is no such section"),
            ({"aws-s3.default": {}}, "[aws-s3.default]: there is no such section"),
        ],
    )
    def test_have_their_names_checked(
        self, config: dict[str, dict[str, Any]], problem: str
    ) -> None:
        assert problem in refusal_of(config)

    def test_have_names_in_which_case_counts_as_in_the_general_section(self) -> None:
        config = {"filesystem": {"Folder_Path": "x"}, "aws-s3.put_params": {"ACL": "1", "acl": "2"}}
        cshelve.open_from_dict({"default": {"provider": "in-memory"}, **config}).close()

    def test_have_no_value_read(self) -> None:
        config = {"in-memory": {"exists": "perhaps"}, "aws-s3": {"concurrency": "many"}}
        config["default"] = {"provider": "filesystem"}
        cshelve.open_from_dict(config, "r").close()

    def test_need_no_package_and_import_none(self, file: Path) -> None:
        program = (
            "import sys; sys.modules.update(boto3=None, botocore=None); import cshelve; "
            f"db = cshelve.open({str(file)!r}); db['k'] = 1; print(db['k'], sys.modules['boto3'])"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert ended.stdout == "1 None\n", ended.stderr
        program = (
            f"import sys, cshelve; cshelve.open({str(file)!r}); "
            "print([name for name in ('boto3', 'botocore') if name in sys.modules])"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert ended.stdout == "[]\n", ended.stderr

    def test_leave_no_secret_in_a_pickle(self, file: Path) -> None:
        with cshelve.open(file) as db:
            db["k"] = 1
            pickled, location = pickle.dumps(db), provider_of(db).location
        assert SECRET.encode() not in pickled
        with pickle.loads(pickled) as again:
            assert again["k"] == 1
            assert provider_of(again).location == location

    @pytest.mark.s3
    def test_the_chosen_one_tells_where_its_secret_is_in_the_way_of_a_pickle(self) -> None:
        config: dict[str, dict[str, Any]] = {
            "default": {"provider": "aws-s3", "check_bucket": False},
            "aws-s3": {
                "bucket_name": "bucket",
                "auth_type": "access_key",
                "key_id": "x",
                "key_secret": SECRET,
            },
        }
        with (
            cshelve.open_from_dict(config, "w") as db,
            pytest.raises(cshelve.NotPicklableError, match=r"\[aws-s3\] key_secret") as caught,
        ):
            pickle.dumps(db)
        assert SECRET not in str(caught.value)

    def test_a_section_of_a_provider_is_none_for_a_provider_made_by_hand(self) -> None:
        from cshelve.providers import InMemory

        with pytest.raises(cshelve.ConfigurationError, match=r"\[in-memory\]: .*no such section"):
            cshelve.open_provider(InMemory(), config={"in-memory": {"exists": "true"}})


class TestProvidersOfOtherPackages:
    @pytest.fixture(autouse=True)
    def installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.syspath_prepend(tmp_path)
        for package in ("package_of_ours", "another_package"):
            monkeypatch.delitem(sys.modules, package, raising=False)
        install(
            tmp_path, "package_of_ours", "ours = package_of_ours:Ours", "gone = no_such_module:X"
        )
        return tmp_path

    def test_read_their_own_section(self) -> None:
        config = {"default": {"provider": "ours"}, "ours": {"persist-key": "of-ours"}}
        with cshelve.open_from_dict(config) as db:
            assert db.provider.location == "memory, 'of-ours'"

    def test_have_their_names_checked_where_another_is_chosen(self) -> None:
        assert "[ours] persist_key: there is no such option" in refusal_of(
            {"ours": {"persist_key": "x"}}
        )
        cshelve.open_from_dict(
            {"default": {"provider": "in-memory"}, "ours": {"persist-key": "$CSHELVE_NOT_SET"}}
        ).close()

    def test_that_cannot_be_imported_are_not_in_the_way_of_another(self) -> None:
        config = {"default": {"provider": "in-memory"}, "gone": {"anything": "x"}, "gone.more": {}}
        cshelve.open_from_dict(config).close()


class TestOptionsOfAnotherProvider:
    def test_are_refused_with_its_name(self, tmp_path: Path) -> None:
        config = {"default": {"provider": "filesystem", "folder_path": str(tmp_path)}}
        for option in ("slow_request_seconds", "key_prefix"):
            with pytest.raises(cshelve.ConfigurationError, match="it is an option of aws-s3"):
                cshelve.open_from_dict({"default": {**config["default"], option: "1"}})
        with pytest.raises(cshelve.ConfigurationError, match="it is an option of filesystem"):
            cshelve.open("memory://x?folder_path=y")
