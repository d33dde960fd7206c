"""The function runs in AWS's own runtime client, with credentials that have the least policy."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import cshelve
from testbed.seaweedfs import SeaweedFS

FOLDER = Path(__file__).parent
SHELF = "s3://cookbook/notes?serializer=json&check_bucket=false"


def event(method: str, path: str, body: str | None = None) -> dict[str, Any]:
    return {"rawPath": path, "body": body, "requestContext": {"http": {"method": method}}}


class RuntimeApi(BaseHTTPRequestHandler):
    """The part of the Lambda service that hands events to an instance, and gets its answers."""

    events: queue.Queue[dict[str, Any]] = queue.Queue()
    answers: queue.Queue[dict[str, Any]] = queue.Queue()

    def do_GET(self) -> None:
        data = json.dumps(self.events.get()).encode()
        self.send_response(200)
        # AWS's client needs all of them.
        for name, value in {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": "1",
            "Lambda-Runtime-Deadline-Ms": "9999999999999",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:::function:notes",
            "Lambda-Runtime-Trace-Id": "Root=1",
        }.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.put(json.loads(data))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def _least_policy(store: str, server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials that Lambda would give the function."""
    function = server.identities["function"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", function.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", function.secret_key)
    monkeypatch.setenv("SHELF", SHELF)


@pytest.fixture
def instance(_least_policy: None) -> Iterator[type[RuntimeApi]]:
    """One instance of the function, which has not begun with anything."""
    service = ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
    service.daemon_threads = True
    threading.Thread(target=service.serve_forever).start()
    environment = os.environ | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{service.server_port}"}
    command = [sys.executable, "-m", "awslambdaric", "aws_lambda.handler"]
    with subprocess.Popen(command, cwd=FOLDER, env=environment) as process:
        yield RuntimeApi
        process.kill()
    service.shutdown()
    service.server_close()


def invoke(instance: type[RuntimeApi], event: dict[str, Any]) -> dict[str, Any]:
    instance.events.put(event)
    return instance.answers.get(timeout=30)


def test_it_writes_and_reads_notes(instance: type[RuntimeApi]) -> None:
    assert invoke(instance, event("PUT", "/greeting", "hello")) == {"statusCode": 204}
    assert invoke(instance, event("GET", "/greeting")) == {"statusCode": 200, "body": "hello"}
    assert invoke(instance, event("GET", "/absent"))["statusCode"] == 404
    assert invoke(instance, event("DELETE", "/greeting"))["statusCode"] == 400


@pytest.mark.usefixtures("_least_policy")
def test_its_policy_allows_nothing_else() -> None:
    with cshelve.open(SHELF, "w") as notes:
        notes["greeting"] = "hello"
        assert list(notes) == ["greeting"]
        del notes["greeting"]
    with cshelve.open("s3://cookbook/other?check_bucket=false", "w") as other:
        with pytest.raises(cshelve.AuthError):
            other["greeting"] = "hello"
        with pytest.raises(cshelve.AuthError):
            other["greeting"]
        with pytest.raises(cshelve.AuthError):
            list(other)


@pytest.mark.usefixtures("_least_policy")
def test_a_cold_start_does_not_import_boto3() -> None:
    program = (
        "import sys, aws_lambda; aws_lambda.notes['k'] = 'v'; "
        "assert aws_lambda.notes['k'] == 'v'; print('boto3' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True)
    assert ended.stdout == "False\n"


@pytest.mark.usefixtures("_least_policy")
def test_the_measurement_runs() -> None:
    command = [sys.executable, "cold_start.py", "1"]
    ended = subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True)
    assert ended.stdout.count(" ms") == 8
