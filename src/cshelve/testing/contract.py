"""What every provider has to do, as tests: subclass `ProviderContract` and let pytest find it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cshelve.exceptions import (
    BulkError,
    ConflictError,
    DBDoesNotExistsError,
    Error,
    KeyNotFoundError,
    KeyNotStorableError,
)
from cshelve.providers.base import Item, Provider

__all__ = ["ODD_NAMES", "OddNamesContract", "ProviderContract"]

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")

ODD_NAMES = (
    *("", " ", " space ", "a b", "a\u00a0b", "per%cent", "%2F", "a%2Fb", "%41", "plus+plus"),
    *("q?x=1&y=2", "#hash", "a;b", "a:b", "a,b", "it's~(ok)*!", "@$^", 'say "so"', "<a>&amp;|`{}"),
    *("x\\y", "x/y", "~", "~user", "-dash", "caf\u00e9", "cafe\u0301", "ключ", "鍵", "\U0001f511"),
    *("a", "a/b", "a//b", "a/b/", "lead", "/lead", "/", "//", "trail", "trail/", "Case", "case"),
    *(".", "..", "./a", "../a", "a/./b", "a/../b", "a/..", "...", ".hidden", "dot.", "nul", "CON"),
    *("%tmp", "%tmp/locks/00", "%@", "a/%@", "%=", "%=41", "%+a", "%-a", "..%2Fup", "__proto__"),
    *("tab\t", "line\n", "return\r", "return\r\n", "nul\0", "\x01", "\x1b[0m", "\x7f", "\x85"),
    *("\u2028", "\u202e", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U0010ffff"),
    *("s" * 256, "d/" * 100 + "deep", "é" * 200, "n" * 900, "n" * 1100, "n" * 5000),
)
"""Names that some store or other mangles, refuses, or takes for others."""

RACERS = 16
RECENTLY = timedelta(hours=1)


class PlaceOfATest:
    """What a subclass of a contract says: how to make providers, and how to go round them."""

    unfaithful_names: frozenset[str] = frozenset()
    """Names that the server of the tests mangles whoever writes them; they are not tried."""

    many = 2_100
    """How many names a long listing has: more than two pages of the store's."""

    def make_provider(self) -> Provider:
        """Make a new provider on this test's place, which exists and is empty at first."""
        raise NotImplementedError

    def absent_provider(self) -> Provider:
        """Make a provider on a place that does not exist."""
        raise NotImplementedError

    def raw_read(self, name: str) -> bytes | None:
        """Read what the store has under a name, None for nothing, without the provider."""
        raise NotImplementedError

    def raw_write(self, name: str, data: bytes) -> None:
        """Write under an ordinary name, without the provider."""
        raise NotImplementedError

    def raw_names(self) -> set[str]:
        """List what is in the place, without the provider."""
        raise NotImplementedError

    def raw_write_many(self, names: Iterable[str]) -> None:
        """Write empty values under ordinary names; override it where that can be done faster."""
        for name in names:
            self.raw_write(name, b"")

    def write_neighbours(self) -> None:
        """Write things that lie close beside the shelf in the store and are none of it."""

    def neighbours_are_whole(self) -> bool:
        """Tell whether all that `write_neighbours` wrote is still there."""
        return True

    @contextmanager
    def provider(self) -> Iterator[Provider]:
        """Make a provider on this test's place and close it in the end."""
        with closing(self.make_provider()) as provider:
            yield provider

    @contextmanager
    def absent(self) -> Iterator[Provider]:
        """Make a provider on a place that does not exist and close it in the end."""
        with closing(self.absent_provider()) as provider:
            yield provider


class OddNamesContract(PlaceOfATest):
    """The part of `ProviderContract` about names that stores mangle, refuse, or take for others."""

    # All of them are in the store at once, so that two that become one show it.

    def test_an_odd_name_is_stored_faithfully_or_refused(self) -> None:
        with self.provider() as provider:
            stored, refused = self._put_odd_names(provider)
            wrong = [name for name in stored if not _holds(provider, name)]
            there = [name for name in refused if not _is_absent(provider, name)]
        assert (wrong, there) == ([], [])

    def test_odd_names_are_listed_as_they_are(self) -> None:
        with self.provider() as provider:
            stored, _ = self._put_odd_names(provider)
            listed = sorted(provider.names())
            missed = [name for name in stored[::3] if name not in provider.names(name)]
        assert (listed, missed) == (sorted(stored), [])
        assert self.raw_names() == set(stored)

    def test_an_odd_name_that_was_never_put_is_absent(self) -> None:
        with self.provider() as provider:
            there = [name for name in self._odd_names() if not _is_absent(provider, name)]
        assert there == []

    def test_an_odd_name_is_deleted_and_no_other(self) -> None:
        with self.provider() as provider:
            stored, _ = self._put_odd_names(provider)
            for name in stored[::2]:
                provider.delete(name)
            assert sorted(provider.names()) == sorted(stored[1::2])
            # Some of these are gone already, and some never were there.
            provider.delete_many(self._odd_names())
        assert self.raw_names() == set()

    def _odd_names(self) -> list[str]:
        return [name for name in ODD_NAMES if name not in self.unfaithful_names]

    def _put_odd_names(self, provider: Provider) -> tuple[list[str], list[str]]:
        """Put every odd name; tell which the store took and which it refused."""
        stored, refused = [], []
        for name in self._odd_names():
            try:
                provider.put(name, _odd_value(name))
            except KeyNotStorableError:
                refused.append(name)
            else:
                stored.append(name)
        return stored, refused


class ProviderContract(OddNamesContract):
    """The promises of `cshelve.providers.base.Provider`, each as a test.

    A subclass says how to make providers, and reads and writes its store by other means than the
    provider's. Each test needs a place of its own, which fixtures of the subclass make::

        class TestOurStore(ProviderContract):
            @pytest.fixture(autouse=True)
            def _folder_of_the_test(self, our_server):
                self.server, self.folder = our_server, f"test-{uuid4()}"
                self.server.make_folder(self.folder)

            def make_provider(self):
                return OurStore(self.server.address, self.folder)

            def absent_provider(self):
                return OurStore(self.server.address, f"{self.folder}-absent")

            def raw_read(self, name):
                return self.server.files(self.folder).get(name)

            def raw_write(self, name, data):
                self.server.files(self.folder)[name] = data

            def raw_names(self):
                return set(self.server.files(self.folder))

    Before the import, `pytest.register_assert_rewrite("cshelve.testing.contract")` makes failures
    show the values that were compared.
    """

    # Single values

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

    def test_an_empty_value_is_there(self) -> None:
        with self.provider() as provider:
            provider.put("empty", b"")
            assert provider.contains("empty")

    def test_getting_an_absent_name_says_which(self) -> None:
        with self.provider() as provider:
            error = _error_of(KeyNotFoundError, lambda: provider.get("absent"))
        assert error.args == ("absent",)

    def test_contains_tells_what_is_there(self) -> None:
        with self.provider() as provider:
            provider.put("there", b"value")
            assert (provider.contains("there"), provider.contains("absent")) == (True, False)

    def test_the_beginning_of_a_name_is_not_there(self) -> None:
        with self.provider() as provider:
            provider.put("users/42", b"value")
            parts = {"users", "users/", "users/4"} - self.unfaithful_names
            assert {part for part in parts if provider.contains(part)} == set()

    # Deleting

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

    # Versions and conditions

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
            _error_of(
                _refusal(provider.capabilities.conditional_put),
                lambda: provider.put("name", b"second", if_absent=True),
            )
            assert provider.get("name").data == b"first"

    def test_if_absent_writes_what_is_absent(self) -> None:
        with self.provider() as provider:
            written = _is_done(
                provider.capabilities.conditional_put,
                lambda: provider.put("name", b"value", if_absent=True),
            )
        assert self.raw_read("name") == (b"value" if written else None)

    def test_if_absent_gives_the_version(self) -> None:
        with self.provider() as provider:
            if provider.capabilities.conditional_put:
                version = provider.put("name", b"value", if_absent=True)
            else:
                version = provider.put("name", b"value")
            assert provider.get("name").version == version

    def test_if_version_replaces_that_version(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"first")
            written = _is_done(
                provider.capabilities.conditional_put,
                lambda: provider.put("name", b"second", if_version=version),
            )
        assert self.raw_read("name") == (b"second" if written else b"first")

    def test_if_version_never_replaces_another_version(self) -> None:
        with self.provider() as provider:
            stale = provider.put("name", b"first")
            provider.put("name", b"other")
            _error_of(
                _refusal(provider.capabilities.conditional_put),
                lambda: provider.put("name", b"mine", if_version=stale),
            )
            assert provider.get("name").data == b"other"

    def test_if_version_sees_what_others_wrote(self) -> None:
        with self.provider() as provider:
            stale = provider.put("name", b"mine")
            self.raw_write("name", b"them")
            _error_of(
                _refusal(provider.capabilities.conditional_put),
                lambda: provider.put("name", b"more", if_version=stale),
            )
        assert self.raw_read("name") == b"them"

    def test_if_version_never_writes_what_is_absent(self) -> None:
        with self.provider() as provider:
            gone = provider.put("name", b"value")
            provider.delete("name")
            _error_of(
                _refusal(provider.capabilities.conditional_put),
                lambda: provider.put("name", b"value", if_version=gone),
            )
        assert self.raw_read("name") is None

    def test_delete_if_version_deletes_that_version(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"value")
            done = _is_done(
                provider.capabilities.conditional_delete,
                lambda: provider.delete("name", if_version=version),
            )
        assert self.raw_read("name") == (None if done else b"value")

    def test_delete_if_version_never_deletes_another_version(self) -> None:
        with self.provider() as provider:
            stale = provider.put("name", b"first")
            provider.put("name", b"other")
            _error_of(
                _refusal(provider.capabilities.conditional_delete),
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
                # A store that cannot tell may say that the condition does not hold.
                _is_done(False, lambda: _falsy(provider.delete("name", if_version=gone)))

    # Listings

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
            sizes = {entry.name: entry.size for entry in provider.entries()}
        assert sizes == {"empty": 0, "seven": 7}

    def test_an_entry_knows_when_it_was_written(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            [entry] = provider.entries()
        assert abs(datetime.now(UTC) - entry.modified) < RECENTLY

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
            provider.put_many((name, b"value") for name in names)
            for name in provider.names():
                provider.delete(name)
        assert self.raw_names() == set()

    def test_names_that_stay_are_listed_once_while_others_come_and_go(self) -> None:
        stay = {f"{number % 7}/{number}-stays" for number in range(40)}
        go = {f"{number % 7}/{number}-goes" for number in range(40)}
        with self.provider() as provider:
            provider.put_many((name, b"value") for name in stay | go)
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

            with _meanwhile(lambda: provider.put("name", b"value")):
                assert all(listing == ["name"] for listing in listings())

    def test_a_long_listing_has_each_name_once_and_purge_deletes_them_all(self) -> None:
        # In one test, because with many stores to write them is what takes the time.
        names = {f"{number % 3}/{number:05}" for number in range(self.many)}
        self.raw_write_many(names)
        with self.provider() as provider:
            listed = list(provider.names())
            provider.purge()
        assert (len(listed), set(listed)) == (len(names), names)
        assert self.raw_names() == set()

    # Many at once

    def test_get_many_keeps_the_order_and_leaves_out_what_is_absent(self) -> None:
        with self.provider() as provider:
            for name in "abc":
                provider.put(name, name.encode())
            found = [(n, item.data) for n, item in provider.get_many(["c", "x", "a", "y", "b"])]
        assert found == [("c", b"c"), ("a", b"a"), ("b", b"b")]

    def test_get_many_gives_versions(self) -> None:
        with self.provider() as provider:
            version = provider.put("name", b"value")
            assert list(provider.get_many(["name"])) == [("name", Item(b"value", version))]

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
            _error_of(SourceError, lambda: list(provider.get_many(failing(["a"]))))
            _error_of(SourceError, lambda: provider.put_many(failing([("a", b"a")])))
            _error_of(SourceError, lambda: provider.delete_many(failing(["a"])))

    def test_many_operations_on_nothing_do_nothing(self) -> None:
        with self.provider() as provider:
            provider.put_many([])
            provider.delete_many([])
            assert list(provider.get_many([])) == []

    def test_put_many_stores_all(self) -> None:
        names = {f"name-{number}" for number in range(100)}
        with self.provider() as provider:
            provider.put_many((name, name.encode()) for name in names)
            found = {name: item.data for name, item in provider.get_many(names)}
        assert found == {name: name.encode() for name in names}

    def test_put_many_goes_on_past_a_name_that_cannot_be_stored(self) -> None:
        long = "n" * 5000
        failures: dict[str, type[Exception]] = {}
        with self.provider() as provider:
            try:
                provider.put_many([("a", b"a"), (long, b"long"), ("b", b"b")])
            except BulkError as error:
                failures = {name: type(each) for name, each in error.failures.items()}
            assert failures == ({} if provider.contains(long) else {long: KeyNotStorableError})
            assert provider.contains("a")
            assert provider.contains("b")

    def test_delete_many_is_content_with_names_that_are_absent(self) -> None:
        with self.provider() as provider:
            for name in "abc":
                provider.put(name, b"value")
            provider.delete_many(["absent", "a", "absent/too", "c", "n" * 5000])
        assert self.raw_names() == {"b"}

    def test_purge_leaves_a_place_to_write_to(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"old")
            provider.purge()
            provider.put("name", b"new")
            assert provider.exists()
        assert self.raw_read("name") == b"new"

    def test_purge_deletes_nothing_beside_the_shelf(self) -> None:
        self.write_neighbours()
        with self.provider() as provider:
            provider.put("name", b"value")
            provider.purge()
        assert self.neighbours_are_whole()

    def test_a_listing_has_nothing_from_beside_the_shelf(self) -> None:
        self.write_neighbours()
        with self.provider() as provider:
            provider.put("name", b"value")
            assert list(provider.names()) == ["name"]

    # The place

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
            _error_of(DBDoesNotExistsError, lambda: provider.get("name"))

    def test_reading_many_from_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, lambda: list(provider.get_many(["name"])))

    def test_contains_of_an_absent_place_is_never_true(self) -> None:
        # S3's answer to a HEAD does not tell an absent bucket from an absent key.
        with self.absent() as provider, suppress(DBDoesNotExistsError):
            assert provider.contains("name") is False

    def test_writing_to_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, lambda: provider.put("name", b"value"))

    def test_writing_many_to_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, lambda: provider.put_many([("name", b"value")]))

    def test_deleting_from_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, lambda: provider.delete("name"))

    def test_deleting_many_from_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, lambda: provider.delete_many(["name"]))

    def test_listing_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, lambda: list(provider.entries()))

    def test_listing_one_name_of_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, lambda: list(provider.names(limit=1)))

    def test_purging_an_absent_place_is_refused(self) -> None:
        with self.absent() as provider:
            _error_of(DBDoesNotExistsError, provider.purge)

    def test_a_refused_write_does_not_make_the_place(self) -> None:
        with self.absent() as provider:
            _error_of(Error, lambda: provider.put("name", b"value"))
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

    # Many callers

    def test_a_reader_sees_the_old_value_or_the_new_one(self) -> None:
        values = (b"a" * 100_000, b"b" * 50_000)
        turn = itertools.cycle(values)
        with self.provider() as provider:
            provider.put("name", values[0])
            with _meanwhile(lambda: provider.put("name", next(turn))):
                read = _in_threads(4, lambda _: [provider.get("name").data for _ in range(15)])
        assert {data for each in read for data in each} <= set(values)

    def test_of_writers_that_race_if_absent_one_wins(self) -> None:
        with self.provider() as provider:
            able = provider.capabilities.conditional_put

            def write(number: int) -> bool:
                return _is_done(
                    able,
                    lambda: provider.put("name", b"%d" % number, if_absent=True),
                    ConflictError,
                )

            winners = [n for n, won in enumerate(_in_threads(RACERS, write)) if won]
            if able:
                assert [b"%d" % n for n in winners] == [provider.get("name").data]

    def test_writers_that_race_if_version_lose_no_update(self) -> None:
        with self.provider() as provider:
            if not provider.capabilities.conditional_put:
                return  # Nothing is promised: such a store may look first and write then.
            provider.put("counter", b"0")

            def add(_: int) -> int:
                added = 0
                for _attempt in range(5):
                    item = provider.get("counter")
                    try:
                        data = b"%d" % (int(item.data) + 1)
                        provider.put("counter", data, if_version=item.version)
                    except ConflictError:
                        continue
                    added += 1
                return added

            added = sum(_in_threads(4, add))
            assert int(provider.get("counter").data) == added

    def test_of_callers_that_race_to_delete_at_most_one_is_told_that_it_did(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            outcomes = _in_threads(RACERS, lambda _: provider.delete("name"))
            expected = 1 if provider.capabilities.delete_reports else 0
        assert outcomes.count(True) == expected

    def test_a_provider_may_be_used_by_many_threads(self) -> None:
        with self.provider() as provider:

            def use(number: int) -> bool:
                name, data = f"thread-{number}", b"%d" % number * 1000
                for _ in range(3):
                    provider.put(name, data)
                    read = provider.get(name).data == data and provider.contains(name)
                    listed = name in provider.names()
                    provider.delete(name)
                    if not (read and listed and not provider.contains(name)):
                        return False
                return True

            assert all(_in_threads(RACERS, use))
        assert self.raw_names() == set()

    # Statistics

    def test_every_operation_counts_its_requests(self) -> None:
        operations: dict[str, Callable[[Provider], object]] = {
            "put": lambda p: p.put("name", b"value"),
            "get": lambda p: p.get("name"),
            "get absent": lambda p: _error_of(KeyNotFoundError, lambda: p.get("absent")),
            "contains": lambda p: p.contains("name"),
            "entries": lambda p: list(p.entries()),
            "names": lambda p: list(p.names()),
            "get_many": lambda p: list(p.get_many(["name"])),
            "put_many": lambda p: p.put_many([("name", b"value")]),
            "delete": lambda p: p.delete("name"),
            "delete_many": lambda p: p.delete_many(["name"]),
            "purge": lambda p: p.purge(),
        }
        uncounted = []
        with self.provider() as provider:
            for operation, act in operations.items():
                before = provider.stats.requests.total()
                act(provider)
                if provider.stats.requests.total() <= before:
                    uncounted.append(operation)
        assert uncounted == []

    def test_the_bytes_of_values_are_counted(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"12345")
            provider.get("name")
            provider.get("name")
            assert (provider.stats.bytes_sent, provider.stats.bytes_received) == (5, 10)


def _odd_value(name: str) -> bytes:
    return b"the value of " + ascii(name).encode()


def _holds(provider: Provider, name: str) -> bool:
    return provider.contains(name) and provider.get(name).data == _odd_value(name)


def _is_absent(provider: Provider, name: str) -> bool:
    """Tell whether every way to ask says that a name is not there."""
    try:
        provider.get(name)
    except KeyNotFoundError:
        return not provider.contains(name) and not provider.delete(name)
    return False


def _refusal(able: bool) -> type[Error]:
    """Give the error of a condition that does not hold; a store that can't tell may refuse it."""
    return ConflictError if able else Error


def _is_done(able: bool, act: Callable[[], object], *refusals: type[Error]) -> bool:
    """Act, and tell whether it was done; only a store that isn't able may refuse outright."""
    try:
        act()
    except Error as error:
        if (able and not isinstance(error, refusals)) or isinstance(error, KeyError):
            raise
        return False
    return True


def _falsy(outcome: object) -> None:
    assert not outcome


def _error_of(kind: type[E], act: Callable[[], object]) -> E:
    """Act, and give the error of this kind that it has to end in."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def _in_threads(count: int, act: Callable[[int], T]) -> list[T]:
    """Act in as many threads, which all begin at once."""
    ready = threading.Barrier(count)

    def begin(number: int) -> T:
        ready.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


@contextmanager
def _meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Act again and again in another thread, once at least, until the block is left."""
    done = threading.Event()

    def repeat() -> None:
        act()
        while not done.is_set():
            act()

    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(repeat)
        try:
            yield
        finally:
            done.set()
        acting.result()
