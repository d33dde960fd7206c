"""`modify` with a function that returns nothing: what was forgotten, and what is meant."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from cshelve.providers import InMemory
from cshelve.testing import shelf_over
from tests.rigs import Place


def append_two(values: list[int]) -> Any:
    values.append(2)


class Restless:
    """Never pickled the same way twice."""

    count = 0

    def __reduce__(self) -> tuple[Any, ...]:
        Restless.count += 1
        return Restless, (), {"count": Restless.count}


@pytest.mark.parametrize("writeback", [False, True])
def test_that_has_changed_the_value_is_an_error_and_writes_nothing(
    place: Place, writeback: bool
) -> None:
    db = place.open(writeback=writeback)
    db["k"] = [1]
    _, version = db.get_versioned("k")
    with pytest.raises(cshelve.ValueTypeError, match=r"modify of 'k' in .*returned None") as caught:
        db.modify("k", lambda v: v.append(2))
    assert "cshelve.DELETE" in str(caught.value)
    assert db.get_versioned("k") == ([1], version)


def test_that_has_changed_the_default_is_an_error_too(place: Place) -> None:
    db = place.open()
    with pytest.raises(cshelve.ValueTypeError, match="returned None"):
        db.modify("k", append_two, default=[])
    assert "k" not in db


def test_of_a_view_names_the_shelf(place: Place) -> None:
    db = place.open()
    db["a/k"] = {"n": 1}
    with pytest.raises(cshelve.ValueTypeError, match=r"modify of 'k' in .*'a/'"):
        db.prefix("a/").modify("k", lambda v: v.update(n=2))
    assert db["a/k"] == {"n": 1}


@pytest.mark.parametrize("value", [[1], None, 5, {"a": {1, 2, 3}}])
def test_that_has_changed_nothing_stores_none(value: object, place: Place) -> None:
    db = place.open()
    db["k"] = value
    assert db.modify("k", lambda v: None) is None
    assert db["k"] is None
    assert db.modify("absent", lambda v: None, default=value) is None
    assert db["absent"] is None


def test_that_has_changed_the_value_may_return_it_or_delete_it(place: Place) -> None:
    db = place.open()
    db["k"] = [1]
    assert db.modify("k", lambda v: v.append(2) or v) == [1, 2]
    db.modify("k", lambda v: v.clear() or cshelve.DELETE)
    assert "k" not in db


def test_of_a_value_that_never_looks_the_same_twice_stores_none(place: Place) -> None:
    db = place.open()
    db["k"] = Restless()
    assert db.modify("k", lambda v: None) is None
    assert db["k"] is None


def test_of_another_serializer_is_told_alike() -> None:
    config = {"default": {"serializer": "json"}}
    with cshelve.open_provider(InMemory(exists=True), config=config) as db:
        db["k"] = {"n": 1}
        with pytest.raises(cshelve.ValueTypeError, match="returned None"):
            db.modify("k", lambda v: v.update(n=2))
        assert db["k"] == {"n": 1}


def test_of_a_local_shelf_is_told_alike(tmp_path: Any) -> None:
    with cshelve.open(tmp_path / "local") as db:
        db["k"] = [1]
        with pytest.raises(cshelve.ValueTypeError, match="returned None"):
            db.modify("k", lambda v: v.append(2))
        assert db["k"] == [1]


def test_pickles_only_for_a_result_of_none() -> None:
    class Counted:
        pickled = 0

        def __reduce__(self) -> tuple[Any, ...]:
            Counted.pickled += 1
            return int, (1,)

    with shelf_over(InMemory(exists=True)) as db:
        db["k"] = 1
        db.modify("k", lambda _: Counted())
        assert Counted.pickled == 1
