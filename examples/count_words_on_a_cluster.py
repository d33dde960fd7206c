"""Count the words of all values of a shelf on a Dask cluster.

Run ``python count_words_on_a_cluster.py fill aws-s3.ini`` to store 100,000 texts. Then run
``python count_words_on_a_cluster.py count aws-s3.ini`` to count their words in processes on this
machine, or put the address of a scheduler behind it, such as ``tcp://10.0.0.1:8786``. Set the
variables that aws-s3.ini names, also for the workers of the cluster.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from distributed import Client

import cshelve
from cshelve.dask import to_bag

TEXTS = 100_000
WORDS_PER_TEXT = 100
# With a few parts for each thread of the workers, none of them waits long for the last part.
PARTS_PER_THREAD = 8


def count_words(pairs: Iterable[tuple[str, str]]) -> Counter[str]:
    """Return the number of each word in some texts; runs on the workers."""
    counts: Counter[str] = Counter()
    for _, text in pairs:
        counts.update(re.findall(r"\w+", text.lower()))
    return counts


def added_up(counts: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counts, Counter())


def counted_on(client: Client, db: cshelve.CloudShelf[str]) -> Counter[str]:
    """Return the number of each word in a shelf, counted on the cluster of a client."""
    threads = sum(client.nthreads().values())
    bag = to_bag(db, npartitions=threads * PARTS_PER_THREAD)
    counts: Counter[str] = bag.reduction(count_words, added_up).compute()
    return counts


def client_of(scheduler: str | None) -> Client:
    # Without a scheduler, Dask starts one here, and a worker for each processor.
    return Client(scheduler) if scheduler else Client(threads_per_worker=1)


def count(configuration: str, scheduler: str | None = None) -> None:
    with cshelve.open(configuration, "r") as db, client_of(scheduler) as client:
        assert isinstance(db, cshelve.CloudShelf)  # every shelf from a configuration is one
        began = time.perf_counter()
        counts = counted_on(client, db)
        seconds = time.perf_counter() - began
    for word, number in counts.most_common(10):
        print(f"{number:9}  {word}")
    print(f"{counts.total():9}  in all, {len(counts)} different ones, in {seconds:.2f} s")


def fill(configuration: str, texts: str = str(TEXTS)) -> None:
    with cshelve.open(configuration) as db:
        db.update(made_up(int(texts)))


def made_up(texts: int) -> Iterator[tuple[str, str]]:
    """Yield texts whose words are as common as those of a language: some often, many rarely."""
    chance = random.Random(1)
    words = [f"word{number}" for number in range(1, 5001)]
    weights = [1 / number for number in range(1, 5001)]
    for number in range(texts):
        yield f"{number:06}", " ".join(chance.choices(words, weights, k=WORDS_PER_TEXT))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", configuration, *texts]:
            fill(configuration, *texts)
        case ["count", configuration, *scheduler]:
            count(configuration, *scheduler)
        case _:
            sys.exit(__doc__)
