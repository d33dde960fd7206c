"""Contestant: this release with one engine, `python -m benchmarks.contestants.shelf ENGINE`."""

from __future__ import annotations

import sys

import cshelve
from benchmarks.contestants.mapping import ini, mapping_acts
from benchmarks.contestants.turns import Acts, Turns, Values
from benchmarks.machine import versions
from cshelve.providers import AwsS3


def main(engine: str) -> None:
    turns = Turns()
    place = turns.place
    options = {"key_prefix": place.prefix, "engine": engine, "concurrency": place.concurrency}
    with ini(place, options) as file:
        db = cshelve.open(file)
    assert isinstance(db, cshelve.CloudShelf)
    with db:
        acts: Acts = {
            **mapping_acts(db),
            "read": lambda values: dict(db.get_many(values)),
            "modify": lambda values: modify_each(db, values),
        }
        turns.take(acts, f"{versions('cshelve', 'boto3')}, engine {engine_of(db)}")


def modify_each(db: cshelve.CloudShelf, values: Values) -> Values:
    return {key: db.modify(key, dict) for key in values}


def engine_of(db: cshelve.CloudShelf) -> str:
    assert isinstance(db.provider, AwsS3)
    return db.provider.engine


if __name__ == "__main__":
    main(sys.argv[1])
