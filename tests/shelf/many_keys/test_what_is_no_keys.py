"""Text and None where many keys are meant are refused, and nothing is read or deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import cshelve

GIVEN = [None, "ab", "", b"ab", bytearray(b"ab"), memoryview(b"ab")]


@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("operation", ["get_many", "delete_many", "set_many"])
def test_is_refused_at_once(operation: str, view: bool, db: cshelve.CloudShelf) -> None:
    asked: Callable[[Any], object] = getattr(db.prefix("") if view else db, operation)
    for given in GIVEN:
        refusal = f"not from {type(given).__name__}"
        with pytest.raises(cshelve.KeyTypeError, match=refusal) as caught:
            asked(given)
        assert isinstance(caught.value, TypeError)
        assert dict(db.items()) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("kind", [list, tuple, set, dict.fromkeys, iter, Counter])
def test_every_iterable_of_keys_is_taken(
    kind: Callable[[list[str]], Iterable[str]], db: cshelve.CloudShelf
) -> None:
    db.delete_many(kind(["a"]))
    assert set(db) == {"b", "c"}
