"""A pickled shelf is its configuration, and is opened anew from it, here or elsewhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.providers.aws_s3.rig import clients_of
from tests.rigs import S3Rig, folder_config, memory_config
from tests.shelf.pickling.rig import KEY, PATIENCE_SECONDS, _as_ini, again, append


def append_to(db: Any) -> Any:
    with db:
        db["k"] = [*db.get("k", []), "another process's"]
        return db["k"]


shared_by_processes = pytest.mark.parametrize(
    "config", ["filesystem", pytest.param("aws-s3", marks=pytest.mark.s3)], indirect=True
)


class TestAPickledShelf:
    @shared_by_processes
    def test_works_in_another_process(
        self, config: dict[str, Any], elsewhere: Callable[..., Any]
    ) -> None:
        with cshelve.open_from_dict(config) as db:
            db["k"] = ["mine"]
            assert elsewhere(append, pickle.dumps(db)) == ["mine", "another process's"]
            assert db["k"] == ["mine", "another process's"]

    def test_may_be_an_argument_of_an_executor_s_task(
        self, tmp_path: Path, pool: ProcessPoolExecutor
    ) -> None:
        with cshelve.open_from_dict(folder_config(tmp_path / "shelf")) as db:
            assert pool.submit(append_to, db).result(PATIENCE_SECONDS) == ["another process's"]
            assert db["k"] == ["another process's"]

    @shared_by_processes
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_may_be_pickled_with_any_protocol(self, protocol: int, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config) as db:
            db["k"] = 1
            with pickle.loads(pickle.dumps(db, protocol)) as other:
                assert other["k"] == 1

    def test_may_be_pickled_again_where_it_was_unpickled(self, tmp_path: Path) -> None:
        with cshelve.open_from_dict(folder_config(tmp_path / "shelf")) as db:
            db["k"] = 1
            with again(db) as other, again(other) as third:
                assert third["k"] == 1

    def test_is_open_when_the_first_is_closed(self, tmp_path: Path) -> None:
        db = cshelve.open_from_dict(folder_config(tmp_path / "shelf"))
        db["k"] = 1
        other = again(db)
        db.close()
        assert other["k"] == 1
        other.close()

    def test_of_a_name_in_memory_is_the_same_within_the_process(self) -> None:
        with cshelve.open_from_dict(memory_config()) as db:
            again(db)["k"] = 1
            assert db["k"] == 1

    @pytest.mark.s3
    def test_costs_what_opening_costs(self, s3: S3Rig, s3_config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(s3_config) as db:
            pickled = pickle.dumps(db)
            with s3.proxy.counting() as seen:
                pickle.loads(pickled).close()
            assert seen.operations == ["ListObjectsV2"]

    @pytest.mark.s3
    def test_is_made_without_a_request(self, s3: S3Rig, s3_config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(s3_config) as db, s3.proxy.counting() as seen:
            pickle.dumps(db)
        assert seen.total == 0


@pytest.mark.s3
class TestTheConfiguration:
    def test_carries_a_reference_as_a_reference(self, s3: S3Rig, s3_config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(s3_config) as db:
            pickled = pickle.dumps(db)
        assert b"$CSHELVE_TEST_SECRET" in pickled
        assert s3.server.admin.secret_key.encode() not in pickled

    def test_wants_the_variable_where_it_is_unpickled(
        self, s3_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with cshelve.open_from_dict(s3_config) as db:
            pickled = pickle.dumps(db)
        monkeypatch.delenv("CSHELVE_TEST_SECRET")
        with pytest.raises(cshelve.ConfigurationError, match="CSHELVE_TEST_SECRET"):
            pickle.loads(pickled)

    def test_may_be_a_file_that_is_gone(
        self,
        s3: S3Rig,
        s3_config: dict[str, Any],
        tmp_path: Path,
        elsewhere: Callable[..., Any],
    ) -> None:
        ini = tmp_path / "shelf.ini"
        ini.write_text(_as_ini(s3_config))
        with cshelve.open(ini) as db:
            pickled = pickle.dumps(db)
            ini.unlink()
            assert elsewhere(append, pickled) == ["another process's"]
            assert db["k"] == ["another process's"]

    def test_of_a_file_is_read_as_of_a_file(
        self, s3_config: dict[str, Any], tmp_path: Path
    ) -> None:
        """Quotes come off a value of a file, so a reference in quotes is one."""
        s3_config["default"]["key_secret"] = '"$CSHELVE_TEST_SECRET"'
        ini = tmp_path / "shelf.ini"
        ini.write_text(_as_ini(s3_config))
        with cshelve.open(ini) as db, again(db) as other:
            other["k"] = 1
            assert db["k"] == 1

    def test_includes_the_parameters_of_the_call(
        self, s3_config: dict[str, Any], elsewhere: Callable[..., Any]
    ) -> None:
        parameters = s3_config.pop("provider_params")
        with cshelve.open_from_dict(s3_config, provider_params=parameters) as db:
            assert elsewhere(append, pickle.dumps(db)) == ["another process's"]

    def test_may_have_a_config_object_of_botocore_s(self, s3_config: dict[str, Any]) -> None:
        from botocore.config import Config

        parameters = {"config": Config(user_agent_extra="pickled", read_timeout=7)}
        with (
            cshelve.open_from_dict(s3_config, provider_params=parameters) as db,
            again(db) as other,
        ):
            assert clients_of(other).config.read_timeout == 7

    @pytest.mark.encryption
    def test_may_have_a_variable_for_the_key_of_the_encryption(
        self, s3_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CSHELVE_TEST_KEY", KEY)
        s3_config["encryption"] = {"algorithm": "aes256", "environment_key": "CSHELVE_TEST_KEY"}
        with cshelve.open_from_dict(s3_config) as db:
            db["k"] = 1
            assert KEY.encode() not in pickle.dumps(db)
            with again(db) as other:
                assert other["k"] == 1


class TestElsewhere:
    """A configuration that leads to another shelf where it is unpickled is an error."""

    @pytest.mark.s3
    @pytest.mark.parametrize("option", ["bucket_name", "key_prefix"])
    def test_by_a_variable_that_is_another_one_there(
        self,
        option: str,
        s3: S3Rig,
        s3_config: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("CSHELVE_TEST_PLACE", str(s3_config["default"][option]))
        s3_config["default"][option] = "$CSHELVE_TEST_PLACE"
        with cshelve.open_from_dict(s3_config) as db:
            pickled = pickle.dumps(db)
        monkeypatch.setenv("CSHELVE_TEST_PLACE", "elsewhere")
        if option == "bucket_name":
            s3.client.create_bucket(Bucket="elsewhere")
        with pytest.raises(cshelve.ConfigurationError, match=r"pickled as s3://.*elsewhere"):
            pickle.loads(pickled)

    def test_by_a_path_that_is_relative(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for folder in ("here/shelf", "there/shelf"):
            (tmp_path / folder).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "here")
        with cshelve.open_from_dict(
            {"default": {"provider": "filesystem", "folder_path": "shelf"}}
        ) as db:
            pickled = pickle.dumps(db)
        monkeypatch.chdir(tmp_path / "there")
        with pytest.raises(cshelve.ConfigurationError, match=r"here/shelf.*there/shelf"):
            pickle.loads(pickled)
