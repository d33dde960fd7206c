"""The application runs in uvicorn, and is used over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import cshelve
from testbed.ports import free_ports

FOLDER = Path(__file__).parent
PICTURE = bytes(range(256)) * 100
LARGE = b"0123456789" * 2_000_000


@pytest.fixture
def url(store: str) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(port)]
    with subprocess.Popen([*command, "--workers", "2"], cwd=FOLDER) as uvicorn:
        try:
            wait_for(f"http://127.0.0.1:{port}/openapi.json")
            yield f"http://127.0.0.1:{port}"
        finally:
            uvicorn.terminate()


def wait_for(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(url)
            return
        except httpx.ConnectError:
            time.sleep(0.1)
    pytest.fail("uvicorn did not begin to listen")


@contextmanager
def logged_in(url: str, user: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        assert client.post("/login", data={"user": user}).status_code == 204
        yield client


def test_uploads_and_sessions(url: str, store: str) -> None:
    with logged_in(url, "ada") as ada, logged_in(url, "grace") as grace:
        for name, data in (("photo.png", PICTURE), ("../large.bin", LARGE)):
            assert ada.post("/files", files={"file": (name, data)}).status_code == 201
        assert ada.get("/files").json() == {"photo.png": len(PICTURE), "large.bin": len(LARGE)}
        assert grace.get("/files").json() == {}
        redirect = ada.get("/files/large.bin")
        assert redirect.status_code == 307
        # Straight from the bucket, without a cookie.
        answer = httpx.get(redirect.headers["location"], timeout=60)
        assert answer.content == LARGE
        assert answer.headers["content-disposition"] == "attachment"
        assert ada.get("/files/absent.png").status_code == 404

        cookie = ada.cookies["session"]
        assert ada.post("/logout").status_code == 204
        again = httpx.get(f"{url}/files", headers={"Cookie": f"session={cookie}"})
        assert again.status_code == 401
    with cshelve.open(f"{store}/sessions?serializer=json", "r") as sessions:
        assert list(sessions.values()) == ["grace"]


def test_many_uploads_at_once(url: str) -> None:
    with logged_in(url, "ada") as ada, ThreadPoolExecutor(16) as pool:

        def upload(number: int) -> int:
            return ada.post("/files", files={"file": (f"{number}.txt", b"x")}).status_code

        assert set(pool.map(upload, range(100))) == {201}
        assert len(ada.get("/files").json()) == 100


def test_an_expired_session_is_none(url: str, store: str) -> None:
    with (
        logged_in(url, "ada") as ada,
        cshelve.open(f"{store}/sessions?serializer=json") as sessions,
    ):
        for key in sessions:
            sessions.set(key, "ada", expire_after_seconds=0.001)
        assert ada.get("/files").status_code == 401


def test_the_store_is_not_asked_for_before_the_workers_start(store: str) -> None:
    command = [sys.executable, "-c", "import fastapi_app"]
    nowhere = os.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    subprocess.run(command, cwd=FOLDER, env=nowhere, check=True)
