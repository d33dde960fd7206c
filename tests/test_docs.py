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


def links_of(page: Path) -> list[str]:
    """Return the links of a page that stay within the project."""
    targets = LINK.findall(BLOCK.sub("", page.read_text("utf-8")))
    return [target for target in targets if ":" not in target]


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
    assert sum(len(links_of(page)) for page in PAGES) > 50
    assert len(python_blocks()) > 10


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_its_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in links_of(page):
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        if not found.exists() or (anchor and anchor not in anchors_of(found)):
            dead.append(target)
    assert dead == []


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
