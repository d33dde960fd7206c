"""A shelf over a provider that the program made: `cshelve.open_provider`."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import Filesystem, InMemory, Item, Wrapper
from cshelve.testing import CountingProvider


@pytest.fixture
def store() -> CountingProvider:
    return CountingProvider(InMemory())


def test_it_is_a_shelf_like_any_other(tmp_path: Path) -> None:
    with cshelve.open_provider(Filesystem(tmp_path / "shelf")) as db:
        db["k"] = [1, 2]
    config = {"default": {"provider": "filesystem", "folder_path": str(tmp_path / "shelf")}}
    with cshelve.open_from_dict(config, "r") as db:
        assert dict(db.items()) == {"k": [1, 2]}


def test_the_shelf_and_its_views_show_their_provider(store: CountingProvider) -> None:
    with cshelve.open_provider(store) as db:
        assert db.provider is store
        assert db.prefix("users/").provider is store


def test_a_closed_shelf_shows_none(store: CountingProvider) -> None:
    db = cshelve.open_provider(store)
    db.close()
    with pytest.raises(ValueError, match="closed shelf"):
        _ = db.provider


def test_closing_the_shelf_closes_the_provider_once(store: CountingProvider) -> None:
    db = cshelve.open_provider(store)
    db.close()
    db.close()
    assert store.counts["close"] == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"flag": "r"}, cshelve.DBDoesNotExistsError),
        ({"flag": "x"}, cshelve.ConfigurationError),
        ({"config": {"default": {"provider": "in-memory"}}}, cshelve.ConfigurationError),
        ({"config": {"defalt": {}}}, cshelve.ConfigurationError),
        ({"config": {"default": {"bucket_name": "b"}}}, cshelve.ConfigurationError),
        ({"serializer": lambda value, protocol: b""}, cshelve.ConfigurationError),
    ],
)
def test_where_it_cannot_be_opened_the_provider_is_closed(
    store: CountingProvider, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        cshelve.open_provider(store, **arguments)
    assert store.counts["close"] == 1


def test_what_is_no_provider_is_refused() -> None:
    with pytest.raises(cshelve.ConfigurationError, match=r"a cshelve\.providers\.Provider, not of"):
        cshelve.open_provider("in-memory")  # type: ignore[arg-type]


def test_the_configuration_of_values_is_heeded() -> None:
    store = InMemory()
    config = {"default": {"serializer": "json"}, "compression": {"algorithm": "zlib"}}
    with cshelve.open_provider(store, config=config) as db:
        db["k"] = ["a long text " * 100]
        assert db["k"] == ["a long text " * 100]
        assert len(store.get("k").data) < 100


def test_the_arguments_of_open_are_heeded() -> None:
    store = InMemory(exists=True)
    with cshelve.open_provider(store, "w", 2, writeback=True) as db:
        db["k"] = []
        db["k"].append(1)
        db.sync()
        assert store.get("k").data.endswith(pickle.dumps([1], 2))


def test_its_own_functions_take_the_place_of_pickle() -> None:
    store = InMemory()
    functions: dict[str, Any] = {
        "serializer": lambda value, protocol: value.encode(),
        "deserializer": bytes.decode,
    }
    with cshelve.open_provider(store, **functions) as db:
        db["k"] = "value"
        assert db["k"] == "value"
        assert store.get("k").data.endswith(b"value")


def test_it_cannot_be_pickled(tmp_path: Path) -> None:
    with (
        cshelve.open_provider(Filesystem(tmp_path / "shelf")) as db,
        pytest.raises(cshelve.NotPicklableError, match="was not made from a configuration"),
    ):
        pickle.dumps(db)


class Upside(Wrapper):
    """Values stored backwards: what a wrapper outside of cshelve may look like."""

    def get(self, name: str) -> Item:
        item = super().get(name)
        return item._replace(data=item.data[::-1])

    def put(self, name: str, data: bytes, **condition: Any) -> str:
        return super().put(name, data[::-1], **condition)


@pytest.fixture
def upside() -> Iterator[tuple[InMemory, cshelve.CloudShelf]]:
    inside = InMemory()
    with cshelve.open_provider(Upside(inside)) as db:
        yield inside, db


def test_a_wrapper_changes_operations_on_one_key(
    upside: tuple[InMemory, cshelve.CloudShelf],
) -> None:
    inside, db = upside
    db["k"] = "value"
    assert db["k"] == "value"
    assert inside.get("k").data[::-1].endswith(pickle.dumps("value", 5))


def test_and_those_on_many(upside: tuple[InMemory, cshelve.CloudShelf]) -> None:
    inside, db = upside
    db.update(a=1, b=2)
    assert dict(db.items()) == {"a": 1, "b": 2}
    assert inside.get("a").data[::-1].endswith(pickle.dumps(1, 5))


def test_a_wrapper_refuses_a_configuration(tmp_path: Path) -> None:
    from cshelve._config.sections import Sections

    sections = Sections("x.ini", {}, from_file=False, flag="c")
    with pytest.raises(cshelve.ConfigurationError, match=r"open it with cshelve\.open_provider"):
        Upside.from_config(sections)
