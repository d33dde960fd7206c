"""Contestant: boto3's client in a loop, with pickle; no records, one request after the other."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, TypedDict

from benchmarks.contestants.turns import PROTOCOL, Acts, Place, Turns, Values
from benchmarks.machine import versions
from testbed.s3_client import Identity, s3_client

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class Location(TypedDict):
    Bucket: str
    Key: str


def main() -> None:
    turns = Turns()
    place = turns.place
    identity = Identity(place.access_key, place.secret_key)
    client = s3_client(place.endpoint_url, identity, {"verify": place.ca_file or None})
    turns.take(boto3_acts(client, place), versions("boto3"))


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

    def count(values: Values) -> int:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=place.bucket, Prefix=place.prefix
        )
        return sum(page["KeyCount"] for page in pages)

    return {
        "set": put_each,
        "get": get_each,
        "in": head_each,
        "write": put_each,
        "read": get_each,
        "len": count,
    }


if __name__ == "__main__":
    main()
