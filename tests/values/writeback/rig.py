"""A store whose calls can be held up, and acts in other threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cshelve.providers.base import Item, Provider
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over

GET, PUT, LIST = "GetObject", "PutObject", "ListObjectsV2"
# Far more than anything here takes: what is not over by then never will be.
PATIENCE_SECONDS = 10

KEYS = [f"k{number}" for number in range(10)]


class Gate:
    """Where a call of the provider waits until it is told to go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait_until_reached(self) -> None:
        assert self.reached.wait(PATIENCE_SECONDS)

    def open(self) -> None:
        self._opened.set()

    def pass_through(self) -> None:
        self.reached.set()
        assert self._opened.wait(PATIENCE_SECONDS)


class GatedMemory(InMemory):
    """Memory that is worked on in parallel, and where single calls can be held up.

    A put is held up before it is done and a get after it, as if its answer were on its way.
    """

    def __init__(self, concurrency: int = 4) -> None:
        super().__init__(exists=True)
        self.concurrency = concurrency
        self.puts: list[str] = []
        self._gates: dict[tuple[str, str], Gate] = {}

    def hold(self, method: str, name: str) -> Gate:
        """Hold up the next call of a method for a name."""
        gate = self._gates[method, name] = Gate()
        return gate

    def get(self, name: str) -> Item:
        try:
            return super().get(name)
        finally:
            self._pass("get", name)

    def put(self, name: str, data: bytes, **condition: Any) -> str:
        self._pass("put", name)
        self.puts.append(name)
        return super().put(name, data, **condition)

    def _pass(self, method: str, name: str) -> None:
        gate = self._gates.pop((method, name), None)
        if gate is not None:
            gate.pass_through()


def begun(act: Callable[[], Any]) -> Future[Any]:
    """Do something in another thread."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001  # for whoever waits for the result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def result_of(future: Future[Any]) -> Any:
    return future.result(PATIENCE_SECONDS)


def stored_in(store: Provider) -> dict[str, Any]:
    with shelf_over(store, "r") as db:
        return dict(db.items())
