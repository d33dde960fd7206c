"""One request by whichever engine, with the answer in boto3's form: for all but the hot path.

`send` raises what a failure means. `attempt` and `attempt_once` raise the failure itself, one of
`errors.failures`, for callers that go by what it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError
from cshelve.providers.aws_s3.direct.engine import TROUBLE, code_and_message
from cshelve.providers.aws_s3.errors import (
    WRONG_REGION,
    AnswerLostError,
    RefusalError,
    failures,
    translated,
)

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["attempt", "attempt_once", "send"]

Body = bytes | memoryview | None

META = "x-amz-meta-"


def send(
    requests: Requests,
    operation: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    body: Body = None,
) -> Mapping[str, Any]:
    """Send a request, and return the answer; raise the `Error` that its failure means."""
    try:
        return attempt(requests, operation, name, parameters, body)
    except failures() as error:
        raise translated(error, requests.bucket.place(operation, name)) from error


def attempt(
    requests: Requests,
    operation: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    body: Body = None,
) -> Mapping[str, Any]:
    """Send a request, and return the answer; raise its failure as it is."""
    refuse_if_stopped()
    with requests.permit():
        answer = requests.answer(operation, name, parameters, body)
        if answer is not None:
            if answer.status == 404:
                raise _refusal(operation, answer)
            try:
                return _in_boto3s_form(operation, answer)
            except NotPlainError as error:
                requests.note_failure(error)
        return requests.boto3.call(operation, name, parameters, body)


def attempt_once(
    requests: Requests,
    operation: str,
    name: str,
    parameters: Mapping[str, Any],
    body: Body = None,
    *,
    by_boto3: bool,
) -> Mapping[str, Any]:
    """Send a request, and never again: it has a condition, which our own first try may break.

    Raises `AnswerLostError` where what became of it is not known. With `by_boto3` the direct engine
    does not send it.
    """
    with requests.permit():
        engine = None if by_boto3 else requests.direct()
        if engine is not None:
            refuse_if_stopped()
            request = None
            try:
                key = requests.bucket.prefix + name
                request = engine.request(operation, key, parameters, body)
                answer = engine.send(request, may_repeat=False)
                if not _is_redirect(operation, answer):
                    return _in_boto3s_form(operation, engine.judge(operation, answer))
                requests.learn_where()
            except TROUBLE as error:
                requests.note_failure(error)
                if request is not None and isinstance(error, NotPlainError | OSError):
                    raise AnswerLostError(f"{operation}: {error}") from error
        return requests.boto3.call(operation, name, parameters, body, once=True)


def _is_redirect(operation: str, answer: Answer) -> bool:
    """Return whether the server did nothing, and the bucket is elsewhere; raise other refusals."""
    if 300 <= answer.status < 400 or code_and_message(answer)[0] in WRONG_REGION:
        return True
    if answer.status >= 400:
        raise _refusal(operation, answer)
    return False


def _refusal(operation: str, answer: Answer) -> RefusalError:
    return RefusalError(operation, answer.status, *code_and_message(answer), answer.headers)


def _in_boto3s_form(operation: str, answer: Answer) -> Mapping[str, Any]:
    """Return what boto3 would make of a plain answer, as far as the callers need it."""
    headers = answer.headers
    metadata = {n.removeprefix(META): value for n, value in headers.items() if n.startswith(META)}
    form: dict[str, Any] = {"Metadata": metadata}
    for name, header in (("ETag", "etag"), ("ChecksumCRC32", "x-amz-checksum-crc32")):
        if header in headers:
            form[name] = headers[header]
    if operation == "CreateMultipartUpload":
        form["UploadId"] = _text_in(answer, "InitiateMultipartUploadResult", "UploadId")
    if operation == "CompleteMultipartUpload":
        # S3 may say in the body of a 200 that it has failed after all.
        form["ETag"] = _text_in(answer, "CompleteMultipartUploadResult", "ETag")
    return form


def _text_in(answer: Answer, root: str, name: str) -> str:
    body = answer.body.decode("utf-8", "replace")
    found = re.search(rf"<{name}>([^<]*)</{name}>", body)
    if f"<{root}" not in body or found is None or not found[1]:
        raise NotPlainError(f"no {name} in the answer")
    return unescape(found[1])
