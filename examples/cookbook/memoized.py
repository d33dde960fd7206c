"""Results of a slow function, which all machines share through a bucket.

Run ``STORE=s3://my-bucket python memoized.py 1 2 3`` on several machines at the same time.
"""

import os
import random
import sys
import time

import cshelve
from cshelve.recipes import memoize

STORE = os.environ.get("STORE", "s3://my-bucket")

# A new version of the function gets a new prefix, and so no old results.
results: cshelve.CloudShelf[float] = cshelve.open(f"{STORE}/results/v1")


@memoize(results, expire_after_seconds=7 * 24 * 3600)
def area_of_circle(seed: int, points: int = 100_000) -> float:
    """Throw points at a square, and count those in the circle."""
    print(f"computing seed {seed} in process {os.getpid()}", flush=True)
    chance = random.Random(seed)
    inside = sum(chance.random() ** 2 + chance.random() ** 2 < 1 for _ in range(points))
    return 4 * inside / points


def main(seeds: list[int]) -> None:
    started = time.perf_counter()
    areas = [area_of_circle(seed) for seed in seeds]
    seconds = time.perf_counter() - started
    print(f"{sum(areas) / len(areas):.5f} after {seconds:.2f} seconds")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
