"""What importing the package imports, to the last module: it should be as quick as `shelve`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cshelve

SOURCE = Path(cshelve.__file__).parents[1]
# The same for every version of Python; what is not here was imported by `shelve` already.
IMPORTED = ["__future__", "cshelve", "cshelve._open", "cshelve.exceptions"]
LATER = ["CloudShelf", "DELETE", "Progress", "generate_key"]


def run(program: str) -> str:
    # Without `site`, as packages beside us may import anything when the interpreter starts.
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {program}"
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", program]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def imported_by(program: str) -> list[str]:
    """Tell which modules a program imports beyond those of `shelve`, and of `site`, which is os."""
    return run(
        "import os, shelve; before = set(sys.modules); "
        f"{program}; print(*sorted(set(sys.modules) - before))"
    ).split()


def test_importing_it_imports_three_modules() -> None:
    assert imported_by("import cshelve") == IMPORTED


@pytest.mark.parametrize(
    "name", ["open", "open_from_dict", "Error", "KeyNotFoundError", "__version__", "__all__"]
)
def test_most_names_import_nothing_more(name: str) -> None:
    assert imported_by(f"import cshelve; cshelve.{name}") == IMPORTED


def test_a_local_shelf_imports_nothing_more_of_ours(tmp_path: Path) -> None:
    program = f"import cshelve; cshelve.open({str(tmp_path / 'local')!r}).close()"
    ours = [name for name in imported_by(program) if name.startswith("cshelve")]
    assert ours == [name for name in IMPORTED if name.startswith("cshelve")]


@pytest.mark.parametrize("name", LATER)
def test_a_name_that_is_for_later_can_be_had_in_every_way(name: str) -> None:
    same = f"import cshelve; print({name} is cshelve.{name})"
    assert run(f"from cshelve import {name}; {same}") == "True"
    assert run(f"from cshelve import *; {same}") == "True"
    assert run(f"import cshelve; print({name!r} in dir(cshelve))") == "True"
    assert run(f"import cshelve; print(cshelve.{name} is vars(cshelve)[{name!r}])") == "True"


def test_a_name_that_is_for_later_is_the_one_that_shelves_are_made_of() -> None:
    with cshelve.open_from_dict({"default": {"provider": "in-memory"}}) as db:
        assert isinstance(db, cshelve.CloudShelf)
        db["k"] = 1
        db.modify("k", lambda _: cshelve.DELETE)
        assert "k" not in db
        told: list[cshelve.Progress] = []
        db.set_many({"k": 1}, progress=told.append)
        assert isinstance(told[0], cshelve.Progress)


def test_dir_names_all_that_there_is() -> None:
    assert set(cshelve.__all__) <= set(dir(cshelve))
    assert all(hasattr(cshelve, name) for name in dir(cshelve))


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cshelve' has no attribute 'opne'"):
        cshelve.opne  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'opne'"):
        from cshelve import opne  # noqa: F401
