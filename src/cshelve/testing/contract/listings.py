"""Tests of listings: complete, lazy, and safe while the store changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cshelve.testing.contract._checks import (
    done,
    meanwhile,
)
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["ListingsContract"]

RECENTLY = timedelta(hours=1)


def in_order(names: Iterable[str]) -> list[str]:
    """Return names in the order of their bytes in UTF-8."""
    return sorted(names, key=str.encode)


class ListingsContract(PlaceOfATest):
    """The part of `ProviderContract` about listings."""

    def test_an_empty_place_lists_nothing(self) -> None:
        with self.provider() as provider:
            assert list(provider.entries()) == []

    def test_a_listing_has_what_others_wrote(self) -> None:
        self.raw_write("one", b"1")
        self.raw_write("users/two", b"2")
        with self.provider() as provider:
            assert sorted(provider.names()) == ["one", "users/two"]

    def test_names_are_those_of_entries(self) -> None:
        with self.provider() as provider:
            for name in ("b", "a", "a/b", "c/d/e"):
                provider.put(name, b"value")
            assert list(provider.names()) == [entry.name for entry in provider.entries()]

    def test_an_entry_has_the_size_of_its_value(self) -> None:
        with self.provider() as provider:
            provider.put("empty", b"")
            provider.put("seven", b"7 bytes")
            sizes = {entry.name: entry.size_bytes for entry in provider.entries()}
        assert sizes == {"empty": 0, "seven": 7}

    def test_an_entry_knows_when_it_was_written(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            [entry] = provider.entries()
        assert abs(datetime.now(UTC) - entry.modified) < RECENTLY

    def test_an_entry_has_the_version_that_get_returns_or_none(self) -> None:
        with self.provider() as provider:
            for name in ("a", "b/c", "empty"):
                provider.put(name, b"" if name == "empty" else b"value")
            versions = {entry.name: entry.version for entry in provider.entries()}
            wrong = [n for n, v in versions.items() if v not in (None, provider.get(n).version)]
        assert wrong == []

    def test_a_listing_may_start_after_a_name_and_is_sorted_then(self) -> None:
        # `-` and `.` come before `/`, and the last two are the other way round in UTF-16.
        odd = {"B", "a/b", "a/c", "aa", "x", "x-y", "x.y", "x/y", "é", "\uff45", "\U0001f511"}
        names = odd - self.unfaithful_names
        behind = [*names, "", "A", "a/", "a/bb", "b", "x,", "z", "ab" * 800]
        with self.provider() as provider:
            for name in names:
                provider.put(name, b"value")
            listed = {each: list(provider.names(start_after=each)) for each in behind}
        assert listed == {each: in_order(name for name in names if name > each) for each in behind}

    def test_start_after_goes_with_a_prefix_and_a_limit(self) -> None:
        names = [f"{directory}/{number}" for directory in "abc" for number in range(5)]
        asked = [
            ("", "b/1", 3),
            ("b/", "b/1", 2),
            ("b/", "a/9", 9),
            ("b/", "b/4", 1),
            ("b/", "c", 1),
        ]
        with self.provider() as provider:
            for name in names:
                provider.put(name, b"value")
            for prefix, behind, limit in asked:
                expected = [n for n in names if n.startswith(prefix) and n > behind][:limit]
                found = provider.entries(prefix, start_after=behind, limit=limit)
                assert [entry.name for entry in found] == expected
                assert list(provider.names(prefix, start_after=behind, limit=limit)) == expected

    def test_a_prefix_is_the_beginning_of_names_and_not_only_of_their_parts(self) -> None:
        names = ["user", "users", "users/1", "users/2/x", "usher", "other/users/1"]
        prefixes = ["", "u", "user", "users/", "users/2", "users/2/x", "users/2/x/", "none"]
        with self.provider() as provider:
            for name in names:
                provider.put(name, b"value")
            listed = {prefix: sorted(provider.names(prefix)) for prefix in prefixes}
        assert listed == {p: sorted(n for n in names if n.startswith(p)) for p in prefixes}

    def test_a_listing_has_no_more_than_its_limit(self) -> None:
        with self.provider() as provider:
            for number in range(5):
                provider.put(f"in/{number}", b"value")
                provider.put(f"out/{number}", b"value")
            limits = (0, 1, 3, 5, 100)
            lengths = [len(list(provider.entries("in/", limit=limit))) for limit in limits]
        assert lengths == [0, 1, 3, 5, 5]

    def test_a_limit_holds_for_names_too(self) -> None:
        with self.provider() as provider:
            for number in range(5):
                provider.put(f"{number}", b"value")
            assert len(list(provider.names(limit=2))) == 2

    def test_a_listing_is_gone_through_step_by_step(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            assert next(provider.names()) == "name"

    def test_each_name_may_be_deleted_while_they_are_listed(self) -> None:
        names = {f"{number % 7}/{number}" for number in range(50)}
        with self.provider() as provider:
            done(provider.put_many((name, b"value") for name in names))
            for name in provider.names():
                provider.delete(name)
        assert self.raw_names() == set()

    def test_names_that_stay_are_listed_once_while_others_come_and_go(self) -> None:
        stay = {f"{number % 7}/{number}-stays" for number in range(40)}
        go = {f"{number % 7}/{number}-goes" for number in range(40)}
        with self.provider() as provider:
            done(provider.put_many((name, b"value") for name in stay | go))
            listed = []
            for name in provider.names():
                listed.append(name)
                if go:
                    provider.delete(go.pop())
                    provider.put(f"{len(go)}/comes", b"value")
        assert sorted(stay.intersection(listed)) == sorted(n for n in listed if n in stay)
        assert stay.issubset(listed)

    def test_a_name_that_is_overwritten_is_in_every_listing(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")

            def listings() -> list[list[str]]:
                return [list(provider.names()) for _ in range(20)]

            with meanwhile(lambda: provider.put("name", b"value")):
                assert all(listing == ["name"] for listing in listings())

    def test_a_long_listing_has_each_name_once_and_purge_deletes_them_all(self) -> None:
        # In one test, since writing the names takes most of the time in many stores.
        names = {f"{number % 3}/{number:05}" for number in range(self.many)}
        self.raw_write_many(names)
        with self.provider() as provider:
            listed = list(provider.names())
            done(provider.purge())
        assert (len(listed), set(listed)) == (len(names), names)
        assert self.raw_names() == set()
