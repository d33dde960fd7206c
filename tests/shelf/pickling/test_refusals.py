"""A secret that is written out is never in a pickle, and never in what says so."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over
from tests.rigs import S3Rig, folder_config
from tests.shelf.pickling.rig import KEY, _as_ini

SECRET = "a-secret-that-nobody-may-see"


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
        call: dict[str, Any] = {}
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
