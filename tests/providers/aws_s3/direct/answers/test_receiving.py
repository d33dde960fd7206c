"""How much is received at a time, and where it is put."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cshelve.providers.aws_s3.direct.answers import (
    LARGE_PIECE_BYTES,
    PIECE_BYTES,
    NotPlainError,
    Reader,
)
from tests.providers.aws_s3.direct.answers.rig import CUTS, chunked, headed, pieces


@pytest.mark.parametrize(
    "data",
    [
        headed(b"Content-Length: 10000000000000"),
        headed(b"Content-Length: " + b"9" * 18),
        chunked(b"f" * 15 + b"\r\n"),
    ],
)
def test_what_a_server_declares_is_not_allocated(data: bytes) -> None:
    reader = Reader("GET")
    tracemalloc.start()
    try:
        reader.feed(data)
        for _ in range(20):
            assert reader.feed(b"x" * 100) is False
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    assert not reader.is_done
    assert reader.wanted_bytes <= LARGE_PIECE_BYTES


def test_a_long_body_is_received_in_large_pieces_and_a_short_one_in_small_ones() -> None:
    reader = Reader("GET")
    assert reader.wanted_bytes == PIECE_BYTES
    reader.feed(headed(b"Content-Length: %d" % (3 * LARGE_PIECE_BYTES)))
    assert reader.wanted_bytes == LARGE_PIECE_BYTES
    reader.feed(bytes(3 * LARGE_PIECE_BYTES - 100))
    assert reader.wanted_bytes == PIECE_BYTES


class TestReceivingIntoAPlace:
    BODY = bytes(range(200))

    def begun(self, arrived: int) -> Reader:
        """Make a reader that has had the head, and this much of the body with it."""
        reader = Reader("GET")
        reader.feed(headed(b"Content-Length: 200", body=self.BODY[:arrived]))
        assert not reader.is_done
        return reader

    @given(arrived=st.integers(0, 199), wanted=st.integers(1, 200), cuts=CUTS, feeds=st.booleans())
    @hypothesis_settings(max_examples=150)
    def test_it_is_filled_in_pieces(
        self, arrived: int, wanted: int, cuts: list[int], feeds: bool
    ) -> None:
        reader = self.begun(arrived)
        buffer = bytearray(wanted)
        before = reader.received
        reader.receive_into(memoryview(buffer))
        for piece in pieces(self.BODY[arrived:wanted], cuts):
            place = reader.place
            assert place is not None
            assert not reader.is_done
            assert len(place) == wanted - arrived
            if feeds:
                assert reader.feed(piece) is (arrived + len(piece) == wanted)
            else:
                place[: len(piece)] = piece
                reader.filled(len(piece))
            arrived += len(piece)
        assert reader.is_done
        assert reader.place is None
        assert buffer == self.BODY[:wanted]
        assert reader.received - before == max(wanted - (before - len(self.head())), 0)
        # Where the rest of the body is still to come, nothing else may be read from there.
        assert reader.closes is (wanted != 200)

    def head(self) -> bytes:
        return headed(b"Content-Length: 200")

    def test_it_takes_no_more_than_there_is_place_for(self) -> None:
        reader = self.begun(10)
        buffer = bytearray(50)
        reader.receive_into(memoryview(buffer))
        with pytest.raises(NotPlainError, match="more than"):
            reader.feed(self.BODY[10:100])

    def test_a_part_of_a_larger_buffer_is_a_place(self) -> None:
        reader = self.begun(10)
        buffer = bytearray(b"-" * 220)
        reader.receive_into(memoryview(buffer)[10:210])
        reader.feed(self.BODY[10:])
        assert buffer == b"-" * 10 + self.BODY + b"-" * 10

    def test_what_has_arrived_may_fill_it(self) -> None:
        reader = self.begun(150)
        buffer = bytearray(100)
        reader.receive_into(memoryview(buffer))
        assert reader.is_done
        assert reader.closes
        assert reader.place is None
        assert buffer == self.BODY[:100]
