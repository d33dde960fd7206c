"""Web servers that are no S3, and servers whose answers only boto3 can take."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

import cshelve
from testbed.fault_proxy import Seen
from testbed.faults import Answer, EditResponse
from testbed.http_messages import Response
from testbed.scripted_server import ScriptedRequest, ScriptedServer
from testbed.seaweedfs import Identity
from tests.providers.aws_s3.rig import each_engine, engine_of
from tests.rigs import Place, S3Rig, provider_of, s3_config

pytestmark = [pytest.mark.s3, pytest.mark.once]

PAGE = b"<html><body>Welcome</body></html>"
FOR_EVER: Any = None


def page(status: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nServer: web\r\nContent-Type: text/html\r\n"
    return f"{head}Content-Length: {len(PAGE)}\r\n\r\n".encode()


def answering(status: str) -> Callable[[int, ScriptedRequest], bytes]:
    """Answer every request with a page, a HEAD with its head."""

    def answer(_: int, request: ScriptedRequest) -> bytes:
        return page(status) + (b"" if request.method == "HEAD" else PAGE)

    return answer


def empty(status: str) -> Callable[[int, ScriptedRequest], bytes]:
    """Answer every request with nothing, as far as HTTP allows it."""
    length = "" if status.startswith("204") else "Content-Length: 0\r\n"
    return lambda *_: f"HTTP/1.1 {status}\r\nServer: web\r\n{length}\r\n".encode()


def all_of(pairs: Any) -> list[tuple[str, Any]]:
    """Return all pairs, and close the iteration even if it fails."""
    with closing(pairs):
        return list(pairs)


SCRIPTS = {
    "a page with 200": answering("200 OK"),
    "a page with 404": answering("404 Not Found"),
    "nothing with 200": empty("200 OK"),
    "nothing with 204": empty("204 No Content"),
    "nothing with 404": empty("404 Not Found"),
}
OPERATIONS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "in": lambda db: "k" in db,
    "get": lambda db: db.get("k", "absent"),
    "[]": lambda db: db["k"],
    "set": lambda db: db.__setitem__("k", 1),
    "get_many": lambda db: all_of(db.get_many(["a", "b"])),
    "update": lambda db: db.update(a=1, b=2),
    "list": list,
    "len": len,
    "delete_many": lambda db: db.delete_many(["a", "b"]),
    "clear": lambda db: db.clear(),
    "modify": lambda db: db.modify("k", lambda value: value, default=1),
    "pop": lambda db: db.pop("k", None),
}


@pytest.fixture
def shelf_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., cshelve.CloudShelf]]:
    # boto3 pauses before it tries again.
    monkeypatch.setattr("time.sleep", lambda _: None)
    places = []

    def opened(server: ScriptedServer, **options: Any) -> cshelve.CloudShelf:
        default = {"bucket_name": "bucket", "total_max_attempts": 2, "check_bucket": False}
        who = Identity("id", "secret")
        config = s3_config(who, server.endpoint_url, **{**default, "engine": None, **options})
        places.append(Place(config))
        return places[-1].open()

    yield opened
    for place in places:
        place.close()


@pytest.mark.parametrize(
    ("engine", "names"),
    # A shelf with boto3 forgets what it met, and one is enough for all operations.
    [*(("direct", [name]) for name in OPERATIONS), ("boto3", [*OPERATIONS])],
)
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_web_server_is_no_shelf(
    script: str, names: list[str], engine: str, shelf_at: Callable[..., cshelve.CloudShelf]
) -> None:
    """What it says is no answer to anything: neither "done", nor "there", nor "absent".

    A page in place of a value is a damaged record.
    """
    with ScriptedServer(SCRIPTS[script]) as server:
        db = shelf_at(server, engine=engine)
        assert engine_of(db) == engine
        for name in names * 2:
            with pytest.raises((cshelve.StorageError, cshelve.CorruptRecordError)) as caught:
                OPERATIONS[name](db)
            assert not isinstance(caught.value, KeyError)
            is_read = name in {"get", "[]", "get_many", "modify", "pop"}
            assert is_read or isinstance(caught.value, cshelve.StorageError)


@each_engine
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_single_delete_is_not_done(
    script: str, engine: str, shelf_at: Callable[..., cshelve.CloudShelf]
) -> None:
    with ScriptedServer(SCRIPTS[script]) as server:
        provider = provider_of(shelf_at(server, engine=engine))
        for _ in range(2):
            with pytest.raises(cshelve.StorageError):
                provider.delete("k")


@each_engine
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_bucket_is_not_there(
    script: str, engine: str, shelf_at: Callable[..., cshelve.CloudShelf]
) -> None:
    with ScriptedServer(SCRIPTS[script]) as server, pytest.raises(cshelve.Error):
        shelf_at(server, engine=engine, check_bucket=True)


class TestServersWithFewHeaders:
    """What speaks like S3 with hardly any of its headers goes on working."""

    @pytest.fixture(params=["direct", "boto3"])
    def db(self, request: pytest.FixtureRequest, s3: S3Rig) -> Iterator[cshelve.CloudShelf]:
        def without_names(response: Response) -> Response:
            kept = [
                (name, value)
                for name, value in response.headers
                if not name.lower().startswith(("x-amz-", "server"))
            ]
            return replace(response, headers=kept)

        s3.proxy.inject(EditResponse(without_names), times=FOR_EVER)
        place = Place(s3.config(engine=request.param))
        yield place.open()
        place.close()

    def test_what_is_there_is_there(self, db: cshelve.CloudShelf) -> None:
        assert "k" not in db
        db["k"] = 1
        assert "k" in db
        assert db["k"] == 1
        del db["k"]
        assert "k" not in db
        db.update(a=1, b=2)
        assert dict(db.items()) == {"a": 1, "b": 2}

    def test_the_first_request_is_a_delete(self, db: cshelve.CloudShelf) -> None:
        provider_of(db).delete("k")
        assert "k" not in db


def is_by_boto3(request: Seen) -> bool:
    return "Boto3/" in request.headers.get("User-Agent", "")


class TestAnswersThatOnlyBoto3CanTake:
    """Each of them is a request in vain: after some, boto3 does all, and that is told."""

    @pytest.fixture
    def warnings(self, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
        caplog.set_level(logging.INFO)
        return lambda: [
            each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING
        ]

    @pytest.fixture
    def db(self, s3: S3Rig) -> Iterator[cshelve.CloudShelf]:
        place = Place(s3.config(engine="auto"))
        db = place.open()
        db.update(k=1, a=2, b=3)
        yield db
        place.close()

    @staticmethod
    def odd(response: Response) -> Response:
        """Say that it went by other hands, by a status that S3 never answers with."""
        return replace(response, status=203, reason="Non-Authoritative Information")

    def test_some_in_a_row(
        self, s3: S3Rig, db: cshelve.CloudShelf, warnings: Callable[[], list[str]]
    ) -> None:
        s3.proxy.inject(EditResponse(self.odd), times=FOR_EVER)
        for _ in range(6):
            assert db["k"] == 1
        with s3.proxy.counting() as seen:
            assert db["k"] == 1
            db["k"] = 1
            assert dict(db.items()) == {"k": 1, "a": 2, "b": 3}
        assert all(map(is_by_boto3, seen.requests))
        (told,) = warnings()
        assert "engine boto3 from now on, which is slower" in told
        assert "With debug logging" in told  # What to do.

    def test_among_many(
        self, s3: S3Rig, db: cshelve.CloudShelf, warnings: Callable[[], list[str]]
    ) -> None:
        s3.proxy.inject(EditResponse(self.odd), times=FOR_EVER)
        many = {f"n{number}": number for number in range(20)}
        db.update(many)
        assert dict(db.get_many(many)) == many
        (told,) = warnings()
        assert "engine boto3 from now on" in told
        with s3.proxy.counting() as seen:
            assert dict(db.get_many(many)) == many
        assert seen.total == len(many)

    def test_now_and_then(
        self, s3: S3Rig, db: cshelve.CloudShelf, warnings: Callable[[], list[str]]
    ) -> None:
        for _ in range(6):
            with s3.proxy.inject(EditResponse(self.odd)):
                assert db["k"] == 1
            assert db["k"] == 1
        assert warnings() == []

    def test_a_server_that_fails_for_boto3_too(
        self, s3: S3Rig, db: cshelve.CloudShelf, warnings: Callable[[], list[str]]
    ) -> None:
        for _ in range(4):
            s3.proxy.inject(Answer(503, "SlowDown"))
            assert db["k"] == 1
        with s3.proxy.counting() as seen:
            assert db["k"] == 1
        assert not any(map(is_by_boto3, seen.requests))
        assert warnings() == []
