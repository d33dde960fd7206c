"""A queue of tasks in a bucket, for any number of workers on any machines.

Run ``python work_queue.py put resize-1 resize-2`` anywhere, and ``python work_queue.py work`` on
each machine, both with ``STORE=s3://my-bucket``.
"""

import itertools
import os
import random
import secrets
import sys
import time
from dataclasses import dataclass
from typing import Any

import cshelve

STORE = os.environ.get("STORE", "s3://my-bucket")
LEASE_SECONDS = 60.0
MOST_ATTEMPTS = 3
WINDOW = 100


@dataclass
class Task:
    """A task that this worker has taken."""

    key: str
    payload: Any
    version: str


class Queue:
    """Tasks, the oldest first or nearly so. A worker that takes one has it for a while.

    If the worker dies, another one takes the task: so a task may be done twice.
    """

    def __init__(self, db: cshelve.CloudShelf[Any], lease_seconds: float = LEASE_SECONDS) -> None:
        self.todo = db.prefix("todo/")
        self.failed = db.prefix("failed/")
        self.lease_seconds = lease_seconds

    def put(self, payload: Any) -> None:
        # The keys are listed in this order.
        key = f"{time.time_ns():020}-{secrets.token_hex(4)}"
        self.todo[key] = {"payload": payload, "attempts": 0, "taken_until": 0}

    def take(self) -> Task | None:
        """Return a task, or None if no task is free now."""
        keys = list(itertools.islice(self.todo, WINDOW))
        # In any order, so that workers which look at the same time try different ones.
        for key in random.sample(keys, len(keys)):
            task = self._take(key)
            if task is not None:
                return task
        return None

    def _take(self, key: str) -> Task | None:
        try:
            value, version = self.todo.get_versioned(key)
            if value["taken_until"] > time.time():
                return None
            if value["attempts"] == MOST_ATTEMPTS:
                self.failed[key] = value["payload"]
                self.todo.delete(key, version)
                return None
            value["attempts"] += 1
            value["taken_until"] = time.time() + self.lease_seconds
            # Of several workers that have read this version, one succeeds.
            return Task(key, value["payload"], self.todo.replace(key, value, version))
        except (KeyError, cshelve.ConflictError):
            return None  # Another worker was faster.

    def done(self, task: Task) -> bool:
        """Remove a task; return False if it took so long that another worker has it now."""
        try:
            self.todo.delete(task.key, task.version)
        except (KeyError, cshelve.ConflictError):
            return False
        return True


def work(queue: Queue) -> None:
    """Do tasks until the queue is empty."""
    while queue.todo:
        task = queue.take()
        if task is None:
            time.sleep(1)  # Other workers have what is left.
            continue
        print("doing", task.payload, flush=True)
        queue.done(task)


def main(command: str, *payloads: str) -> None:
    with cshelve.open(f"{STORE}/queue?serializer=json") as db:
        queue = Queue(db)
        match command:
            case "put":
                for payload in payloads:
                    queue.put(payload)
            case "work":
                work(queue)


if __name__ == "__main__":
    main(*sys.argv[1:])
