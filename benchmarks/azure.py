"""Compare many keys at once with a loop, and with Azure's bare client, at 10 ms of latency.

    python -m benchmarks.azure

A relay in front of Azurite delays each request by 10 ms. The figures are keys a second, medians of
rounds in which the contestants take turns. Azurite is a single process, and limits what many
requests at once can reach: about 600 a second.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from azure.storage.blob import ContainerClient

import cshelve
from benchmarks.machine import described
from benchmarks.relay import relay
from benchmarks.rounds import medians
from cshelve.providers import AzureBlob
from testbed.azurite import ACCESS_KEY, ACCOUNT, Azurite

MILLISECONDS = 10
KEYS = 400
IN_A_LOOP = 60
ROUNDS = 5
CONCURRENCY = 32
CONTAINER = "benchmark"


def main() -> None:
    print(described("cshelve", "azure-storage-blob"))
    values = {f"key-{number:04d}": bytes(1024) for number in range(KEYS)}
    few = dict(list(values.items())[:IN_A_LOOP])
    with Azurite() as server, relay(server.account_url, MILLISECONDS) as url:
        account = f"{url}/{ACCOUNT}"
        provider = AzureBlob(
            CONTAINER, account_url=account, auth_type="access_key", access_key=ACCESS_KEY
        )
        bare = ContainerClient(account, CONTAINER, credential=ACCESS_KEY)
        with cshelve.open_provider(provider) as db, ThreadPoolExecutor(CONCURRENCY) as threads:
            db.update(values)
            taken = medians(_contestants(db, bare, threads, values, few), ROUNDS)
    print("| | keys a second |")
    print("|---|---|")
    for name, each in taken.items():
        keys = IN_A_LOOP if "loop" in name else KEYS
        print(f"| {name} | {keys / each.seconds:,.0f} |")


def _contestants(
    db: cshelve.CloudShelf,
    bare: ContainerClient,
    threads: ThreadPoolExecutor,
    values: dict[str, bytes],
    few: dict[str, bytes],
) -> dict[str, Callable[[], object]]:
    def write(key: str) -> object:
        return bare.upload_blob(f"bare-{key}", values[key], overwrite=True)

    def read(key: str) -> bytes:
        return bare.download_blob(key).readall()

    def write_loop() -> None:
        for key, value in few.items():
            db[key] = value

    return {
        "loop, `db[k] = v`": write_loop,
        "loop, bare client, upload_blob": lambda: [write(key) for key in few],
        "`db.update(…)`": lambda: db.update(values),
        f"bare client, upload_blob in {CONCURRENCY} threads": lambda: list(
            threads.map(write, values)
        ),
        "loop, `db[k]`": lambda: [db[key] for key in few],
        "loop, bare client, download_blob": lambda: [read(key) for key in few],
        "`db.get_many(…)`": lambda: dict(db.get_many(values)),
        f"bare client, download_blob in {CONCURRENCY} threads": lambda: list(
            threads.map(read, values)
        ),
    }


if __name__ == "__main__":
    main()
