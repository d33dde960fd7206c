"""CPython's own tests of `shelve`, with `shelve.open` in them replaced by `cshelve.open`.

They are taken from the Python that runs the tests; some systems install it without them.
"""

from __future__ import annotations

import shelve
import unittest
from collections.abc import Iterator
from pathlib import Path

import pytest

import cshelve

test_shelve = pytest.importorskip("test.test_shelve", reason="this Python has no tests of its own")

IN_MEMORY = "it makes a `shelve.Shelf` of a dict by hand, and opens nothing"
BYTES = "a name is a str or a path object of one, as cshelve.open has always had it"
LEFT_OUT = {
    "TestCase.test_close": IN_MEMORY,
    "TestCase.test_default_protocol": IN_MEMORY,
    "TestCase.test_in_memory_shelf": IN_MEMORY,
    "TestCase.test_keyencoding": IN_MEMORY,
    "TestCase.test_mutable_entry": IN_MEMORY,
    "TestCase.test_with": IN_MEMORY,
    "TestCase.test_writeback_also_writes_immediately": IN_MEMORY,
    "TestCase.test_bytes_path_file_shelf": BYTES,
    "TestCase.test_pathlib_bytes_path_file_shelf": BYTES,
}


def cases_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases_of(each)
        elif name_of(each) not in LEFT_OUT and not type(each).__name__.endswith("MemShelve"):
            yield each


def name_of(case: unittest.TestCase) -> str:
    return f"{type(case).__name__}.{case._testMethodName}"


CASES = list(cases_of(unittest.defaultTestLoader.loadTestsFromModule(test_shelve)))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_one_of_cpythons(
    case: unittest.TestCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shelve, "open", cshelve.open)
    result = unittest.TestResult()
    case.run(result)
    assert result.testsRun == 1
    assert [trace for _, trace in (*result.errors, *result.failures)] == []
    if result.skipped:
        pytest.skip(result.skipped[0][1])


def test_nothing_is_left_out_that_is_not_there() -> None:
    there = {f"TestCase.{name}" for name in dir(test_shelve.TestCase)}
    assert set(LEFT_OUT) <= there
