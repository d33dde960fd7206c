"""Which values travel in parts, and in how many."""

from __future__ import annotations

import pytest

import cshelve
from tests.providers.aws_s3.large_values.rig import (
    CHUNK,
    COMPLETE,
    CREATE,
    GET,
    IN_2_PARTS,
    MIB,
    NEW,
    OLD,
    PART,
    PUT,
    SMALL,
    Case,
    value_of,
)

pytestmark = [pytest.mark.s3, pytest.mark.once]


def parts_of(size: int) -> int:
    return -(-size // CHUNK)


class TestSizes:
    @pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK])
    def test_up_to_the_threshold_are_one_request_each_way(self, size: int, case: Case) -> None:
        value = value_of(size)
        assert case.operations(lambda: case.db.__setitem__("k", value)) == [PUT]
        assert case.stored("k") == value
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == value
        assert seen.operations == [GET]

    @pytest.mark.parametrize("size", [CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3 * CHUNK + 3])
    def test_over_it_are_one_request_a_part_and_two_more_to_write(
        self, size: int, case: Case
    ) -> None:
        value = value_of(size)
        operations = case.operations(lambda: case.db.__setitem__("k", value))
        assert operations == [CREATE, *[PART] * parts_of(size), COMPLETE]
        assert case.stored("k") == value
        with case.s3.proxy.counting() as seen:
            assert case.db["k"] == value
        assert seen.operations == [GET] * parts_of(size)

    def test_by_default_are_large_above_16_mib(self, case: Case) -> None:
        db = case.open(multipart_threshold_bytes=None, multipart_chunk_bytes=None)
        value = value_of(16 * MIB + 1)
        assert case.operations(lambda: db.__setitem__("k", value[1:])) == [PUT]
        assert case.operations(lambda: db["k"]) == [GET]
        in_3_parts = [CREATE, *[PART] * 3, COMPLETE]
        assert case.operations(lambda: db.__setitem__("k", value)) == in_3_parts
        with case.s3.proxy.counting() as seen:
            assert db["k"] == value
        first, *others = seen.requests
        assert "range" not in first.headers
        assert sorted(request.headers["range"] for request in others) == [
            "bytes=16777216-16777216",
            "bytes=8388608-16777215",
        ]

    def test_of_one_chunk_are_never_split(self, case: Case) -> None:
        db = case.open(multipart_threshold_bytes=0)
        assert case.operations(lambda: db.__setitem__("k", value_of(CHUNK))) == [PUT]
        assert case.operations(lambda: db["k"]) == [GET]

    @pytest.mark.parametrize(
        ("option", "value"),
        [("multipart_chunk_bytes", CHUNK - 1), ("multipart_threshold_bytes", -1)],
    )
    def test_that_s3_does_not_take_are_refused_when_the_shelf_is_opened(
        self, option: str, value: int, case: Case
    ) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=option):
            case.open(**{option: value})


def test_beside_the_other_engine_the_same_sizes_go_in_parts(case: Case) -> None:
    db = case.open(engine="auto")
    db["small"] = SMALL
    assert case.operations(lambda: db.__setitem__("k", NEW)) == IN_2_PARTS
    assert case.operations(lambda: db["k"]) == [GET, GET]
    assert db["k"] == NEW
    case.store("k", OLD)
    assert list(case.open(engine="auto").values()) == [OLD, SMALL]
