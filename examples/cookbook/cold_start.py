"""Measure how long a new process needs to answer its first request, as in a cold start.

Run it as ``python cold_start.py 20``, with SHELF as for aws_lambda.py.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

GET = {"rawPath": "/greeting", "requestContext": {"http": {"method": "GET"}}}
HANDLER = f"import aws_lambda; assert aws_lambda.handler({GET}, None)['statusCode'] == 200"
BOTO3 = "import boto3; boto3.client('s3').get_object(Bucket={!r}, Key={!r})['Body'].read()"


def measure(program: str, shelf: str, runs: int) -> tuple[float, float]:
    """Return how long a program takes, and how much of a processor; in milliseconds, the median."""
    elapsed, busy = [], []
    environment = os.environ | {"SHELF": shelf}
    for _ in range(runs):
        before, started = processor_seconds(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", program], cwd=Path(__file__).parent, env=environment, check=True
        )
        elapsed.append(time.perf_counter() - started)
        busy.append(processor_seconds() - before)
    return 1000 * statistics.median(elapsed), 1000 * statistics.median(busy)


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(runs: int) -> None:
    shelf = os.environ["SHELF"]
    url = urlsplit(shelf)
    boto3 = BOTO3.format(url.netloc, f"{url.path[1:]}/greeting")
    put = "import aws_lambda; aws_lambda.notes['greeting'] = 'hello'"
    subprocess.run([sys.executable, "-c", put], cwd=Path(__file__).parent, check=True)
    print(f"{'':34} elapsed  processor")
    for name, program, place in (
        ("Python alone", "pass", shelf),
        ("the function", HANDLER, shelf),
        ("the function, with engine = boto3", HANDLER, f"{shelf}&engine=boto3"),
        ("boto3 without cshelve", boto3, shelf),
    ):
        elapsed, busy = measure(program, place, runs)
        print(f"{name:34} {elapsed:4.0f} ms    {busy:4.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]))
