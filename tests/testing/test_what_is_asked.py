"""What each operation of a shelf asks of its store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from cshelve import CloudShelf
from cshelve.providers.base import Capabilities
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, shelf_over


def requests(act: Callable[[CloudShelf], object], provider: CountingProvider) -> Counter[str]:
    with shelf_over(provider) as db:
        db.update(a=1, b=2, c=3)
        provider.reset()
        act(db)
        return provider.counts


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda db: db["a"], {"get": 1}),
        (lambda db: db.get("a"), {"get": 1}),
        (lambda db: db.get("absent"), {"get": 1}),
        (lambda db: db.__setitem__("a", 2), {"put": 1}),
        (lambda db: db.__delitem__("a"), {"expires_at": 1, "delete": 1}),
        (lambda db: "a" in db, {"expires_at": 1}),
        (lambda db: len(db), {"names": 1}),
        (lambda db: bool(db), {"names": 1}),
        (lambda db: [key for key in db], {"names": 1}),  # noqa: C416
        (lambda db: set(db.keys()), {"names": 1}),
        # Python asks for the length of what it makes a list of, to reserve the memory.
        (lambda db: list(db), {"names": 2}),
        (lambda db: len(db.keys()), {"names": 1}),
        (lambda db: "a" in db.keys(), {"expires_at": 1}),  # noqa: SIM118
        (lambda db: set(db.items()), {"names": 1, "get_many": 1}),
        (lambda db: ("a", 1) in db.items(), {"get": 1}),
        (lambda db: set(db.values()), {"names": 1, "get_many": 1}),
        (lambda db: db == {"a": 1, "b": 2, "c": 3}, {"names": 1, "get_many": 1}),
        (lambda db: dict(db.items()), {"names": 1, "get_many": 1}),
        (lambda db: db.pop("a"), {"get": 1, "delete": 1}),
        (lambda db: db.pop("absent", None), {"get": 1}),
        (lambda db: db.popitem(), {"names": 1, "get": 1, "delete": 1}),
        (lambda db: db.setdefault("a", 5), {"get": 1}),
        (lambda db: db.setdefault("absent", 5), {"get": 1, "put": 1}),
        (lambda db: db.update(a=5, d=6), {"put_many": 1}),
        (lambda db: db.clear(), {"purge": 1}),
        (lambda db: db.sync(), {}),
        (lambda db: db.close(), {"close": 1}),
        (lambda db: repr(db), {}),
    ],
)
def test_an_operation_asks_for_no_more_than_it_needs(
    counting: CountingProvider, act: Callable[[CloudShelf], object], expected: dict[str, int]
) -> None:
    assert requests(act, counting) == expected


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda db: db.__delitem__("a"), {"expires_at": 1, "delete": 1}),
        (lambda db: db.pop("a"), {"get": 1, "delete": 1}),
    ],
)
def test_a_store_that_does_not_report_deletes_is_asked_first_where_need_be(
    memory: InMemory, act: Callable[[CloudShelf], object], expected: dict[str, int]
) -> None:
    memory.capabilities = Capabilities(
        conditional_put=True, conditional_delete=True, delete_reports=False
    )
    assert requests(act, CountingProvider(memory)) == expected


@pytest.mark.parametrize(
    ("flag", "exists", "expected"),
    [
        ("r", True, {"exists": 1}),
        ("w", True, {"exists": 1}),
        ("c", True, {"exists": 1}),
        ("c", False, {"exists": 1, "create": 1}),
        ("n", True, {"purge": 1}),
        ("n", False, {"purge": 1, "create": 1}),
    ],
)
def test_opening_asks_for_no_more_than_its_flag_needs(
    flag: str, exists: bool, expected: dict[str, int]
) -> None:
    counting = CountingProvider(InMemory(exists=exists))
    with shelf_over(counting, flag):
        assert counting.counts == expected


def test_looking_for_any_key_asks_for_one_name(memory: InMemory) -> None:
    limits: list[int | None] = []

    class Noting(CountingProvider):
        def names(
            self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
        ) -> Iterator[str]:
            limits.append(limit)
            return super().names(prefix, start_after=start_after, limit=limit)

    with shelf_over(Noting(memory)) as db:
        assert not db
    assert limits == [1]
