"""What the emulator of Google Cloud Storage gets wrong, and that the proxy in front corrects it.

If one of the first tests fails, a new version of the emulator has been corrected itself.
"""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.rigs import GcsRig, unique_name

pytestmark = pytest.mark.gcs


def asked(endpoint_url: str, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    with closing(HTTPConnection(urlsplit(endpoint_url).netloc)) as connection:
        connection.request(method, path, body, {"Content-Range": "bytes 0-0/1"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture
def name(gcs: GcsRig) -> str:
    """The name of an object that exists."""
    name = unique_name()
    path = f"/upload/storage/v1/b/{gcs.bucket}/o?uploadType=media&name={name}"
    assert gcs.request("POST", path, b"value")[0] == 200
    return name


class TestTheEmulator:
    def test_deletes_although_the_condition_does_not_hold(self, gcs: GcsRig, name: str) -> None:
        path = f"/storage/v1/b/{gcs.bucket}/o/{name}?ifGenerationMatch=1"
        assert asked(gcs.server.endpoint_url, "DELETE", path)[0] == 200

    def test_copies_although_the_condition_does_not_hold(self, gcs: GcsRig, name: str) -> None:
        objects = f"/storage/v1/b/{gcs.bucket}/o"
        path = f"{objects}/{name}/rewriteTo/b/{gcs.bucket}/o/{name}2?ifSourceGenerationMatch=1"
        assert asked(gcs.server.endpoint_url, "POST", path)[0] == 200

    def test_does_not_say_what_is_absent(self, gcs: GcsRig) -> None:
        for path in (f"/storage/v1/b/{gcs.bucket}/o/absent", "/storage/v1/b/absent/o/k"):
            status, body = asked(gcs.server.endpoint_url, "GET", path)
            assert (status, json.loads(body)["error"]["message"]) == (404, "Not Found")


class TestTheProxy:
    def test_refuses_a_delete_whose_condition_does_not_hold(self, gcs: GcsRig, name: str) -> None:
        path = f"/storage/v1/b/{gcs.bucket}/o/{name}"
        assert asked(gcs.proxy.endpoint_url, "DELETE", f"{path}?ifGenerationMatch=1")[0] == 412
        _, body = asked(gcs.proxy.endpoint_url, "GET", path)
        generation = json.loads(body)["generation"]
        path = f"{path}?ifGenerationMatch={generation}"
        assert asked(gcs.proxy.endpoint_url, "DELETE", path)[0] == 200

    def test_refuses_a_copy_whose_condition_does_not_hold(self, gcs: GcsRig, name: str) -> None:
        objects = f"/storage/v1/b/{gcs.bucket}/o"
        path = f"{objects}/{name}/rewriteTo/b/{gcs.bucket}/o/{name}2?ifSourceGenerationMatch=1"
        assert asked(gcs.proxy.endpoint_url, "POST", path)[0] == 412

    def test_says_what_is_absent(self, gcs: GcsRig) -> None:
        for path, message in (
            (f"/storage/v1/b/{gcs.bucket}/o/absent", f"No such object: {gcs.bucket}/absent"),
            ("/storage/v1/b/absent/o/k", "The specified bucket does not exist."),
        ):
            status, body = asked(gcs.proxy.endpoint_url, "GET", path)
            assert (status, json.loads(body)["error"]["message"]) == (404, message)

    def test_refuses_the_end_of_an_upload_whose_condition_does_not_hold(
        self, gcs: GcsRig, name: str
    ) -> None:
        path = f"/upload/storage/v1/b/{gcs.bucket}/o?uploadType=resumable&ifGenerationMatch=1"
        address = urlsplit(gcs.proxy.endpoint_url).netloc
        with closing(HTTPConnection(address)) as connection:
            connection.request("POST", path, json.dumps({"name": name}))
            answer = connection.getresponse()
            answer.read()
            session = urlsplit(answer.headers["Location"])
        assert session.netloc == address
        upload = f"{session.path}?{session.query}"
        assert asked(gcs.proxy.endpoint_url, "PUT", upload, b"x")[0] == 412
