"""Start a real S3 server, share a shelf between two processes, and look inside: `make demo`.

Run it from the project's root as ``python -m examples.demo``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from testbed.seaweedfs import SeaweedFS

EXAMPLES = Path(__file__).parent
BUCKET = "cshelve"


def main() -> None:
    say("Starting a real S3 server (SeaweedFS) on this machine …")
    with SeaweedFS() as server, tempfile.TemporaryDirectory() as folder:
        print(f"   it listens at {server.endpoint_url}, and no bucket is in it yet")
        configuration = write_configuration(Path(folder), server.endpoint_url)
        say("The configuration, aws-s3.ini:")
        print(indented(configuration))
        environment = os.environ | {
            "AWS_KEY_ID": server.admin.access_key,
            "AWS_KEY_SECRET": server.admin.secret_key,
        }
        for number, task in ((1, "write"), (2, "read")):
            say(f"Process {number}: python quickstart.py {task}")
            print(indented(quickstart(task, folder, environment)))
        show_bucket(server)
    say("The server is stopped. The same lines work on AWS: leave endpoint_url out.")


def write_configuration(folder: Path, endpoint_url: str) -> str:
    """Write the example's aws-s3.ini with the address of this server, and return its text."""
    text = (EXAMPLES / "aws-s3.ini").read_text()
    text = text.replace("http://localhost:9000", endpoint_url)
    (folder / "aws-s3.ini").write_text(text)
    return text


def quickstart(task: str, folder: str, environment: dict[str, str]) -> str:
    """Run the example in its own process and return its output."""
    program = str(EXAMPLES / "quickstart.py")
    command = [sys.executable, program, task]
    return subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def show_bucket(server: SeaweedFS) -> None:
    """Show what the shelf looks like to plain boto3."""
    say(f"What plain boto3 sees in the bucket {BUCKET!r}:")
    client = server.client()
    for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        data = client.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()
        beginning = " ".join(f"{byte:02x}" for byte in data[:16])
        print(f"   {found['Key']:11} {found['Size']:4} bytes   {beginning} …")
    print("   (one object a key: ten bytes of header, then the pickle, which begins with 80 05)")


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def indented(text: str) -> str:
    return "\n".join(f"   {line}" if line else "" for line in text.strip().splitlines())


if __name__ == "__main__":
    main()
