"""`aes256-gcm` and `hmac-sha256`: who can write to the bucket cannot make the shelf lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cshelve
from cshelve.codec import Codec
from tests.codec.making import EAX, GCM, HMAC, KEY, OTHER_KEY, ZLIB, codec, decode, encode, record

SEALS: dict[str, dict[str, Any]] = {
    "sealed": {"encryption": GCM},
    "signed": {"signing": HMAC},
    "encrypted and signed": {"encryption": EAX, "signing": HMAC},
}
NAMES = [
    pytest.param("sealed", marks=pytest.mark.encryption),
    "signed",
    pytest.param("encrypted and signed", marks=pytest.mark.encryption),
]
every_seal = pytest.mark.parametrize("name", NAMES)
gcm_and_hmac = pytest.mark.parametrize(
    ("section", "options"),
    [
        pytest.param("encryption", GCM, marks=pytest.mark.encryption),
        ("signing", HMAC),
    ],
)


def sealing(name: str, **more: dict[str, Any]) -> Codec:
    return codec(**{**SEALS[name], **more})


def refused(made: Codec, written: bytes, key: str = "key") -> cshelve.RecordError:
    with pytest.raises(cshelve.RecordError) as caught:
        made.decode(key, written)
    return caught.value


@every_seal
class TestARecord:
    @given(payload=st.binary(max_size=500), key=st.text(max_size=20))
    def test_gives_back_what_was_put_in(self, name: str, payload: bytes, key: str) -> None:
        made = sealing(name, compression=ZLIB)
        assert decode(made, encode(made, payload, key), key) == payload

    @pytest.mark.parametrize(
        "size", [0, 1, (1 << 17) - 25, (1 << 17) - 24, (1 << 17) - 23, 3 << 20]
    )
    def test_gives_back_values_of_any_size_in_pieces(self, name: str, size: int) -> None:
        made = sealing(name)
        pieces: list[bytes | memoryview] = [b"head", bytes(size), memoryview(b"tail")]
        assert decode(made, made.encode("key", pieces)) == b"head" + bytes(size) + b"tail"

    def test_is_never_the_same_twice_if_it_is_encrypted(self, name: str) -> None:
        made = sealing(name)
        same = encode(made, b"payload") == encode(made, b"payload")
        assert same is (name == "signed")

    def test_shows_any_bit_that_was_flipped(self, name: str) -> None:
        made = sealing(name)
        written = encode(made, b"payload" * 3)
        for bit in range(8 * len(written)):
            damaged = bytearray(written)
            damaged[bit // 8] ^= 1 << bit % 8
            refused(made, bytes(damaged))

    @given(data=st.data())
    def test_shows_any_bit_that_was_flipped_in_any_chain(
        self, name: str, data: st.DataObject
    ) -> None:
        made = sealing(name, compression=ZLIB, default={"checksum": data.draw(st.booleans())})
        written = encode(made, data.draw(st.binary(max_size=300)))
        bit = data.draw(st.integers(0, 8 * len(written) - 1))
        damaged = bytearray(written)
        damaged[bit // 8] ^= 1 << bit % 8
        refused(made, bytes(damaged))

    def test_that_was_cut_short_anywhere_is_refused(self, name: str) -> None:
        made = sealing(name)
        written = encode(made, b"payload")
        for size in range(len(written)):
            refused(made, written[:size])

    def test_that_was_cut_short_with_a_header_to_match_is_refused(self, name: str) -> None:
        made = sealing(name)
        written = encode(made, b"payload")
        letters, inner = written[10 : 10 + written[1]], written[10 + written[1] :]
        for size in range(len(inner)):
            refused(made, record(letters, inner[:size]))

    def test_that_got_more_behind_its_end_is_refused(self, name: str) -> None:
        made = sealing(name)
        written = encode(made, b"payload")
        letters, inner = written[10 : 10 + written[1]], written[10 + written[1] :]
        refused(made, written + b"x")
        refused(made, record(letters, inner + b"x"))

    def test_that_lies_under_another_key_is_refused(self, name: str) -> None:
        made = sealing(name)
        written = encode(made, b"payload", "users/ada")
        for key in ("users/grace", "users/ad", "users/adaa", "", "sers/ada"):
            error = refused(made, written, key)
            assert "another key of the shelf" in str(error)

    def test_that_changed_places_with_another_is_refused(self, name: str) -> None:
        made = sealing(name)
        one, two = encode(made, b"1", "one"), encode(made, b"2", "two")
        refused(made, one, "two")
        refused(made, two, "one")

    def test_of_another_shelf_is_refused(self, name: str) -> None:
        here = sealing(name, default={"shelf_name": "here"})
        there = sealing(name, default={"shelf_name": "there"})
        for made, other in ((here, there), (there, here), (sealing(name), here)):
            assert decode(made, encode(made, b"payload")) == b"payload"
            refused(other, encode(made, b"payload"))

    def test_takes_no_letter_of_a_shelf_s_name_for_one_of_a_key(self, name: str) -> None:
        one = sealing(name, default={"shelf_name": "ab"})
        two = sealing(name, default={"shelf_name": "a"})
        refused(two, encode(one, b"payload", "c"), "bc")

    @pytest.mark.parametrize("letters", [b"c", b"j", b"r", b"", b"rc"])
    def test_with_another_head_is_refused(self, name: str, letters: bytes) -> None:
        """Whatever the letters behind the seal's say, they are what it was sealed with."""
        made = sealing(name)
        written = encode(made, b"payload")
        own, inner = written[10 : 10 + written[1]], written[10 + written[1] :]
        heads = {own + letters, letters + own, own[:-1] + letters, letters} - {own}
        for head in heads:
            refused(made, record(head, inner))
        crc = b"\0\0\0\0"
        refused(made, record(b"r" + own, crc + inner))

    def test_whose_checksum_was_taken_off_is_refused(self, name: str) -> None:
        made = sealing(name, default={"checksum": True})
        written = encode(made, b"payload")
        letters, inner = written[10 : 10 + written[1]], written[10 + written[1] :]
        assert letters[:1] == b"r"
        refused(sealing(name), record(letters[1:], inner[4:]))

    @pytest.mark.parametrize(
        "planted",
        [
            b"",
            b"\x80\x05N.",
            b"cos\nsystem\n(S'true'\ntR.",
            b"\0",
            b"\0" * 9,
            b"\0" * 200,
            b"\xff\xd8\xff\xe0 a picture",
            b"some text",
            record(b"", b"\x80\x05N."),
            record(b"c", b"x\x9c\x03\x00\x00\x00\x00\x01"),
            record(b"r", b"1234\x80\x05N."),
            record(b"rj", b"1234null"),
            record(b"cG", bytes(60)),
            record(b"cH", bytes(60)),
            record(b"Z", bytes(60)),
            record(b"\xffG", bytes(60)),
        ],
    )
    def test_that_somebody_else_put_there_is_untrusted(self, name: str, planted: bytes) -> None:
        made = sealing(name)
        with pytest.raises(cshelve.UntrustedRecordError, match=f"not {name.split()[-1]}"):
            made.decode("key", planted)

    def test_of_the_other_protection_is_untrusted(self, name: str) -> None:
        other = codec(signing=HMAC) if name == "sealed" else codec(default={"checksum": True})
        with pytest.raises(cshelve.UntrustedRecordError):
            sealing(name).decode("key", encode(other, b"payload"))

    def test_is_not_read_by_a_shelf_without_the_section(self, name: str) -> None:
        with pytest.raises(cshelve.DataProcessingSignatureError, match="configuration has no"):
            codec().decode("key", encode(sealing(name), b"payload"))


@gcm_and_hmac
class TestKeys:
    def test_rotate(
        self, section: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OLD", KEY)
        old = codec(**{section: options})
        present = {**options, "key": OTHER_KEY, "previous_environment_keys": "OLD"}
        new = codec(**{section: present})
        assert new.decode("key", encode(old, b"payload"))[::2] == (b"payload", False)
        assert new.decode("key", encode(new, b"payload"))[::2] == (b"payload", True)
        assert "previous_environment_keys" in str(refused(old, encode(new, b"payload")))

    def test_are_called_by_a_labelled_hash(self, section: str, options: dict[str, Any]) -> None:
        written = encode(codec(**{section: options}), b"payload")
        label = f"cshelve key id, {options['algorithm']}\0".encode()
        expected = hashlib.sha256(label + base64.b64decode(KEY)).digest()[:8]
        assert written[11:19] == expected

    @pytest.mark.parametrize(
        "spelling",
        [
            KEY,
            KEY.rstrip("="),
            KEY.replace("+", "-").replace("/", "_"),
            f" {KEY}\n",
            base64.b64decode(KEY),
        ],
    )
    def test_are_read_however_they_are_spelt(
        self, section: str, options: dict[str, Any], spelling: object
    ) -> None:
        made = codec(**{section: {**options, "key": spelling}})
        assert decode(codec(**{section: options}), encode(made, b"payload")) == b"payload"

    @pytest.mark.parametrize(
        "bad",
        ["k" * 32, "short", KEY[:-4], KEY + "AAAA", "ä" * 22, b"0" * 31, "!" + KEY[1:]],
    )
    def test_that_are_no_32_bytes_are_refused_at_open(
        self, section: str, options: dict[str, Any], bad: object
    ) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="generate_key") as caught:
            codec(**{section: {**options, "key": bad}})
        assert str(bad) not in str(caught.value)
        assert f"[{section}] key" in str(caught.value)

    @pytest.mark.parametrize("option", ["environment_key", "previous_environment_keys"])
    def test_come_from_the_environment(
        self,
        section: str,
        options: dict[str, Any],
        option: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SHELF_KEY", OTHER_KEY + "\n")
        made = codec(**{section: {**options, option: "SHELF_KEY"}})
        with_it = codec(**{section: {**options, "key": OTHER_KEY}})
        assert decode(made, encode(with_it, b"payload")) == b"payload"
        monkeypatch.setenv("SHELF_KEY", "hunter2")
        with pytest.raises(cshelve.ConfigurationError, match="generate_key") as caught:
            codec(**{section: {**options, option: "SHELF_KEY"}})
        assert "hunter2" not in str(caught.value)
        monkeypatch.delenv("SHELF_KEY")
        with pytest.raises(cshelve.MissingEncryptionKeyError, match="'SHELF_KEY' is not set"):
            codec(**{section: {**options, option: "SHELF_KEY"}})

    def test_may_be_a_list_of_variables(
        self, section: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONE", cshelve.generate_key())
        monkeypatch.setenv("TWO", OTHER_KEY)
        made = codec(**{section: {**options, "previous_environment_keys": ["ONE", "TWO"]}})
        with_it = codec(**{section: {**options, "key": OTHER_KEY}})
        assert decode(made, encode(with_it, b"payload")) == b"payload"

    def test_are_not_shown_where_they_stand_in_place_of_a_name(
        self, section: str, options: dict[str, Any]
    ) -> None:
        for option in ("environment_key", "previous_environment_keys"):
            with pytest.raises(cshelve.MissingEncryptionKeyError) as caught:
                codec(**{section: {**options, option: KEY}})
            assert KEY not in str(caught.value)

    def test_are_not_shown_where_a_dollar_stands_before_them(
        self, section: str, options: dict[str, Any]
    ) -> None:
        for key in (f"${KEY}", f"$e{KEY}", "$TOPSECRETKEY1234"):
            with pytest.raises(cshelve.MissingEncryptionKeyError, match="is not set") as caught:
                codec(**{section: {**options, "key": key}})
            assert key[2:] not in str(caught.value)

    def test_are_not_shown_in_place_of_the_algorithm(
        self, section: str, options: dict[str, Any]
    ) -> None:
        with pytest.raises(cshelve.ConfigurationError) as caught:
            codec(**{section: {**options, "algorithm": KEY}})
        assert KEY[:16] not in str(caught.value)

    def test_of_bytes_that_are_no_text_are_refused_like_others(
        self, section: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAW_KEY", os.fsdecode(b"secretive" + b"\xff" * 23))
        for option, written in (("key", "$RAW_KEY"), ("environment_key", "RAW_KEY")):
            with pytest.raises(cshelve.ConfigurationError, match="generate_key") as caught:
                codec(**{section: {"algorithm": options["algorithm"], option: written}})
            assert "secretive" not in repr(caught.value)

    def test_that_are_nowhere(self, section: str, options: dict[str, Any]) -> None:
        with pytest.raises(cshelve.MissingEncryptionKeyError, match=rf"\[{section}\] key"):
            codec(**{section: {"algorithm": options["algorithm"]}})

    def test_are_in_no_repr(self, section: str, options: dict[str, Any]) -> None:
        made = codec(**{section: options})
        texts = [repr(made), repr(made.seal), repr(vars(made.seal)), repr(vars(made))]
        for text in texts:
            assert KEY not in text
            assert str(base64.b64decode(KEY)) not in text
            assert base64.b64decode(KEY).hex() not in text

    def test_are_for_an_algorithm_that_there_is(
        self, section: str, options: dict[str, Any]
    ) -> None:
        name = options["algorithm"][:-1]
        with pytest.raises(cshelve.ConfigurationError, match=options["algorithm"]):
            codec(**{section: {**options, "algorithm": name}})


@gcm_and_hmac
class TestAMigration:
    def test_reads_what_is_not_protected_and_warns(
        self, section: str, options: dict[str, Any]
    ) -> None:
        with pytest.warns(UserWarning, match=rf"\[{section}\] accept_unprotected: anyone"):
            made = codec(**{section: {**options, "accept_unprotected": True}}, compression=ZLIB)
        assert decode(made, b"\x80\x05N.") == b"\x80\x05N."
        assert decode(made, encode(codec(), b"payload")) == b"payload"
        assert decode(made, encode(codec(compression=ZLIB), b"pay" * 50)) == b"pay" * 50
        assert decode(made, encode(made, b"payload")) == b"payload"

    def test_still_refuses_what_fails_its_check(
        self, section: str, options: dict[str, Any]
    ) -> None:
        with pytest.warns(UserWarning, match="accept_unprotected"):
            made = codec(**{section: {**options, "accept_unprotected": True}})
        written = encode(made, b"payload")
        refused(made, written[:-1] + bytes([written[-1] ^ 1]))
        refused(made, written, "another key")


class TestSigning:
    def test_is_an_hmac_of_all_that_the_record_is_bound_to(self) -> None:
        written = encode(codec(signing=HMAC, default={"shelf_name": "mine"}), b"payload", "ünï")
        head, key_id, mac, rest = written[:11], written[11:19], written[19:51], written[51:]
        parts = (head, key_id, b"mine", "ünï".encode())
        bound = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
        assert rest == b"payload"
        assert mac == hmac.digest(base64.b64decode(KEY), bound + rest, "sha256")

    @pytest.mark.encryption
    def test_beside_aes256_signs_the_ciphertext(self) -> None:
        both = codec(encryption=EAX, signing=HMAC)
        written = encode(both, b"payload")
        assert written[10:12] == b"He"
        # What 1.x's encryption lacks: now it cannot be moved.
        refused(both, written, "another key")
        # Without the signature it is an ordinary record of 1.x, and not taken.
        unsigned = record(b"e", written[12 + 40 :])
        assert decode(codec(encryption=EAX), unsigned) == b"payload"
        with pytest.raises(cshelve.UntrustedRecordError, match="not signed"):
            both.decode("key", unsigned)

    @pytest.mark.encryption
    def test_beside_aes256_does_not_stand_in_for_it(self) -> None:
        signed = encode(codec(signing=HMAC), b"payload")
        with pytest.raises(cshelve.UntrustedRecordError, match="not encrypted"):
            codec(encryption=EAX, signing=HMAC).decode("key", signed)

    @pytest.mark.encryption
    def test_beside_aes256_gcm_is_an_error(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"\[signing\]: .*authenticates"):
            codec(encryption=GCM, signing=HMAC)


@pytest.mark.encryption
class TestSealing:
    def test_is_gcm_bound_to_all_that_the_record_is_bound_to(self) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        made = codec(encryption=GCM, default={"shelf_name": "mine"})
        for payload in (b"payload", bytes(1 << 20)):
            written = made.encode("ünï", (payload[:3], payload[3:]))
            head, key_id, nonce, sealed = (
                written[:11],
                written[11:19],
                written[19:31],
                written[31:],
            )
            parts = (head, key_id, b"mine", "ünï".encode())
            bound = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
            key = AESGCM(base64.b64decode(KEY))
            assert key.decrypt(nonce, sealed, bound) == payload

    def test_refuses_what_the_primitive_does_not_take(self) -> None:
        # The pages of these zeros are never touched: it is refused by its length.
        with pytest.raises(cshelve.ValueTooLargeError, match="2,147,483,631 bytes at most"):
            encode(codec(encryption=GCM), bytes(2**31 - 16))

    def test_takes_all_that_the_primitive_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cshelve.codec.aes_gcm.MOST_BYTES", 1000)
        made = codec(encryption=GCM)
        assert decode(made, encode(made, bytes(1000))) == bytes(1000)
        with pytest.raises(cshelve.ValueTooLargeError):
            encode(made, bytes(1001))

    def test_reads_records_of_1x_in_a_migration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KEY_OF_1X", str(EAX["key"]))
        monkeypatch.setenv("OLD", OTHER_KEY)
        written = encode(codec(encryption=EAX), b"payload")
        options = {**GCM, "previous_environment_keys": "KEY_OF_1X, OLD"}
        with pytest.raises(cshelve.ConfigurationError, match="is needed as well"):
            codec(encryption=options)
        with pytest.raises(cshelve.UntrustedRecordError, match="not sealed"):
            codec(encryption=GCM).decode("key", written)
        with pytest.warns(UserWarning, match="accept_unprotected"):
            migrating = codec(encryption={**options, "accept_unprotected": True})
        assert migrating.decode("key", written)[::2] == (b"payload", False)
        sealed_before = encode(codec(encryption={**GCM, "key": OTHER_KEY}), b"payload")
        assert migrating.decode("key", sealed_before)[::2] == (b"payload", False)


def test_a_key_that_is_generated_is_one() -> None:
    key = cshelve.generate_key()
    assert len(base64.b64decode(key, validate=True)) == 32
    assert key != cshelve.generate_key()
    made = codec(signing={**HMAC, "key": key})
    assert decode(made, encode(made, b"payload")) == b"payload"
