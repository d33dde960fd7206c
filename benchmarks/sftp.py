"""Measure a shelf over SFTP, whose round trips take 10 ms, beside bare asyncssh.

Run `python -m benchmarks.sftp`. It needs OpenSSH's server.
"""

from __future__ import annotations

import asyncio
import pickle
import statistics
import time
from collections.abc import Callable
from typing import Any

import asyncssh

import cshelve
from benchmarks.machine import described
from benchmarks.slow_link import slow_link
from testbed.openssh import OpenSSH
from tests.rigs import sftp_config

MILLISECONDS = 10
ROUNDS = 3
KEYS = 600
KEYS_IN_A_LOOP = 40
AT_ONCE = 32
VALUE = {"text": "x" * 950, "number": 1}


def main() -> None:
    with OpenSSH() as server, slow_link(server.port, MILLISECONDS) as port:
        # The same host key, on another port.
        known = server.known_hosts.read_text()
        server.known_hosts.write_text(known + known.replace(f":{server.port} ", f":{port} "))
        config = sftp_config(server, port=port)
        found: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            with cshelve.open_from_dict(config, "n") as db:
                _measure_shelf(db, found)
            asyncio.run(_measure_bare(server, port, found))
    print(f"{described('cshelve', 'asyncssh')}; a round trip takes {MILLISECONDS} ms\n")
    rates = {what: statistics.median(rates) for what, rates in found.items()}
    print("| | keys a second |\n|---|---|")
    for what, rate in rates.items():
        print(f"| {what} | {rate:,.0f} |")
    for many, one in (("set_many", "db[key] = value"), ("get_many", "db[key]")):
        print(f"\n{many} / {one}: {rates[many] / rates[one]:.1f}")


def _measure_shelf(db: cshelve.CloudShelf[Any], found: dict[str, list[float]]) -> None:
    keys = [f"key-{number}" for number in range(KEYS)]
    some = keys[:KEYS_IN_A_LOOP]

    def note(what: str, count: int, act: Callable[[], object]) -> None:
        began = time.perf_counter()
        act()
        found.setdefault(what, []).append(count / (time.perf_counter() - began))

    def store_each(keys: list[str]) -> None:
        for key in keys:
            db[key] = VALUE

    db.get("warm")
    note("db[key] = value", len(some), lambda: store_each(some))
    note("db[key]", len(some), lambda: [db[key] for key in some])
    note("set_many", KEYS, lambda: db.set_many(dict.fromkeys(keys, VALUE)))
    note("get_many", KEYS, lambda: dict(db.get_many(keys)))
    note("delete_many", KEYS, lambda: db.delete_many(keys))


async def _measure_bare(server: OpenSSH, port: int, found: dict[str, list[float]]) -> None:
    """Do the same with asyncssh alone: a temporary file, a rename, and a read."""
    folder = server.new_folder()
    data = pickle.dumps(VALUE)
    async with (
        asyncssh.connect(
            server.hostname,
            port,
            username=server.username,
            client_keys=[str(server.key)],
            known_hosts=str(server.known_hosts),
            config=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        most = asyncio.Semaphore(AT_ONCE)

        async def put(number: int) -> None:
            async with most:
                async with sftp.open(f"{folder}/{number}.tmp", "wb") as file:
                    await file.write(data)
                    await file.fsync()
                await sftp.posix_rename(f"{folder}/{number}.tmp", f"{folder}/{number}")

        async def get(number: int) -> None:
            async with most, sftp.open(f"{folder}/{number}", "rb") as file:
                read: Any = await file.read()
                pickle.loads(read)

        for what, act in (("put", put), ("get", get)):
            began = time.perf_counter()
            for number in range(KEYS_IN_A_LOOP):
                await act(number)
            rate = KEYS_IN_A_LOOP / (time.perf_counter() - began)
            found.setdefault(f"asyncssh, {what} in a loop", []).append(rate)
            began = time.perf_counter()
            await asyncio.gather(*(act(number) for number in range(KEYS)))
            rate = KEYS / (time.perf_counter() - began)
            found.setdefault(f"asyncssh, {what}, {AT_ONCE} at once", []).append(rate)


if __name__ == "__main__":
    main()
