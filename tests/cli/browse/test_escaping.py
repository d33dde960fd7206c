"""No key and no value becomes a part of a page: whatever they are, they stay text."""

from __future__ import annotations

from contextlib import nullcontext
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import cshelve
from cshelve.cli.browse.html import FOLDER, fill
from cshelve.cli.browse.pages import Site
from cshelve.cli.shelves import without_code
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over

# What HTML, its attributes, addresses and templates treat as theirs.
PIECES = ["<script>", "</pre>", "<img src=x onerror=alert(1)>", "'", '"', "&lt;", "&", "$", "${x}"]
PIECES += ["/", "//", "javascript:", "\n", "\0", "\x1b", "%", "?", "#", "=", "-->", "<!--", "]]>"]
NASTY = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=6).map("".join)
KEYS = NASTY.filter(lambda key: all(not 0xD800 <= ord(each) <= 0xDFFF for each in key))
VALUES = st.recursive(
    NASTY | st.binary() | st.integers() | st.floats() | st.none() | NASTY.map(str.encode),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=6,
)


def words(text: str) -> set[str]:
    return set(text.split())


ELEMENTS = words(
    """html head meta title link body header a img span form input button nav ol li bdi main
    table thead tbody tr th td time p footer div h1 h2 pre
    details summary section dl dt dd figure"""
)
ATTRIBUTES = words(
    """lang charset name content rel href class src alt width height action role type value
    aria-label aria-current placeholder autocomplete autocapitalize spellcheck scope datetime
    tabindex"""
)
CLASSES = words(
    """home size time folder key pages button empty note title facts kind columns lines
    str num const cut"""
)


class Seen(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)
        for name, value in attrs:
            assert name in ATTRIBUTES
            if name == "class":
                assert value in CLASSES
            if name in ("href", "src", "action"):
                self.addresses.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")


def seen(db: cshelve.CloudShelf[Any], page: str, query: dict[str, str]) -> Seen:
    answer = Site("memory://<b>&'\"", lambda: nullcontext(db)).answer(page, query)
    found = Seen(answer.body)
    assert found.open == []
    for address in found.addresses:
        path = address.partition("?")[0]
        assert path in (".", "value", "image", "download", "icon.svg", "style.css")
        assert address.isascii()
    return found


@given(KEYS, VALUES)
def test_keys_and_values_stay_text(key: str, value: Any) -> None:
    with shelf_over(InMemory(exists=True)) as db:
        db[key] = value
        without_code(db)
        shown = seen(db, "value", {"key": key})
        if type(value) is str and value.isprintable():
            assert value in shown.text
        if key.isprintable():
            assert key in shown.text
        for start in range(len(key)):
            seen(db, "", {"prefix": key[:start]})
        seen(db, "", {"after": key, "prefix": key})
        seen(db, "value", {"key": f"{key}x"})


@given(KEYS)
def test_addresses_that_nobody_linked_stay_text(text: str) -> None:
    with shelf_over(InMemory(exists=True)) as db:
        for page in ("", "value", "image", "download", text):
            seen(db, page, {"key": text, "prefix": text, "after": text, text: text})


@given(NASTY)
def test_a_template_leaves_nothing_unescaped(text: str) -> None:
    """Fields stand only where escaped text is safe: in elements, and in attributes in quotes."""
    made = fill("<p class=\"key\" alt='$a'>$b</p>", a=text, b=text)
    found = Seen(made.encode(errors="backslashreplace"))
    assert found.open == []
    if text.isprintable():
        assert found.text == text


def test_no_template_has_a_script_or_a_style_of_its_own() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8")
        assert "<script" not in text
        assert "style=" not in text
        assert " on" not in text.replace(" one", "").replace(" only", "") or path.suffix == ".css"
        if path.suffix == ".html":
            # Each field of an attribute is in quotes.
            assert "=$" not in text


def test_the_page_is_for_phones_and_for_the_dark() -> None:
    style = (FOLDER / "style.css").read_text("utf-8")
    assert "prefers-color-scheme: dark" in style
    assert "@media (max-width:" in style
    assert 'name="viewport"' in (FOLDER / "page.html").read_text("utf-8")
