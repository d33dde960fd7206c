"""What a shelf of unprotected pickles tells, and when."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import cshelve
from tests.behaviour.trust.rig import PROTECTIONS, every_protection
from tests.codec.making import HMAC
from tests.rigs import folder_config, memory_config


class TestWhatIsTold:
    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, dict[str, Any]]:
        return folder_config(tmp_path / "shelf")

    def messages(
        self, caplog: pytest.LogCaptureFixture, config: dict[str, dict[str, Any]]
    ) -> list[str]:
        with caplog.at_level(logging.INFO, "cshelve"), cshelve.open_from_dict(config) as db:
            db["k"] = [1]
            assert db["k"] == [1]
        return [record.getMessage() for record in caplog.records]

    def test_of_pickles_that_nothing_protects_is_told_once(
        self, config: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        (message,) = self.messages(caplog, config)
        assert message.startswith(config["default"]["folder_path"])
        assert "anyone who can write there can run code" in message
        assert caplog.records[0].levelno == logging.INFO

    @every_protection
    def test_of_protected_pickles_nothing_is_told(
        self,
        protection: str,
        config: dict[str, dict[str, Any]],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert self.messages(caplog, config | PROTECTIONS[protection]) == []

    def test_of_a_migration_it_is_told(
        self, config: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        signing = {**HMAC, "accept_unprotected": True}
        with pytest.warns(UserWarning, match="accept_unprotected"):
            (message,) = self.messages(caplog, config | {"signing": signing})
        assert "anyone who can write there can run code" in message

    def test_of_values_that_are_no_pickles_nothing_is_told(
        self, config: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        config["default"]["serializer"] = "json"
        assert self.messages(caplog, config) == []

    def test_of_pickles_of_listed_classes_nothing_is_told(
        self, config: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        config["default"]["unpickle_only"] = "basic"
        assert self.messages(caplog, config) == []

    def test_of_a_shelf_in_memory_nothing_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.messages(caplog, memory_config()) == []
