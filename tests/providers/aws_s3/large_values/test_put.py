"""Writing a value in parts: what is sent, and what a failure leaves behind."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

import cshelve
from cshelve.providers.aws_s3.session import OURS
from testbed.faults import AfterActing, Answer, Fault, Reset
from tests.providers.aws_s3.large_values.rig import (
    ABORT,
    COMPLETE,
    CREATE,
    GET,
    NEW,
    OLD,
    OPTIONS,
    PART,
    PUT,
    Case,
)
from tests.rigs import provider_of

pytestmark = [pytest.mark.s3, pytest.mark.once]


class TestPut:
    def test_gives_the_version_that_is_there(self, case: Case) -> None:
        version = provider_of(case.db).put("k", NEW)
        head = case.s3.client.head_object(Bucket=case.bucket, Key=case.name("k"))
        assert version == head["ETag"]
        assert provider_of(case.db).get("k").version == version

    def test_counts_its_requests_and_bytes(self, case: Case) -> None:
        stats = provider_of(case.db).stats
        requests, sent, received = stats.requests.copy(), stats.bytes_sent, stats.bytes_received
        case.db["k"] = NEW
        assert case.db["k"] == NEW
        assert stats.requests - requests == {CREATE: 1, PART: 2, COMPLETE: 1, GET: 2}
        # The last request names the parts, and the first and the last have responses in XML.
        assert len(NEW) < stats.bytes_sent - sent < len(NEW) + 2000
        assert len(NEW) < stats.bytes_received - received < len(NEW) + 2000

    def test_begins_by_a_request_that_knows_all_that_a_put_may_carry(self, case: Case) -> None:
        model = case.s3.client.meta.service_model
        shapes: list[Any] = [model.operation_model(each).input_shape for each in (PUT, CREATE)]
        puts, begins = (set(shape.members) for shape in shapes)
        checksums = {name for name in puts if name.startswith("Checksum")}
        assert puts - begins <= OURS | checksums

    def test_carries_the_parameters_that_each_request_knows(self, case: Case) -> None:
        config = {**case.config, "put_params": {"Metadata.team": "blue", "ContentType": "a/b"}}
        with case.s3.proxy.counting() as seen, cshelve.open_from_dict(config) as db:
            db["k"] = NEW
        (create,) = [request for request in seen.requests if request.operation == CREATE]
        assert create.headers["x-amz-meta-team"] == "blue"
        head = case.s3.client.head_object(Bucket=case.bucket, Key=case.name("k"))
        assert (head["Metadata"], head["ContentType"]) == ({"team": "blue"}, "a/b")

    @pytest.mark.parametrize("algorithm", [None, "SHA256"])
    def test_sends_a_checksum_of_each_part(self, algorithm: str | None, case: Case) -> None:
        config = {**case.config, "put_params": {"ChecksumAlgorithm": algorithm}}
        with case.s3.proxy.counting() as seen, cshelve.open_from_dict(config) as db:
            db["k"] = NEW
        name = (algorithm or "CRC32").lower()
        parts = [request for request in seen.requests if request.operation == PART]
        assert len(parts) == 2
        assert all(f"x-amz-checksum-{name}" in part.headers for part in parts)
        (complete,) = [request for request in seen.requests if request.operation == COMPLETE]
        assert complete.body.count(f"<Checksum{name.upper()}>".encode()) == 2

    def test_sends_no_checksum_where_the_client_is_told_not_to(self, case: Case) -> None:
        params = {"config.request_checksum_calculation": "when_required"}
        config = {
            **case.config,
            "provider_params": {**case.config["provider_params"], **params},
        }
        with case.s3.proxy.counting() as seen, cshelve.open_from_dict(config) as db:
            db["k"] = NEW
        names = {name for request in seen.requests for name in request.headers}
        assert not any("checksum" in name for name in names)
        assert case.stored("k") == NEW

    @pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), Answer(500), Reset(), Reset(False)])
    @pytest.mark.parametrize("operation", [CREATE, PART, COMPLETE])
    def test_passes_over_what_fails_once(self, operation: str, fault: Fault, case: Case) -> None:
        case.inject(fault, operation)
        case.db["k"] = NEW
        assert case.stored("k") == NEW
        # The answer that was lost is that to a beginning: nobody knows the name of that upload.
        for upload in case.uploads() if operation == CREATE and fault == Reset(False) else ():
            abort_all(case, upload)

    @pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), Answer(403, "AccessDenied")])
    @pytest.mark.parametrize("operation", [CREATE, PART, COMPLETE])
    def test_that_fails_leaves_the_old_value_and_no_parts(
        self, operation: str, fault: Fault, case: Case
    ) -> None:
        case.store("k", OLD)
        case.inject(fault, operation, times=None, after=int(operation == PART))
        with case.s3.proxy.counting() as seen, pytest.raises(cshelve.StorageError) as caught:
            case.db["k"] = NEW
        assert isinstance(caught.value.__cause__, ClientError)
        assert operation in str(caught.value)
        assert "'k' in s3://" in str(caught.value)
        assert isinstance(caught.value, cshelve.AuthError) == (fault == Answer(403, "AccessDenied"))
        assert seen.operations.count(ABORT) == (operation != CREATE)
        assert case.stored("k") == OLD
        assert case.uploads() == []

    def test_that_fails_says_so_even_where_its_parts_cannot_be_removed(
        self, case: Case, caplog: pytest.LogCaptureFixture
    ) -> None:
        case.inject(Answer(500), PART, times=None)
        case.inject(Answer(403, "AccessDenied"), ABORT, times=None)
        with pytest.raises(cshelve.StorageError, match=PART):
            case.db["k"] = NEW
        (record,) = [record for record in caplog.records if record.name == "cshelve"]
        assert "may be left" in record.getMessage()
        abort_all(case, *case.uploads())

    def test_whose_upload_is_gone_leaves_no_parts_and_says_nothing_of_any(
        self, case: Case, caplog: pytest.LogCaptureFixture
    ) -> None:
        # As a server answers that completed it, when the answer to that was lost.
        case.inject(Answer(404, "NoSuchUpload"), COMPLETE)
        case.inject(AfterActing(Answer(404, "NoSuchUpload")), ABORT)
        with pytest.raises(cshelve.StorageError, match="NoSuchUpload"):
            case.db["k"] = NEW
        assert [record for record in caplog.records if record.name == "cshelve"] == []

    def test_ends_in_an_error_where_the_answer_is_none_of_s3s(self, case: Case) -> None:
        for operation in (CREATE, PART, COMPLETE):
            page = Answer(200, body=b"<html>Welcome</html>")
            with case.inject(page, operation, times=None), pytest.raises(cshelve.StorageError):
                case.db["k"] = NEW

    def test_under_an_absent_bucket_says_so(self, case: Case) -> None:
        db = case.open(bucket_name="no-such-bucket", check_bucket=False)
        with pytest.raises(cshelve.DBDoesNotExistsError):
            db["k"] = NEW

    def test_works_with_the_actions_that_the_docs_name(self, case: Case) -> None:
        prefix = {"key_prefix": "team-a/large"}
        with cshelve.open_from_dict(
            case.s3.config(case.s3.server.scoped, **{**OPTIONS, **prefix})
        ) as db:
            db["k"] = NEW
            assert db["k"] == NEW
            case.inject(Answer(500), COMPLETE, times=None)
            with pytest.raises(cshelve.StorageError):
                db["k"] = OLD
            uploads = case.s3.client.list_multipart_uploads(Bucket=case.bucket, Prefix="team-a/")
            assert uploads.get("Uploads", []) == []
            assert db["k"] == NEW
            db.clear()


def abort_all(case: Case, *keys: str) -> None:
    """Tidy up what nobody else can."""
    answer = case.s3.client.list_multipart_uploads(Bucket=case.bucket)
    for upload in answer.get("Uploads", ()):
        if upload["Key"] in keys:
            case.s3.client.abort_multipart_upload(
                Bucket=case.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
