"""Shelves in Ray Data, on a real Ray on this machine, whose workers are processes of their own.

`nox -s ray` runs them: Ray is large, and not among what `make test` installs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import InMemory
from cshelve.testing import CountingProvider, shelf_over
from tests.rigs import S3Rig, folder_config

if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)

# Ray sets options of its own that it has deprecated.
pytestmark = pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data\.")

WORDS = {f"{number % 7}/{number:03}": "word " * (number % 5) for number in range(150)}


@pytest.fixture(scope="module")
def ray(s3_rig: S3Rig) -> Iterator[Any]:
    """Ray with two workers, which have the environment of the time when they are started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSHELVE_TEST_SECRET", s3_rig.server.admin.secret_key)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Otherwise, Ray writes a token into the home folder.
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex())
        import ray
        import ray.data

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
        ray.shutdown()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(folder_config(tmp_path / "words")) as db:
        db.update(WORDS)
        yield db


@pytest.fixture
def target(tmp_path: Path) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(folder_config(tmp_path / "target")) as db:
        yield db


def read(ray: Any, db: cshelve.CloudShelf[Any], **options: Any) -> Any:
    from cshelve.ray import ShelfDatasource

    return ray.data.read_datasource(ShelfDatasource(db), **options)


def write(dataset: Any, target: cshelve.CloudShelf[Any]) -> None:
    from cshelve.ray import ShelfDatasink

    dataset.write_datasink(ShelfDatasink(target))


def pairs_of(dataset: Any) -> dict[str, Any]:
    return {row["key"]: row["value"] for row in dataset.take_all()}


def test_a_dataset_has_all_pairs(ray: Any, db: cshelve.CloudShelf[Any]) -> None:
    dataset = read(ray, db, override_num_blocks=6)
    assert pairs_of(dataset) == WORDS
    assert dataset.count() == len(WORDS)
    counted = dataset.map(lambda row: {"words": len(row["value"].split())}).sum("words")
    assert counted == sum(number % 5 for number in range(150))


def test_a_view_is_a_dataset_of_its_keys(ray: Any, db: cshelve.CloudShelf[Any]) -> None:
    view = db.prefix("3/")
    assert pairs_of(read(ray, view)) == dict(view.items())


def test_an_empty_shelf_is_an_empty_dataset(ray: Any, target: cshelve.CloudShelf[Any]) -> None:
    assert read(ray, target).take_all() == []


def test_the_first_rows_can_be_had_alone(ray: Any, db: cshelve.CloudShelf[Any]) -> None:
    assert len(read(ray, db).take(70)) == 70


def test_a_dataset_can_be_stored(
    ray: Any, db: cshelve.CloudShelf[Any], target: cshelve.CloudShelf[Any]
) -> None:
    lengths = read(ray, db).map(lambda row: {"key": row["key"], "value": len(row["value"])})
    write(lengths, target)
    expected = {key: len(text) for key, text in WORDS.items()}
    assert dict(target.items()) == expected
    assert {type(value) for value in target.values()} == {int}


@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_numbers_of_batches_are_stored_as_numbers_of_python(
    ray: Any, target: cshelve.CloudShelf[Any], batch_format: str
) -> None:
    dataset = ray.data.from_items([{"key": str(each), "value": each} for each in range(5)])
    write(dataset.map_batches(lambda batch: batch, batch_format=batch_format), target)
    assert dict(target.items()) == {str(each): each for each in range(5)}
    assert {type(value) for value in target.values()} == {int}


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]  # as of every class with __eq__ alone


ANY_VALUES: dict[str, Any] = {
    "number": 1,
    "none": None,
    "large": 2**80,
    "tuple": (1, (2,)),
    "set": {1, 2},
    "list": [1, "a", None],
    "dict": {"a": 1},
    "other dict": {"b": [2]},
    "time": datetime(2026, 1, 1, tzinfo=UTC),
    "object": Point(3),
    "bytes": b"\0",
}


def test_functions_get_each_value_as_it_was_stored(
    ray: Any, db: cshelve.CloudShelf[Any], target: cshelve.CloudShelf[Any]
) -> None:
    db.clear()
    db.update(ANY_VALUES)
    seen = read(ray, db, override_num_blocks=2).map(
        lambda row: {"key": row["key"], "same": row["value"] == ANY_VALUES[row["key"]]}
    )
    assert {row["key"]: row["same"] for row in seen.take_all()} == dict.fromkeys(ANY_VALUES, True)
    write(read(ray, db), target)
    assert dict(target.items()) == ANY_VALUES


def test_rows_need_both_columns(ray: Any, target: cshelve.CloudShelf[Any]) -> None:
    with pytest.raises(cshelve.ConfigurationError, match=r"'key' and 'value'.*\['id'\]"):
        write(ray.data.range(3), target)
    assert len(target) == 0


def test_a_worker_raises_the_errors_of_the_shelf(
    ray: Any, db: cshelve.CloudShelf[Any], tmp_path: Path
) -> None:
    with (
        cshelve.open_from_dict(folder_config(tmp_path / "words"), "r") as reader,
        pytest.raises(cshelve.ReadOnlyError),
    ):
        write(read(ray, db), reader)
    (tmp_path / "words" / "bad").write_bytes(b"\x00cshelve no record")
    with pytest.raises(cshelve.RecordError, match="bad"):
        read(ray, db).take_all()


def test_a_variable_that_workers_lack_is_an_error_of_the_task(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSHELVE_TEST_FOLDER", str(tmp_path / "words"))
    with cshelve.open_from_dict(folder_config("$CSHELVE_TEST_FOLDER")) as db:
        db.update(WORDS)
        with pytest.raises(cshelve.ConfigurationError, match="CSHELVE_TEST_FOLDER"):
            read(ray, db).take_all()
        with pytest.raises(cshelve.ConfigurationError, match="CSHELVE_TEST_FOLDER"):
            write(ray.data.from_items([{"key": "k", "value": 1}]), db)


def test_a_shelf_in_memory_cannot_be_sent_to_workers(ray: Any) -> None:
    with cshelve.open_from_dict({"default": {"provider": "in-memory"}}) as db:
        db["k"] = 1
        with pytest.raises(cshelve.NotPicklableError, match="memory"):
            read(ray, db).take_all()


def test_a_small_shelf_is_read_by_few_tasks(ray: Any, db: cshelve.CloudShelf[Any]) -> None:
    from cshelve.ray import ShelfDatasource

    source = ShelfDatasource(db)
    assert source.estimate_inmemory_data_size() == sum(each.size_bytes for each in db.entries())
    assert ray.data.read_datasource(source).materialize().num_blocks() <= 4


def test_a_large_part_becomes_several_blocks(ray: Any, db: cshelve.CloudShelf[Any]) -> None:
    context = ray.data.DataContext.get_current()
    usual, context.target_max_block_size = context.target_max_block_size, 500
    try:
        dataset = read(ray, db, override_num_blocks=1).materialize()
    finally:
        context.target_max_block_size = usual
    assert dataset.num_blocks() > 1
    assert pairs_of(dataset) == WORDS


def test_parts_are_found_once() -> None:
    from cshelve.ray import ShelfDatasource

    provider = CountingProvider(InMemory(exists=True))
    with shelf_over(provider) as db:
        db.update(WORDS)
        source = ShelfDatasource(db)
        assert len(source.get_read_tasks(4)) == 4
        provider.reset()
        assert len(source.get_read_tasks(4)) == 4
        assert provider.calls == []


@pytest.mark.s3
@pytest.mark.once
def test_a_bucket_is_read_and_written_by_workers(ray: Any, s3: S3Rig) -> None:
    source, target = (s3.config(key_secret="$CSHELVE_TEST_SECRET") for _ in range(2))
    with cshelve.open_from_dict(source) as db, cshelve.open_from_dict(target) as copy:
        db.update(WORDS)
        write(read(ray, db), copy)
        assert dict(copy.items()) == WORDS
