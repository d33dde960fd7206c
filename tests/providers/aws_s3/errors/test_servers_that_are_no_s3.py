"""A gateway or a console that answers with pages of its own."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import Answer
from tests.providers.aws_s3.errors.rig import READS
from tests.rigs import Place, S3Rig

pytestmark = pytest.mark.s3


class TestAServerThatIsNoS3:
    """A gateway or a console that answers with pages of its own."""

    PAGE = b"<html><body>Hello</body></html>"

    # Not `in` and `del`: a HEAD's 404 is all that there is to see.
    @pytest.mark.parametrize("operation", [name for name in READS if name not in {"in", "del"}])
    @pytest.mark.parametrize("on", ["GetObject", None])
    def test_its_404_is_no_absence(
        self, operation: str, on: str | None, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(404, body=self.PAGE), operation=on, times=None),
            pytest.raises(cshelve.StorageError, match="404"),
        ):
            READS[operation](db)

    def test_its_404_for_a_key_that_xml_cannot_carry_is_no_absence_either(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        db["\x01"] = 1
        with (
            s3.proxy.inject(Answer(404, body=self.PAGE), operation="GetObject", times=None),
            pytest.raises(cshelve.StorageError, match="404"),
        ):
            db.get("\x01")

    @pytest.mark.parametrize("body", [PAGE, b""])
    @pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
    def test_its_200_is_no_empty_shelf(self, flag: str, body: bytes, s3: S3Rig) -> None:
        with (
            s3.proxy.inject(Answer(200, body=body), times=None),
            pytest.raises(cshelve.StorageError, match="not a listing"),
        ):
            Place(s3.config()).open(flag)

    def test_its_200_is_no_stored_value(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with (
            s3.proxy.inject(Answer(200, body=self.PAGE), operation="PutObject", times=None),
            pytest.raises(cshelve.StorageError, match="no ETag"),
        ):
            db["k"] = 1
