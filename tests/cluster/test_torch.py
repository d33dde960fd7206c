"""The values of a shelf as the samples of PyTorch, which is not needed for that."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import InMemory
from cshelve.testing import Call, CountingProvider, shelf_over
from cshelve.torch import ShelfDataset
from tests.rigs import folder_config


@pytest.fixture
def db(tmp_path: Path) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(folder_config(tmp_path / "shelf")) as db:
        db.update({"b": 2, "a": 1, "c": 3})
        yield db


def test_samples_are_values_by_the_positions_of_their_keys(db: cshelve.CloudShelf[Any]) -> None:
    dataset = ShelfDataset(db)
    assert len(dataset) == 3
    assert dataset.keys == ["a", "b", "c"]
    assert [dataset[index] for index in range(3)] == [1, 2, 3]
    with pytest.raises(IndexError):
        dataset[3]


def test_a_batch_is_in_the_order_that_is_asked_for(db: cshelve.CloudShelf[Any]) -> None:
    dataset = ShelfDataset(db, keys=["c", "a"])
    assert dataset.__getitems__([1, 0, 1]) == [1, 3, 1]
    assert dataset.__getitems__([]) == []


def test_a_batch_reads_each_value_once() -> None:
    provider = CountingProvider(InMemory(exists=True))
    with shelf_over(provider) as db:
        db.update({"a": 1, "b": 2})
        dataset = ShelfDataset(db)
        provider.reset()
        assert dataset.__getitems__([0, 1, 0, 0]) == [1, 2, 1, 1]
        assert provider.calls == [Call("get_many", ["a", "b"])]


def test_a_key_that_was_deleted_is_missing(db: cshelve.CloudShelf[Any]) -> None:
    dataset = ShelfDataset(db)
    del db["b"]
    with pytest.raises(cshelve.KeyNotFoundError):
        dataset[1]
    with pytest.raises(cshelve.KeyNotFoundError):
        dataset.__getitems__([0, 1])


def test_a_worker_can_receive_the_dataset_in_a_pickle(db: cshelve.CloudShelf[Any]) -> None:
    dataset = pickle.loads(pickle.dumps(ShelfDataset(db)))
    with dataset.db:
        assert dataset.__getitems__([2, 0]) == [3, 1]
