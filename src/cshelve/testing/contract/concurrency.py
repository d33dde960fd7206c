"""Tests of many threads at once, and of statistics."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from cshelve.exceptions import (
    ConflictError,
    KeyNotFoundError,
)
from cshelve.providers.base import Provider
from cshelve.testing.contract._checks import (
    error_of,
    in_threads,
    is_done,
    meanwhile,
)
from cshelve.testing.contract._place import PlaceOfATest

__all__ = ["ConcurrencyContract"]

RACERS = 16
# How many put a name at once under a condition. SeaweedFS may let each of them wait a second for
# the one before it.
CONTENDERS = 6


class ConcurrencyContract(PlaceOfATest):
    """The part of `ProviderContract` about many threads at once, and about statistics."""

    def test_a_reader_sees_the_old_value_or_the_new_one(self) -> None:
        values = (b"a" * 100_000, b"b" * 50_000)
        alternating = itertools.cycle(values)
        with self.provider() as provider:
            provider.put("name", values[0])
            with meanwhile(lambda: provider.put("name", next(alternating))):
                read = in_threads(4, lambda _: [provider.get("name").data for _ in range(15)])
        assert {data for each in read for data in each} <= set(values)

    def test_of_writers_that_race_if_absent_one_wins(self) -> None:
        with self.provider() as provider:
            able = provider.capabilities.conditional_create

            def write(number: int) -> bool:
                return is_done(
                    able,
                    lambda: provider.put("name", b"%d" % number, if_absent=True),
                    ConflictError,
                )

            winners = [n for n, won in enumerate(in_threads(CONTENDERS, write)) if won]
            if able:
                assert [b"%d" % n for n in winners] == [provider.get("name").data]

    def test_writers_that_race_if_version_lose_no_update(self) -> None:
        with self.provider() as provider:
            if not provider.capabilities.conditional_put:
                return  # Nothing is promised: such a store may read first and write then.
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

            added = sum(in_threads(4, add))
            assert int(provider.get("counter").data) == added

    def test_of_callers_that_race_to_delete_at_most_one_is_told_that_it_did(self) -> None:
        with self.provider() as provider:
            provider.put("name", b"value")
            outcomes = in_threads(RACERS, lambda _: provider.delete("name"))
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

            assert all(in_threads(RACERS, use))
        assert self.raw_names() == set()

    def test_every_operation_counts_its_requests(self) -> None:
        operations: dict[str, Callable[[Provider], object]] = {
            "put": lambda p: p.put("name", b"value"),
            "get": lambda p: p.get("name"),
            "get absent": lambda p: error_of(KeyNotFoundError, lambda: p.get("absent")),
            "contains": lambda p: p.contains("name"),
            "entries": lambda p: list(p.entries()),
            "names": lambda p: list(p.names()),
            "get_many": lambda p: list(p.get_many(["name"])),
            "put_many": lambda p: list(p.put_many([("name", b"value")])),
            "delete": lambda p: p.delete("name"),
            "delete_many": lambda p: list(p.delete_many(["name"])),
            "purge": lambda p: list(p.purge()),
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
            with provider.stats.measuring() as used:
                provider.put("name", b"12345")
                provider.get("name")
                provider.get("name")
            assert (used.bytes_sent, used.bytes_received) == (5, 10)
