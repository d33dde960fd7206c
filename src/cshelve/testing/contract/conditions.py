"""Tests of conditional writes, by version and only if the name is absent."""

from __future__ import annotations

from cshelve.testing.contract._checks import (
    error_of,
    falsy,
    is_done,
    refusal,
)
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["ConditionsContract"]


class ConditionsContract(PlaceOfATest):
    """The part of `ProviderContract` about conditional writes and versions."""

    def test_put_gives_the_version_that_get_gives(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"value")
            assert provider.get("name").version == version

    def test_another_value_is_another_version(self) -> None:
        with self.provider() as provider:
            versions = {provider.put("name", b"%d" % number) for number in range(10)}
        assert len(versions) == 10

    def test_if_absent_never_replaces(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"first")
            error_of(
                refusal(provider.capabilities.conditional_create),
                lambda: provider.put("name", b"second", if_absent=True),
            )
            assert provider.get("name").data == b"first"

    def test_if_absent_writes_what_is_absent(self) -> None:
        with self.provider() as provider:
            written = is_done(
                provider.capabilities.conditional_create,
                lambda: provider.put("name", b"value", if_absent=True),
            )
        assert self.raw_read("name") == (b"value" if written else None)

    def test_if_absent_gives_the_version(self) -> None:
        with self.provider() as provider:
            if provider.capabilities.conditional_create:
                version = provider.put("name", b"value", if_absent=True)
            else:
                version = provider.put("name", b"value")
            assert provider.get("name").version == version

    def test_if_version_replaces_that_version(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"first")
            written = is_done(
                provider.capabilities.conditional_put,
                lambda: provider.put("name", b"second", if_version=version),
            )
        assert self.raw_read("name") == (b"second" if written else b"first")

    def test_if_version_never_replaces_another_version(self) -> None:
        with self.provider() as provider:
            stale = provider.put("name", b"first")
            provider.put("name", b"other")
            error_of(
                refusal(provider.capabilities.conditional_put),
                lambda: provider.put("name", b"mine", if_version=stale),
            )
            assert provider.get("name").data == b"other"

    def test_if_version_sees_what_others_wrote(self) -> None:
        with self.provider() as provider:
            stale = provider.put("name", b"mine")
            self.raw_write("name", b"them")
            error_of(
                refusal(provider.capabilities.conditional_put),
                lambda: provider.put("name", b"more", if_version=stale),
            )
        assert self.raw_read("name") == b"them"

    def test_if_version_never_writes_what_is_absent(self) -> None:
        with self.provider() as provider:
            gone = provider.put("name", b"value")
            provider.delete("name")
            error_of(
                refusal(provider.capabilities.conditional_put),
                lambda: provider.put("name", b"value", if_version=gone),
            )
        assert self.raw_read("name") is None

    def test_delete_if_version_deletes_that_version(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"value")
            done = is_done(
                provider.capabilities.conditional_delete,
                lambda: provider.delete("name", if_version=version),
            )
        assert self.raw_read("name") == (None if done else b"value")

    def test_delete_if_version_never_deletes_another_version(self) -> None:
        with self.provider() as provider:
            stale = provider.put("name", b"first")
            provider.put("name", b"other")
            error_of(
                refusal(provider.capabilities.conditional_delete),
                lambda: provider.delete("name", if_version=stale),
            )
        assert self.raw_read("name") == b"other"

    def test_delete_if_version_of_an_absent_name_did_nothing(self) -> None:
        with self.provider() as provider:
            gone = provider.put("name", b"value")
            provider.delete("name")
            if provider.capabilities.delete_reports and provider.capabilities.conditional_delete:
                assert provider.delete("name", if_version=gone) is False
            else:
                # A store that cannot know that may raise ConflictError.
                is_done(False, lambda: falsy(provider.delete("name", if_version=gone)))
