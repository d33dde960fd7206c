"""zlib, zstd and lz4: what becomes smaller, what does not, and what is far too large."""

from __future__ import annotations

import sys
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cshelve
from cshelve.codec.compression import ALGORITHMS, compression_by
from tests.codec.making import codec, decode, encode, record

NAMES = [
    "zlib",
    pytest.param("zstd", marks=pytest.mark.compression),
    pytest.param("lz4", marks=pytest.mark.lz4),
]
every_algorithm = pytest.mark.parametrize("name", NAMES)
LETTERS = {"zlib": b"c", "zstd": b"Z", "lz4": b"l"}
TEXT = b"the same words, again and again; " * 40


def compressing(name: str, **options: Any) -> Any:
    return codec(compression={"algorithm": name, **options})


def letters_of(written: bytes) -> bytes:
    return written[10 : 10 + written[1]]


@every_algorithm
class TestEachAlgorithm:
    def test_makes_a_text_smaller_and_says_so(self, name: str) -> None:
        written = encode(compressing(name), TEXT)
        assert LETTERS[name] in letters_of(written)
        assert len(written) < len(TEXT) / 4
        assert decode(compressing(name), written) == TEXT

    @given(payload=st.binary(max_size=3000), repeated=st.integers(1, 40))
    def test_gives_back_what_it_got(self, name: str, payload: bytes, repeated: int) -> None:
        made = compressing(name)
        assert decode(made, encode(made, payload * repeated)) == payload * repeated

    def test_gives_back_what_is_larger_than_any_buffer(self, name: str) -> None:
        payload = TEXT * 5000 + bytes(3 << 20)
        made = compressing(name)
        assert decode(made, encode(made, payload)) == payload

    def test_gives_back_pieces_of_any_size(self, name: str) -> None:
        made = compressing(name)
        pieces: list[bytes | memoryview] = [
            b"",
            TEXT,
            memoryview(TEXT * 3000),
            b"x",
            bytes(2 << 20),
            b"",
        ]
        assert decode(made, made.encode("key", pieces)) == b"".join(pieces)

    def test_stores_what_would_grow_as_it_is(self, name: str) -> None:
        random = zlib.compress(bytes(range(256)) * 4, 9)[:64]
        assert encode(compressing(name), random) == record(b"", random)
        assert encode(compressing(name), b"") == record(b"", b"")

    def test_stores_what_is_too_small_as_it_is(self, name: str) -> None:
        made = compressing(name, min_size_bytes=len(TEXT))
        assert encode(made, TEXT[:-1]) == record(b"", TEXT[:-1])
        assert LETTERS[name] in letters_of(encode(made, TEXT))

    def test_is_read_whatever_is_configured_now(self, name: str) -> None:
        written = encode(compressing(name), TEXT)
        assert decode(codec(), written) == TEXT
        assert decode(compressing("zlib"), written) == TEXT

    def test_expands_to_no_more_than_it_may(self, name: str) -> None:
        written = encode(compressing(name), bytes(1000))
        assert decode(codec(default={"max_value_bytes": 1000}), written) == bytes(1000)
        with pytest.raises(cshelve.RecordError, match=r"999 bytes .* max_value_bytes"):
            decode(codec(default={"max_value_bytes": 999}), written)

    @pytest.mark.parametrize("most", [1 << 62, (1 << 63) - 1, 1 << 70])
    def test_may_expand_to_as_much_as_one_likes(self, name: str, most: int) -> None:
        made = codec(compression={"algorithm": name}, default={"max_value_bytes": most})
        assert decode(made, encode(made, TEXT)) == TEXT

    def test_stops_expanding_there(self, name: str) -> None:
        """50 kB stored would be 50 MB: no more than the limit is ever in memory."""
        written = encode(compressing(name), bytes(50 << 20))
        bounded = codec(default={"max_value_bytes": 1 << 20})
        decode(bounded, encode(compressing(name), TEXT))  # Imports what it needs.
        tracemalloc.start()
        try:
            with pytest.raises(cshelve.RecordError, match="max_value_bytes"):
                decode(bounded, written)
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()

    def test_refuses_to_store_what_it_could_not_read_again(self, name: str) -> None:
        made = codec(compression={"algorithm": name}, default={"max_value_bytes": 100})
        assert decode(made, encode(made, bytes(100))) == bytes(100)
        with pytest.raises(cshelve.ValueTooLargeError, match="max_value_bytes"):
            encode(made, bytes(101))

    @pytest.mark.parametrize("cut", [1, 4, 10])
    def test_finds_an_end_that_is_missing(self, name: str, cut: int) -> None:
        inner = self.inner_of(name)
        with pytest.raises(cshelve.CorruptRecordError, match="decompress"):
            decode(codec(), record(LETTERS[name], inner[:-cut]))

    @pytest.mark.parametrize("more", [b"x", bytes(10), b"x" * (2 << 20)])
    def test_finds_what_stands_behind_the_end(self, name: str, more: bytes) -> None:
        inner = self.inner_of(name)
        with pytest.raises(cshelve.CorruptRecordError, match="decompress"):
            decode(codec(), record(LETTERS[name], inner + more))

    def test_finds_junk(self, name: str) -> None:
        with pytest.raises(cshelve.CorruptRecordError, match="decompress"):
            decode(codec(), record(LETTERS[name], b"junk" * 10))

    @pytest.mark.parametrize("level", ["least", "most"])
    def test_takes_every_level_that_it_has(self, name: str, level: str) -> None:
        levels = ALGORITHMS[name].levels
        made = compressing(name, level=levels.start if level == "least" else levels.stop - 1)
        assert decode(made, encode(made, TEXT)) == TEXT

    def test_refuses_a_level_that_it_has_not(self, name: str) -> None:
        levels = ALGORITHMS[name].levels
        for level in (levels.start - 1, levels.stop):
            with pytest.raises(cshelve.ConfigurationError, match=r"\[compression\] level"):
                compressing(name, level=level)

    def test_has_a_letter_that_a_reader_finds_it_by(self, name: str) -> None:
        assert compression_by(LETTERS[name]).letter == LETTERS[name]

    def inner_of(self, name: str) -> bytes:
        """What the algorithm makes of the text, with no record round it."""
        written = encode(compressing(name), TEXT)
        return written[10 + written[1] + (4 if letters_of(written).startswith(b"r") else 0) :]


class TestTheConfiguration:
    def test_names_what_there_is(self) -> None:
        with pytest.raises(
            cshelve.UnknownCompressionAlgorithmError, match=r"did you mean zstd\?.*zlib, zstd, lz4"
        ):
            compressing("zst")

    def test_needs_an_algorithm(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"\[compression\] algorithm"):
            codec(compression={"level": 1})

    def test_has_no_least_size_without_a_header(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"min_size_bytes: .*header"):
            codec(
                default={"use_versioning": False},
                compression={"algorithm": "zlib", "min_size_bytes": 10},
            )

    @pytest.mark.parametrize(("name", "extra"), [("zstd", "compression"), ("lz4", "lz4")])
    def test_says_what_to_install(
        self, name: str, extra: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = rf"{name}: .*pip install 'cshelve\[{extra}\]'"
        if name == "zstd" and sys.version_info >= (3, 14):
            told = "zstd: this Python was built without it"
        for module in ("backports.zstd", "compression", "lz4", "lz4.frame"):
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(cshelve.MissingDependencyError, match=told):
            compressing(name)
        compression_by.cache_clear()
        with pytest.raises(cshelve.DataProcessingSignatureError, match=told):
            decode(codec(), record(LETTERS[name], b"what it was"))
