"""The bytes of a record: those of cshelve 1.x, and ours, written here by hand, and back."""

from __future__ import annotations

import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cshelve
from cshelve.codec import Codec
from cshelve.codec.compression import Zlib
from tests.codec.making import EAX, GCM, HMAC, ZLIB, codec, decode, encode, header, record

CHECKED = {"checksum": True}
ZSTD = {"algorithm": "zstd"}
LZ4 = {"algorithm": "lz4"}


def case(expected: bytes | str, serializer: bytes, **sections: dict[str, Any]) -> Any:
    """Arguments for a test, with the marks of the packages that they need."""
    marks = [pytest.mark.encryption] if "encryption" in sections else []
    if sections.get("compression") == ZSTD:
        marks.append(pytest.mark.compression)
    if sections.get("compression") == LZ4:
        marks.append(pytest.mark.lz4)
    return pytest.param(expected, serializer, sections, marks=marks)


class TestTheBytesOf1x:
    @pytest.mark.parametrize("payload", [b"", b"x", pickle.dumps([1, 2], 5)])
    def test_plain(self, payload: bytes) -> None:
        assert encode(codec(), payload) == record(b"", payload)
        assert decode(codec(), record(b"", payload)) == payload

    @pytest.mark.parametrize("level", [-1, 1, 9])
    def test_compressed(self, level: int) -> None:
        payload = b"payload " * 20
        inner = zlib.compress(payload, level)
        made = codec(compression={"algorithm": "zlib", "level": level})
        assert encode(made, payload) == record(b"c", inner)
        assert decode(made, record(b"c", inner)) == payload

    def test_a_payload_in_pieces_is_the_payload(self) -> None:
        pieces: list[bytes | memoryview] = [b"payload ", memoryview(b"pay"), b"", b"load"]
        assert codec().encode("key", pieces) == encode(codec(), b"payload payload")
        made = codec(compression=ZLIB)
        assert decode(made, made.encode("key", [b"pay" * 50, b"load" * 50])) == (
            b"pay" * 50 + b"load" * 50
        )

    def test_a_compressed_value_is_read_by_a_shelf_that_no_longer_compresses(self) -> None:
        assert decode(codec(), encode(codec(compression=ZLIB), b"value" * 20)) == b"value" * 20

    def test_a_plain_value_is_read_by_a_shelf_that_compresses(self) -> None:
        assert decode(codec(compression=ZLIB), encode(codec(), b"value")) == b"value"

    def test_a_bare_pickle_is_a_payload_that_nothing_transformed(self) -> None:
        bare = pickle.dumps({"a": 1})
        assert decode(codec(compression=ZLIB), bare) == bare

    def test_without_versioning_there_is_no_header(self) -> None:
        bare = codec(default={"use_versioning": False})
        assert encode(bare, b"\0payload") == b"\0payload"
        assert decode(bare, b"\0payload") == b"\0payload"
        assert decode(bare, b"") == b""

    def test_without_versioning_transformations_are_applied_and_not_recorded(self) -> None:
        bare = codec(default={"use_versionning": "false"}, compression=ZLIB)
        assert encode(bare, b"payload") == zlib.compress(b"payload")
        assert decode(bare, zlib.compress(b"payload")) == b"payload"

    @given(st.binary(max_size=2000))
    def test_whatever_is_encoded_is_decoded(self, payload: bytes) -> None:
        for made in (
            Codec(),
            Codec(compression=Zlib()),
            Codec(compression=Zlib(), versioned=False),
            Codec(checksum=True),
        ):
            assert decode(made, encode(made, payload)) == payload


class TestDamage:
    @pytest.mark.parametrize("size", range(10))
    def test_a_header_cut_short(self, size: int) -> None:
        with pytest.raises(cshelve.CorruptRecordError):
            decode(codec(), encode(codec(), b"payload")[:size])

    @pytest.mark.parametrize("change", [-1, 1])
    def test_a_payload_of_another_length(self, change: int) -> None:
        made = encode(codec(), b"payload")
        with pytest.raises(cshelve.CorruptRecordError, match="bytes long"):
            decode(codec(), made[:-1] if change < 0 else made + b"x")

    def test_what_does_not_decompress(self) -> None:
        with pytest.raises(cshelve.CorruptRecordError, match="decompress"):
            decode(codec(), record(b"c", b"junk"))

    @pytest.mark.parametrize(
        "letters", [b"y", b"\xff", b"ce", b"cc", b"jc", b"rr", b"eG", b"GH", b"Gx", b"xr"]
    )
    def test_letters_that_nothing_has_written(self, letters: bytes) -> None:
        with pytest.raises(cshelve.DataProcessingSignatureError, match="does not support"):
            decode(codec(), record(letters, b"junk"))

    @pytest.mark.parametrize(
        ("letters", "section"),
        [
            (b"e", r"\[encryption\] with algorithm = aes256$"),
            (b"G", r"\[encryption\] with algorithm = aes256-gcm$"),
            (b"H", r"\[signing\]$"),
        ],
    )
    def test_letters_that_the_configuration_has_nothing_for(
        self, letters: bytes, section: str
    ) -> None:
        with pytest.raises(cshelve.DataProcessingSignatureError, match=section):
            decode(codec(), record(letters, b"junk" * 20))


class TestLetters:
    """Of the format, so that it is not changed by accident: docs/formats.md has the table."""

    @pytest.mark.parametrize(
        ("letters", "serializer", "sections"),
        [
            case(b"", b""),
            case(b"c", b"", compression=ZLIB),
            case(b"rZ", b"", compression=ZSTD),
            case(b"rl", b"", compression=LZ4),
            case(b"r", b"", default=CHECKED),
            case(b"rc", b"", default=CHECKED, compression=ZLIB),
            case(b"rj", b"j"),
            case(b"rM", b"M"),
            case(b"rf", b"f"),
            case(b"rcj", b"j", compression=ZLIB),
            case(b"e", b"", encryption=EAX),
            case(b"ec", b"", encryption=EAX, compression=ZLIB),
            case(b"re", b"", encryption=EAX, default=CHECKED),
            case(b"rej", b"j", encryption=EAX),
            case(b"H", b"", signing=HMAC),
            case(b"Hcj", b"j", signing=HMAC, compression=ZLIB),
            case(b"rHcj", b"j", signing=HMAC, compression=ZLIB, default=CHECKED),
            case(b"Hec", b"", signing=HMAC, compression=ZLIB, encryption=EAX),
            case(b"G", b"", encryption=GCM),
            case(b"HB", b"B", signing=HMAC),
            case(b"GZj", b"j", encryption=GCM, compression=ZSTD),
            case(b"rGc", b"", encryption=GCM, compression=ZLIB, default=CHECKED),
        ],
    )
    def test_say_what_was_done(
        self, letters: bytes, serializer: bytes, sections: dict[str, Any]
    ) -> None:
        made = codec(serializer, **sections)
        written = encode(made, b"payload " * 50)
        assert written[10 : 10 + written[1]] == letters
        decoded = made.decode("key", written)
        assert decoded.payload == b"payload " * 50
        assert decoded.letters.signature == letters
        assert decoded.letters.serializer == serializer

    def test_differ_from_each_other_in_two_bits_at_least(self) -> None:
        letters = b"rxGHecZljMfB"
        assert len(set(letters)) == len(letters)
        assert all(letter.bit_count() % 2 == 0 for letter in letters)


class TestAChecksum:
    def test_is_the_crc_of_header_and_all_that_follows(self) -> None:
        written = encode(codec(default={"checksum": True}), b"payload")
        inner = written[15:]
        assert written[:11] == header(b"r", written[11:])
        assert written[11:15] == zlib.crc32(written[:11] + inner).to_bytes(4, "little")
        assert inner == b"payload"

    @pytest.mark.parametrize("size", [0, 1, 11, 46, 11854])
    def test_finds_any_bit_that_was_flipped(self, size: int) -> None:
        made = codec(default={"checksum": True})
        written = encode(made, bytes(size))
        bits = range(8 * len(written)) if size < 100 else range(8 * 40)
        for bit in bits:
            damaged = bytearray(written)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(cshelve.RecordError):
                decode(made, bytes(damaged))

    def test_is_a_corrupt_record_error_that_says_so(self) -> None:
        made = codec(default={"checksum": True})
        with pytest.raises(cshelve.CorruptRecordError, match="fails its checksum"):
            decode(made, encode(made, b"payload")[:-1] + b"x")

    def test_is_verified_by_a_shelf_that_writes_none(self) -> None:
        written = encode(codec(default={"checksum": True}), b"payload")
        with pytest.raises(cshelve.CorruptRecordError, match="fails its checksum"):
            decode(codec(), written[:-1] + b"x")

    def test_is_not_lost_with_the_version(self) -> None:
        # This very length makes a bare pickle of None of it, if 0x80 stands before it.
        written = encode(codec(default={"checksum": True}), bytes(11854 - 4))
        assert written[2:4] == b"N."
        with pytest.raises(cshelve.CorruptRecordError, match="version"):
            decode(codec(), b"\x80" + written[1:])

    def test_is_not_in_what_1x_can_read(self) -> None:
        assert encode(codec(), b"payload") == record(b"", b"payload")

    def test_of_a_checksum_without_a_header_cannot_be(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"\[default\] checksum: .*header"):
            codec(default={"checksum": True, "use_versioning": False})


class TestCompatibility:
    @pytest.mark.parametrize(
        ("option", "serializer", "sections"),
        [
            case(r"\[default\] serializer", b"j"),
            case(r"\[default\] serializer", b"M"),
            case(r"\[default\] serializer", b"f"),
            case(r"\[default\] checksum", b"", default=CHECKED),
            case(r"\[signing\] algorithm", b"", signing=HMAC),
            case(r"\[encryption\] algorithm", b"", encryption=GCM),
            case(r"\[compression\] algorithm", b"", compression=ZSTD),
            case(r"\[compression\] algorithm", b"", compression=LZ4),
        ],
    )
    @pytest.mark.parametrize("demand", ["compatibility", "use_versioning"])
    def test_is_an_error_beside_what_1x_cannot_read(
        self, option: str, serializer: bytes, sections: dict[str, Any], demand: str
    ) -> None:
        if (serializer, demand) == (b"j", "use_versioning"):
            return  # Plain JSON needs no header: tests/values/test_plain_json.py.
        demands = {"compatibility": "1.x", "use_versioning": "false"}
        default = {**sections.get("default", {}), demand: demands[demand]}
        with pytest.raises(cshelve.ConfigurationError, match=option):
            codec(serializer, **{**sections, "default": default})

    @pytest.mark.encryption
    def test_is_none_beside_what_1x_can_read(self) -> None:
        made = codec(default={"compatibility": "1.x"}, compression=ZLIB, encryption=EAX)
        assert encode(made, b"payload" * 50)[10:12] == b"ec"

    def test_has_one_spelling_of_versioning_or_two_that_agree(self) -> None:
        both = {"use_versioning": "no", "use_versionning": "no"}
        assert not codec(default=both).versioned
        with pytest.raises(cshelve.ConfigurationError, match="differs from use_versionning"):
            codec(default={**both, "use_versionning": "yes"})

    def test_has_a_name_for_the_shelf_that_can_be_written(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="shelf_name"):
            codec(default={"shelf_name": "\udc80"})

    def test_is_with_1x_or_with_nothing(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"compatibility: .*write 1\.x"):
            codec(default={"compatibility": "2"})

    @pytest.mark.encryption
    def test_without_a_header_nothing_tells_what_is_encrypted(self) -> None:
        with (
            pytest.raises(cshelve.ConfigurationError, match=r"accept_unprotected: .*header"),
            pytest.warns(UserWarning, match="accept_unprotected"),
        ):
            codec(default={"use_versioning": False}, encryption={**EAX, "accept_unprotected": True})
