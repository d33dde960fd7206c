from __future__ import annotations

import importlib
import io
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from werkzeug.serving import make_server

import cshelve

PICTURE = bytes(range(256)) * 100


@pytest.fixture
def flask_app(store: str) -> Iterator[Any]:
    module = importlib.import_module("flask_app")
    yield module
    module.sessions.close()
    module.files.close()


@pytest.fixture
def client(flask_app: Any) -> Any:
    client = flask_app.app.test_client()
    assert client.post("/login", data={"user": "ada"}).status_code == 204
    return client


def upload(client: Any, name: str, data: bytes) -> int:
    form = {"file": (io.BytesIO(data), name)}
    status: int = client.post("/files", data=form).status_code
    return status


def test_a_file_is_uploaded_and_comes_from_the_bucket(client: Any) -> None:
    assert upload(client, "photo.png", PICTURE) == 201
    assert client.get("/files").json == {"photo.png": len(PICTURE)}
    link = client.get("/files/photo.png").headers["Location"]
    with urllib.request.urlopen(link, timeout=20) as answer:
        assert answer.read() == PICTURE
        assert answer.headers["Content-Disposition"] == "attachment"
    assert client.get("/files/absent.png").status_code == 404


def test_a_file_of_many_parts_over_http(flask_app: Any, store: str) -> None:
    data = b"0123456789" * 2_000_000
    server = make_server("127.0.0.1", 0, flask_app.app, threaded=True)
    threading.Thread(target=server.serve_forever).start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", timeout=60) as client:
        client.post("/login", data={"user": "ada"})
        assert client.post("/files", files={"file": ("large.bin", data)}).status_code == 201
    server.shutdown()
    server.server_close()
    with cshelve.open(f"{store}/files?serializer=bytes&use_versioning=false", "r") as files:
        assert files["ada/large.bin"] == data


def test_users_see_their_own_files_only(flask_app: Any, client: Any) -> None:
    upload(client, "../../grace/photo.png", PICTURE)
    other = flask_app.app.test_client()
    assert other.get("/files").status_code == 401
    other.post("/login", data={"user": "grace"})
    assert other.get("/files").json == {}
    assert other.get("/files/..%2Fada%2Fphoto.png").status_code == 404


def test_a_session_ends_with_the_logout(flask_app: Any, client: Any) -> None:
    cookie = client.get_cookie("session").value
    assert client.post("/logout").status_code == 204
    client.set_cookie("session", cookie)
    assert client.get("/files").status_code == 401
    assert list(flask_app.sessions) == []


def test_a_slow_request_does_not_bring_a_session_back(flask_app: Any, client: Any) -> None:
    with client.session_transaction() as session:
        session["visits"] = 1
        flask_app.sessions.clear()
    assert client.get("/files").status_code == 401


def test_a_login_has_a_new_number(client: Any) -> None:
    before = client.get_cookie("session").value
    client.post("/login", data={"user": "grace"})
    assert client.get_cookie("session").value != before


def test_a_session_expires(flask_app: Any, client: Any) -> None:
    for key in list(flask_app.sessions):
        flask_app.sessions.set(key, {"user": "ada"}, expire_after_seconds=0.001)
    assert client.get("/files").status_code == 401
    assert flask_app.sessions.expire() == 1


def test_nothing_is_written_for_a_visitor_without_a_session(flask_app: Any) -> None:
    with flask_app.sessions.stats.measuring() as used:
        assert flask_app.app.test_client().get("/files").status_code == 401
    assert "PutObject" not in used.requests
