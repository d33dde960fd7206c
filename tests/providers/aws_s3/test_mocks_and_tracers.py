"""A shelf beside what answers or follows boto3's requests: moto, tracers, recorders.

What these would not see must not be sent, and what was not sent they must not see. (The package
`responses` takes part in requests of `requests` only, which boto3 does not use: it has no say in
boto3's requests, and none in ours.)
"""

from __future__ import annotations

import functools
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest

import cshelve
from testbed.fault_proxy import Count, Seen
from tests.providers.aws_s3.rig import engine_of
from tests.rigs import Place, S3Rig

pytestmark = [pytest.mark.s3, pytest.mark.once]

each_engine = pytest.mark.parametrize("engine", ["auto", "direct", "boto3"])
MANY = {f"n{number}": number for number in range(4)}


def is_by_boto3(request: Seen) -> bool:
    return "Boto3/" in request.headers.get("User-Agent", "")


def senders(seen: Count) -> set[str]:
    return {"boto3" if is_by_boto3(request) else "direct" for request in seen.requests}


def use(db: cshelve.CloudShelf) -> None:
    """Do some of everything, and leave `k` and `MANY`."""
    db["k"] = 1
    assert db["k"] == 1
    assert "k" in db
    assert "absent" not in db
    db.update(MANY)
    assert dict(db.get_many(MANY)) == MANY
    db.modify("k", lambda value: value + 1)
    db["gone"] = 1
    del db["gone"]
    db.update(x=1, y=2)
    db.delete_many(["x", "y"])
    assert dict(db.items()) == {"k": 2, **MANY}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the levels of log records about another engine than the shelf's."""
    said = [each for each in caplog.records if "engine boto3 for as long as" in each.getMessage()]
    return [each.levelname for each in said]


class TestMoto:
    """moto's `mock_aws`: a mock in the same process, which answers boto3's requests to AWS."""

    BUCKET = "cshelve-mocked"

    @pytest.fixture
    def mock_aws(self) -> Callable[[], Any]:
        moto: Any = pytest.importorskip("moto")
        made: Callable[[], Any] = moto.mock_aws
        return made

    @pytest.fixture
    def looked_up(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """Hosts that somebody wanted to reach. (None is ever reached: see `conftest`.)"""
        hosts: list[object] = []
        real = socket.getaddrinfo

        def getaddrinfo(host: Any, *others: Any, **options: Any) -> Any:
            hosts.append(host)
            return real(host, *others, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return hosts

    @pytest.fixture
    def shelf_at_aws(self) -> Iterator[Callable[..., cshelve.CloudShelf]]:
        places = []

        def opened(engine: str) -> cshelve.CloudShelf:
            default = {
                "provider": "aws-s3",
                "bucket_name": self.BUCKET,
                "region_name": "us-east-1",
                "auth_type": "access_key",
                "key_id": "id",
                "key_secret": "secret",
                "engine": engine,
                "check_bucket": False,
                "total_max_attempts": 2,
            }
            places.append(Place({"default": default}))
            return places[-1].open()

        yield opened
        for place in places:
            place.close()

    def bucket(self) -> Any:
        made = boto3.resource("s3", region_name="us-east-1").Bucket(self.BUCKET)
        made.create()
        return made

    def keys(self, bucket: Any) -> set[str]:
        return {each.key for each in bucket.objects.all()}

    @each_engine
    def test_a_shelf_that_is_opened_before(
        self,
        engine: str,
        mock_aws: Callable[[], Any],
        looked_up: list[object],
        shelf_at_aws: Callable[..., cshelve.CloudShelf],
    ) -> None:
        db = shelf_at_aws(engine)
        with mock_aws():
            bucket = self.bucket()
            use(db)
            assert self.keys(bucket) == {"k", *MANY}
        assert looked_up == []

    @pytest.mark.parametrize("engine", ["auto", "boto3"])
    def test_a_shelf_that_is_opened_within(
        self,
        engine: str,
        mock_aws: Callable[[], Any],
        looked_up: list[object],
        shelf_at_aws: Callable[..., cshelve.CloudShelf],
    ) -> None:
        with mock_aws():
            bucket = self.bucket()
            use(shelf_at_aws(engine))
            assert self.keys(bucket) == {"k", *MANY}
        assert looked_up == []

    @each_engine
    def test_a_mock_that_is_started_again(
        self,
        engine: str,
        mock_aws: Callable[[], Any],
        looked_up: list[object],
        shelf_at_aws: Callable[..., cshelve.CloudShelf],
    ) -> None:
        db = shelf_at_aws(engine)
        for _ in range(3):
            with mock_aws():
                bucket = self.bucket()
                use(db)
                assert self.keys(bucket) == {"k", *MANY}
        assert looked_up == []

    @pytest.mark.parametrize("engine", ["auto", "direct"])
    def test_the_direct_engine_serves_before_and_after(
        self, engine: str, mock_aws: Callable[[], Any], s3: S3Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        """At an address that moto does not know, so that it lets requests pass."""
        place = Place(s3.config(engine=engine))
        with caplog.at_level(logging.INFO):
            db = place.open()
            for is_mocked in (False, True, False, True, False):
                with mock_aws() if is_mocked else contextmanager(lambda: iter([None]))():
                    with s3.proxy.counting() as seen:
                        use(db)
                    assert senders(seen) == {"boto3" if is_mocked else "direct"}
                db.clear()
        assert told(caplog) == ["INFO" if engine == "auto" else "WARNING"]
        place.close()

    def test_the_direct_engine_serves_a_shelf_that_was_opened_within(
        self, mock_aws: Callable[[], Any], s3: S3Rig
    ) -> None:
        place = Place(s3.config(engine="auto"))
        with mock_aws():
            db = place.open()
            with s3.proxy.counting() as seen:
                use(db)
            assert senders(seen) == {"boto3"}
        with s3.proxy.counting() as seen:
            use(db)
        assert senders(seen) == {"direct"}
        place.close()

    def test_direct_alone_cannot_be_opened_within(
        self, mock_aws: Callable[[], Any], s3: S3Rig
    ) -> None:
        with mock_aws(), pytest.raises(cshelve.ConfigurationError, match="moto answers requests"):
            cshelve.open_from_dict(s3.config(engine="direct"))


Tracer = Callable[[list[str]], Any]
# What every tracer takes the place of.
CALL = "_make_api_call"


@contextmanager
def by_function(calls: list[str]) -> Iterator[None]:
    """As many tracers do it: a function that says that it is the other one."""
    from botocore.client import BaseClient

    of_botocore: Any = getattr(BaseClient, CALL)

    @functools.wraps(of_botocore)
    def traced(self: Any, operation: str, parameters: Any) -> Any:
        calls.append(operation)
        return of_botocore(self, operation, parameters)

    with mock.patch.object(BaseClient, CALL, traced):
        yield


@contextmanager
def by_wrapt(calls: list[str]) -> Iterator[None]:
    """As ddtrace, OpenTelemetry, X-Ray and Elastic do it."""
    wrapt = pytest.importorskip("wrapt")
    from botocore.client import BaseClient

    def traced(wrapped: Any, _: Any, positional: Any, named: Any) -> Any:
        calls.append(positional[0])
        return wrapped(*positional, **named)

    # The class's own, and not what an instance or a patch makes of it.
    of_botocore = BaseClient.__dict__[CALL]
    wrapt.wrap_function_wrapper("botocore.client", f"BaseClient.{CALL}", traced)
    try:
        yield
    finally:
        setattr(BaseClient, CALL, of_botocore)


@contextmanager
def by_mock(calls: list[str]) -> Iterator[None]:
    """As tests do it."""
    from botocore.client import BaseClient

    of_botocore: Any = getattr(BaseClient, CALL)

    def traced(self: Any, operation: str, parameters: Any) -> Any:
        calls.append(operation)
        return of_botocore(self, operation, parameters)

    with mock.patch(f"botocore.client.BaseClient.{CALL}", autospec=True) as patched:
        patched.side_effect = traced
        yield


@contextmanager
def by_endpoint(calls: list[str]) -> Iterator[None]:
    """As New Relic does it."""
    from botocore.endpoint import Endpoint

    of_botocore = Endpoint.make_request

    @functools.wraps(of_botocore)
    def traced(self: Any, operation_model: Any, request: Any) -> Any:
        calls.append(operation_model.name)
        return of_botocore(self, operation_model, request)

    with mock.patch.object(Endpoint, "make_request", traced):
        yield


@contextmanager
def by_handlers(calls: list[str]) -> Iterator[None]:
    """As Sentry does it: each client that is made gets handlers of events."""
    from botocore.client import BaseClient

    of_botocore = BaseClient.__init__

    def sentry_init(self: Any, *positional: Any, **named: Any) -> None:
        of_botocore(self, *positional, **named)
        self.meta.events.register(
            "request-created", lambda operation_name, **_: calls.append(operation_name)
        )

    with mock.patch.object(BaseClient, "__init__", sentry_init):
        yield


TRACERS = [by_function, by_wrapt, by_mock, by_endpoint]


@pytest.fixture(params=["plain", "captured"])
def config(request: pytest.FixtureRequest, s3: S3Rig) -> dict[str, dict[str, Any]]:
    """What the direct engine knows by itself, and what it has to ask boto3 about."""
    config = s3.config(engine="auto")
    if request.param == "captured":
        config["put_params"] = {"CacheControl": "no-cache"}
    return config


# What the engine knows makes no difference to how it notices a tracer.
each_tracer = pytest.mark.parametrize(
    ("tracer", "config"),
    [*((tracer, "plain") for tracer in TRACERS), (by_function, "captured")],
    indirect=["config"],
)


def settled(db: cshelve.CloudShelf) -> None:
    """Have the shelf find out now what it finds out once."""
    db.modify("settled", lambda _: cshelve.DELETE, default=0)


class TestTracers:
    """boto3 does all, and the tracer sees exactly what was sent."""

    @each_tracer
    def test_one_that_begins_before_the_shelf_is_opened(
        self, tracer: Tracer, config: dict[str, dict[str, Any]], s3: S3Rig
    ) -> None:
        calls: list[str] = []
        place = Place(config)
        with tracer(calls), s3.proxy.counting() as seen:
            use(place.open())
        assert sorted(calls) == sorted(seen.operations)
        assert senders(seen) == {"boto3"}
        place.close()

    @each_tracer
    def test_one_that_begins_after_it(
        self,
        tracer: Tracer,
        config: dict[str, dict[str, Any]],
        s3: S3Rig,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        calls: list[str] = []
        place = Place(config)
        with caplog.at_level(logging.INFO):
            db = place.open()
            assert engine_of(db) == "direct"
            with s3.proxy.counting() as seen:
                db["k"] = 0
            assert senders(seen) == {"direct"}
            with tracer(calls), s3.proxy.counting() as seen:
                use(db)
                use(db)
        assert sorted(calls) == sorted(seen.operations)
        assert senders(seen) == {"boto3"}
        assert told(caplog) == ["INFO"]
        with s3.proxy.counting() as seen:
            use(db)
        assert senders(seen) == {"direct"}
        place.close()

    def test_one_of_handlers_sees_each_client_that_is_made(
        self, config: dict[str, dict[str, Any]], s3: S3Rig
    ) -> None:
        calls: list[str] = []
        place = Place(config)
        with by_handlers(calls), s3.proxy.counting() as seen:
            use(place.open())
        assert sorted(calls) == sorted(seen.operations)
        assert senders(seen) == {"boto3"}
        place.close()


class TestRecorders:
    """vcrpy, which has connections of its own in place of botocore's.

    While one of them connects, botocore's are back in their place for a moment: in other threads
    it misses requests, of bare boto3 as well.
    """

    def test_a_cassette_records_and_replays(self, s3: S3Rig, tmp_path: Path) -> None:
        vcr: Any = pytest.importorskip("vcr")
        place = Place(s3.config(engine="auto", concurrency=1))
        cassette = str(tmp_path / "cassette.yaml")

        def session() -> dict[str, Any]:
            db = place.open()
            db["k"] = 1
            db.update(a=2, b=3)
            assert "absent" not in db
            return dict(db.items())

        with vcr.use_cassette(cassette), s3.proxy.counting() as recorded:
            found = session()
        assert senders(recorded) == {"boto3"}
        with (
            vcr.use_cassette(cassette, record_mode="none") as tape,
            s3.proxy.counting() as replayed,
        ):
            assert session() == found == {"k": 1, "a": 2, "b": 3}
        assert replayed.total == 0
        assert tape.play_count == recorded.total == len(tape)
        with s3.proxy.counting() as seen:
            assert session() == found
        assert senders(seen) == {"direct"}
        place.close()

    def test_a_shelf_that_is_open_already_is_recorded(self, s3: S3Rig, tmp_path: Path) -> None:
        vcr: Any = pytest.importorskip("vcr")
        place = Place(s3.config(engine="auto", concurrency=1))
        db = place.open()
        db["k"] = 1
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")) as tape:
            with s3.proxy.counting() as seen:
                use(db)
            assert len(tape) == seen.total
        assert senders(seen) == {"boto3"}
        place.close()
