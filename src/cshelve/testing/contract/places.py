"""Tests of the place of a shelf in its store: existing, absent, created, closed."""

from __future__ import annotations

from contextlib import suppress

from cshelve.exceptions import (
    DBDoesNotExistsError,
    Error,
)
from cshelve.testing.contract._checks import (
    done,
    error_of,
)
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["PlacesContract"]


class PlacesContract(PlaceOfATest):
    """The part of `ProviderContract` about the place of a shelf, existing or absent."""

    def test_a_place_that_is_there_exists(self) -> None:
        with self.provider() as provider:
            assert provider.exists() is True

    def test_an_absent_place_does_not_exist(self) -> None:
        with self.absent() as provider:
            assert provider.exists() is False

    def test_create_makes_the_place(self) -> None:
        with self.absent() as provider:
            provider.create()
            assert provider.exists()

    def test_a_created_place_is_empty_and_can_be_written_to(self) -> None:
        with self.absent() as provider:
            provider.create()
            assert list(provider.names()) == []
            provider.put("name", b"value")
            assert provider.get("name").data == b"value"

    def test_create_is_content_with_a_place_that_is_there(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            provider.create()
            assert provider.get("name").data == b"value"

    def test_reading_from_an_absent_place_is_no_absent_name(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: provider.get("name"))

    def test_reading_many_from_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: list(provider.get_many(["name"])))

    def test_contains_of_an_absent_place_is_never_true(self) -> None:
        # S3 sends the same response to a HEAD for an absent bucket and an absent key.
        with self.absent() as provider, suppress(DBDoesNotExistsError):
            assert provider.contains("name") is False

    def test_writing_to_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: provider.put("name", b"value"))

    def test_writing_many_to_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: done(provider.put_many([("name", b"value")])))

    def test_deleting_from_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: provider.delete("name"))

    def test_deleting_many_from_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: done(provider.delete_many(["name"])))

    def test_listing_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: list(provider.entries()))

    def test_listing_one_name_of_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: list(provider.names(limit=1)))

    def test_purging_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            error_of(DBDoesNotExistsError, lambda: done(provider.purge()))

    def test_a_refused_write_does_not_make_the_place(self) -> None:
        with self.absent() as provider:
            error_of(Error, lambda: provider.put("name", b"value"))
            assert not provider.exists()

    def test_closing_twice_is_closing_once(self) -> None:
        provider = self.make_provider()
        provider.close()
        provider.close()

    def test_what_was_put_outlives_its_provider(self) -> None:
        with self.provider() as first:
            first.put("name", b"value")
        with self.provider() as second:
            assert second.get("name").data == b"value"

    def test_the_location_can_be_told_without_the_place(self) -> None:
        with self.absent() as provider:
            assert provider.location
