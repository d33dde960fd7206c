"""The tests of other suites that cannot run over a shelf for asyncio, and why."""

from __future__ import annotations

import pytest

NO_SUCH_METHOD = "a shelf for asyncio has no popitem, rewrite and `dict`"
NO_WRITEBACK = "a shelf for asyncio has no writeback"
NO_VIEW = "`items` and `values` return iterators; the facade is no Shelf"
WAITS = "it waits on the event loop for something that needs the event loop"
PROCESSES = "the other processes do not use asyncio"

# Parts of the tests' names.
LEFT_OUT = {
    "is_missing_for_dict": NO_SUCH_METHOD,
    "by_popitem": NO_SUCH_METHOD,
    "TestTheConfiguredTime::test_is_that_of_every_value": NO_SUCH_METHOD,
    "is_kept_by_rewrite": NO_SUCH_METHOD,
    "after_its_key_was_rotated_away": NO_SUCH_METHOD,
    "TestAQueue": NO_SUCH_METHOD,
    "popitem": NO_SUCH_METHOD,
    "a_shelf_says_where_it_is": "its repr has another name",
    "a_version_that_is_no_text": "`delete` without a version deletes any version",
    "that_was_never_closed": NO_WRITEBACK,
    "test_a_shelf_for_reading_can_be_closed_after_an_update": NO_WRITEBACK,
    "counts_as_unwritten": NO_WRITEBACK,
    "test_progress_of_a_view_is_that_of_its_own_keys": NO_WRITEBACK,
    "keys_may_come_from_the_shelf_itself": WAITS,
    "test_of_many_threads_one_wins": WAITS,
    "-len of items]": NO_VIEW,
    "-items and]": NO_VIEW,
    "-len of values]": NO_VIEW,
    "-is a Shelf]": NO_VIEW,
    "-writeback]": NO_WRITEBACK,
    "-cache]": NO_WRITEBACK,
    "-dict]": NO_SUCH_METHOD,
}
# Of these modules, only what needs no writeback and no other process.
STORIES = ("test_a_story_ends_as_with_shelve", "TestDeliberateDifferences")


def why_left_out(item: pytest.Item) -> str | None:
    if "crowd" in getattr(item, "fixturenames", ()):
        return PROCESSES
    if any(story in item.nodeid for story in STORIES):
        return NO_WRITEBACK
    return next((why for part, why in LEFT_OUT.items() if part in item.nodeid), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [
        item
        for item in items
        if "tests/aio/suites/" not in item.nodeid or why_left_out(item) is None
    ]
