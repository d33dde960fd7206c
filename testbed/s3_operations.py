"""Determine the S3 operation of a path-style request."""

from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}

_PLAIN_OBJECT = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
}
_PLAIN_BUCKET = {
    "GET": "ListObjects",
    "HEAD": "HeadBucket",
    "PUT": "CreateBucket",
    "DELETE": "DeleteBucket",
}
_UPLOAD = {
    "GET": "ListParts",
    "PUT": "UploadPart",
    "POST": "CompleteMultipartUpload",
    "DELETE": "AbortMultipartUpload",
}

# Subresources whose operations are named verb + name, as in GetBucketVersioning.
_BUCKET_PARTS = {
    "accelerate": "BucketAccelerateConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCors",
    "encryption": "BucketEncryption",
    "lifecycle": "BucketLifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "notification": "BucketNotificationConfiguration",
    "object-lock": "ObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "PublicAccessBlock",
    "replication": "BucketReplication",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}
_OBJECT_PARTS = {
    "acl": "ObjectAcl",
    "attributes": "ObjectAttributes",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
}


def bucket_and_key(path: str) -> tuple[str, str]:
    """Split a raw path-style path; the key is percent-decoded and may hold any slashes."""
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, unquote(key, errors="surrogateescape")


def operation_of(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """Return the operation's name as in the S3 API, or ``Unknown``.

    The path and the query are raw; the mapping decides how header names are matched.
    """
    bucket, key = bucket_and_key(path)
    parameters = parse_qs(query, keep_blank_values=True)
    if not bucket:
        return "ListBuckets" if method == "GET" else "Unknown"
    if key:
        return _on_object(method, parameters, "x-amz-copy-source" in headers)
    return _on_bucket(method, parameters)


def _on_object(method: str, parameters: Mapping[str, list[str]], copies: bool) -> str:
    if "uploadId" in parameters:
        name = _UPLOAD.get(method, "Unknown")
        return "UploadPartCopy" if copies and name == "UploadPart" else name
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in parameters else "Unknown"
    part = _part(method, parameters, _OBJECT_PARTS)
    if part is not None:
        return part
    if method == "PUT" and copies:
        return "CopyObject"
    return _PLAIN_OBJECT.get(method, "Unknown")


def _on_bucket(method: str, parameters: Mapping[str, list[str]]) -> str:
    if method == "POST":
        return "DeleteObjects" if "delete" in parameters else "Unknown"
    if method == "GET":
        if parameters.get("list-type") == ["2"]:
            return "ListObjectsV2"
        if "versions" in parameters:
            return "ListObjectVersions"
        if "uploads" in parameters:
            return "ListMultipartUploads"
    return _part(method, parameters, _BUCKET_PARTS) or _PLAIN_BUCKET.get(method, "Unknown")


def _part(method: str, parameters: Mapping[str, list[str]], names: Mapping[str, str]) -> str | None:
    verb = _VERBS.get(method)
    if verb is None:
        return None
    return next((verb + name for part, name in names.items() if part in parameters), None)
