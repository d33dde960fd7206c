"""Contestant: fsspec's mapper of a folder in s3fs, with pickle."""

from __future__ import annotations

import pickle

import fsspec

from benchmarks.contestants.mapping import mapping_acts
from benchmarks.contestants.turns import PROTOCOL, Turns, Values
from benchmarks.machine import versions


def main() -> None:
    turns = Turns()
    place = turns.place
    db = fsspec.get_mapper(
        f"s3://{place.bucket}/{place.prefix}",
        key=place.access_key,
        secret=place.secret_key,
        client_kwargs={"endpoint_url": place.endpoint_url, "region_name": "us-east-1"},
        config_kwargs={"max_pool_connections": place.concurrency},
        # Otherwise, it does not see what other programs have written since it listed the keys.
        use_listings_cache=False,
    )

    def set_each(values: Values) -> None:
        for key, value in values.items():
            db[key] = pickle.dumps(value, PROTOCOL)

    def put_all(values: Values) -> None:
        db.setitems({key: pickle.dumps(value, PROTOCOL) for key, value in values.items()})

    def get_all(values: Values) -> Values:
        return {key: pickle.loads(value) for key, value in db.getitems(list(values)).items()}

    own = {
        "set": set_each,
        "get": lambda values: {key: pickle.loads(db[key]) for key in values},
        "write": put_all,
        "read": get_all,
        "clear": lambda values: db.delitems(list(db)),
    }
    turns.take(mapping_acts(db) | own, versions("s3fs", "fsspec", "aiobotocore"))


if __name__ == "__main__":
    main()
