"""A pickled shelf is its configuration, without secrets, and is opened anew from it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over
from tests.rigs import S3Rig, folder_config, memory_config

PATIENCE_SECONDS = 60
KEY = "0123456789abcdef" * 2
SECRET = "a-secret-that-nobody-may-see"


def again(shelf: Any) -> Any:
    return pickle.loads(pickle.dumps(shelf))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """One process that shares nothing but what it is sent, and its environment."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def elsewhere(pool: ProcessPoolExecutor) -> Callable[..., Any]:
    """Call a function in the other process, with the variables that are set here."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        run = pool.submit(_with_environment, dict(os.environ), function, *arguments)
        return run.result(PATIENCE_SECONDS)

    return call


def _with_environment(
    environment: dict[str, str], function: Callable[..., Any], *arguments: Any
) -> Any:
    # The shelf comes as bytes, so that it is unpickled once the variables are there.
    os.environ.clear()
    os.environ.update(environment)
    return function(*arguments)


# What the other process does with the pickle of a shelf


def append(pickled: bytes) -> Any:
    with pickle.loads(pickled) as db:
        db["k"] = [*db.get("k", []), "another process's"]
        return db["k"]


def append_to(db: Any) -> Any:
    with db:
        db["k"] = [*db.get("k", []), "another process's"]
        return db["k"]


@pytest.fixture
def s3_config(s3: S3Rig, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """A configuration that refers to the environment for its secret."""
    monkeypatch.setenv("CSHELVE_TEST_SECRET", s3.server.admin.secret_key)
    return s3.config(key_secret="$CSHELVE_TEST_SECRET")


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, dict[str, Any]]:
    if request.param == "aws-s3":
        found: dict[str, dict[str, Any]] = request.getfixturevalue("s3_config")
        return found
    return folder_config(tmp_path / "shelf")


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
            assert other._objects.records.provider._requests.clients.config.read_timeout == 7

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


class TestWhatTheCallSaid:
    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, dict[str, Any]]:
        config = folder_config(tmp_path / "shelf")
        with cshelve.open_from_dict(config) as db:
            db["k"] = [1]
        return config

    def test_a_shelf_for_reading_stays_one(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, "r") as db, again(db) as other:
            assert other["k"] == [1]
            with pytest.raises(cshelve.ReadOnlyError):
                other["k"] = 2

    @pytest.mark.parametrize("flag", ["w", "c", "n"])
    def test_a_shelf_for_writing_stays_one(self, flag: str, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, flag) as db, again(db) as other:
            other["k"] = 2
            assert db["k"] == 2

    def test_a_shelf_that_was_emptied_is_not_emptied_again(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, "n") as db:
            db["new"] = 1
            again(db).close()
            assert db["new"] == 1

    @pytest.mark.parametrize("flag", ["c", "n"])
    def test_a_shelf_that_is_gone_is_not_created_again(self, flag: str, tmp_path: Path) -> None:
        folder = tmp_path / "soon gone"
        with cshelve.open_from_dict(folder_config(folder), flag) as db:
            pickled = pickle.dumps(db)
        folder.rmdir()
        with pytest.raises(cshelve.DBDoesNotExistsError):
            pickle.loads(pickled)
        assert not folder.exists()

    def test_writeback_is_carried(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, writeback=True) as db:
            with again(db) as other:
                other["k"].append(2)
            assert db["k"] == [1, 2]

    def test_what_is_in_the_cache_is_not(self, config: dict[str, Any]) -> None:
        with cshelve.open_from_dict(config, writeback=True) as db:
            db["k"].append("not written")
            with again(db) as other:
                assert other["k"] == [1]

    def test_the_protocol_is_carried(self, config: dict[str, Any], tmp_path: Path) -> None:
        with cshelve.open_from_dict(config, protocol=2) as db, again(db) as other:
            other["k"] = "value"
            assert b"".join(other._objects.dumps("k", "value")) == pickle.dumps("value", 2)

    def test_the_logger_is_carried(self, config: dict[str, Any]) -> None:
        logger = logging.getLogger("cshelve.of.a.test")
        with cshelve.open_from_dict(config, logger=logger) as db, again(db) as other:
            assert other.cache.logger is logger


class TestAView:
    @pytest.fixture
    def db(self, tmp_path: Path) -> Iterator[cshelve.CloudShelf]:
        with cshelve.open_from_dict(folder_config(tmp_path / "shelf")) as db:
            db.update({"users/ada": 1, "users/tags/maths": 2, "other": 3})
            yield db

    def test_is_pickled_as_a_view(self, db: cshelve.CloudShelf) -> None:
        with again(db.prefix("users/")) as view:
            assert dict(view.items()) == {"ada": 1, "tags/maths": 2}
            view["grace"] = 4
        assert db["users/grace"] == 4

    def test_of_a_view_is_one_of_both_prefixes(self, db: cshelve.CloudShelf) -> None:
        with again(db.prefix("users/").prefix("tags/")) as view:
            assert dict(view.items()) == {"maths": 2}

    def test_works_in_another_process(
        self, db: cshelve.CloudShelf, elsewhere: Callable[..., Any]
    ) -> None:
        elsewhere(append, pickle.dumps(db.prefix("users/")))
        assert db["users/k"] == ["another process's"]

    def test_closes_the_shelf_that_was_opened_for_it(self, db: cshelve.CloudShelf) -> None:
        view = again(db.prefix("users/"))
        parent = view._parent
        view.close()
        with pytest.raises(ValueError, match="closed"):
            parent["other"]
        assert db["other"] == 3

    def test_of_the_unpickled_view_closes_nothing_but_itself(self, db: cshelve.CloudShelf) -> None:
        with again(db.prefix("users/")) as view:
            view.prefix("tags/").close()
            assert view["ada"] == 1


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


class TestARefusal:
    """A secret that is written out is never in a pickle, and never in what says so."""

    def test_is_a_pickling_error_and_one_of_ours(self) -> None:
        assert issubclass(cshelve.NotPicklableError, pickle.PicklingError)
        assert issubclass(cshelve.NotPicklableError, cshelve.Error)

    @pytest.mark.s3
    @pytest.mark.parametrize(
        ("section", "option", "value"),
        [
            ("default", "key_secret", SECRET),
            ("default", "key_secret", f"$${SECRET}"),
            ("default", "session_token", SECRET),
            ("provider_params", "aws_session_token", SECRET),
            ("put_params", "SSECustomerKey", SECRET),
            ("provider_params", "config.proxies.https", f"http://user:{SECRET}@127.0.0.1:1"),
            ("provider_params", "config.proxies", {"https": f"http://user:{SECRET}@127.0.0.1:1"}),
        ],
    )
    def test_of_a_secret_names_the_option_and_not_the_secret(
        self, section: str, option: str, value: Any, s3_config: dict[str, Any]
    ) -> None:
        s3_config["default"]["check_bucket"] = False
        s3_config.setdefault(section, {})[option] = value
        refused(cshelve.open_from_dict(s3_config), rf"\[{section}\] {option}")

    @pytest.mark.s3
    @pytest.mark.parametrize("is_in", ["a dict", "the call"])
    def test_of_a_secret_for_boto3_names_where_it_is(
        self, is_in: str, s3: S3Rig, s3_config: dict[str, Any]
    ) -> None:
        s3_config["default"].update(key_secret=SECRET, check_bucket=False)
        call = {}
        parameters = call if is_in == "the call" else s3_config["provider_params"]
        # What the two say has to be the same, so both are named.
        parameters["aws_secret_access_key"] = SECRET
        db = cshelve.open_from_dict(s3_config, provider_params=call)
        refused(db, r"\[provider_params\] aws_secret_access_key")

    @pytest.mark.s3
    @pytest.mark.parametrize("written", [SECRET, f'"{SECRET}"', f"'$${SECRET}'"])
    def test_of_a_secret_in_a_file_names_the_file(
        self, written: str, s3_config: dict[str, Any], tmp_path: Path
    ) -> None:
        s3_config["default"].update(key_secret=written, check_bucket=False)
        ini = tmp_path / "with-a-secret.ini"
        ini.write_text(_as_ini(s3_config))
        refused(cshelve.open(ini), r"with-a-secret\.ini, \[default\] key_secret")

    @pytest.mark.s3
    def test_of_a_secret_for_boto3_in_a_file_names_the_file(
        self, s3_config: dict[str, Any], tmp_path: Path
    ) -> None:
        default = s3_config["default"]
        default.update(auth_type="default", check_bucket=False)
        del default["key_id"], default["key_secret"]
        s3_config["provider_params"].update(
            aws_access_key_id="key-id", aws_secret_access_key=SECRET
        )
        ini = tmp_path / "with-a-secret.ini"
        ini.write_text(_as_ini(s3_config))
        refused(cshelve.open(ini), r"with-a-secret\.ini, \[provider_params\] aws_secret_access_key")

    @pytest.mark.s3
    def test_names_every_secret(self, s3_config: dict[str, Any]) -> None:
        s3_config["default"].update(key_secret=SECRET, session_token=SECRET, check_bucket=False)
        refused(cshelve.open_from_dict(s3_config), r"key_secret.*session_token")

    @pytest.mark.s3
    def test_of_a_dollar_in_the_call_which_means_nothing_there(
        self, s3_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        default = s3_config["default"]
        default.update(auth_type="default", check_bucket=False)
        del default["key_id"], default["key_secret"]
        call = {"aws_access_key_id": "key-id", "aws_secret_access_key": f"${SECRET}"}
        refused(
            cshelve.open_from_dict(s3_config, provider_params=call),
            r"the call to open, \[provider_params\] aws_secret_access_key",
        )

    @pytest.mark.encryption
    @pytest.mark.parametrize("key", [KEY, KEY.encode()])
    def test_of_the_key_of_an_encryption(self, key: str | bytes, tmp_path: Path) -> None:
        config = folder_config(tmp_path / "shelf")
        config["encryption"] = {"algorithm": "aes256", "key": key}
        refused(cshelve.open_from_dict(config), r"\[encryption\] key", KEY)

    @pytest.mark.s3
    def test_of_a_view_too(self, s3_config: dict[str, Any]) -> None:
        s3_config["default"].update(key_secret=SECRET, check_bucket=False)
        with cshelve.open_from_dict(s3_config) as db:
            refused(db.prefix("users/"), r"\[default\] key_secret")

    @pytest.mark.s3
    def test_leaves_the_shelf_as_it_was(self, s3: S3Rig) -> None:
        with cshelve.open_from_dict(s3.config()) as db:
            with pytest.raises(cshelve.NotPicklableError):
                pickle.dumps(db)
            db["k"] = 1
            assert db["k"] == 1

    def test_of_a_shelf_in_memory_without_a_name(self) -> None:
        refused(cshelve.open_from_dict({"default": {"provider": "in-memory"}}), "memory")

    def test_of_a_shelf_that_no_configuration_made(self) -> None:
        refused(shelf_over(InMemory()), "was not made from a configuration")

    def test_of_a_closed_shelf_is_that_it_is_closed(self, tmp_path: Path) -> None:
        db = cshelve.open_from_dict(folder_config(tmp_path / "shelf"))
        db.close()
        with pytest.raises(ValueError, match="closed shelf"):
            pickle.dumps(db)

    @pytest.mark.s3
    def test_of_a_proxy_s_password_in_a_config_object_of_the_call(
        self, s3_config: dict[str, Any]
    ) -> None:
        from botocore.config import Config

        s3_config["default"]["check_bucket"] = False
        proxies = {"https": f"http://user:{SECRET}@127.0.0.1:1"}
        db = cshelve.open_from_dict(s3_config, provider_params={"config": Config(proxies=proxies)})
        refused(db, r"the call to open, \[provider_params\] config")


def refused(db: Any, reason: str, secret: str = SECRET) -> None:
    """Try to pickle a shelf, and look at what is said instead; then close it."""
    with db, pytest.raises(cshelve.NotPicklableError, match=reason) as caught:
        pickle.dumps(db)
    assert secret not in str(caught.value)


def _as_ini(config: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"[{section}]\n" + "\n".join(f"{name} = {value}" for name, value in options.items())
        for section, options in config.items()
    )
