"""Shelves as datasets of a real PyTorch, whose loaders read them in processes of their own.

`nox -s torch` runs them: PyTorch is large, and not among what `make test` installs.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.torch import ShelfDataset
from tests.rigs import S3Rig, folder_config

if find_spec("torch") is None:
    pytest.skip("PyTorch is not installed", allow_module_level=True)

SAMPLES = {f"{number:03}": {"x": [number, number + 1], "y": number % 3} for number in range(100)}
LOADERS: dict[str, dict[str, Any]] = {
    "in this process": {"num_workers": 0},
    "forked": {"num_workers": 2, "multiprocessing_context": "fork"},
    # They start slowly, so they have to live for all epochs.
    "spawned": {
        "num_workers": 2,
        "multiprocessing_context": "spawn",
        "persistent_workers": True,
    },
}
every_loader = pytest.mark.parametrize("options", LOADERS.values(), ids=LOADERS)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(folder_config(tmp_path / "shelf")) as db:
        db.update(SAMPLES)
        yield db


def batches(dataset: Any, options: dict[str, Any]) -> Any:
    from torch.utils.data import DataLoader

    return DataLoader(dataset, batch_size=16, **options)


def numbers_in(loader: Any) -> list[int]:
    return [number for batch in loader for number in batch["x"][0].tolist()]


@every_loader
def test_each_epoch_has_all_samples(db: cshelve.CloudShelf[Any], options: dict[str, Any]) -> None:
    loader = batches(ShelfDataset(db), {**options, "shuffle": True})
    epochs = [numbers_in(loader) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(100))] * 2
    assert epochs[0] != epochs[1]
    assert len(loader) == 7


def test_a_dataset_can_be_split(db: cshelve.CloudShelf[Any]) -> None:
    from torch.utils.data import random_split

    one, other = random_split(ShelfDataset(db), [60, 40])
    numbers = numbers_in(batches(one, {})) + numbers_in(batches(other, {}))
    assert sorted(numbers) == list(range(100))


@pytest.mark.parametrize("name", ["in this process", "forked"])
def test_a_loader_raises_the_errors_of_the_shelf(
    db: cshelve.CloudShelf[Any], tmp_path: Path, name: str
) -> None:
    dataset = ShelfDataset(db)
    (tmp_path / "shelf" / "050").write_bytes(b"\x00cshelve no record")
    with pytest.raises(cshelve.RecordError, match="050"):
        numbers_in(batches(dataset, LOADERS[name]))
    del db["010"]
    with pytest.raises(cshelve.KeyNotFoundError, match="010"):
        numbers_in(batches(dataset, LOADERS[name]))


@pytest.mark.s3
@pytest.mark.once
@every_loader
def test_a_bucket_is_read_by_workers(
    s3: S3Rig, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSHELVE_TEST_SECRET", s3.server.admin.secret_key)
    with cshelve.open_from_dict(s3.config(key_secret="$CSHELVE_TEST_SECRET")) as db:
        db.update(SAMPLES)
        assert numbers_in(batches(ShelfDataset(db), options)) == list(range(100))
        # Forked workers have left alone the connections of this process.
        assert dict(db.items()) == SAMPLES
