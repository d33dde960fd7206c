"""Contestant: persidict's BasicS3Dict, which keeps no copies on this machine."""

from __future__ import annotations

import os

from persidict import BasicS3Dict

from benchmarks.contestants.mapping import mapping_acts
from benchmarks.contestants.turns import Turns, Values
from benchmarks.machine import versions


def main() -> None:
    turns = Turns()
    place = turns.place
    # It has no parameters for these.
    os.environ["AWS_ENDPOINT_URL_S3"] = place.endpoint_url
    os.environ["AWS_ACCESS_KEY_ID"] = place.access_key
    os.environ["AWS_SECRET_ACCESS_KEY"] = place.secret_key
    db = BasicS3Dict(bucket_name=place.bucket, root_prefix=place.prefix, region="us-east-1")

    def modify_each(values: Values) -> None:
        for key in values:
            db.transform_item(key, transformer=dict)

    def contains_each(values: Values) -> int:
        # It appends .pkl itself.
        return sum(key.removesuffix(".pkl") in db for key in values)

    acts = mapping_acts(db) | {"modify": modify_each, "in": contains_each}
    turns.take(acts, versions("persidict", "boto3"))


if __name__ == "__main__":
    main()
