"""The bytes of a record: those of cshelve 1.x, written here by hand, and back."""

from __future__ import annotations

import pickle
import struct
import warnings
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cshelve
from cshelve._config import Sections
from cshelve.codec import Codec, codec_from
from cshelve.codec.compression import Zlib

KEY = "k" * 32


def codec(*, from_file: bool = False, **sections: dict[str, object]) -> Codec:
    config = Sections("it", sections, from_file=from_file, flag="c")
    made = codec_from(config)
    config.finish()
    return made


def header(letters: bytes, payload: bytes) -> bytes:
    """The header of wire-format.md, written out byte by byte."""
    return b"\x00" + bytes([len(letters)]) + struct.pack("<Q", len(payload)) + letters


COMPRESSED: dict[str, object] = {"algorithm": "zlib"}
ENCRYPTED: dict[str, object] = {"algorithm": "aes256", "key": KEY}


class TestBytes:
    @pytest.mark.parametrize("payload", [b"", b"x", pickle.dumps([1, 2], 5)])
    def test_plain(self, payload: bytes) -> None:
        record = header(b"", payload) + payload
        assert codec().encode(payload) == record
        assert codec().decode(record) == payload

    @pytest.mark.parametrize("level", [-1, 0, 1, 9])
    def test_compressed(self, level: int) -> None:
        payload = b"payload " * 20
        inner = zlib.compress(payload, level)
        record = header(b"c", inner) + inner
        made = codec(compression={"algorithm": "zlib", "level": level})
        assert made.encode(payload) == record
        assert made.decode(record) == payload

    def test_a_compressed_value_is_read_by_a_shelf_that_no_longer_compresses(self) -> None:
        assert codec().decode(codec(compression=COMPRESSED).encode(b"value")) == b"value"

    def test_a_plain_value_is_read_by_a_shelf_that_compresses(self) -> None:
        assert codec(compression=COMPRESSED).decode(codec().encode(b"value")) == b"value"

    def test_a_bare_pickle_is_a_payload_that_nothing_transformed(self) -> None:
        bare = pickle.dumps({"a": 1})
        assert codec(compression=COMPRESSED).decode(bare) == bare

    def test_without_versioning_there_is_no_header(self) -> None:
        bare = codec(default={"use_versioning": False})
        assert bare.encode(b"\0payload") == b"\0payload"
        assert bare.decode(b"\0payload") == b"\0payload"
        assert bare.decode(b"") == b""

    def test_without_versioning_transformations_are_applied_and_not_recorded(self) -> None:
        bare = codec(default={"use_versionning": "false"}, compression=COMPRESSED)
        assert bare.encode(b"payload") == zlib.compress(b"payload")
        assert bare.decode(zlib.compress(b"payload")) == b"payload"

    @given(st.binary(max_size=2000))
    def test_whatever_is_encoded_is_decoded(self, payload: bytes) -> None:
        for made in (Codec(), Codec([Zlib()]), Codec([Zlib()], versioned=False)):
            assert made.decode(made.encode(payload)) == payload


class TestDamage:
    @pytest.mark.parametrize("size", range(10))
    def test_a_header_cut_short(self, size: int) -> None:
        with pytest.raises(cshelve.CorruptRecordError):
            codec().decode(codec().encode(b"payload")[:size])

    @pytest.mark.parametrize("change", [-1, 1])
    def test_a_payload_of_another_length(self, change: int) -> None:
        record = codec().encode(b"payload")
        with pytest.raises(cshelve.CorruptRecordError, match="bytes long"):
            codec().decode(record[:-1] if change < 0 else record + b"x")

    def test_what_does_not_decompress(self) -> None:
        with pytest.raises(cshelve.CorruptRecordError, match="decompress"):
            codec().decode(header(b"c", b"junk") + b"junk")

    @pytest.mark.parametrize("letter", [b"x", b"e", b"\xff"])
    def test_a_letter_that_nothing_undoes(self, letter: bytes) -> None:
        with pytest.raises(cshelve.DataProcessingSignatureError, match="configuration has no"):
            codec().decode(header(letter, b"junk") + b"junk")


@pytest.mark.encryption
class TestEncryption:
    def test_bytes(self) -> None:
        from Crypto.Cipher import AES

        tag_at, nonce_at, text_at = 11 + 3, 11 + 3 + 16, 11 + 3 + 32
        record = codec(encryption=ENCRYPTED).encode(b"payload")
        assert record[:14] == header(b"e", record[11:]) + b"\x01\x10\x10"
        cipher = AES.new(KEY.encode(), AES.MODE_EAX, nonce=record[nonce_at:text_at])
        assert cipher.decrypt_and_verify(record[text_at:], record[tag_at:nonce_at]) == b"payload"

    def test_compressed_then_encrypted(self) -> None:
        made = codec(compression=COMPRESSED, encryption=ENCRYPTED)
        record = made.encode(b"payload" * 100)
        assert record[10:12] == b"ec"
        assert len(record) < 100
        assert made.decode(record) == b"payload" * 100
        assert codec(encryption=ENCRYPTED).decode(record) == b"payload" * 100

    @pytest.mark.parametrize("payload", [b"", b"x", b"xy", bytes(100_000)])
    def test_values_of_any_length(self, payload: bytes) -> None:
        made = codec(encryption=ENCRYPTED)
        assert made.decode(made.encode(payload)) == payload

    def test_a_nonce_is_used_once(self) -> None:
        made = codec(encryption=ENCRYPTED)
        assert made.encode(b"payload") != made.encode(b"payload")

    def test_a_bit_that_was_flipped_anywhere_behind_the_header(self) -> None:
        made = codec(encryption=ENCRYPTED)
        record = made.encode(b"payload")
        for position in range(11, len(record)):
            damaged = bytearray(record)
            damaged[position] ^= 1
            with pytest.raises(cshelve.EncryptedDataCorruptionError):
                made.decode(bytes(damaged))

    def test_another_key(self) -> None:
        record = codec(encryption=ENCRYPTED).encode(b"payload")
        with pytest.raises(cshelve.EncryptedDataCorruptionError, match="another key"):
            codec(encryption={"algorithm": "aes256", "key": "x" * 32}).decode(record)

    def test_without_the_configuration(self) -> None:
        record = codec(encryption=ENCRYPTED).encode(b"payload")
        with pytest.raises(cshelve.DataProcessingSignatureError, match=r"\[encryption\]"):
            codec().decode(record)

    def test_the_variable_goes_before_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELF_KEY", KEY)
        both = codec(
            encryption={"algorithm": "aes256", "key": "x" * 32, "environment_key": "SHELF_KEY"}
        )
        assert codec(encryption=ENCRYPTED).decode(both.encode(b"payload")) == b"payload"

    def test_a_variable_named_with_a_dollar_shows_no_key(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHELF_KEY", KEY)
        with pytest.raises(cshelve.ConfigurationError, match="without the dollar") as caught:
            codec(encryption={"algorithm": "aes256", "environment_key": "$SHELF_KEY"})
        assert KEY not in str(caught.value)

    def test_a_tag_cut_short_proves_nothing(self) -> None:
        made = codec(encryption=ENCRYPTED)
        record = made.encode(b"payload")
        inner = b"\x01\x02\x10" + record[14:16] + record[30:]
        with pytest.raises(cshelve.EncryptedDataCorruptionError):
            made.decode(header(b"e", inner) + inner)

    @pytest.mark.parametrize("size", [0, 1, 15, 20, 31, 33])
    def test_a_key_of_no_aes_length_is_refused_at_open(self, size: int) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"\[encryption\] key"):
            codec(encryption={"algorithm": "aes256", "key": "x" * size})

    def test_a_key_that_is_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHELF_KEY", raising=False)
        with pytest.raises(cshelve.MissingEncryptionKeyError, match="needs a key"):
            codec(encryption={"algorithm": "aes256"})
        with pytest.raises(cshelve.MissingEncryptionKeyError, match="'SHELF_KEY'"):
            codec(encryption={"algorithm": "aes256", "environment_key": "SHELF_KEY"})

    def test_an_unknown_algorithm(self) -> None:
        with pytest.raises(cshelve.UnknownEncryptionAlgorithmError, match="'rot13'"):
            codec(encryption={"algorithm": "rot13", "key": KEY})


@pytest.mark.encryption
class TestAQuotedKey:
    """1.x kept quotes round a value, so there are keys of which they are a part."""

    def key_of(self, written: str) -> Any:
        made = codec(from_file=True, encryption={"algorithm": "aes256", "key": written})
        return made._stages[0]._key  # type: ignore[attr-defined]

    def test_that_is_long_enough_without_them_loses_them(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert self.key_of(f'"{KEY}"') == KEY.encode()

    @pytest.mark.parametrize("size", [14, 22, 30])
    def test_that_is_a_keys_length_only_with_them_keeps_them_and_warns(self, size: int) -> None:
        written = "'" + "k" * size + "'"
        with pytest.warns(UserWarning, match=r"\[encryption\] key: the quotes"):
            assert self.key_of(written) == written.encode()

    def test_that_names_a_variable_is_looked_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELF_KEY_14_X", KEY)
        assert self.key_of('"$SHELF_KEY_14_X"') == KEY.encode()

    def test_in_a_dict_is_as_it_stands(self) -> None:
        written = '"' + "k" * 30 + '"'
        made = codec(encryption={"algorithm": "aes256", "key": written})
        assert made._stages[0]._key == written.encode()  # type: ignore[attr-defined]
