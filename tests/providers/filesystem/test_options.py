"""Where the folder comes from, and encodings of 1.x."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cshelve._config.sections import Sections
from cshelve.exceptions import ConfigurationError
from cshelve.providers.filesystem.provider import Filesystem
from cshelve.providers.wrapper import Wrapper
from cshelve.testing import FailingProvider
from tests.rigs import finish


def configuration(
    contents: Mapping[str, Mapping[str, object]], call_params: Mapping[str, object] | None = None
) -> Sections:
    config = Sections("test", contents, from_file=False, flag="c", call_params=call_params)
    config.declare(Filesystem.options)
    return config


@pytest.mark.parametrize("section", ["default", "provider_params"])
def test_the_folder_comes_from_either_section(tmp_path: Path, section: str) -> None:
    config = {section: {"folder_path": str(tmp_path / "x"), "encoding": "UTF8"}}
    assert Filesystem.from_config(configuration(config)).location == str(tmp_path / "x")


def test_the_folder_comes_from_the_call_if_the_file_has_none(tmp_path: Path) -> None:
    config = configuration({}, {"folder_path": tmp_path / "x"})
    assert Filesystem.from_config(config).location == str(tmp_path / "x")


def test_an_unknown_parameter_of_the_call_is_refused() -> None:
    config = configuration({}, {"folder_pth": "x"})
    with pytest.raises(ConfigurationError, match="folder_path"):
        config.refuse_unknown()


def test_a_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Filesystem("~/shelf").location == str(tmp_path / "shelf")


def test_an_encoding_that_keys_are_not_in_is_refused(tmp_path: Path) -> None:
    for encoding in ("utf-16", "no such thing"):
        config = {"default": {"folder_path": str(tmp_path), "encoding": encoding}}
        with pytest.raises(ConfigurationError, match="encoding"):
            Filesystem.from_config(configuration(config))


def test_an_encoding_of_1x_names_files_as_1x_did(tmp_path: Path) -> None:
    config = {"default": {"folder_path": str(tmp_path), "encoding": "latin-1"}}
    store = Filesystem.from_config(configuration(config))
    # What 1.6 made of these keys.
    (tmp_path / "Ã©").mkdir()
    (tmp_path / "Ã©" / "Ã§a").write_bytes(b"theirs")
    (tmp_path / "plain").write_bytes(b"theirs")
    assert store.get("é/ça").data == b"theirs"
    assert sorted(store.names()) == ["plain", "é/ça"]
    assert list(store.names("é/")) == ["é/ça"]
    store.put("é/ça", b"ours")
    assert (tmp_path / "Ã©" / "Ã§a").read_bytes() == b"ours"
    assert store.delete("é/ça")
    assert not (tmp_path / "Ã©").exists()


def test_the_current_folder_is_purged_only_if_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.txt").write_bytes(b"precious")
    by_default = Filesystem.from_config(configuration({"default": {}}))
    assert by_default.location == str(tmp_path)
    for store in (by_default, Wrapper(by_default), FailingProvider(by_default)):
        with pytest.raises(ConfigurationError, match="`folder_path = "):
            finish(store.purge())
        with pytest.raises(ConfigurationError, match="`folder_path = "):
            store.prepare("n")
    assert (tmp_path / "thesis.txt").exists()
    finish(Filesystem.from_config(configuration({"default": {"folder_path": "."}})).purge())
    assert not (tmp_path / "thesis.txt").exists()
