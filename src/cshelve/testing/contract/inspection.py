"""Tests of `inspect`, which returns the details of a name without its value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cshelve.exceptions import DBDoesNotExistsError, KeyNotFoundError
from cshelve.providers.base import Provider
from cshelve.testing.contract._checks import error_of
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["InspectionContract"]

RECENTLY = timedelta(hours=1)


class InspectionContract(PlaceOfATest):
    """The part of `ProviderContract` about `inspect`."""

    def test_a_name_is_inspected_for_size_version_and_time(self) -> None:
        data = bytes(range(200))
        with self.provider() as provider:
            provider.put("users/42", data)
            details = provider.inspect("users/42")
            version = provider.get("users/42").version
        assert (details.name, details.size_bytes) == ("users/42", 200)
        assert self._is_version(provider, details.version, version)
        assert abs(datetime.now(UTC) - details.modified) < RECENTLY

    def test_the_head_is_the_beginning_of_the_data(self) -> None:
        data = bytes(range(200))
        with self.provider() as provider:
            provider.put("name", data)
            heads = {size: provider.inspect("name", size).head for size in (0, 1, 10, 200, 1000)}
            default = provider.inspect("name").head
        assert heads == {size: data[:size] for size in heads}
        assert default == data[:64]

    def test_a_large_value_is_inspected(self) -> None:
        size = 3 * 1024 * 1024
        with self.provider() as provider:
            provider.put("large", bytes(size))
            details = provider.inspect("large", 10)
        assert (details.size_bytes, details.head) == (size, bytes(10))

    def test_an_empty_value_is_inspected(self) -> None:
        with self.provider() as provider:
            provider.put("empty", b"")
            details = provider.inspect("empty")
            version = provider.get("empty").version
        assert (details.size_bytes, details.head) == (0, b"")
        assert self._is_version(provider, details.version, version)

    def test_inspecting_an_absent_name_says_which(self) -> None:
        with self.provider() as provider:
            provider.put("absent/not", b"value")
            error = error_of(KeyNotFoundError, lambda: provider.inspect("absent"))
        assert error.args == ("absent",)

    def test_inspecting_in_an_absent_place_is_no_absent_name(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: provider.inspect("name"))

    def _is_version(self, provider: Provider, found: str | None, version: str) -> bool:
        """Return whether the version is the right one, or may be unknown and is."""
        may_be_unknown = not provider.capabilities.conditional_put
        return found == version or (may_be_unknown and found is None)
