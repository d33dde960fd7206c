"""Copies inside S3, by CopyObject, without transferring the value. Only boto3 sends it.

The copy keeps the metadata, content type and tags of the object. `[put_params]` applies to the copy
as to a put: encryption, storage class, access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.aws_s3.bucket import NO_VERSION
from cshelve.providers.aws_s3.conditional import DOUBTFUL
from cshelve.providers.aws_s3.errors import (
    code_of,
    failures,
    is_absent,
    is_key_refused,
    status_of,
    translated,
)

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.aws_s3.options import S3Settings
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["copy_object", "have_one_client"]

# Parameters of a put for properties of the object that a copy keeps.
KEPT = frozenset(
    {"CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType"}
    | {"Expires", "Metadata"}
)
# The error codes of S3-compatible servers for objects over 5 GB, the most that one request copies.
TOO_LARGE = frozenset({"InvalidRequest", "EntityTooLarge", "InvalidArgument"})


def copy_object(
    requests: Requests, origin: Requests, source: str, target: str, if_version: str | None
) -> bool:
    """Copy an object from the bucket of `origin`; return False if this server cannot do that.

    A server without CopyObject stores an empty object, and a proxy may respond with a page. Only a
    response like S3's means that there is a copy. Raises `KeyNotFoundError`, `ConflictError` if the
    source has another version by now, or `KeyNotStorableError` if the server refuses the target.
    """
    _ = requests.clients, origin.clients  # Creating them checks and converts `[put_params]`.
    parameters = {
        **_of_copy(requests),
        **_of_origin(origin.bucket),
        "CopySource": {"Bucket": origin.bucket.name, "Key": origin.bucket.prefix + source},
    }
    if if_version is not None and if_version != NO_VERSION and not DOUBTFUL.fullmatch(if_version):
        parameters["CopySourceIfMatch"] = if_version
    try:
        with requests.permit():
            response = requests.boto3.call("CopyObject", target, parameters)
    except failures() as error:
        if is_absent(error):
            raise KeyNotFoundError(source) from None
        if is_key_refused(error, target):
            raise translated(error, requests.bucket.place("CopyObject", target)) from error
        if _cannot_copy(error):
            return False
        raise translated(error, origin.bucket.place("CopyObject", source)) from error
    return "ETag" in response.get("CopyObjectResult", {})


def have_one_client(settings: S3Settings, other: S3Settings) -> bool:
    """Return whether requests of two shelves go to one server with the same credentials."""
    return _client_of(settings) == _client_of(other) and settings.session is other.session


def _client_of(settings: S3Settings) -> tuple[object, ...]:
    # On the same server, buckets may be in different regions.
    params = {n: value for n, value in settings.client_params.items() if n != "region_name"}
    return settings.auth_type, dict(settings.credentials), params


def _of_copy(requests: Requests) -> dict[str, Any]:
    """Return the parameters of `[put_params]` that apply to a copy."""
    model: Any = requests.clients.meta.service_model
    known = model.operation_model("CopyObject").input_shape.members
    given = requests.bucket.parameters.get("PutObject", {})
    of_copy = {n: value for n, value in given.items() if n in known and n not in KEPT}
    if "Tagging" in of_copy:
        of_copy["TaggingDirective"] = "REPLACE"
    return of_copy


def _of_origin(bucket: Bucket) -> dict[str, Any]:
    """Return the parameters for reading the source: its encryption key and bucket owner."""
    given = bucket.parameters.get("PutObject", {})
    needed = {
        "SSECustomerAlgorithm": "CopySourceSSECustomerAlgorithm",
        "SSECustomerKey": "CopySourceSSECustomerKey",
        "ExpectedBucketOwner": "ExpectedSourceBucketOwner",
    }
    return {name: given[put] for put, name in needed.items() if put in given}


def _cannot_copy(error: Exception) -> bool:
    """Return whether the object is too large to copy, or the server does not support copying."""
    said = str(getattr(error, "response", {}).get("Error", {}).get("Message", ""))
    is_too_large = code_of(error) in TOO_LARGE and ("larger than" in said or "size" in said)
    return is_too_large or status_of(error) in {405, 501} or code_of(error) == "NotImplemented"
