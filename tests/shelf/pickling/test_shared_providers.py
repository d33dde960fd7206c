"""Unpickled shelves of one configuration share a provider, which is closed in the end."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve._shelf import shared_providers
from cshelve._shelf.shared_providers import SharedProviders
from cshelve.providers import InMemory, Provider
from cshelve.providers.filesystem import provider as filesystem
from tests.forks import forks, in_child
from tests.rigs import S3Rig, folder_config, local_config
from tests.shelf.pickling.rig import again


@pytest.fixture
def db(tmp_path: Path) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(folder_config(tmp_path / "shelf")) as db:
        db["k"] = 1
        yield db


def test_they_share_a_provider_but_not_with_the_shelf_itself(db: cshelve.CloudShelf[Any]) -> None:
    with again(db) as one, again(db) as other, again(db.prefix("k")) as view:
        assert one.provider is other.provider is view.provider
        assert one.provider is not db.provider


def test_one_may_be_closed_while_another_is_used(db: cshelve.CloudShelf[Any]) -> None:
    one, other = again(db), again(db)
    one.close()
    one.close()
    assert other["k"] == 1
    with pytest.raises(ValueError, match="closed"):
        one["k"]
    other.close()


def test_a_later_one_uses_the_same_provider(db: cshelve.CloudShelf[Any]) -> None:
    with again(db) as one:
        provider = one.provider
    with again(db) as other:
        assert other.provider is provider


def test_another_configuration_or_environment_has_another_provider(
    db: cshelve.CloudShelf[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = folder_config(tmp_path / "shelf")
    config["default"]["serializer"] = "json"
    with (
        cshelve.open_from_dict(config) as other,
        cshelve.open_from_dict(folder_config(tmp_path / "shelf"), "r") as reader,
        again(db) as one,
        again(other) as two,
        again(reader) as three,
    ):
        monkeypatch.setenv("CSHELVE_TEST_TOKEN", "another one")
        with again(db) as four:
            assert len({id(each.provider) for each in (one, two, three, four)}) == 4


def test_a_local_shelf_is_not_shared(tmp_path: Path) -> None:
    with cshelve.open_from_dict(local_config(tmp_path / "local")) as db:
        db["k"] = 1
        db.sync()
    with again(cshelve.open_from_dict(local_config(tmp_path / "local"), "r")) as one:
        assert one["k"] == 1
        with again(one) as other:
            assert other.provider is not one.provider


class Closing(InMemory):
    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_few_providers_stay_open_and_the_others_are_closed() -> None:
    pool = SharedProviders(most_idle=2)
    providers = [Closing() for _ in range(5)]
    leases = [pool.lease(each, lambda each=each: each) for each in providers]  # type: ignore[misc]
    assert not any(each.is_closed for each in providers)
    for lease in leases[:4]:
        lease.release()
        lease.release()
    assert [each.is_closed for each in providers] == [True, True, False, False, False]
    pool.close()
    assert [each.is_closed for each in providers] == [True, True, True, True, False]
    leases[4].release()
    assert providers[4].is_closed


def test_a_shelf_that_is_dropped_lets_go_of_its_provider(
    db: cshelve.CloudShelf[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = SharedProviders(most_idle=0)
    monkeypatch.setattr(shared_providers.SHARED, "get", lambda: pool)
    closed: list[Provider] = []
    monkeypatch.setattr(filesystem.Filesystem, "close", lambda provider: closed.append(provider))
    one, other = again(db), again(db)
    assert one["k"] == 1
    del one
    gc.collect()
    assert closed == []
    del other
    gc.collect()
    assert len(closed) == 1


@forks
def test_a_forked_child_builds_its_own(db: cshelve.CloudShelf[Any]) -> None:
    with again(db) as one:
        pickled, provider = pickle.dumps(db), id(one.provider)
        kept = one.provider

        def child() -> None:
            with pickle.loads(pickled) as other:
                assert other["k"] == 1
                assert id(other.provider) != provider

        in_child(child)
        assert one.provider is kept


@pytest.mark.s3
@pytest.mark.once
def test_the_second_one_sends_no_request_to_open(
    s3: S3Rig, s3_config: dict[str, dict[str, Any]]
) -> None:
    with cshelve.open_from_dict(s3_config) as db:
        db["k"] = 1
        with again(db) as one:
            assert one["k"] == 1
        with s3.proxy.counting() as count, again(db) as other:
            assert other["k"] == 1
        assert count.operations == ["GetObject"]


@pytest.mark.s3
@pytest.mark.once
def test_objects_and_functions_among_the_parameters_are_not_shared(
    s3_config: dict[str, dict[str, Any]],
) -> None:
    from botocore.config import Config

    with cshelve.open_from_dict(s3_config, provider_params={"verify": True}) as db:
        assert db._pickled is not None
        assert db._pickled.sharing_key() is not None
    with cshelve.open_from_dict(s3_config, provider_params={"config": Config()}) as db:
        assert db._pickled is not None
        assert db._pickled.sharing_key() is None
        assert not shared_providers.is_plain([print])
