"""Tests of single values: put, get, contains, delete."""

from __future__ import annotations

import math

from cshelve.exceptions import (
    KeyNotFoundError,
)
from cshelve.testing.contract._checks import done, error_of
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["ValuesContract"]


class ValuesContract(PlaceOfATest):
    """The part of `ProviderContract` about single values."""

    def test_a_value_that_is_put_is_in_the_store(self) -> None:
        with self.provider() as provider:
            provider.put("users/42", b"value")
        assert self.raw_read("users/42") == b"value"

    def test_a_value_that_others_wrote_is_read(self) -> None:
        self.raw_write("users/42", b"theirs")
        with self.provider() as provider:
            assert provider.get("users/42").data == b"theirs"

    def test_a_value_comes_back_as_bytes(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            assert type(provider.get("name").data) is bytes

    def test_a_second_provider_sees_what_the_first_wrote(self) -> None:
        with self.provider() as first, self.provider() as second:
            first.put("name", b"value")
            assert second.get("name").data == b"value"

    def test_a_put_replaces_what_was_there(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"a longer value than the next one")
            provider.put("name", b"new")
            assert provider.get("name").data == b"new"

    def test_values_of_every_kind_come_back_as_they_were(self) -> None:
        values = {
            "empty": b"",
            "one": b"\0",
            "all-bytes": bytes(range(256)),
            "lines": b"\r\n\n\r\x1a\xff\xfe",
            "chunk-like": b"5\r\nvalue\r\n0\r\n\r\n",
            "large": bytes(range(251)) * (3 * 1024 * 1024 // 251),
        }
        with self.provider() as provider:
            for name, data in values.items():
                provider.put(name, data)
            differing = [n for n, data in values.items() if provider.get(n).data != data]
        assert differing == []

    def test_a_value_is_read_only_if_it_has_changed(self) -> None:
        with self.provider() as provider:
            first = provider.put("name", b"first")
            assert provider.get_if_changed("name", first) is None
            second = provider.put("name", b"second")
            assert provider.get_if_changed("name", first) == (b"second", second)
            provider.delete("name")
            error_of(KeyNotFoundError, lambda: provider.get_if_changed("name", second))

    def test_the_latest_value_is_read(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"ours")
            assert provider.get_latest("name") == (b"ours", version)
            self.raw_write("name", b"theirs")
            assert provider.get_latest("name").data == b"theirs"
            error_of(KeyNotFoundError, lambda: provider.get_latest("absent"))

    def test_an_empty_value_is_there(self) -> None:
        with self.provider() as provider:
            provider.put("empty", b"")
            assert provider.contains("empty")

    def test_getting_an_absent_name_says_which(self) -> None:
        with self.provider() as provider:
            error = error_of(KeyNotFoundError, lambda: provider.get("absent"))
        assert error.args == ("absent",)

    def test_contains_tells_what_is_there(self) -> None:
        with self.provider() as provider:
            provider.put("there", b"value")
            assert (provider.contains("there"), provider.contains("absent")) == (True, False)

    def test_tells_when_what_was_put_expires(self) -> None:
        with self.provider() as provider:
            provider.expiry_of = _until
            provider.put("alone", b"until 1800000000.123")
            provider.put("if-there", b"for ever")
            if provider.capabilities.conditional_put:
                provider.put("if-there", b"until 5", if_version=provider.get("if-there").version)
                provider.put("if-absent", b"until 6", if_absent=True)
                assert provider.expires_at("if-there") == 5
                assert provider.expires_at("if-absent") == 6
            done(provider.put_many([("bulk", b"until 7"), ("plain", b"for ever")]))
            names = ("alone", "bulk", "plain", "absent")
            found = [provider.expires_at(name) for name in names]
            assert found == [1_800_000_000.123, 7, math.inf, None]
            provider.put("alone", b"for ever")
            assert provider.expires_at("alone") == math.inf

    def test_without_knowing_how_nothing_expires(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"until 7")
            assert provider.expires_at("name") == math.inf

    def test_the_beginning_of_a_name_is_not_there(self) -> None:
        with self.provider() as provider:
            provider.put("users/42", b"value")
            parts = {"users", "users/", "users/4"} - self.unfaithful_names
            assert {part for part in parts if provider.contains(part)} == set()

    def test_a_deleted_name_is_absent(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            provider.delete("name")
            assert not provider.contains("name")
        assert self.raw_read("name") is None

    def test_delete_tells_what_one_request_can_tell(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            outcomes = (provider.delete("name"), provider.delete("name"))
            reports = provider.capabilities.delete_reports
        known = ((True, False),)
        unknown = ((None, None), (None, False))
        assert outcomes in (known if reports else unknown)

    def test_a_deleted_name_can_be_put_again(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"old")
            provider.delete("name")
            provider.put("name", b"new")
            assert provider.get("name").data == b"new"

    def test_deleting_a_name_leaves_those_below_it(self) -> None:
        with self.provider() as provider:
            provider.put("a", b"above")
            provider.put("a/b", b"below")
            provider.delete("a")
            assert sorted(provider.names()) == ["a/b"]

    def test_deleting_a_name_leaves_the_one_above_it(self) -> None:
        with self.provider() as provider:
            provider.put("a/b", b"below")
            provider.put("a", b"above")
            provider.delete("a/b")
            assert provider.get("a").data == b"above"


def _until(data: bytes) -> float | None:
    """Return when data expires, if it says so; records do this in their own way."""
    word, _, when = data.partition(b" ")
    return float(when) if word == b"until" else None
