"""Reading a value in parts, which is replaced, deleted, cut or damaged meanwhile."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import cshelve
from cshelve.providers.aws_s3.requests import Requests
from testbed.exchange import Exchange
from testbed.faults import Answer, CutBody, EditResponse, Fault, Meanwhile, Reset, pass_on
from testbed.http_messages import Response, made_response
from tests.providers.aws_s3.large_values.rig import (
    GET,
    OPTIONS,
    RANGE,
    SMALL,
    Case,
    value_of,
)
from tests.providers.aws_s3.rig import ranges_of_any_size, warmed_up
from tests.rigs import S3Rig, provider_of

pytestmark = [pytest.mark.s3, pytest.mark.once]

# Three ranges each; the last one is short.
OLD, NEW = value_of(2 * RANGE + 1), value_of(2 * RANGE + 100)


@pytest.fixture(scope="module")
def shared(s3_rig: S3Rig, _no_pauses: None) -> Iterator[Case]:
    config = s3_rig.config(
        **{**OPTIONS, "multipart_threshold_bytes": RANGE, "multipart_chunk_bytes": RANGE}
    )
    with ranges_of_any_size(), cshelve.open_from_dict(config) as db:
        yield Case(s3_rig, config, warmed_up(db, SMALL))


class TestGet:
    @pytest.fixture(autouse=True)
    def _there(self, case: Case) -> None:
        case.store("k", OLD)

    def test_asks_for_the_rest_of_the_very_object(self, case: Case) -> None:
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == OLD
        first, *others = seen.requests
        assert "range" not in first.headers
        assert "if-match" not in first.headers
        version = provider_of(case.db).get("k").version
        assert {request.headers["if-match"] for request in others} == {version}
        assert sorted(request.headers["range"] for request in others) == [
            f"bytes={RANGE}-{2 * RANGE - 1}",
            f"bytes={2 * RANGE}-{2 * RANGE}",
        ]

    def test_of_many_ranges_reads_twelve_at_most(self, case: Case) -> None:
        case.store("k", value := value_of(13 * RANGE))
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == value
        assert seen.operations == [GET] * 7

    def test_uses_its_connections_again_but_for_the_first(self, case: Case) -> None:
        db = case.open()
        with case.s3.proxy.counting() as seen:
            for _ in range(4):
                assert db["k"] == OLD
        # Three at first, and one for each that was left in the middle of its answer.
        assert len({request.connection for request in seen.requests}) <= 3 + 4

    def test_of_a_value_that_is_replaced_meanwhile_gives_the_new_one(self, case: Case) -> None:
        case.inject(Meanwhile(lambda: case.store("k", NEW)), GET, after=1)
        assert case.db["k"] == NEW

    def test_of_a_value_that_becomes_small_meanwhile_gives_that(self, case: Case) -> None:
        case.inject(Meanwhile(lambda: case.store("k", SMALL)), GET, after=1)
        assert case.db["k"] == SMALL

    def test_of_a_value_that_is_replaced_each_time_never_gives_a_mix(self, case: Case) -> None:
        def replace() -> None:
            case.store("k", value_of(len(OLD)))

        case.inject(Meanwhile(replace), GET, times=None)
        with pytest.raises(cshelve.StorageError, match="replaced the value while it was read"):
            case.db["k"]

    def test_from_a_server_that_ignores_if_match_never_gives_a_mix(self, case: Case) -> None:
        other = value_of(len(OLD))

        def of_another(response: Response) -> Response:
            headers = [pair for pair in response.headers if pair[0].lower() != "etag"]
            return Response(206, "", [*headers, ("ETag", '"other"')], other[: len(response.body)])

        case.inject(EditResponse(of_another), GET, after=1)
        assert case.db["k"] == OLD

    def test_is_begun_again_if_the_direct_engine_is_given_up_meanwhile(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = Requests.read

        def read_and_give_up(requests: Requests, *arguments: Any) -> Any:
            begun = read(requests, *arguments)
            requests._engine = None
            return begun

        monkeypatch.setattr(Requests, "read", read_and_give_up)
        assert case.open(engine="direct")["k"] == OLD

    def test_of_a_value_that_is_deleted_meanwhile_is_a_key_error(self, case: Case) -> None:
        def delete() -> None:
            case.s3.client.delete_object(Bucket=case.bucket, Key=case.name("k"))

        case.inject(Meanwhile(delete), GET, after=1)
        with pytest.raises(KeyError):
            case.db["k"]

    @pytest.mark.parametrize("after", [0, 1])
    @pytest.mark.parametrize("bytes_before", [0, 1, RANGE // 4 + 1])
    def test_of_a_range_that_is_cut_short_once_asks_for_that_again(
        self, bytes_before: int, after: int, case: Case
    ) -> None:
        # The parts are requested at the same time, so whichever is cut has to be longer than that.
        case.store("k", value := value_of(2 * RANGE + RANGE // 2))
        case.inject(CutBody(bytes_before), GET, after=after)
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == value
        assert seen.operations == [GET] * 4

    def test_of_ranges_that_are_cut_short_each_time_is_an_error(self, case: Case) -> None:
        case.inject(CutBody(1), GET, times=None)
        with pytest.raises(cshelve.StorageError, match="cut short on its way, twice") as caught:
            case.db["k"]
        assert isinstance(caught.value.__cause__, BotoCoreError)

    @pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), Answer(500), Reset()])
    def test_of_a_range_that_fails_once_is_not_noticed(self, fault: Fault, case: Case) -> None:
        case.inject(fault, GET, after=1)
        assert case.db["k"] == OLD

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Answer(503, "SlowDown"), cshelve.StorageError),
            (Answer(403, "AccessDenied"), cshelve.AuthError),
            (Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
        ],
    )
    def test_of_a_range_that_fails_is_told_as_of_a_whole(
        self, fault: Fault, error: type[cshelve.Error], case: Case
    ) -> None:
        case.inject(fault, GET, after=1, times=None)
        with pytest.raises(error, match="GetObject of 'k' in s3://") as caught:
            case.db["k"]
        assert isinstance(caught.value.__cause__, ClientError)

    def test_from_a_server_without_ranges_reads_the_whole(self, case: Case) -> None:
        def whole(exchange: Exchange) -> None:
            if "range" not in exchange.request.headers:
                pass_on(exchange)
                return
            headers = [("ETag", exchange.request.headers["if-match"])]
            exchange.send(made_response(200, headers, OLD))

        db = case.open()
        case.inject(whole, GET, times=None)
        assert db["k"] == OLD
        assert case.operations(lambda: db["k"]) == [GET]

    @pytest.mark.parametrize("etag", [None, 'W/"weak"'])
    def test_of_an_answer_without_a_strong_etag_reads_it_to_its_end(
        self, etag: str | None, case: Case
    ) -> None:
        def weakened(response: Response) -> Response:
            headers = [pair for pair in response.headers if pair[0].lower() != "etag"]
            of_etag = [] if etag is None else [("ETag", etag)]
            return Response(response.status, "", [*headers, *of_etag], response.body)

        case.inject(EditResponse(weakened), GET)
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == OLD
        assert seen.total == 1

    @pytest.mark.parametrize("times", [1, None])
    def test_finds_damage_where_the_server_gave_a_checksum_of_the_whole(
        self, times: int | None, case: Case
    ) -> None:
        def damaged(response: Response) -> Response:
            body = b"\0" + response.body[1:]
            return Response(response.status, response.reason, response.headers, body)

        last = f"bytes={RANGE}-{2 * RANGE - 1}"
        case.inject(only_range(last, EditResponse(damaged)), GET, times=times and 3)
        if times:
            assert case.db["k"] == OLD
            return
        with pytest.raises(cshelve.StorageError, match="damaged on its way, twice"):
            case.db["k"]

    def test_gives_what_is_there_where_no_checksum_is_wanted(self, case: Case) -> None:
        wrong = base64.b64encode(zlib.crc32(b"").to_bytes(4, "big")).decode()

        def with_a_wrong_one(response: Response) -> Response:
            headers = [p for p in response.headers if p[0].lower() != "x-amz-checksum-crc32"]
            headers.append(("x-amz-checksum-crc32", wrong))
            return Response(response.status, response.reason, headers, response.body)

        params = {"config.response_checksum_validation": "when_required"}
        config = {
            **case.config,
            "provider_params": {**case.config["provider_params"], **params},
        }
        case.inject(EditResponse(with_a_wrong_one), GET, times=None)
        with cshelve.open_from_dict(config) as db:
            assert db["k"] == OLD


def only_range(wanted: str, fault: Fault) -> Fault:
    """Have a fault act on requests for one range; the others are passed on."""

    def act(exchange: Exchange) -> None:
        is_wanted = exchange.request.headers.get("range") == wanted
        (fault if is_wanted else pass_on)(exchange)

    return act
