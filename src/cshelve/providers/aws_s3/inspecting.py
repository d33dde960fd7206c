"""The metadata of one object, and the beginning of its data, without reading the rest.

The response to a GET of a range has all headers that the response to a HEAD has. An empty object
has no range: the response is a 416 without these headers, so it costs an additional HEAD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cshelve.exceptions import KeyNotFoundError, StorageError
from cshelve.providers.aws_s3.bucket import NO_VERSION
from cshelve.providers.aws_s3.errors import failures, is_absent, translated
from cshelve.providers.aws_s3.sending import META
from cshelve.providers.base import Details

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.answers import Answer
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["inspected"]

RANGE = re.compile("bytes 0-([0-9]+)/([0-9]+)")
# An object may be empty when the GET arrives, and be replaced before the HEAD does.
ATTEMPTS = 3


def inspected(requests: Requests, name: str, head_bytes: int) -> Details:
    """Return the details of an object, or raise `KeyNotFoundError`, as a GET does."""
    size_bytes = 0
    for _ in range(ATTEMPTS):
        found = _by_get(requests, name, head_bytes)
        if found is None:
            found = _by_head(requests, name)
            size_bytes = found.size_bytes
            if size_bytes:
                continue
        return found._replace(head=found.head[:head_bytes])
    raise StorageError(
        f"{requests.bucket.place('GetObject', name)}: the server refuses a range of the object's "
        f"first bytes, although the object's length is {size_bytes} bytes."
    )


def _by_get(requests: Requests, name: str, head_bytes: int) -> Details | None:
    """Return the details in the response to a GET of the first bytes; None if there are none."""
    most_bytes = max(head_bytes, 1)  # There is no range of no bytes.
    with requests.permit():
        answer = requests.beginning(name, most_bytes)
        if answer is not None:
            if answer.status == 404:
                raise KeyNotFoundError(name)
            if answer.status == 416:
                return None
            try:
                return _details(name, _in_boto3s_form(answer), answer.body, most_bytes)
            except ValueError as error:
                requests.note_odd(str(error), "GetObject", name)
        found = requests.boto3.beginning(name, most_bytes)
    return None if found is None else _of_boto3(requests, "GetObject", name, *found, most_bytes)


def _by_head(requests: Requests, name: str) -> Details:
    with requests.permit():
        answer = requests.answer("HeadObject", name)
        if answer is not None:
            if answer.status == 404:
                raise KeyNotFoundError(name)
            try:
                return _details(name, _in_boto3s_form(answer), b"", 0)
            except ValueError as error:
                requests.note_odd(str(error), "HeadObject", name)
        try:
            found = requests.boto3.call("HeadObject", name)
        except failures() as error:
            if is_absent(error):
                raise KeyNotFoundError(name) from None
            raise translated(error, requests.bucket.place("HeadObject", name)) from error
    return _of_boto3(requests, "HeadObject", name, found, b"", 0)


def _of_boto3(
    requests: Requests,
    operation: str,
    name: str,
    answer: Mapping[str, Any],
    head: bytes,
    most_bytes: int,
) -> Details:
    try:
        return _details(name, answer, head, most_bytes)
    except ValueError as error:
        place = requests.bucket.place(operation, name)
        raise StorageError(f"{place}: the server's response cannot be read ({error}).") from error


def _details(name: str, answer: Mapping[str, Any], head: bytes, most_bytes: int) -> Details:
    """Return the details in a response; raise `ValueError` if size or date are missing."""
    size_bytes, modified = answer.get("ContentLength"), answer.get("LastModified")
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status == 206 or "ContentRange" in answer:
        found = RANGE.fullmatch(answer.get("ContentRange", ""))
        if found is None:  # Its length would be taken for that of the object.
            raise ValueError(f"the range {answer.get('ContentRange')!r:.50}")
        size_bytes = int(found[2])
        if int(found[1]) + 1 != min(most_bytes, size_bytes):
            raise ValueError("another range than was asked for")
    if size_bytes is None:
        raise ValueError("it has no length")
    if len(head) != min(most_bytes, size_bytes):
        raise ValueError("another number of bytes than was asked for")
    if not isinstance(modified, datetime) or modified.tzinfo is None:
        raise ValueError("it has no date")
    # Servers differ in the case in which they write a header's name.
    metadata = {key.lower(): value for key, value in answer.get("Metadata", {}).items()}
    version = str(answer.get("ETag", NO_VERSION))
    return Details(name, size_bytes, modified, version, head, answer.get("ContentType"), metadata)


def _in_boto3s_form(answer: Answer) -> Mapping[str, Any]:
    """Return a plain response in the form of boto3's, as far as it is needed here."""
    headers = answer.headers
    form: dict[str, Any] = {
        "ResponseMetadata": {"HTTPStatusCode": answer.status},
        "Metadata": {
            n.removeprefix(META): value for n, value in headers.items() if n.startswith(META)
        },
    }
    for key, header in (
        ("ETag", "etag"),
        ("ContentType", "content-type"),
        ("ContentRange", "content-range"),
    ):
        if header in headers:
            form[key] = headers[header]
    if "content-length" in headers:
        form["ContentLength"] = int(headers["content-length"])
    if "last-modified" in headers:
        from email.utils import parsedate_to_datetime  # Slow to import, and rarely needed.

        form["LastModified"] = parsedate_to_datetime(headers["last-modified"])
    return form
