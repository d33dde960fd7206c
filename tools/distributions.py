"""Compare the files of a wheel and of an sdist with those that git has.

::

    python -m tools.distributions build/dist

`nox -s package` builds them there, and calls this. It finds what nobody has committed, such as
caches and notes, and what those who install or test a release would miss.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# For those who work in the repository, not for those who build or test what it released.
ONLY_IN_GIT = (".ci/", ".github/", ".pre-commit-config.yaml")
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def tracked() -> set[str]:
    """Return the files that git has, in the folder of the project."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    return set(
        subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")[:-1]
    )


def expected_in_sdist(files: set[str]) -> set[str]:
    return {each for each in files if not each.startswith(ONLY_IN_GIT)} | {"PKG-INFO"}


def expected_in_wheel(files: set[str], information: str) -> set[str]:
    modules = {each.removeprefix("src/") for each in files if each.startswith("src/")}
    return modules | {f"{information}/{each}" for each in METADATA}


def problems_of_sdist(path: Path) -> list[str]:
    folder = path.name.removesuffix(".tar.gz") + "/"
    with tarfile.open(path) as archive:
        found = {each.name.removeprefix(folder) for each in archive if not each.isdir()}
    return differences(path.name, found, expected_in_sdist(tracked()))


def problems_of_wheel(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        found = {each for each in archive.namelist() if not each.endswith("/")}
    information = "-".join(path.name.split("-")[:2]) + ".dist-info"
    problems = differences(path.name, found, expected_in_wheel(tracked(), information))
    if "cshelve/py.typed" not in found:
        problems.append(f"{path.name}: without cshelve/py.typed, type checkers ignore its types")
    return problems


def differences(name: str, found: set[str], expected: set[str]) -> list[str]:
    strays = [f"{name}: {each} is not in git" for each in sorted(found - expected)]
    return strays + [f"{name}: {each} is missing" for each in sorted(expected - found)]


def problems_in(folder: Path) -> list[str]:
    """Return what is wrong with what is in a folder: an sdist, its wheel, and the tree's below."""
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    problems = problems_of_sdist(sdist) + problems_of_wheel(wheel)
    if wheel.read_bytes() != (folder / "from-tree" / wheel.name).read_bytes():
        problems.append(f"{wheel.name}: built from the sdist, it is not what the folder builds")
    return problems


if __name__ == "__main__":
    sys.exit("\n".join(problems_in(Path(sys.argv[1]))) or None)
