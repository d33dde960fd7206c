"""The page about the configuration has every option, as it is declared."""

from __future__ import annotations

import pytest

from tools.configuration_reference import COMMAND, PAGE, updated

# The page has the options of aws-s3, gcs and sftp, which need their packages.
pytestmark = [pytest.mark.s3, pytest.mark.gcs, pytest.mark.sftp]


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == updated(page), f"docs/configuration.md is out of date: run {COMMAND}"


def test_a_page_without_a_table_for_an_option_is_an_error() -> None:
    page = PAGE.read_text(encoding="utf-8").replace("section compression", "section other")
    with pytest.raises(ValueError, match=r"no table is for \[compression\] algorithm"):
        updated(page)
