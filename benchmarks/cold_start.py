"""How long a process takes that opens a shelf in a bucket and ends, beside one with boto3 alone.

    python -m benchmarks.cold_start

Whole processes of this environment, in turns; none sends a request. What a row takes by itself
shows `python -X importtime`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

from benchmarks.machine import described
from benchmarks.rounds import medians

ROUNDS = 21
BOTO3 = "boto3's `Session().client('s3')`"
SHELF = "a shelf in a bucket"
IN_MEMORY = {"default": {"provider": "in-memory"}}
IN_BUCKET = {
    "default": {
        "provider": "aws-s3",
        "bucket_name": "bucket",
        "auth_type": "default",
        "region_name": "us-east-1",
        "check_bucket": False,
    }
}
OPEN = f"cshelve.open_from_dict({IN_BUCKET})"
PROGRAMS = {
    BOTO3: "from boto3 import Session; client = Session().client('s3')",
    SHELF: f"import cshelve; db = {OPEN}; db.close()",
    f"ten times {BOTO3}": "from boto3 import Session\nfor _ in range(10): Session().client('s3')",
    f"ten times {SHELF}": f"import cshelve\nfor _ in range(10): {OPEN}.close()",
    "`import boto3`": "import boto3",
    "`import cshelve`": "import cshelve",
    "a shelf in memory": f"import cshelve; cshelve.open_from_dict({IN_MEMORY}).close()",
    "Python": "",
}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
SETTINGS = {"AWS_DEFAULT_REGION": "us-east-1", **CREDENTIALS}


def main() -> None:
    print(described("cshelve", "boto3"))
    print(f"\nmedians of {ROUNDS} rounds\n")
    acts = {name: partial(run, program) for name, program in PROGRAMS.items()}
    for act in acts.values():
        act()  # Python compiles what it has not compiled before, as pip does when it installs.
    seconds = medians(acts, ROUNDS)
    print("| | time | ratio |")
    print("|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {taken * 1000:,.0f} ms | {taken / seconds[BOTO3]:.2f} |")


def run(program: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([sys.executable, "-c", program], check=True, env={**inherited, **SETTINGS})


if __name__ == "__main__":
    main()
