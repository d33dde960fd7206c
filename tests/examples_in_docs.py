"""The examples of the pages and docstrings are correct in the eyes of mypy and of pyright.

The blocks of one page are one program. One that is no program, only a part of one, is marked by
the line `<!-- fragment -->` above it; it is not checked.

`make lint` runs this file; its name keeps it out of the suite, which checks what programs do.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for package in ("mypy", "basedpyright"):
    pytest.importorskip(package, reason="it is in the dependency group `lint`")

# pyright, in a package that brings its Node.js.
PYRIGHT = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
MYPY = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Their blocks are programs (test_docs.py), which `nox -s cookbook` checks with what they import.
PAGES = [page for page in PAGES if page.parent.name != "cookbook"]
# Whose docstrings programs are written after.
MODULES = [
    ROOT / "src/cshelve" / name
    for name in (
        "__init__.py",
        "_open.py",
        "_shelf/copy_many.py",
        "_aio/opening.py",
        "_aio/shelf.py",
        "_shelf/shelf.py",
        "codec/keys.py",
        "options.py",
        "providers/dbm.py",
        "providers/filesystem/provider.py",
        "providers/in_memory.py",
        "providers/prices.py",
        "providers/sftp/provider.py",
        "providers/stats.py",
        "providers/wrapper.py",
        "recipes.py",
        "testing/__init__.py",
        "testing/wrappers.py",
    )
]
BLOCK = re.compile(r"^(<!-- fragment -->\n+)?```(?:python|py)\n(.*?)^```", re.DOTALL | re.MULTILINE)
MOST_FRAGMENTS = 2
# What examples import but no test environment has, as it is large. mypy knows of them from the
# settings in pyproject.toml.
NOT_INSTALLED = ("ray", "torch.utils.data")

# What the examples of docstrings take for granted.
BEFORE_DOCSTRINGS = """\
from dataclasses import dataclass, replace
from typing import Any

import cshelve
from cshelve.exceptions import StorageError
from cshelve.providers import Dbm, Filesystem, InMemory, Item, Provider, Sftp, Wrapper
from cshelve.recipes import memoize
from cshelve.testing import *


@dataclass
class User:
    name: str
    email: str


ada = grace = User("Ada", "ada@example.org")
provider: Provider = InMemory()
db: cshelve.Shelf[Any] = cshelve.open("users.ini")
files: cshelve.Shelf[bytes] = cshelve.open("files.ini")  # serializer = bytes


def renamed(user: User) -> User:
    return replace(user, name="Ada King")
"""

# A shelf of each example, and a shelf for asyncio of each of those.
HEADS = (
    "def {}_{}() -> None:",
    "async def {}_{}(db: cshelve.AsyncShelf[Any]) -> None:",
)


def blocks_of(page: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the line where each block begins, the block, and whether it is a fragment."""
    for block in BLOCK.finditer(page):
        yield page.count("\n", 0, block.start(2)), block[2], block[1] is not None


def program_of(page: str) -> str:
    """Return a page without all that is no code, its lines numbered as in the page."""
    lines = [""] * (page.count("\n") + 1)
    for first, block, is_fragment in blocks_of(page):
        if not is_fragment:
            code = block.splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def examples_of(module: Path) -> Iterator[tuple[str, str]]:
    """Yield the examples in a module's docstrings, which are indented in them."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            name = getattr(node, "name", "module")
            # At the end, so that every example has a paragraph before it.
            paragraphs = re.split(r"\n\n(?! )", f"{ast.get_docstring(node) or ''}\n")
            for paragraph in paragraphs:
                _, is_there, example = paragraph.partition("\n\n    ")
                if is_there:
                    yield name, f"    {example}".rstrip()


def programs_of_pages() -> dict[str, str]:
    """Return a program of each page that has one, under the name of its file."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    return {
        # Not by its name alone: `asyncio` is a module, and folders may have pages of the same name.
        "page_" + re.sub(r"\W", "_", str(page.relative_to(ROOT))) + ".py": program_of(text)
        for page, text in texts.items()
        if any(not is_fragment for _, _, is_fragment in blocks_of(text))
    }


def program_of_docstrings() -> str:
    """Return a program with a function of each example, so that none uses names of another."""
    examples = [(module, *each) for module in MODULES for each in examples_of(module)]
    functions = [
        f"{HEADS[module.parent.name == '_aio'].format(name, number)}  # {module.name}\n{example}\n"
        for number, (module, name, example) in enumerate(examples)
    ]
    assert len(functions) > 10
    return "\n\n".join((BEFORE_DOCSTRINGS, *functions))


WRONG = "import cshelve\n\nkey: int = cshelve.generate_key()\n"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy and pyright say of all programs: the lines that name a place in one.

    Each of them runs once, as it takes them longer to begin than to check the programs.
    """
    folder = tmp_path_factory.mktemp("programs")
    programs = {
        **programs_of_pages(),
        "docstrings.py": program_of_docstrings(),
        "wrong.py": WRONG,
    }
    for name, program in programs.items():
        (folder / name).write_text(program, encoding="utf-8")
    files = [str(folder / name) for name in programs]
    for module in NOT_INSTALLED:
        stub = folder.joinpath("stubs", *module.split("."), "__init__.pyi")
        stub.parent.mkdir(parents=True)
        stub.write_text("from typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n")
    settings = folder / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": files,
                "typeCheckingMode": "basic",
                "extraPaths": [f"{ROOT}/src"],
                "stubPath": str(folder / "stubs"),
            }
        )
    )
    commands = ([*MYPY, *files], [*PYRIGHT, "--level", "error", "--project", str(settings)])
    ended = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True) for command in commands
    ]
    # Neither failed, and both found an error: there is one.
    assert [each.returncode for each in ended] == [1, 1], ended
    # By name alone: mypy names the folder of an earlier run if its cache has the answer.
    places = (
        re.match(r"\s*(?:.*/)?(\w+\.py:\d.*)", line)
        for each in ended
        for line in each.stdout.splitlines()
    )
    return [place[1] for place in places if place]


def test_the_pages_and_docstrings_are_correct_for_both(said: list[str]) -> None:
    assert [line for line in said if not line.startswith("wrong.py:3:")] == []


def test_both_see_the_types_of_cshelve(said: list[str]) -> None:
    assert len([line for line in said if line.startswith("wrong.py:3:")]) == 2


def test_few_blocks_are_no_programs() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    fragments = [
        block for text in texts for _, block, is_fragment in blocks_of(text) if is_fragment
    ]
    assert len(fragments) <= MOST_FRAGMENTS
