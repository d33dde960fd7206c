"""A container that 1.6 and we take turns at, with configurations of 1.6's documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

import cshelve
from testbed.azurite import ACCESS_KEY
from testbed.cshelve_1x import Cshelve1x
from tests.behaviour.with_1x.rig import AES, PLAIN, ZLIB, Settings, differing, opened, write
from tests.providers.azure_blob.rig import AzureRig
from tests.rigs import unique_name

pytestmark = [pytest.mark.old, pytest.mark.azure]


@pytest.fixture
def container(azure: AzureRig, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the options of a container of its own, as 1.x has no prefixes."""
    monkeypatch.setenv("AZURE_STORAGE_ACCESS_KEY", ACCESS_KEY)
    return "\n".join(
        [
            "provider = azure-blob",
            f"account_url = {azure.server.account_url}",
            "auth_type = access_key",
            "environment_key = AZURE_STORAGE_ACCESS_KEY",
            f"container_name = with-1x-{unique_name()}",
        ]
    )


handful = pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        ZLIB,
        pytest.param(AES, marks=pytest.mark.encryption),
        Settings(use_pickle=False),
        Settings(False, False),
    ],
    ids=str,
)


@handful
def test_1x_reads_what_we_write(
    settings: Settings, old: Cshelve1x, tmp_path: Path, container: str
) -> None:
    ini = settings.ini(tmp_path, container)
    write(ini, settings.values)
    assert old.keys(ini) == set(settings.values)
    expected = settings.values_for_1x
    assert not differing(old.read(ini, expected), expected)


@handful
def test_we_read_what_1x_writes(
    settings: Settings, old: Cshelve1x, tmp_path: Path, container: str
) -> None:
    ini = settings.ini(tmp_path, container)
    old.write(ini, settings.values)
    with opened(ini) as db:
        assert not differing(dict(db), settings.values)


def test_what_one_changes_is_changed_for_the_other(
    old: Cshelve1x, tmp_path: Path, container: str
) -> None:
    ini = PLAIN.ini(tmp_path, container)
    old.write(ini, {"a": 1, "b": 1, "c": 1})
    with opened(ini, "w") as db:
        db["a"] = 2
        db.modify("b", lambda value: value + 1)
        del db["c"]
    assert old.keys(ini) == {"a", "b"}
    assert old.read(ini, ["a", "b"]) == {"a": 2, "b": 2}
    old.delete(ini, "a")
    with opened(ini) as db:
        assert dict(db) == {"b": 2}


def test_a_connection_string_and_logging_mean_the_same(
    old: Cshelve1x, azure: AzureRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure.server.connection_string)
    options = "\n".join(
        [
            "provider = azure-blob",
            "auth_type = connection_string",
            "environment_key = AZURE_STORAGE_CONNECTION_STRING",
            f"container_name = with-1x-{unique_name()}",
        ]
    )
    ini = PLAIN.ini(tmp_path, options, more="[logging]\nhttp = true\ncredentials = false")
    old.write(ini, {"a": 1})
    with opened(ini) as db:
        assert dict(db) == {"a": 1}


def test_an_anonymous_reader_means_the_same(
    old: Cshelve1x, azure: AzureRig, tmp_path: Path
) -> None:
    name = f"with-1x-{unique_name()}"
    azure.service.create_container(name, public_access="container")
    config = azure.config(container_name=name, key_prefix=None)
    with cshelve.open_from_dict(config) as db:
        db["a"] = 1
    options = "\n".join(
        [
            "provider = azure-blob",
            f"account_url = {azure.server.account_url}",
            "auth_type = anonymous",
            f"container_name = {name}",
        ]
    )
    ini = PLAIN.ini(tmp_path, options)
    assert old.read(ini, ["a"]) == {"a": 1}
    with opened(ini, "r") as db:
        assert dict(db) == {"a": 1}
