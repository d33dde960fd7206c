"""Contestant: s3dol's S3Pickles."""

from __future__ import annotations

import s3dol

from benchmarks.contestants.mapping import mapping_acts
from benchmarks.contestants.turns import Turns, Values
from benchmarks.machine import versions


def main() -> None:
    turns = Turns()
    place = turns.place
    connection = s3dol.S3Connection(
        endpoint_url=place.endpoint_url,
        region_name="us-east-1",
        credentials=s3dol.StaticCredentials(place.access_key, place.secret_key),
    )
    db = s3dol.S3Pickles(place.bucket, connection=connection, prefix=place.prefix)

    def clear(values: Values) -> None:
        s3dol.delete_many(db, list(db))

    acts = mapping_acts(db) | {"clear": clear}
    del acts["len"]  # It raises a TypeError, so that nobody counts keys by mistake.
    turns.take(acts, versions("s3dol", "boto3"))


if __name__ == "__main__":
    main()
