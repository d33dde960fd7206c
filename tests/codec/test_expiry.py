"""Letter `x`: the time when a value expires, in the record and under its seal."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cshelve
from cshelve.codec import Codec
from cshelve.codec.record import NEVER, expiry_of
from tests.codec.making import EAX, GCM, HMAC, OTHER_KEY, ZLIB, codec, encode, header, record

WHEN = 1_700_000_000.123
MILLISECONDS = struct.pack("<Q", 1_700_000_000_123)

ALL = [
    ({}, b"rx"),
    ({"default": {"checksum": True}}, b"rx"),
    ({"compression": ZLIB}, b"rxc"),
    ({"signing": HMAC}, b"xH"),
    ({"signing": HMAC, "default": {"checksum": True}}, b"rxH"),
    pytest.param({"encryption": GCM}, b"xG", marks=pytest.mark.encryption),
    pytest.param({"encryption": EAX}, b"rxe", marks=pytest.mark.encryption),
    pytest.param({"encryption": EAX, "signing": HMAC}, b"xHe", marks=pytest.mark.encryption),
]
every_chain = pytest.mark.parametrize(("sections", "letters"), ALL)
SEALED = [
    {"signing": HMAC},
    pytest.param({"encryption": GCM}, marks=pytest.mark.encryption),
]
every_seal = pytest.mark.parametrize("sections", SEALED)


def expiring(made: Codec, expires_at: float = WHEN, payload: bytes = b"payload " * 20) -> bytes:
    return made.encode("key", (payload,), expires_at)


@every_chain
class TestARecord:
    def test_says_it_by_its_letter(self, sections: dict[str, Any], letters: bytes) -> None:
        assert expiring(codec(**sections))[10:].startswith(letters)

    def test_gives_back_the_time(self, sections: dict[str, Any], letters: bytes) -> None:
        made = codec(**sections)
        decoded = made.decode("key", expiring(made))
        assert (decoded.payload, decoded.expires_at) == (b"payload " * 20, WHEN)

    def test_tells_the_time_by_its_first_bytes(
        self, sections: dict[str, Any], letters: bytes
    ) -> None:
        assert expiry_of(expiring(codec(**sections))[:28]) == WHEN

    def test_has_the_time_after_the_checksum(
        self, sections: dict[str, Any], letters: bytes
    ) -> None:
        start = 10 + len(letters) + (4 if letters.startswith(b"r") else 0)
        assert expiring(codec(**sections))[start : start + 8] == MILLISECONDS

    def test_shows_any_bit_that_was_flipped(self, sections: dict[str, Any], letters: bytes) -> None:
        made = codec(**sections)
        written = expiring(made, payload=b"payload")
        for bit in range(8 * len(written)):
            damaged = bytearray(written)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(cshelve.RecordError):
                made.decode("key", bytes(damaged))

    def test_that_was_cut_short_anywhere_is_refused(
        self, sections: dict[str, Any], letters: bytes
    ) -> None:
        made = codec(**sections)
        written = expiring(made, payload=b"payload")
        for size in range(len(written)):
            expiry_of(written[:size])  # Raises nothing.
            with pytest.raises(cshelve.RecordError):
                made.decode("key", written[:size])

    def test_would_look_the_same_again(self, sections: dict[str, Any], letters: bytes) -> None:
        made = codec(**sections)
        assert not made.would_change(made.decode("key", expiring(made)))
        assert not made.would_change(made.decode("key", encode(made, b"payload " * 20)))

    def test_that_never_expires_has_no_letter_for_it(
        self, sections: dict[str, Any], letters: bytes
    ) -> None:
        made = codec(**sections)
        written = expiring(made, NEVER)
        assert b"x" not in written[10 : 10 + written[1]]
        assert made.decode("key", written).expires_at == NEVER
        assert expiry_of(written) is None


class TestTheTime:
    def test_is_written_out_so(self) -> None:
        written = expiring(codec(), payload=b"payload")
        inner = MILLISECONDS + b"payload"
        assert written[:12] == header(b"rx", written[12:])
        assert written[16:] == inner

    @given(st.floats(min_value=0, max_value=1e11))
    def test_comes_back_to_the_millisecond(self, when: float) -> None:
        made = codec()
        decoded = made.decode("key", expiring(made, when))
        assert abs(decoded.expires_at - when) <= 0.0006
        again = made.encode("key", (decoded.payload,), decoded.expires_at)
        assert again == expiring(made, when)

    def test_can_be_later_than_anybody_lives(self) -> None:
        made = codec()
        assert made.decode("key", expiring(made, 1e300)).expires_at > 1e16
        assert made.decode("key", expiring(made, -5)).expires_at == 0

    def test_is_read_by_a_shelf_that_has_no_key(self) -> None:
        assert expiry_of(expiring(codec(signing=HMAC))) == WHEN
        with pytest.raises(cshelve.DataProcessingSignatureError):
            codec().decode("key", expiring(codec(signing=HMAC)))

    def test_is_lost_without_a_header(self) -> None:
        bare = codec(default={"use_versioning": False})
        assert expiring(bare) == encode(bare, b"payload " * 20)

    def test_of_a_record_that_is_too_short_for_it_is_an_error(self) -> None:
        with pytest.raises(cshelve.CorruptRecordError, match="too short for the time"):
            codec().decode("key", record(b"x", b"1234567"))

    @given(st.binary(max_size=40))
    def test_of_anything_is_none_or_a_time(self, data: bytes) -> None:
        for head in (data, b"\0\2" + data, header(b"rx", b"")[:12] + data):
            found = expiry_of(head)
            assert found is None or found >= 0

    @pytest.mark.parametrize(
        "head",
        [
            b"",
            b"x" * 60,
            header(b"rxQ", b"") + b"x" * 40,
            header(b"c", b"") + b"x" * 40,
            header(b"", b"") + b"x" * 40,
            b"\x01" + header(b"rx", b"")[1:] + b"x" * 40,
        ],
    )
    def test_is_not_taken_from_what_is_no_such_record(self, head: bytes) -> None:
        assert expiry_of(head) is None


@every_seal
class TestUnderASeal:
    def test_cannot_be_changed(self, sections: dict[str, Any]) -> None:
        made = codec(**sections)
        written = expiring(made)
        later = struct.pack("<Q", 1_800_000_000_000)
        assert written[12:20] == MILLISECONDS
        with pytest.raises(cshelve.RecordError, match="changed"):
            made.decode("key", written[:12] + later + written[20:])

    def test_cannot_be_taken_out(self, sections: dict[str, Any]) -> None:
        made = codec(**sections)
        written = expiring(made)
        with pytest.raises(cshelve.RecordError):
            made.decode("key", record(written[11:12], written[20:]))

    def test_cannot_be_added(self, sections: dict[str, Any]) -> None:
        made = codec(**sections)
        written = encode(made, b"payload")
        with pytest.raises(cshelve.RecordError):
            made.decode("key", record(b"x" + written[10:11], MILLISECONDS + written[11:]))

    def test_is_not_read_by_another_key(self, sections: dict[str, Any]) -> None:
        written = expiring(codec(**sections))
        other = {name: {**options, "key": OTHER_KEY} for name, options in sections.items()}
        with pytest.raises(cshelve.RecordError):
            codec(**other).decode("key", written)
