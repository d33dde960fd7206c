"""Contestant: obstore, written in Rust, with pickle; no records, a thread per request in flight."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from obstore.store import S3Store

from benchmarks.contestants.turns import PROTOCOL, Acts, Place, Turns, Values
from benchmarks.machine import versions


def main() -> None:
    turns = Turns()
    place = turns.place
    with ThreadPoolExecutor(place.concurrency) as threads:
        turns.take(obstore_acts(store_of(place), place, threads), versions("obstore"))


def store_of(place: Place) -> Any:
    return S3Store(
        place.bucket,
        endpoint=place.endpoint_url,
        access_key_id=place.access_key,
        secret_access_key=place.secret_key,
        region="us-east-1",
        virtual_hosted_style_request=False,
        # It does not accept a self-signed certificate, such as the server's.
        client_options={"allow_http": True, "allow_invalid_certificates": bool(place.ca_file)},
    )


def obstore_acts(store: Any, place: Place, threads: ThreadPoolExecutor) -> Acts:
    def put(key: str, value: dict[str, Any]) -> None:
        store.put(place.prefix + key, pickle.dumps(value, PROTOCOL), use_multipart=False)

    def get(key: str) -> Any:
        return pickle.loads(store.get(place.prefix + key).bytes())

    def put_each(values: Values) -> None:
        for key, value in values.items():
            put(key, value)

    def head_each(values: Values) -> None:
        for key in values:
            store.head(place.prefix + key)

    def modify_each(values: Values) -> None:
        for key in values:
            name = place.prefix + key
            answer = store.get(name)
            value = dict(pickle.loads(answer.bytes()))
            condition = {"e_tag": answer.meta["e_tag"]}
            store.put(name, pickle.dumps(value, PROTOCOL), mode=condition)

    def names() -> list[str]:
        return [each["path"] for page in store.list(place.prefix) for each in page]

    def put_all(values: Values) -> None:
        for _ in threads.map(put, values.keys(), values.values()):
            pass

    return {
        "set": put_each,
        "get": lambda values: {key: get(key) for key in values},
        "in": head_each,
        "modify": modify_each,
        "write": put_all,
        "read": lambda values: dict(zip(values, threads.map(get, values), strict=True)),
        "len": lambda values: sum(len(page) for page in store.list(place.prefix)),
        "list": lambda values: len(names()),
        "clear": lambda values: store.delete(names()),
    }


if __name__ == "__main__":
    main()
