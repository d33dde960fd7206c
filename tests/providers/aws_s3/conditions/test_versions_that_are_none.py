"""What no object's version is replaces and deletes nothing."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from tests.rigs import S3Rig

pytestmark = pytest.mark.s3

# What no object's version is, and what the header may mean something else by: `{}` is the true one.
NO_VERSIONS = [
    "*",
    '"*"',
    " * ",
    "W/*",
    '"a", "b"',
    '"a", {}',
    "{}, *",
    "{} ",
    "{}\n",
    "{}\r\nx-odd: 1",
    "",
    " ",
    '""',
    "x",
    "\n",
    '"a',
    '"\xe9"',
    '"' + "a" * 10_000 + '"',
]


@pytest.mark.parametrize("version", NO_VERSIONS, ids=lambda value: repr(value)[:20])
class TestAVersionThatIsNone:
    def test_replaces_nothing(self, version: str, db: cshelve.CloudShelf) -> None:
        true = db.get_versioned("k")[1]
        with pytest.raises(cshelve.Error):
            db.replace("k", "new", version.replace("{}", true))
        assert db["k"] == "old"

    def test_deletes_nothing(self, version: str, db: cshelve.CloudShelf) -> None:
        true = db.get_versioned("k")[1]
        with pytest.raises(cshelve.Error):
            db.delete("k", version.replace("{}", true))
        assert db["k"] == "old"


@pytest.mark.parametrize("version", [7, b'"x"', True, ["*"], None], ids=repr)
@pytest.mark.parametrize("operation", ["replace", "delete"])
def test_a_version_that_is_no_text_is_an_error(
    version: Any, operation: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    with s3.proxy.counting() as seen, pytest.raises(cshelve.Error):
        db.replace("k", "new", version) if operation == "replace" else db.delete("k", version)
    assert db["k"] == "old"
    # None asks for an absent key, and whether the one that is there has expired.
    assert seen.total == (2 if (operation, version) == ("replace", None) else 0)
