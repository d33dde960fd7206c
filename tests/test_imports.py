"""What importing the package imports, to the last module: it should be as quick as `shelve`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import GenericAlias

import pytest

import cshelve

SOURCE = Path(cshelve.__file__).parents[1]
# The same for every version of Python; what is not here was imported by `shelve` already.
IMPORTED = ["__future__", "cshelve", "cshelve._open", "cshelve.exceptions"]
# What a shelf in memory has no use for, some of it only until somebody wants that.
NOT_TO_OPEN = [
    "asyncio",
    "boto3",
    "botocore",
    "concurrent.futures",
    "configparser",
    "dataclasses",
    "difflib",
    "email",
    "hashlib",
    "http",
    "inspect",
    "json",
    "logging",
    "multiprocessing",
    "pathlib",
    "queue",
    "random",
    "secrets",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "traceback",
    "urllib",
    "xml",
]
LATER = ["CloudShelf", "DELETE", "Entry", "Info", "Prices", "Progress", "Shelf", "generate_key"]
MEMORY = "db = cshelve.open_from_dict({'default': {'provider': 'in-memory'}})"


def run(program: str) -> str:
    """Run a program by itself and give what it prints, errors that nobody sees included."""
    # Without `site`, as packages beside us may import anything when the interpreter starts.
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {program}"
    command = [sys.executable, "-I", "-S", "-c", program]
    output = subprocess.PIPE
    ended = subprocess.run(command, check=True, stdout=output, stderr=subprocess.STDOUT, text=True)
    return ended.stdout.strip()


def imported_by(program: str) -> list[str]:
    """Return the modules that a program imports beyond those of `shelve`, `os` and `site`."""
    return run(
        "import os, shelve; before = set(sys.modules); "
        f"{program}; print(*sorted(set(sys.modules) - before))"
    ).split()


def test_importing_it_imports_three_modules() -> None:
    assert imported_by("import cshelve") == IMPORTED


def test_most_names_import_nothing_more() -> None:
    names = ["open", "open_from_dict", "Error", "KeyNotFoundError", "__version__", "__all__"]
    assert imported_by(f"import cshelve; [getattr(cshelve, n) for n in {names}]") == IMPORTED


def test_a_local_shelf_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    use = "db['k'] = [1]; assert db['k'] == [1]; assert list(db) == ['k']; del db['k']; db.close()"
    theirs, ours = str(tmp_path / "theirs"), str(tmp_path / "ours")
    imported = imported_by(
        # Which backend `dbm` chooses, and what that imports, is not ours to say.
        f"db = shelve.open({theirs!r}); {use}; before = set(sys.modules); "
        f"import cshelve; db = cshelve.open({ours!r}); {use}"
    )
    assert [name for name in NOT_TO_OPEN if name in imported] == []
    providers = [name for name in imported if name.startswith("cshelve.providers.")]
    # Of a cache, only its options, which a local shelf refuses.
    names = ("base", "bulk", "caching", "caching.options", "dbm", "stats")
    assert providers == [f"cshelve.providers.{name}" for name in names]


@pytest.mark.parametrize("name", LATER)
def test_a_name_that_is_for_later_can_be_had_in_every_way(name: str) -> None:
    # Each time in a module that has not given it to anybody yet.
    anew = "sys.modules.pop('cshelve', None)"
    same = f"import cshelve; print({name} is cshelve.{name})"
    ways = [
        f"from cshelve import {name}; {same}",
        f"from cshelve import *; {same}",
        f"import cshelve; print({name!r} in dir(cshelve))",
        f"import cshelve; print(cshelve.{name} is vars(cshelve)[{name!r}])",
    ]
    assert run("; ".join(f"{anew}; {way}" for way in ways)) == "True\n" * 3 + "True"


def test_a_name_that_is_for_later_is_the_one_that_shelves_are_made_of() -> None:
    with cshelve.open_from_dict({"default": {"provider": "in-memory"}}) as db:
        assert isinstance(db, cshelve.CloudShelf)
        db["k"] = 1
        db.modify("k", lambda _: cshelve.DELETE)
        assert "k" not in db
        told: list[cshelve.Progress] = []
        db.set_many({"k": 1}, progress=told.append)
        assert isinstance(told[0], cshelve.Progress)


def test_the_shelf_that_annotations_name_is_the_class_itself() -> None:
    assert cshelve.Shelf is cshelve.CloudShelf
    assert isinstance(cshelve.Shelf[int], GenericAlias)


def test_dir_names_all_that_there_is() -> None:
    assert set(cshelve.__all__) <= set(dir(cshelve))
    assert all(hasattr(cshelve, name) for name in dir(cshelve))


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cshelve' has no attribute 'opne'"):
        cshelve.opne  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'opne'"):
        from cshelve import opne  # type: ignore[attr-defined]  # noqa: F401


def test_a_shelf_in_memory_imports_no_more_than_it_needs() -> None:
    imported = imported_by(
        f"import cshelve; {MEMORY}; db['k'] = 1; assert db['k'] == 1; assert 'k' in db; "
        "db.update(j=2); assert dict(db.items()) == {'k': 1, 'j': 2}; del db['k']; db.close()"
    )
    # Not all of them are written down: what `typing` imports, say, differs between Pythons.
    assert [name for name in NOT_TO_OPEN if name in imported] == []


def test_a_shelf_in_memory_imports_nothing_after_it_was_opened() -> None:
    using = (
        "db['k'] = 1; assert db['k'] == 1; assert 'k' in db; assert list(db) == ['k']; "
        "db.update(j=2); assert dict(db.items()) == {'k': 1, 'j': 2}; del db['k']; db.clear(); "
        "db.modify('n', lambda n: n + 1, default=0); assert db.pop('n') == 1; db.close()"
    )
    assert (
        run(
            f"import cshelve; {MEMORY}; before = set(sys.modules); {using}; "
            "print(sorted(set(sys.modules) - before))"
        )
        == "[]"
    )


def test_what_was_never_written_is_said_at_the_end_of_the_interpreter() -> None:
    """When nothing can be imported any more, and nothing but cshelve has imported `logging`."""
    program = f"import cshelve; {MEMORY}; db.writeback = True; db['k'] = []; db['k'].append(1)"
    said = "<cshelve.CloudShelf in memory> was never closed: 1 changed value is not written"
    assert run(program) == said
