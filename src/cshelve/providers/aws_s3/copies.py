"""Copies inside S3, by CopyObject, which only boto3 sends: nothing of a value comes this way.

Metadata, content type and tags of the object stay as they are. `[put_params]` counts for the copy
as it does for a put: encryption, storage class, access.
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

# Parameters of a put that say what the object itself has, and that a copy keeps.
KEPT = frozenset(
    {"CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType"}
    | {"Expires", "Metadata"}
)
# As S3 and its like say that an object is larger than 5 GB, the most that one request copies.
TOO_LARGE = frozenset({"InvalidRequest", "EntityTooLarge", "InvalidArgument"})


def copy_object(
    requests: Requests, origin: Requests, source: str, target: str, if_version: str | None
) -> bool:
    """Copy an object from the bucket of `origin`; return False if this server does not do that.

    Servers that do not know CopyObject take it for a PUT of nothing, and proxies respond with a
    page. Only a response like S3's says that there is a copy. Raises `KeyNotFoundError`, or
    `ConflictError` if the source does not have the version any more.
    """
    _ = requests.clients, origin.clients  # Which check and type `[put_params]`.
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
        if is_absent(error) or is_key_refused(error, source):
            raise KeyNotFoundError(source) from None
        if _cannot_copy(error):
            return False
        raise translated(error, origin.bucket.place("CopyObject", source)) from error
    return "ETag" in response.get("CopyObjectResult", {})


def have_one_client(settings: S3Settings, other: S3Settings) -> bool:
    """Return whether requests of two shelves go to one server with the same credentials."""
    return _client_of(settings) == _client_of(other) and settings.session is other.session


def _client_of(settings: S3Settings) -> tuple[object, ...]:
    # At one server the region is a matter of the bucket.
    params = {n: value for n, value in settings.client_params.items() if n != "region_name"}
    return settings.auth_type, dict(settings.credentials), params


def _of_copy(requests: Requests) -> dict[str, Any]:
    """Return what `[put_params]` says of the copy."""
    model: Any = requests.clients.meta.service_model
    known = model.operation_model("CopyObject").input_shape.members
    given = requests.bucket.parameters.get("PutObject", {})
    of_copy = {n: value for n, value in given.items() if n in known and n not in KEPT}
    if "Tagging" in of_copy:
        of_copy["TaggingDirective"] = "REPLACE"
    return of_copy


def _of_origin(bucket: Bucket) -> dict[str, Any]:
    """Return what is needed to read the source: its key, and whose bucket it has to be."""
    given = bucket.parameters.get("PutObject", {})
    needed = {
        "SSECustomerAlgorithm": "CopySourceSSECustomerAlgorithm",
        "SSECustomerKey": "CopySourceSSECustomerKey",
        "ExpectedBucketOwner": "ExpectedSourceBucketOwner",
    }
    return {name: given[put] for put, name in needed.items() if put in given}


def _cannot_copy(error: Exception) -> bool:
    """Return whether the object has to be read and written: it is large, or this is no Amazon."""
    said = str(getattr(error, "response", {}).get("Error", {}).get("Message", ""))
    is_too_large = code_of(error) in TOO_LARGE and ("larger than" in said or "size" in said)
    return is_too_large or status_of(error) in {405, 501} or code_of(error) == "NotImplemented"
