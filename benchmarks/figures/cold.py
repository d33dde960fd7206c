"""Programs that open a shelf, or a client, and read one value: whole processes are measured."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.contestants.mapping import ini
from benchmarks.contestants.turns import Place
from benchmarks.figures.programs import (
    BOTO3,
    LOCAL,
    OBSTORE,
    OLD,
    OURS,
    PERSIDICT,
    PROGRAMS,
    PY_KEY_VALUE,
    S3DOL,
    S3FS,
)
from benchmarks.rounds import medians
from testbed.environments import own_surroundings, python_in

__all__ = ["PYTHON", "cold_starts"]

PYTHON = "Python alone"

# In each, braces enclose what a contestant's place says; the credentials are in the environment.
_SHELF = """
import cshelve
with cshelve.open({ini!r}) as db:
    db[{key!r}]
"""
SOURCES = {
    OURS: _SHELF,
    OLD: _SHELF,
    BOTO3: """
import pickle, boto3
client = boto3.client("s3", endpoint_url={url!r})
pickle.loads(client.get_object(Bucket={bucket!r}, Key={name!r})["Body"].read())
""",
    OBSTORE: """
import pickle
from obstore.store import S3Store
options = dict(virtual_hosted_style_request=False, client_options={{"allow_http": True}})
store = S3Store({bucket!r}, endpoint={url!r}, **options)
pickle.loads(store.get({name!r}).bytes())
""",
    PERSIDICT: """
from persidict import BasicS3Dict
db = BasicS3Dict(bucket_name={bucket!r}, root_prefix={prefix!r}, region="us-east-1")
db[{key!r}]
""",
    S3DOL: """
import s3dol
connection = s3dol.S3Connection(endpoint_url={url!r}, region_name="us-east-1")
s3dol.S3Pickles({bucket!r}, connection=connection, prefix={prefix!r})[{key!r}]
""",
    S3FS: """
import pickle, fsspec
db = fsspec.get_mapper("s3://{bucket}/{prefix}", client_kwargs={{"endpoint_url": {url!r}}})
pickle.loads(db[{key!r}])
""",
    PY_KEY_VALUE: """
import asyncio, warnings
warnings.simplefilter("ignore")
from key_value.aio.stores.s3 import S3Store
options = dict(bucket_name={bucket!r}, endpoint_url={url!r}, default_collection={collection!r})
async def main():
    async with S3Store(**options) as store:
        assert await store.get({key!r})
asyncio.run(main())
""",
    LOCAL: """
import shelve
with shelve.open({file!r}) as db:
    db[{key!r}]
""",
    PYTHON: "",
}
# The most memory that the process has used.
_PEAK = "\nprint(*[line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line])\n"


def cold_starts(
    places: dict[str, Place], file: str, key: str, rounds: int
) -> dict[str, tuple[float, int]]:
    """Return the median seconds of each contestant's program, and the bytes that it uses.

    The file is that of the local shelf.
    """
    with ExitStack() as files:
        acts = {}
        for name, source in SOURCES.items():
            names = {"file": file, "key": key}
            if name in places:
                names |= _names(places[name], key)
                names["ini"] = files.enter_context(ini(places[name], _options(places[name])))
            acts[name] = partial(_run, name, source.format(**names) + _PEAK, places[OURS])
        # The first run compiles modules that are not compiled yet, as pip does on installation.
        peaks = {name: act() for name, act in acts.items()}
        taken = medians(acts, rounds)
    return {name: (each.seconds, peaks[name]) for name, each in taken.items()}


def _options(place: Place) -> dict[str, str]:
    return {"key_prefix": place.prefix} if place.prefix else {}


def _names(place: Place, key: str) -> dict[str, str]:
    return {
        "url": place.endpoint_url,
        "bucket": place.bucket,
        "prefix": place.prefix,
        "collection": place.prefix.rstrip("/"),
        "name": place.prefix + key,
    }


def _surroundings(place: Place) -> dict[str, str]:
    return {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": place.access_key,
        "AWS_SECRET_ACCESS_KEY": place.secret_key,
        "AWS_ENDPOINT_URL_S3": place.endpoint_url,
    }


def _run(name: str, source: str, place: Place) -> int:
    environment = PROGRAMS[name].environment if name in PROGRAMS else None
    # In this environment, PYTHONPATH may say where cshelve's modules are.
    inherited = own_surroundings(*([] if environment else ["PYTHONPATH"]))
    python: str | Path = python_in(environment) if environment else sys.executable
    done = subprocess.run(
        [python, "-c", source],
        check=True,
        env={**inherited, **_surroundings(place)},
        stdout=subprocess.PIPE,
        text=True,
    )
    return int(done.stdout.split()[-1]) * 1024
