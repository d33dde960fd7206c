"""A bucket on a real S3 server, in the variables that a deployed program would have."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from testbed.seaweedfs import IdentitySpec, SeaweedFS

FOLDER = Path(__file__).parent
BUCKET = "cookbook"

# Of the AWS Lambda function.
SHELF_OF_FUNCTION = f"s3://{BUCKET}/notes?serializer=json&check_bucket=false"

_numbers = itertools.count()


def policy_of(shelf: str) -> dict[str, Any]:
    """Return the least policy, as the page tells readers to make it."""
    command = [sys.executable, "-m", "cshelve", "policy", shelf, "--flag", "w"]
    policy: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=PIPE).stdout)
    return policy


@pytest.fixture(scope="session")
def server() -> Iterator[SeaweedFS]:
    function = IdentitySpec("function", policies=[("function", policy_of(SHELF_OF_FUNCTION))])
    with SeaweedFS([function]) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def store(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a prefix of its own, for this process and those that it starts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    url = f"s3://{BUCKET}/test-{next(_numbers)}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": server.admin.access_key,
        "AWS_SECRET_ACCESS_KEY": server.admin.secret_key,
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "STORE": url,
    }.items():
        monkeypatch.setenv(name, value)
    return url


@pytest.fixture(autouse=True)
def _programs_are_imported_again() -> Iterator[None]:
    """Let each test import the programs again, which read its variables then."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(FOLDER):
            del sys.modules[name]
