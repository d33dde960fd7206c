"""Providers by name: those of the project, and those that other packages bring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import cshelve
import cshelve.providers

PROVIDER = """
from cshelve.providers import InMemory

class Ours(InMemory):
    pass

NO_PROVIDER = dict
"""


def install(folder: Path, package: str, *points: str) -> None:
    """Install a package with entry points, by hand."""
    information = folder / f"{package}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("\n".join(["[cshelve.providers]", *points]))
    (folder / f"{package}.py").write_text(PROVIDER)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("package_of_ours", "another_package"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    return tmp_path


def config_of(provider: str) -> dict[str, dict[str, Any]]:
    return {"default": {"provider": provider}}


def test_a_package_can_bring_a_provider(folder: Path) -> None:
    install(folder, "package_of_ours", "ours = package_of_ours:Ours")
    with cshelve.open_from_dict(config_of("ours")) as db:
        db["k"] = 1
        assert type(db.provider).__module__ == "package_of_ours"
    assert "ours" in cshelve.providers.names()


def test_an_unknown_name_says_which_there_are(folder: Path) -> None:
    install(folder, "package_of_ours", "ours = package_of_ours:Ours")
    with pytest.raises(cshelve.UnknownProviderError) as caught:
        cshelve.open_from_dict(config_of("our"))
    assert "did you mean ours?" in str(caught.value)
    known = [*cshelve.providers.names()]
    assert {"aws-s3", "dbm", "filesystem", "gcs", "in-memory", "ours"} <= set(known)
    assert f"there are {', '.join(known)}" in str(caught.value)


def test_no_package_can_take_the_name_of_ours(folder: Path) -> None:
    install(folder, "package_of_ours", "in-memory = package_of_ours:Ours")
    with cshelve.open_from_dict(config_of("in-memory")) as db:
        assert type(db.provider).__module__ == "cshelve.providers.in_memory"


def test_two_packages_with_one_name_are_an_error_that_names_both(folder: Path) -> None:
    for package in ("package_of_ours", "another_package"):
        install(folder, package, f"ours = {package}:Ours")
    with pytest.raises(cshelve.ConfigurationError, match="another_package, package_of_ours"):
        cshelve.open_from_dict(config_of("ours"))


@pytest.mark.parametrize("target", ["no_such_module:Ours", "package_of_ours:NoSuchClass"])
def test_a_provider_that_cannot_be_imported_is_a_missing_dependency(
    folder: Path, target: str
) -> None:
    install(folder, "package_of_ours", f"ours = {target}")
    with pytest.raises(cshelve.MissingDependencyError, match="of the package package_of_ours"):
        cshelve.open_from_dict(config_of("ours"))


def test_a_class_that_is_no_provider_is_refused(folder: Path) -> None:
    install(folder, "package_of_ours", "ours = package_of_ours:NO_PROVIDER")
    with pytest.raises(cshelve.ConfigurationError, match="is not a subclass of"):
        cshelve.open_from_dict(config_of("ours"))


@pytest.mark.parametrize("name", cshelve.providers.__all__)
def test_what_authors_need_is_under_one_roof(name: str) -> None:
    assert getattr(cshelve.providers, name) is not None
    assert name in dir(cshelve.providers)


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Azure'"):
        _ = cshelve.providers.Azure  # type: ignore[attr-defined]  # as it should be


def test_a_package_within_a_package_that_is_missing_is_named_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "google"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "google", None)
    with pytest.raises(cshelve.MissingDependencyError, match=r"cshelve\[gcs\]"):
        cshelve.open("gs://bucket/prefix")
