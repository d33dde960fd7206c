"""Send one request by either engine, and return the response in boto3's form.

`send` raises cshelve's errors. `attempt` and `attempt_once` raise the failure itself, one of
`errors.failures`, for callers that examine it. Frequent operations do not use this module, as the
conversion takes time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve.providers.aws_s3.bucket import EXPIRES
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
    from cshelve.providers.aws_s3.direct.engine import Engine
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["HEADER_OF_EXPIRY", "attempt", "attempt_once", "plain_or_none", "send"]

Body = bytes | memoryview | None

META = "x-amz-meta-"
HEADER_OF_EXPIRY = META + EXPIRES


def send(
    requests: Requests,
    operation: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    body: Body = None,
) -> Mapping[str, Any]:
    """Send a request, and return the response; translate a failure to cshelve's errors."""
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
    """Send a request, and return the response; raise one of `errors.failures`."""
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
                requests.note_sent(operation, name)
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
    """Send a conditional request exactly once, and return the response.

    A retry could fail because of our own first try, which may have changed the version. Raises one
    of `errors.failures`: `AnswerLostError` if it is not known whether the request was carried out.
    With `by_boto3`, the direct engine is not used.
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
                found = plain_or_none(requests, engine, operation, answer)
                if found is not None:
                    return found
                requests.note_sent(operation, name)
            except TROUBLE as error:
                requests.note_failure(error)
                if request is not None and isinstance(error, NotPlainError | OSError):
                    raise AnswerLostError(f"{operation}: {error}") from error
        return requests.boto3.call(operation, name, parameters, body, once=True)


def plain_or_none(
    requests: Requests, engine: Engine, operation: str, answer: Answer
) -> Mapping[str, Any] | None:
    """Return a plain response to a conditional request in boto3's form; None after a redirect.

    After a redirect, boto3 has to send the request: the server has done nothing. Raises
    `RefusalError` for a refusal, and `NotPlainError` for anything else.
    """
    if _is_redirect(operation, answer):
        requests.learn_where()
        return None
    return _in_boto3s_form(operation, engine.judge(operation, answer))


def _is_redirect(operation: str, answer: Answer) -> bool:
    """Return whether a response says that the bucket is elsewhere; raise any other refusal."""
    if 300 <= answer.status < 400 or code_and_message(answer)[0] in WRONG_REGION:
        return True
    if answer.status >= 400:
        raise _refusal(operation, answer)
    return False


def _refusal(operation: str, answer: Answer) -> RefusalError:
    return RefusalError(operation, answer.status, *code_and_message(answer), answer.headers)


def _in_boto3s_form(operation: str, answer: Answer) -> Mapping[str, Any]:
    """Return a plain response in boto3's form, with the fields that callers need."""
    headers = answer.headers
    metadata = {n.removeprefix(META): value for n, value in headers.items() if n.startswith(META)}
    form: dict[str, Any] = {"Metadata": metadata}
    for name, header in (("ETag", "etag"), ("ChecksumCRC32", "x-amz-checksum-crc32")):
        if header in headers:
            form[name] = headers[header]
    if operation == "CreateMultipartUpload":
        form["UploadId"] = _text_in(answer, "InitiateMultipartUploadResult", "UploadId")
    if operation == "CompleteMultipartUpload":
        # S3 may report a failure in the body of a response with status 200.
        form["ETag"] = _text_in(answer, "CompleteMultipartUploadResult", "ETag")
    return form


def _text_in(answer: Answer, root: str, name: str) -> str:
    body = answer.body.decode("utf-8", "replace")
    found = re.search(rf"<{name}>([^<]*)</{name}>", body)
    if f"<{root}" not in body or found is None or not found[1]:
        raise NotPlainError(f"no {name} in the response")
    return unescape(found[1])
