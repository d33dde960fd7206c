"""The examples of the pages and docstrings are correct in the eyes of mypy and of pyright.

The blocks of one page are one program. One that is no program, only a part of one, is marked by
the line `<!-- fragment -->` above it; it is not checked.
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


def refused(tmp_path: Path, programs: dict[str, str]) -> str:
    """Return what mypy and pyright say of programs if one of them finds an error."""
    for name, program in programs.items():
        (tmp_path / name).write_text(program, encoding="utf-8")
    files = [str(tmp_path / name) for name in programs]
    for module in NOT_INSTALLED:
        stub = tmp_path.joinpath("stubs", *module.split("."), "__init__.pyi")
        stub.parent.mkdir(parents=True)
        stub.write_text("from typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n")
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": files,
                "typeCheckingMode": "basic",
                "extraPaths": [f"{ROOT}/src"],
                "stubPath": str(tmp_path / "stubs"),
            }
        )
    )
    commands = ([*MYPY, *files], [*PYRIGHT, "--level", "error", "--project", str(settings)])
    ended = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True) for command in commands
    ]
    said = "".join(each.stdout + each.stderr for each in ended if each.returncode)
    return said.replace(f"{tmp_path}/", "")


def test_the_pages(tmp_path: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in PAGES}
    programs = {
        # Not by its name alone: `asyncio` is a module, and folders may have pages of the same name.
        "page_" + re.sub(r"\W", "_", str(page.relative_to(ROOT))) + ".py": program_of(text)
        for page, text in pages.items()
        if any(not is_fragment for _, _, is_fragment in blocks_of(text))
    }
    assert refused(tmp_path, programs) == ""


def program_of_docstrings() -> str:
    """Return a program with a function of each example, so that none uses names of another."""
    examples = [(module, *each) for module in MODULES for each in examples_of(module)]
    functions = [
        f"{HEADS[module.parent.name == '_aio'].format(name, number)}  # {module.name}\n{example}\n"
        for number, (module, name, example) in enumerate(examples)
    ]
    assert len(functions) > 10
    return "\n\n".join((BEFORE_DOCSTRINGS, *functions))


def test_the_docstrings(tmp_path: Path) -> None:
    assert refused(tmp_path, {"docstrings.py": program_of_docstrings()}) == ""


def test_both_see_the_types_of_cshelve(tmp_path: Path) -> None:
    program = "import cshelve\n\nkey: int = cshelve.generate_key()\n"
    assert refused(tmp_path, {"wrong.py": program}).count("wrong.py:3") == 2


def test_few_blocks_are_no_programs() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    fragments = [
        block for text in texts for _, block, is_fragment in blocks_of(text) if is_fragment
    ]
    assert len(fragments) <= MOST_FRAGMENTS
