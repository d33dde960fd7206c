"""The servers: identities and policies, crashes, and what is left of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("boto3")

from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from testbed.scripted_server import ScriptedServer
from testbed.seaweedfs import SeaweedFS
from testbed.server_process import ServerStartError
from tests.testbed.rig import ONCE, body_of, code_of

pytestmark = [pytest.mark.s3, pytest.mark.once]


def test_identities_may_do_what_their_policies_say(weed: SeaweedFS) -> None:
    clients = {name: weed.client(who) for name, who in weed.identities.items()}
    for key in ("team-a/1", "team-b/1"):
        clients["admin"].put_object(Bucket="bucket", Key=key, Body=b"v")

    def status(name: str, operation: str, **arguments: object) -> int:
        try:
            answer = getattr(clients[name], operation)(Bucket="bucket", **arguments)
        except ClientError as error:
            answer = error.response
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    assert status("reader", "get_object", Key="team-a/1") == 200
    assert status("reader", "put_object", Key="team-a/1") == 403
    assert status("lister", "list_objects_v2") == 200
    assert status("lister", "get_object", Key="team-a/1") == 403
    assert status("scoped", "list_objects_v2", Prefix="team-a/") == 200
    assert status("scoped", "list_objects_v2", Prefix="team-b/") == 403
    assert status("scoped", "list_objects_v2") == 403
    assert status("scoped", "get_object", Key="team-a/1") == 200
    assert status("scoped", "get_object", Key="team-b/1") == 403
    assert status("scoped", "put_object", Key="team-b/2") == 403
    assert status("writer-of-b", "put_object", Key="b/1") == 200
    assert status("writer-of-b", "get_object", Key="b/1") == 403
    for client in clients.values():
        client.close()


def test_what_was_acknowledged_survives_a_crash() -> None:
    with SeaweedFS() as server:
        client = server.client(config=ONCE)
        client.create_bucket(Bucket="bucket")
        large = os.urandom(9 << 20)
        for key, body in (("small", b"v"), ("large", large), ("gone", b"v")):
            client.put_object(Bucket="bucket", Key=key, Body=body)
        client.delete_object(Bucket="bucket", Key="gone")
        server.crash()
        with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
            client.head_bucket(Bucket="bucket")
        server.recover()
        assert body_of(client, "small") == b"v"
        assert body_of(client, "large") == large
        assert code_of(lambda: body_of(client, "gone")) == (404, "NoSuchKey")
        client.close()


def test_nothing_is_left_of_a_stopped_server(tmp_path: Path) -> None:
    code = "from testbed.seaweedfs import SeaweedFS; print(SeaweedFS().start().endpoint_url)"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    # It never stops the server: the end of its process does.
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=True
    )
    port = int(ran.stdout.decode().rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert list(tmp_path.iterdir()) == []
    assert list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock")) == []


def test_another_server_on_its_port_is_told_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is started once more, on other ports."""
    answer = b'HTTP/1.1 201 Created\r\nContent-Length: 18\r\n\r\n{"name":"warm-up"}'
    with ScriptedServer([answer]) as other:
        monkeypatch.setattr(SeaweedFS, "endpoint_url", other.endpoint_url)
        with pytest.raises(ServerStartError, match="another server took its port"):
            SeaweedFS().warm_up()
