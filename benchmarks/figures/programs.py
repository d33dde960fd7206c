"""The contestants: each a program in its own environment, and its place in the server."""

from __future__ import annotations

from benchmarks.contestants.process import Program
from benchmarks.contestants.turns import Place
from testbed.seaweedfs import SeaweedFS

__all__ = [
    "BOTO3",
    "BUCKETS",
    "LOCAL",
    "LOOPED",
    "OBSTORE",
    "OLD",
    "OURS",
    "PERSIDICT",
    "PROGRAMS",
    "PY_KEY_VALUE",
    "S3DOL",
    "S3FS",
    "place_of",
]

OURS, OLD, BOTO3, OBSTORE = "cshelve", "cshelve 1.6", "boto3", "obstore"
PERSIDICT, S3DOL, S3FS, PY_KEY_VALUE = "persidict", "s3dol", "s3fs", "py-key-value"
LOCAL = "shelve"

PROGRAMS = {
    OURS: Program("shelf", ("auto",)),
    OLD: Program("shelf_1x", environment=".venv-1.x"),
    BOTO3: Program("bare_boto3", ("threads",), environment=".venv-bare"),
    OBSTORE: Program("bare_obstore", environment=".venv-bare"),
    PERSIDICT: Program("persidict_s3", environment=".venv-peers"),
    S3DOL: Program("s3dol_store", environment=".venv-peers"),
    S3FS: Program("s3fs_mapper", environment=".venv-peers"),
    PY_KEY_VALUE: Program("py_key_value", environment=".venv-peers"),
    LOCAL: Program("local_shelve"),
}
LOOPED = {
    "write": (OLD, PERSIDICT, S3DOL),
    "read": (OLD, PERSIDICT, S3DOL),
    "clear": (OLD, PERSIDICT),
}
"""Who does an act on many values one after the other, so that fewer of them are enough."""

CONCURRENCY = 32
# 1.6 uses a whole bucket.
BUCKETS = ("shared", "old")


def place_of(name: str, server: SeaweedFS, endpoint_url: str) -> Place:
    """Return where a contestant has its values."""
    return Place(
        endpoint_url=endpoint_url,
        access_key=server.admin.access_key,
        secret_key=server.admin.secret_key,
        bucket="old" if name == OLD else "shared",
        prefix="" if name == OLD else f"{list(PROGRAMS).index(name)}/",
        concurrency=CONCURRENCY,
    )
