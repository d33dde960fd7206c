"""CPython's own tests of `shelve` and of mappings, over a shelf for asyncio in its facade."""

from __future__ import annotations

import shelve
import unittest
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("test.test_shelve", reason="this Python has no tests of its own")

from tests.aio.facade import Facade, LoopThread
from tests.behaviour.test_cpythons_own import CASES, name_of

# The mapping protocol: what the others test is writeback, or the class of the standard library.
OPENS_NOTHING = "test_getitem"
MAPPINGS = [
    case
    for case in CASES
    if "FileShelve" in type(case).__name__ or "File_dumbShelve" in type(case).__name__
    if not name_of(case).endswith(OPENS_NOTHING)
]


@pytest.mark.parametrize("case", MAPPINGS, ids=name_of)
def test_one_of_cpythons(
    case: unittest.TestCase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loop_thread: LoopThread,
) -> None:
    opened: list[Facade] = []

    def open_it(*arguments: Any, **options: Any) -> Facade:
        opened.append(Facade.open(loop_thread, *arguments, **options))
        return opened[-1]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shelve, "open", open_it)
    result = unittest.TestResult()
    case.run(result)
    for shelf in opened:
        shelf.close()
    assert opened
    assert [trace for _, trace in (*result.errors, *result.failures)] == []
