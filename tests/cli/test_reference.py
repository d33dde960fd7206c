"""The page about the command line shows what the program prints."""

from __future__ import annotations

import pytest

from tools.command_line_reference import COMMAND, PAGE, updated


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == updated(page), f"docs/command-line.md is out of date: run {COMMAND}"


def test_a_command_without_help_on_the_page_is_an_error() -> None:
    page = PAGE.read_text(encoding="utf-8").replace("<!-- help: ls -->", "")
    with pytest.raises(ValueError, match="no help is shown for the commands ls"):
        updated(page)
