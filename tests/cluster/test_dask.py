"""Shelves on a real Dask cluster, whose workers are processes of their own."""

from __future__ import annotations

import copyreg
import os
import re
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import cshelve
import cshelve.dask
from cshelve._shelf.shared_providers import SHARED
from tests.rigs import S3Rig, folder_config

ROOT = Path(__file__).parents[2]
WORDS = {f"{number % 7}/{number:03}": "word " * (number % 5) for number in range(150)}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers. They are started once, and have the environment of that time."""
    pickled_by = copyreg.dispatch_table.copy()
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    try:
        with (
            distributed.LocalCluster(
                # Any free port: another cluster on this machine may have the usual one.
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
    finally:
        # Distributed changes how every exception of the process is pickled, for other tests too.
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(pickled_by)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(folder_config(tmp_path / "words")) as db:
        db.update(WORDS)
        yield db


@pytest.fixture
def target(tmp_path: Path) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open_from_dict(folder_config(tmp_path / "target")) as db:
        yield db


def test_a_bag_has_all_pairs(client: Any, db: cshelve.CloudShelf[Any]) -> None:
    bag = cshelve.dask.to_bag(db, npartitions=6)
    assert bag.npartitions == 6
    assert dict(bag.compute()) == WORDS
    count = bag.map(lambda pair: len(pair[1].split())).sum().compute()
    assert count == sum(number % 5 for number in range(150))


def test_a_bag_can_be_stored(
    client: Any, db: cshelve.CloudShelf[Any], target: cshelve.CloudShelf[Any]
) -> None:
    lengths = cshelve.dask.to_bag(db, 4).map(lambda pair: (pair[0], len(pair[1])))
    assert cshelve.dask.from_bag(lengths, target) == len(WORDS)
    assert dict(target.items()) == {key: len(text) for key, text in WORDS.items()}


def test_the_parts_are_delayed_objects(client: Any, db: cshelve.CloudShelf[Any]) -> None:
    import dask

    delayed = cshelve.dask.to_delayed(db.prefix("3/"), npartitions=3)
    assert len(delayed) == 3
    pairs = [pair for part in dask.compute(*delayed) for pair in part]
    assert dict(pairs) == dict(db.prefix("3/").items())


def test_an_empty_shelf_is_an_empty_bag(client: Any, target: cshelve.CloudShelf[Any]) -> None:
    assert cshelve.dask.to_bag(target).compute() == []


def test_a_worker_raises_the_errors_of_the_shelf(
    client: Any, db: cshelve.CloudShelf[Any], tmp_path: Path
) -> None:
    with (
        cshelve.open_from_dict(folder_config(tmp_path / "words"), "r") as reader,
        pytest.raises(cshelve.ReadOnlyError),
    ):
        cshelve.dask.from_bag(cshelve.dask.to_bag(db, 2), reader)
    failing = cshelve.dask.to_bag(db, 2).map(lambda pair: (pair[0], lambda: 0))
    with pytest.raises(cshelve.BulkError) as caught:
        cshelve.dask.from_bag(failing, db)
    assert caught.value.failures


def test_a_variable_that_workers_lack_is_an_error_of_the_task(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised while a worker unpickles a task, it would be lost, and nobody would get a result."""
    dask = pytest.importorskip("dask.bag")
    monkeypatch.setenv("CSHELVE_TEST_FOLDER", str(tmp_path / "words"))
    with cshelve.open_from_dict(folder_config("$CSHELVE_TEST_FOLDER")) as db:
        db.update(WORDS)
        pairs = dask.from_sequence([("k", 1)])
        for use in (
            lambda: cshelve.dask.to_bag(db, 2).compute(),
            lambda: cshelve.dask.from_bag(pairs, db),
            lambda: client.submit(list, db.partitions(2)[0]).result(),
        ):
            with pytest.raises(cshelve.ConfigurationError, match="CSHELVE_TEST_FOLDER"):
                use()


def test_tasks_of_a_worker_share_a_client(client: Any, db: cshelve.CloudShelf[Any]) -> None:
    providers = partial(_providers, db.provider.location)
    found = cshelve.dask.to_bag(db, 12).map_partitions(providers).compute()
    assert len(found) == 12
    assert 1 <= len(set(found)) <= 2


def _providers(location: str, pairs: Any) -> list[tuple[int, int]]:
    """Return this process and its provider of the shelf, which has read the pairs."""
    shared = [each.provider for each in SHARED.get()._shared.values()]
    return [(os.getpid(), id(each)) for each in shared if each.location == location]


@pytest.mark.s3
@pytest.mark.once
def test_a_bucket_is_read_by_workers(
    client: Any, s3: S3Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.run(_set_secret, s3.server.admin.secret_key)
    monkeypatch.setenv("CSHELVE_TEST_SECRET", s3.server.admin.secret_key)
    with cshelve.open_from_dict(s3.config(key_secret="$CSHELVE_TEST_SECRET")) as db:
        db.update(WORDS)
        assert dict(cshelve.dask.to_bag(db, 5).compute()) == WORDS


def _set_secret(secret: str) -> None:
    os.environ["CSHELVE_TEST_SECRET"] = secret


def test_the_tasks_of_the_page_divide_large_parts(
    client: Any, db: cshelve.CloudShelf[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n([^`]*worker_client[^`]*)```", page)
    # As a script, so that its functions are sent to the workers.
    names: dict[str, Any] = {"__name__": "__main__", "cshelve": cshelve, "db": db}
    exec(program, names)
    monkeypatch.setitem(names, "MOST_KEYS", 4)
    with distributed.get_task_stream(client) as stream:
        assert names["words_on"](client) == sum(number % 5 for number in range(150))
    assert len([task for task in stream.data if task["key"].startswith("words_of")]) > 32


EXAMPLE = str(ROOT / "examples" / "count_words_on_a_cluster.py")


def example(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run the example here, where Dask is imported, as the program that it is."""
    monkeypatch.setattr(sys, "argv", [EXAMPLE, *map(str, arguments)])
    runpy.run_path(EXAMPLE, run_name="__main__")


def test_the_example_counts_what_one_process_counts(
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    configuration = tmp_path / "texts.ini"
    configuration.write_text(
        f"[default]\nprovider = filesystem\nfolder_path = {tmp_path / 'texts'}\n"
    )
    example(monkeypatch, "fill", configuration, 50)
    with cshelve.open(configuration, "r") as db:
        expected = Counter(word for text in db.values() for word in text.split())

    def assert_is_right(output: str) -> None:
        *lines, total = output.splitlines()
        counts = [int(line.split()[0]) for line in lines]
        assert counts == [count for _, count in expected.most_common(10)]
        told, _, seconds = total.rpartition(", in ")
        assert told.split() == f"{expected.total()} in all, {len(expected)} different ones".split()
        assert float(seconds.removesuffix(" s")) > 0

    capfd.readouterr()
    example(monkeypatch, "count", configuration, client.scheduler.address)
    assert_is_right(capfd.readouterr().out)
    # With workers of its own, which start it again.
    command = [sys.executable, EXAMPLE, "count", str(configuration)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=100)
    assert_is_right(done.stdout)


def test_equal_shelves_have_equal_tokens(tmp_path: Path) -> None:
    tokenize = pytest.importorskip("dask.base", reason="the extra dask is not installed").tokenize
    config = folder_config(tmp_path / "words")
    with cshelve.open_from_dict(config) as one, cshelve.open_from_dict(config) as other:
        one.update(WORDS)
        assert tokenize(one) == tokenize(other) != tokenize(one.prefix("3/"))
        first, second = one.partitions(2)
        assert tokenize(first) == tokenize(other.partitions(2)[0]) != tokenize(second)
        with cshelve.open_from_dict(config, "r") as reader:
            assert tokenize(reader) != tokenize(one)


def test_without_dask_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, db: cshelve.CloudShelf[Any]
) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.bag", None)
    with pytest.raises(cshelve.MissingDependencyError, match=r"cshelve\[dask\]"):
        cshelve.dask.to_bag(db)
