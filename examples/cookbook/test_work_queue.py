from __future__ import annotations

import collections
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cshelve

PROGRAM = str(Path(__file__).parent / "work_queue.py")


@pytest.fixture
def module() -> Any:
    return importlib.import_module("work_queue")


@pytest.fixture
def db(store: str) -> Iterator[cshelve.CloudShelf[Any]]:
    with cshelve.open(f"{store}/queue?serializer=json") as db:
        assert isinstance(db, cshelve.CloudShelf)
        yield db


def test_each_task_is_done_once_by_several_workers(store: str) -> None:
    tasks = [f"task-{number}" for number in range(60)]
    subprocess.run([sys.executable, PROGRAM, "put", *tasks], check=True)
    command = [sys.executable, "-W", "error", PROGRAM, "work"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    lines = [each.communicate(timeout=120)[0].split("\n")[:-1] for each in workers]
    assert [each.returncode for each in workers] == [0, 0, 0]
    done = collections.Counter(line for each in lines for line in each)
    assert done == {f"doing {task}": 1 for task in tasks}


def test_a_task_of_a_dead_worker_is_taken_again(module: Any, db: cshelve.CloudShelf[Any]) -> None:
    queue = module.Queue(db, lease_seconds=0)
    queue.put({"resize": "photo.png"})
    slow = queue.take()
    fast = queue.take()
    assert slow.payload == fast.payload == {"resize": "photo.png"}
    assert not queue.done(slow)
    assert queue.done(fast)
    assert not queue.done(slow)
    assert queue.take() is None


def test_a_task_is_free_only_after_its_lease(module: Any, db: cshelve.CloudShelf[Any]) -> None:
    queue = module.Queue(db)
    queue.put("a")
    assert queue.take() is not None
    assert queue.take() is None
    assert len(queue.todo) == 1


def test_a_task_that_kills_its_workers_is_set_aside(
    module: Any, db: cshelve.CloudShelf[Any]
) -> None:
    queue = module.Queue(db, lease_seconds=0)
    queue.put("poison")
    assert [queue.take() is not None for _ in range(4)] == [True, True, True, False]
    assert list(queue.failed.values()) == ["poison"]
    assert not queue.todo


def test_old_tasks_come_first(module: Any, db: cshelve.CloudShelf[Any]) -> None:
    queue = module.Queue(db)
    for number in range(module.WINDOW + 20):
        queue.put(number)
    taken = [queue.take().payload for _ in range(20)]
    assert all(number < module.WINDOW + position for position, number in enumerate(taken))


def test_what_a_task_costs(module: Any, db: cshelve.CloudShelf[Any]) -> None:
    queue = module.Queue(db)
    queue.put("the first, for which the shelf also tries what the server can do")
    queue.done(queue.take())
    with db.stats.measuring() as used:
        queue.put("the second")
        queue.done(queue.take())
    assert used.requests == {
        "PutObject": 2,
        "ListObjectsV2": 1,
        "GetObject": 1,
        "DeleteObject": 1,
    }
