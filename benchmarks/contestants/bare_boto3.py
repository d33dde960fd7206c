"""Contestant: boto3's client, with pickle and without records.

    python -m benchmarks.contestants.bare_boto3 [threads]

It sends one request after the other. With `threads`, it reads and writes many values in as many
threads as requests may be in flight.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypedDict

from botocore.config import Config

from benchmarks.contestants.turns import PROTOCOL, Acts, Place, Turns, Values
from benchmarks.machine import versions
from testbed.s3_client import Identity, s3_client

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef


class Location(TypedDict):
    Bucket: str
    Key: str


def main(*arguments: str) -> None:
    turns = Turns()
    place = turns.place
    identity = Identity(place.access_key, place.secret_key)
    config = Config(max_pool_connections=place.concurrency)
    settings = {"verify": place.ca_file or None, "config": config}
    client = s3_client(place.endpoint_url, identity, settings)
    acts = boto3_acts(client, place)
    if "threads" in arguments:
        with ThreadPoolExecutor(place.concurrency) as threads:
            turns.take(acts | threaded(acts, threads), versions("boto3"))
    else:
        turns.take(acts, versions("boto3"))


def boto3_acts(client: S3Client, place: Place) -> Acts:
    def at(key: str) -> Location:
        return {"Bucket": place.bucket, "Key": place.prefix + key}

    def put_each(values: Values) -> None:
        for key, value in values.items():
            client.put_object(**at(key), Body=pickle.dumps(value, PROTOCOL))

    def get_each(values: Values) -> Values:
        return {key: pickle.loads(client.get_object(**at(key))["Body"].read()) for key in values}

    def head_each(values: Values) -> None:
        for key in values:
            client.head_object(**at(key))

    def modify_each(values: Values) -> None:
        for key in values:
            answer = client.get_object(**at(key))
            value = dict(pickle.loads(answer["Body"].read()))
            body = pickle.dumps(value, PROTOCOL)
            client.put_object(**at(key), Body=body, IfMatch=answer["ETag"])

    def pages() -> Iterator[Any]:
        yield from client.get_paginator("list_objects_v2").paginate(
            Bucket=place.bucket, Prefix=place.prefix
        )

    def clear(values: Values) -> None:
        for page in pages():
            objects: list[ObjectIdentifierTypeDef] = [
                {"Key": each["Key"]} for each in page.get("Contents", ())
            ]
            if objects:
                client.delete_objects(Bucket=place.bucket, Delete={"Objects": objects})

    return {
        "set": put_each,
        "get": get_each,
        "in": head_each,
        "modify": modify_each,
        "write": put_each,
        "read": get_each,
        "len": lambda values: sum(page["KeyCount"] for page in pages()),
        "list": lambda values: sum(1 for page in pages() for _ in page.get("Contents", ())),
        "clear": clear,
    }


def threaded(acts: Acts, threads: ThreadPoolExecutor) -> Acts:
    """Return the acts on many values, with a thread for each request in flight."""

    def one_by_one(act: str, values: Values) -> Any:
        return threads.map(acts[act], ({key: value} for key, value in values.items()))

    def put_all(values: Values) -> None:
        for _ in one_by_one("set", values):
            pass

    def get_all(values: Values) -> Values:
        return {key: value for each in one_by_one("get", values) for key, value in each.items()}

    return {"write": put_all, "read": get_all}


if __name__ == "__main__":
    main(*sys.argv[1:])
