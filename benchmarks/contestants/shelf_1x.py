"""Contestant: cshelve 1.6, which is the module `cshelve` in the environment that this runs in."""

from __future__ import annotations

import logging

import cshelve
from benchmarks.contestants.mapping import ini, mapping_acts
from benchmarks.contestants.turns import Turns
from benchmarks.machine import versions


def main() -> None:
    turns = Turns()
    # It logs each object without its metadata, and a simulated server has no others.
    logging.disable()
    with ini(turns.place, {}) as file:
        db = cshelve.open(file)
    with db:
        turns.take(mapping_acts(db), versions("cshelve", "boto3"))


if __name__ == "__main__":
    main()
