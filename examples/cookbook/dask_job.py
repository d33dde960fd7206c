"""Add up orders on a Dask cluster: from a shelf, into a shelf.

Run it as ``STORE=s3://my-bucket python dask_job.py``. Dask starts a cluster on this machine, or
uses the one whose address is in DASK_SCHEDULER_ADDRESS.
"""

import os
from typing import Any

from dask.distributed import Client

import cshelve
from cshelve.dask import from_bag, to_bag

STORE = os.environ.get("STORE", "s3://my-bucket")


def add(total: int, order: dict[str, Any]) -> int:
    return total + int(order["cents"])


def main() -> None:
    with (
        cshelve.open(f"{STORE}/orders?serializer=json") as orders,
        cshelve.open(f"{STORE}/totals?serializer=json") as totals,
        Client(),
    ):
        # Each task reads one part of the keys, in parallel, in the process of a worker.
        bag = to_bag(orders, npartitions=16).pluck(1)
        spent = bag.foldby("customer", add, 0, lambda one, other: one + other, 0)
        # Each task stores the pairs that it has.
        print("customers:", from_bag(spent, totals))


if __name__ == "__main__":
    main()
