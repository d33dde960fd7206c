"""aes256, as cshelve 1.x has it: bytes, keys, and what it does not do."""

from __future__ import annotations

import os
import warnings
from typing import Any

import pytest

import cshelve
from cshelve._config.sections import Sections
from tests.codec.making import EAX, EAX_KEY, ZLIB, codec, codec_of, decode, encode, header, record

pytestmark = pytest.mark.encryption


def encrypting(**options: Any) -> Any:
    return codec(encryption={**EAX, **options})


class TestRecords:
    def test_have_the_bytes_of_1x(self) -> None:
        from Crypto.Cipher import AES

        tag_at, nonce_at, text_at = 11 + 3, 11 + 3 + 16, 11 + 3 + 32
        written = encode(encrypting(), b"payload")
        assert written[:14] == header(b"e", written[11:]) + b"\x01\x10\x10"
        cipher = AES.new(EAX_KEY.encode(), AES.MODE_EAX, nonce=written[nonce_at:text_at])
        assert cipher.decrypt_and_verify(written[text_at:], written[tag_at:nonce_at]) == b"payload"

    def test_are_compressed_before_that(self) -> None:
        made = codec(compression=ZLIB, encryption=EAX)
        written = encode(made, b"payload" * 100)
        assert written[10:12] == b"ec"
        assert len(written) < 100
        assert decode(made, written) == b"payload" * 100
        assert decode(encrypting(), written) == b"payload" * 100

    @pytest.mark.parametrize("payload", [b"", b"x", b"xy", bytes(100_000)])
    def test_hold_values_of_any_length(self, payload: bytes) -> None:
        assert decode(encrypting(), encode(encrypting(), payload)) == payload

    def test_hold_values_in_pieces(self) -> None:
        pieces: list[bytes | memoryview] = [b"pay", b"", memoryview(b"load" * 100), b"s"]
        assert decode(encrypting(), encrypting().encode("key", pieces)) == b"".join(pieces)

    def test_have_each_a_nonce_of_their_own(self) -> None:
        assert encode(encrypting(), b"payload") != encode(encrypting(), b"payload")

    def test_show_a_bit_that_was_flipped_anywhere_behind_the_header(self) -> None:
        written = encode(encrypting(), b"payload")
        for position in range(11, len(written)):
            damaged = bytearray(written)
            damaged[position] ^= 1
            with pytest.raises(cshelve.EncryptedDataCorruptionError):
                decode(encrypting(), bytes(damaged))

    def test_are_not_read_without_the_configuration(self) -> None:
        with pytest.raises(cshelve.DataProcessingSignatureError, match=r"\[encryption\]"):
            decode(codec(), encode(encrypting(), b"payload"))

    def test_are_refused_with_a_tag_that_was_cut_short(self) -> None:
        written = encode(encrypting(), b"payload")
        inner = b"\x01\x02\x10" + written[14:16] + written[30:]
        with pytest.raises(cshelve.EncryptedDataCorruptionError):
            decode(encrypting(), record(b"e", inner))

    @pytest.mark.parametrize("inner", [b"", b"\x01", b"\x01\x10\x10", b"\x01\x10\x10" + bytes(31)])
    def test_are_refused_when_they_are_too_short(self, inner: bytes) -> None:
        with pytest.raises(cshelve.EncryptedDataCorruptionError):
            decode(encrypting(), record(b"e", inner))

    def test_can_be_moved_to_another_key_which_is_what_they_lack(self) -> None:
        """docs/security.md says so; `aes256-gcm`, and signing, do not allow it."""
        assert decode(encrypting(), encode(encrypting(), b"payload", "a"), "b") == b"payload"

    def test_that_are_not_encrypted_are_refused(self) -> None:
        with pytest.raises(cshelve.UntrustedRecordError, match="is not encrypted"):
            decode(encrypting(), encode(codec(), b"payload"))

    def test_that_are_not_encrypted_are_read_in_a_migration(self) -> None:
        with pytest.warns(UserWarning, match="accept_unprotected"):
            migrating = encrypting(accept_unprotected=True)
        assert decode(migrating, encode(codec(), b"payload")) == b"payload"


class TestKeys:
    def test_of_another_shelf_read_nothing(self) -> None:
        with pytest.raises(cshelve.EncryptedDataCorruptionError, match="another key"):
            decode(encrypting(key="x" * 32), encode(encrypting(), b"payload"))

    def test_that_came_before_still_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OLD_1", "o" * 16)
        monkeypatch.setenv("OLD_2", EAX_KEY)
        rotated = encrypting(key="n" * 32, previous_environment_keys="OLD_1, OLD_2")
        old, new = encode(encrypting(), b"payload"), encode(rotated, b"payload")
        assert rotated.decode("key", old)[::2] == (b"payload", False)
        assert rotated.decode("key", new)[::2] == (b"payload", True)
        with pytest.raises(cshelve.EncryptedDataCorruptionError):
            decode(encrypting(), new)

    def test_come_from_the_variable_before_the_option(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHELF_KEY", EAX_KEY)
        both = encrypting(key="x" * 32, environment_key="SHELF_KEY")
        assert decode(encrypting(), encode(both, b"payload")) == b"payload"

    def test_may_be_bytes_in_a_dict(self) -> None:
        raw = encrypting(key=EAX_KEY.encode())
        assert decode(encrypting(), encode(raw, b"payload")) == b"payload"

    @pytest.mark.parametrize("option", ["environment_key", "previous_environment_keys"])
    def test_are_not_shown_where_a_variable_is_named_with_a_dollar(
        self, option: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHELF_KEY", EAX_KEY)
        with pytest.raises(cshelve.ConfigurationError, match="without the dollar") as caught:
            encrypting(**{option: "$SHELF_KEY"})
        assert EAX_KEY not in str(caught.value)

    @pytest.mark.parametrize("option", ["environment_key", "previous_environment_keys"])
    def test_are_not_shown_where_they_stand_in_place_of_a_name(self, option: str) -> None:
        with pytest.raises(cshelve.MissingEncryptionKeyError, match="is not set") as caught:
            encrypting(**{option: EAX_KEY})
        assert EAX_KEY not in str(caught.value)

    def test_may_be_bytes_that_are_no_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = b"k" * 31 + b"\xff"
        monkeypatch.setenv("RAW_KEY", os.fsdecode(raw))
        written = encode(encrypting(key=raw), b"payload")
        for options in ({"key": "$RAW_KEY"}, {"environment_key": "RAW_KEY"}):
            made = codec(encryption={"algorithm": "aes256", **options})
            assert decode(made, written) == b"payload"

    @pytest.mark.parametrize("size", [1, 15, 20, 31, 33])
    def test_of_no_aes_length_are_refused_at_open(self, size: int) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"\[encryption\] key: .*not \d+"):
            encrypting(key="x" * size)

    @pytest.mark.parametrize(("size", "bits"), [(16, 128), (24, 192)])
    def test_that_are_weaker_than_the_name_says_warn(self, size: int, bits: int) -> None:
        with pytest.warns(UserWarning, match=rf"key of {size} bytes encrypts with AES-{bits}"):
            made = encrypting(key="x" * size)
        assert decode(made, encode(made, b"payload")) == b"payload"

    def test_that_are_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHELF_KEY", raising=False)
        for key in ({}, {"key": ""}):
            with pytest.raises(cshelve.MissingEncryptionKeyError, match="there is no key"):
                codec(encryption={"algorithm": "aes256", **key})
        with pytest.raises(cshelve.MissingEncryptionKeyError, match="'SHELF_KEY' is not set"):
            codec(encryption={"algorithm": "aes256", "environment_key": "SHELF_KEY"})

    def test_are_for_an_algorithm_that_there_is(self) -> None:
        with pytest.raises(cshelve.UnknownEncryptionAlgorithmError, match="'rot13'"):
            encrypting(algorithm="rot13")


class TestAQuotedKey:
    """1.x kept quotes round a value, so there are keys of which they are a part."""

    def assert_is(self, key: bytes, written: str, **options: Any) -> None:
        sections = {"encryption": {"algorithm": "aes256", "key": written}}
        made = codec_of(Sections("it", sections, from_file=True, flag="c"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = encrypting(key=key)
        assert decode(known, encode(made, b"payload")) == b"payload"

    def test_that_is_long_enough_without_them_loses_them(self) -> None:
        self.assert_is(EAX_KEY.encode(), f'"{EAX_KEY}"')

    def test_that_is_a_keys_length_only_with_them_keeps_them_and_warns(self) -> None:
        written = "'" + "k" * 30 + "'"
        with pytest.warns(UserWarning, match=r"\[encryption\] key: the quotes"):
            self.assert_is(written.encode(), written)

    @pytest.mark.parametrize("size", [14, 22])
    def test_that_is_weak_besides_warns_of_both(self, size: int) -> None:
        written = '"' + "k" * size + '"'
        with (
            pytest.warns(UserWarning, match=r"\[encryption\] key: the quotes"),
            pytest.warns(UserWarning, match="encrypts with AES-"),
        ):
            self.assert_is(written.encode(), written)

    def test_that_names_a_variable_is_looked_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELF_KEY_14_X", EAX_KEY)
        self.assert_is(EAX_KEY.encode(), '"$SHELF_KEY_14_X"')

    def test_in_a_dict_is_as_it_stands(self) -> None:
        written = '"' + "k" * 30 + '"'
        made = encrypting(key=written)
        assert decode(encrypting(key=written.encode()), encode(made, b"payload")) == b"payload"
