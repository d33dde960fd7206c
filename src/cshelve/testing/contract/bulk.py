"""Tests of operations on many names."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

from cshelve.exceptions import KeyNotStorableError
from cshelve.providers.base import Item
from cshelve.testing.contract._checks import done, error_of
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["BulkContract"]

T = TypeVar("T")


class BulkContract(PlaceOfATest):
    """The part of `ProviderContract` about operations on many names."""

    def test_get_many_keeps_the_order_and_has_none_for_what_is_absent(self) -> None:
        with self.provider() as provider:
            for name in "abc":
                provider.put(name, name.encode())
            items = provider.get_many(["c", "x", "a", "y", "b"])
            found = [(name, item and item.data) for name, item in items]
        assert found == [("c", b"c"), ("x", None), ("a", b"a"), ("y", None), ("b", b"b")]

    def test_get_many_gives_versions(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"value")
            assert list(provider.get_many(["name"])) == [("name", Item(b"value", version))]

    def test_many_values_are_read_only_if_they_have_changed(self) -> None:
        with self.provider() as provider:
            first = {name: provider.put(name, name.encode()) for name in "abc"}
            second = provider.put("b", b"other")
            asked: list[tuple[str, str | None]] = [
                ("c", first["c"]),
                ("b", first["b"]),
                ("x", first["a"]),
                ("a", None),
            ]
            found = list(provider.get_many_if_changed(asked))
        assert [name for name, _ in found] == ["c", "b", "x", "a"]
        (_, c), (_, b), (_, x), (_, a) = found
        assert c is not None
        assert c.version == first["c"]  # Its data may be missing.
        assert (b, x, a) == (Item(b"other", second), None, Item(b"a", first["a"]))

    def test_get_many_takes_little_more_of_its_source_than_is_asked_for(self) -> None:
        taken = itertools.count()
        with self.provider() as provider:
            provider.put("name", b"value")

            def source() -> Iterator[str]:
                while next(taken) < 10_000:
                    yield "name"

            found = provider.get_many(source())
            next(found)
            assert next(taken) <= provider.concurrency + 2
            getattr(found, "close", lambda: None)()

    def test_many_operations_raise_what_their_source_raises(self) -> None:
        class SourceError(Exception):
            pass

        def failing(items: Iterable[T]) -> Iterator[T]:
            yield from items
            raise SourceError

        with self.provider() as provider:
            error_of(SourceError, lambda: list(provider.get_many(failing(["a"]))))
            error_of(SourceError, lambda: list(provider.put_many(failing([("a", b"a")]))))
            error_of(SourceError, lambda: list(provider.delete_many(failing(["a"]))))

    def test_many_operations_on_nothing_do_nothing(self) -> None:
        with self.provider() as provider:
            assert list(provider.put_many([])) == []
            assert list(provider.delete_many([])) == []
            assert list(provider.get_many([])) == []

    def test_put_many_stores_all(self) -> None:
        names = {f"name-{number}" for number in range(100)}
        with self.provider() as provider:
            done(provider.put_many((name, name.encode()) for name in names))
            found = {name: item and item.data for name, item in provider.get_many(names)}
        assert found == {name: name.encode() for name in names}

    def test_put_many_goes_on_past_a_name_that_cannot_be_stored(self) -> None:
        long = "n" * 5000
        with self.provider() as provider:
            outcomes = provider.put_many([("a", b"a"), (long, b"long"), ("b", b"b")])
            failures = {name: type(failure) for name, failure, _ in outcomes if failure}
            assert failures == ({} if provider.contains(long) else {long: KeyNotStorableError})
            assert provider.contains("a")
            assert provider.contains("b")

    def test_delete_many_is_content_with_names_that_are_absent(self) -> None:
        with self.provider() as provider:
            for name in "abc":
                provider.put(name, b"value")
            done(provider.delete_many(["absent", "a", "absent/too", "c", "n" * 5000]))
        assert self.raw_names() == {"b"}

    def test_purge_leaves_a_place_to_write_to(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"old")
            done(provider.purge())
            provider.put("name", b"new")
            assert provider.exists()
        assert self.raw_read("name") == b"new"

    def test_purge_deletes_nothing_beside_the_shelf(self) -> None:
        self.write_neighbours()
        with self.provider() as provider:
            provider.put("name", b"value")
            done(provider.purge())
        assert self.neighbours_are_whole()

    def test_a_listing_has_nothing_from_beside_the_shelf(self) -> None:
        self.write_neighbours()
        with self.provider() as provider:
            provider.put("name", b"value")
            assert list(provider.names()) == ["name"]
