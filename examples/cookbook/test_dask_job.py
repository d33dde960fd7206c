from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cshelve

PROGRAM = Path(__file__).parent / "dask_job.py"


def test_orders_are_added_up(store: str) -> None:
    with cshelve.open(f"{store}/orders?serializer=json") as orders:
        orders.update(
            {f"{number:04}": {"customer": f"c{number % 5}", "cents": 100} for number in range(200)}
        )
    command = [sys.executable, str(PROGRAM)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert ended.stdout == "customers: 5\n"
    with cshelve.open(f"{store}/totals?serializer=json", "r") as totals:
        assert dict(totals.items()) == {f"c{number}": 4000 for number in range(5)}
