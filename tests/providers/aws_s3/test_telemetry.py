"""Spans and measurements of requests, as OpenTelemetry's own SDK gets them, under both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer, Reset
from tests.providers.aws_s3.rig import each_engine, warmed_up, without_pauses
from tests.rigs import Place, S3Rig, object_of

pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = [pytest.mark.s3, pytest.mark.once]

MANY = {f"n{number}": number for number in range(20)}

Spans = Callable[[], list[Any]]


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def spans(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Return the spans that have ended, and forget them."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # The program's provider can be set but once in a process.
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    def taken() -> list[Any]:
        found = list(exporter.get_finished_spans())
        exporter.clear()
        return found

    yield taken
    provider.shutdown()


@pytest.fixture
def db(s3: S3Rig, engine: str, spans: Spans) -> cshelve.CloudShelf:
    shelf = warmed_up(Place(s3.config(None, engine=engine)).open())
    shelf["k"] = "value"
    spans()
    return shelf


@each_engine
class TestSpans:
    def test_a_span_has_the_names_of_the_conventions(
        self, engine: str, s3: S3Rig, db: cshelve.CloudShelf, spans: Spans
    ) -> None:
        assert db["k"] == "value"
        (span,) = spans()
        assert span.name == "S3.GetObject"
        assert span.kind is trace.SpanKind.CLIENT
        assert span.attributes == {
            "rpc.system": "aws-api",
            "rpc.service": "S3",
            "rpc.method": "GetObject",
            "aws.s3.bucket": s3.bucket,
            "aws.s3.key": object_of(db),
            "http.response.status_code": 200,
            "server.address": "127.0.0.1",
            "server.port": int(s3.proxy.endpoint_url.rpartition(":")[2]),
        }
        assert span.status.is_unset
        assert span.start_time < span.end_time

    @pytest.mark.parametrize(
        ("act", "names"),
        [
            (lambda db: db["k"], {"S3.GetObject"}),
            (lambda db: db.set_many(MANY), {"S3.PutObject"}),
            (lambda db: dict(db.get_many(["k", "absent"])), {"S3.GetObject"}),
            (lambda db: dict(db.items()), {"S3.ListObjectsV2", "S3.GetObject"}),
            (lambda db: db.clear(), {"S3.ListObjectsV2", "S3.DeleteObjects"}),
            (lambda db: db.move("k", "l"), {"S3.GetObject", "S3.CopyObject", "S3.DeleteObject"}),
            (
                lambda db: cshelve.copy(db.prefix("k"), db.prefix("other/")),
                {"S3.ListObjectsV2", "S3.GetObject", "S3.CopyObject"},
            ),
            (lambda db: db.expire(), {"S3.ListObjectsV2", "S3.GetObject"}),
        ],
        ids=["one", "write many", "read many", "read all", "clear", "move", "copy all", "expire"],
    )
    def test_the_parent_is_the_span_of_the_caller_in_threads_too(
        self,
        act: Callable[[cshelve.CloudShelf], object],
        names: set[str],
        engine: str,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        spans: Spans,
        provider: TracerProvider,
    ) -> None:
        with provider.get_tracer("program").start_as_current_span("outer") as outer:
            act(db)
        *found, last = spans()
        assert last.name == "outer"
        assert {span.name for span in found} == names
        parents = {span.parent and span.parent.span_id for span in found}
        assert parents == {outer.get_span_context().span_id}

    def test_the_parent_of_a_request_that_boto3_repeats_in_a_thread(
        self,
        engine: str,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        spans: Spans,
        provider: TracerProvider,
    ) -> None:
        with (
            s3.proxy.inject(Answer(500, "InternalError"), operation="GetObject"),
            without_pauses(),
            provider.get_tracer("program").start_as_current_span("outer") as outer,
        ):
            dict(db.get_many(["k"]))
        first, second, _ = spans()
        for span in (first, second):
            assert span.parent.span_id == outer.get_span_context().span_id

    def test_each_attempt_has_a_span_and_a_failed_one_is_an_error(
        self, engine: str, s3: S3Rig, db: cshelve.CloudShelf, spans: Spans
    ) -> None:
        with s3.proxy.inject(Answer(503, "SlowDown"), operation="GetObject"), without_pauses():
            assert db["k"] == "value"
        first, second = spans()
        assert first.status.status_code is trace.StatusCode.ERROR
        assert first.attributes["error.type"] == "503"
        assert "http.request.resend_count" not in first.attributes
        assert second.status.is_unset
        assert second.attributes["http.request.resend_count"] == 1

    def test_a_request_without_a_response_is_an_error(
        self, engine: str, s3: S3Rig, db: cshelve.CloudShelf, spans: Spans
    ) -> None:
        with s3.proxy.inject(Reset(), operation="PutObject"), without_pauses():
            db["k"] = "new"
        first, _ = spans()
        assert first.status.status_code is trace.StatusCode.ERROR
        assert first.attributes["error.type"].endswith("Error")
        assert "http.response.status_code" not in first.attributes

    def test_an_absent_key_is_no_error(
        self, engine: str, s3: S3Rig, db: cshelve.CloudShelf, spans: Spans
    ) -> None:
        assert "absent" not in db
        assert db.get("absent") is None
        head, get = spans()
        for span in (head, get):
            assert span.status.is_unset
            assert span.attributes["http.response.status_code"] == 404

    def test_an_empty_object_is_no_error(
        self, engine: str, s3: S3Rig, db: cshelve.CloudShelf, spans: Spans
    ) -> None:
        s3.client.put_object(Bucket=s3.bucket, Key=object_of(db, "empty"), Body=b"")
        assert db.provider.inspect("empty").size_bytes == 0
        assert [span.status.is_unset for span in spans()] == [True, True]


@each_engine
def test_the_duration_of_each_attempt_is_measured(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    with db.stats.measuring() as used:
        db.set_many(MANY)
        assert db["k"] == "value"
    data: Any = reader.get_metrics_data()
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit) == ("rpc.client.duration", "ms")
    points = {point.attributes["rpc.method"]: point for point in metric.data.data_points}
    assert {name: point.count for name, point in points.items()} == used.requests
    assert sum(point.sum for point in points.values()) == pytest.approx(used.waited_seconds * 1000)
    # Else there would be a series for each key.
    assert all("aws.s3.key" not in point.attributes for point in points.values())
    provider.shutdown()


@pytest.mark.parametrize("engine", ["auto", "boto3"])
def test_beside_the_tracer_of_boto3_there_are_its_spans_alone(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf, spans: Spans, provider: TracerProvider
) -> None:
    botocore: Any = pytest.importorskip("opentelemetry.instrumentation.botocore")
    instrumentor = botocore.BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        with provider.get_tracer("program").start_as_current_span("outer") as outer:
            dict(db.get_many(["k", "absent"]))
    finally:
        instrumentor.uninstrument()
    *found, _ = spans()
    assert [span.name for span in found] == ["S3.GetObject"] * 2
    for span in found:
        assert "instrumentation.botocore" in span.instrumentation_scope.name
        assert span.parent.span_id == outer.get_span_context().span_id
    assert db["k"] == "value"
    (span,) = spans()
    assert span.instrumentation_scope.name == "cshelve"
