"""The documentation: its links lead somewhere, and its Python is Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import cookbook_pages

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links() -> list[tuple[str, str]]:
    """Return each page's links that stay within the project."""
    return [
        (name_of(page), target)
        for page in PAGES
        for target in LINK.findall(BLOCK.sub("", page.read_text("utf-8")))
        if ":" not in target
    ]


def python_blocks() -> list[tuple[str, str]]:
    return [
        (name_of(page), text)
        for page in PAGES
        for language, text in BLOCK.findall(page.read_text("utf-8"))
        if language == "python"
    ]


def anchors_of(page: Path) -> set[str]:
    """Return what a link to a heading of this page may end in, as GitHub names them."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_there_are_pages_links_and_blocks() -> None:
    assert len(PAGES) > 20
    assert len(links()) > 50
    assert len(python_blocks()) > 10


@pytest.mark.parametrize(("page", "target"), links())
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    found = (ROOT / page).parent / path if path else ROOT / page
    assert found.exists()
    if anchor:
        assert anchor in anchors_of(found)


@pytest.mark.parametrize(("page", "text"), python_blocks())
def test_an_example_compiles(page: str, text: str) -> None:
    compile(text, page, "exec")


@pytest.mark.parametrize("page", cookbook_pages.PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_recipe_is_its_program(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text == cookbook_pages.updated(text), f"out of date: run {cookbook_pages.COMMAND}"
    programs = [
        name for name, language in cookbook_pages.PLACE.findall(text) if language == "python"
    ]
    assert len(programs) == text.count("```python")
