"""Translate failures of S3 and boto3 to cshelve's errors: what happened, where, what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from cshelve.exceptions import (
    AuthError,
    ConditionsNotSupportedError,
    ConfigurationError,
    ConflictError,
    CreateRefusedError,
    DBDoesNotExistsError,
    Error,
    KeyNotStorableError,
    StorageError,
)

__all__ = [
    *("EXPIRED_CREDENTIALS", "TRANSIENT", "WRONG_CREDENTIALS", "WRONG_REGION"),
    *("AnswerLostError", "Place", "RefusalError", "UnchangedError"),
    *("code_of", "did_nothing", "failures", "fits_in_xml", "is_404_without_code", "is_absent"),
    *("is_answer_lost", "is_key_refused", "is_throttled", "lacks_bulk_delete"),
    *("refuses_conditions", "status_of", "translated"),
]

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
WRONG_CREDENTIALS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})
EXPIRED_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "RequestExpired"}
    | {"TokenRefreshRequired"}
)
THROTTLED = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
)
WRONG_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)
# The codes of temporary failures, for which one key among many is tried again.
TRANSIENT = THROTTLED.union(
    ("InternalError", "ServiceUnavailable", "OperationAborted", "RequestTimeout")
)
KNOWN_REASONS = EXPIRED_CREDENTIALS | TRANSIENT | WRONG_REGION
# The codes with which older servers refuse the headers of boto3's checksums, or a body in chunks.
MAY_MEAN_CHECKSUM = frozenset(
    {"InvalidArgument", "InvalidRequest", "MissingContentLength", "MissingContentMD5"}
    | {"NotImplemented", "XAmzContentSHA256Mismatch", "400", "411", "501"}
)
UNHOLDABLE_KEY = frozenset({"KeyTooLongError", "KeyTooLong", "InvalidURI"})
# Names of botocore's exceptions: the classes are not at hand unless botocore is imported.
NO_CREDENTIALS = (
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("TokenRetrievalError", "SSOError", "NoAuthTokenError"),
)
NO_CONNECTION = ("HTTPClientError", "ConnectionError")
# Codes that mean a full store: `QuotaExceeded`, MinIO's `…QuotaExceeded`. A status of 507 does too.
NO_ROOM = re.compile("Quota|StorageFull|EntityTooMany")
OF_KMS = re.compile(r"\bkms\b|^KMS", re.IGNORECASE)

# The IAM action that an operation needs, if its name differs from the operation's.
IAM_ACTIONS = {
    "CopyObject": "s3:GetObject and s3:PutObject",
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
}


# https://www.w3.org/TR/xml/#charsets
# Compiled only when needed, since that takes as long as importing five modules.
NOT_IN_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


class RefusalError(Exception):
    """Raised if the server refused a request; has the attributes of botocore's `ClientError`."""

    def __init__(
        self,
        operation: str,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{operation}: {status} {code}")
        self.operation_name = operation
        self.response: dict[str, Any] = {
            "Error": {"Code": code or str(status), "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
        }


class AnswerLostError(Exception):
    """Raised if a request was sent once, and it is unknown whether the server carried it out."""


class UnchangedError(Exception):
    """Raised if an object still has the version that a request names, so nothing was sent."""


def failures() -> tuple[type[Exception], ...]:
    """Return the classes of the errors that a request may raise, for an `except` clause.

    Call this in the `except` clause and not before the request, which may import boto3: boto3's
    errors are included only after that.
    """
    boto = sys.modules.get("botocore.exceptions")
    if boto is None:
        return RefusalError, AnswerLostError
    # While another thread imports the module, these names may not exist yet.
    of_boto3 = (getattr(boto, name, RefusalError) for name in ("ClientError", "BotoCoreError"))
    return (RefusalError, AnswerLostError, *of_boto3)


class Place(NamedTuple):
    """The beginning of every message about a request: its operation, its name and its location."""

    operation: str
    location: str
    name: str | None = None
    conditional: bool = False
    credentials: str = "the credentials"
    """Where the credentials come from."""
    address: str = "endpoint_url"
    """Where the address of the server comes from."""
    sends_checksums: bool = True
    """Whether requests carry checksums that S3 does not require."""

    def __str__(self) -> str:
        of = "" if self.name is None else f" of {self.name!r}"
        return f"{self.operation}{of} in {self.location}"


def code_of(error: Exception | None) -> str:
    """Return the error code in a server's response; for a HEAD, the status as text."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """Return the HTTP status of a server's response; 0 if there was none."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_absent(error: Exception) -> bool:
    """Return whether the server says that the key is absent.

    The 404 of a HEAD has no code, so it may mean an absent bucket, too.
    """
    is_of_head = getattr(error, "operation_name", "") == "HeadObject"
    return code_of(error) == "NoSuchKey" or (is_of_head and status_of(error) == 404)


def is_404_without_code(error: Exception) -> bool:
    """Return whether an error is a 404 without a code that says what was not found."""
    return status_of(error) == 404 and code_of(error) in {"", "404"}


def fits_in_xml(name: str) -> bool:
    """Return whether XML, and so S3's requests and responses, can contain a key."""
    return not re.search(NOT_IN_XML, name)


def is_key_refused(error: Exception, name: str) -> bool:
    """Return whether the server says that it cannot hold such a key."""
    if status_of(error) != 400:
        return False
    code = code_of(error)
    return code in UNHOLDABLE_KEY or (
        code == "InvalidRequest"
        and ("\0" in name or any(segment in {".", ".."} for segment in name.split("/")))
    )


def refuses_conditions(error: Exception) -> bool:
    """Return whether the server says (with 400 or 501) that it does not support a condition."""
    return status_of(error) in {400, 501} and code_of(error) not in KNOWN_REASONS


def is_throttled(error: Exception) -> bool:
    """Return whether the server throttled a request, which means that it did nothing."""
    return code_of(error) in THROTTLED or status_of(error) == 429


def did_nothing(error: Exception) -> bool:
    """Return whether the server certainly did not carry out a request, so it may be sent again.

    True if the server says so, or if no connection was established.
    """
    never_sent = _is(error, "EndpointConnectionError", "ConnectTimeoutError")
    lost_the_race = status_of(error) == 409 or code_of(error) in {"RequestTimeout", "408"}
    return never_sent or lost_the_race or is_throttled(error)


def is_answer_lost(error: Exception) -> bool:
    """Return whether a request may have been carried out although no response confirms it."""
    if did_nothing(error):
        return False
    server_failed = status_of(error) >= 500 and status_of(error) != 501
    is_lost = _is(error, *NO_CONNECTION, "UnreadableAnswerError", "AnswerLostError")
    return server_failed or is_lost


def lacks_bulk_delete(error: Exception) -> bool:
    """Return whether a server lacks DeleteObjects, or requires a header that boto3 does not send.

    Servers report this with various statuses (501, 405, 411, or 400 for a missing Content-MD5).
    Each of them counts, unless the code shows another reason. If there is another reason all the
    same, the single deletes that follow fail, too, and report it.
    """
    return status_of(error) in {400, 405, 411, 501} and code_of(error) not in KNOWN_REASONS


def translated(error: Exception, place: Place) -> Error:
    """Return cshelve's error for a failure; the caller raises it `from` the failure."""
    failure = _of_answer(error, place) if _answer(error) else _of(error, place)
    failure.about_shelf = failure.about_shelf or _is_about_shelf(error)
    return failure


def _is_about_shelf(error: Exception) -> bool:
    """Return whether requests about other keys would fail, too; AccessDenied need not mean that."""
    if _answer(error):
        code = code_of(error)
        of_all = WRONG_CREDENTIALS | EXPIRED_CREDENTIALS | THROTTLED | WRONG_REGION
        return code in of_all or code == "RequestTimeTooSkewed" or status_of(error) in {429, 503}
    return _is(error, *NO_CREDENTIALS, *NO_CONNECTION)


def _of(error: Exception, place: Place) -> Error:
    if _is(error, *NO_CREDENTIALS):
        return AuthError(
            f"{place}: there are no usable credentials: {error}. Set [default] auth_type = "
            "access_key with key_id and key_secret, or provide credentials that boto3 finds."
        )
    if _is(error, "ParamValidationError"):
        if "Invalid bucket name" in str(error):
            return ConfigurationError(
                f"{place}: [default] bucket_name is not a name that S3 allows: 3 to 63 letters, "
                "digits, dots and hyphens."
            )
        # Without boto3's message, which quotes values.
        return ConfigurationError(
            f"{place}: boto3 refuses a value among the request's parameters; see [put_params]."
        )
    return StorageError(f"{place}: {_what_happened(error, place)}")


def _of_answer(error: Exception, place: Place) -> Error:
    code, status = code_of(error), status_of(error)
    if code == "NoSuchBucket":
        return DBDoesNotExistsError(
            f"{place}: there is no such bucket; flag 'c' creates it when the shelf is opened."
        )
    if code in EXPIRED_CREDENTIALS:
        return AuthError(f"{place}: the credentials have expired ({code}); renew them.")
    if code in WRONG_REGION or status == 301:
        return StorageError(f"{place}: {_wrong_region(error)}")
    if code == "RequestTimeTooSkewed":
        return StorageError(f"{place}: this machine's clock is wrong ({_said(error)}).")
    if NO_ROOM.search(code) or status == 507:
        return StorageError(
            f"{place}: there is no room left ({_said(error)}); delete something, or have the quota "
            "raised."
        )
    if code == "NoSuchKey" and place.operation == "ListObjectsV2":
        return StorageError(
            f"{place}: the server mistakes the bucket for a key ({_said(error)}). Is the bucket's "
            "name in [provider_params] endpoint_url? Write only the server's address there."
        )
    if code == "InvalidObjectState":
        return StorageError(f"{place}: the object is archived; restore it first ({_said(error)}).")
    if status in {401, 403}:
        return _refused(error, place)
    if status == 412:
        return ConflictError(f"{place}: another writer was first ({_said(error)}).")
    if place.name is not None and is_key_refused(error, place.name):
        return KeyNotStorableError(f"{place}: the server cannot hold such a key ({_said(error)}).")
    if place.conditional and status == 409:
        return ConflictError(f"{place}: another writer was faster each time ({_said(error)}).")
    if place.conditional and refuses_conditions(error):
        return ConditionsNotSupportedError(
            f"{place}: the server does not support conditions ({_said(error)}). Writes without a "
            "condition do work."
        )
    if code in THROTTLED or status in {429, 503}:
        return StorageError(
            f"{place}: throttled, after {_attempts(error)} attempts ({_said(error)}). Slow down, "
            "or raise [default] total_max_attempts."
        )
    answered = f"{status} {_said(error)}".rstrip()
    return StorageError(f"{place}: the server responded with {answered}.{_hint(error, place)}")


def _refused(error: Exception, place: Place) -> AuthError:
    code = code_of(error)
    if code in WRONG_CREDENTIALS:
        return AuthError(
            f"{place}: the access key id or the secret is wrong ({code}); check "
            f"{place.credentials}, and that they belong to this endpoint."
        )
    if OF_KMS.search(f"{code} {_said(error)}"):
        return AuthError(
            f"{place}: the encryption key is refused ({_said(error)}); for this key, the "
            "credentials need kms:GenerateDataKey to write, and kms:Decrypt to read."
        )
    if "explicit deny" in _said(error):
        return AuthError(f"{place}: a policy forbids it ({_said(error)}).")
    action = IAM_ACTIONS.get(place.operation, f"s3:{place.operation}")
    advice = f"refused ({_said(error)}); the credentials probably lack {action}"
    if place.operation in {"GetObject", "HeadObject"}:
        advice += (
            ", or the key is absent and they lack s3:ListBucket, without which S3 does not report "
            "an absent key (see the option missing_on_forbidden)"
        )
    if place.operation == "CreateBucket":
        return CreateRefusedError(f"{place}: {advice}.")
    return AuthError(f"{place}: {advice}.")


def _wrong_region(error: Exception) -> str:
    answer = _answer(error)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or answer["Error"].get("Region")
    where = f"is in the region {region}" if region else "is in another region"
    return f"the bucket {where}; set [default] region_name to it ({_said(error)})."


def _hint(error: Exception, place: Place) -> str:
    """Return advice if the server may have refused a request for its checksums, or lack of them."""
    operation = getattr(error, "operation_name", "")
    writes = operation in {"PutObject", "UploadPart", "DeleteObjects"}
    if not writes or code_of(error) not in MAY_MEAN_CHECKSUM:
        return ""
    if not place.sends_checksums:
        return (
            " If the bucket requires checksums, as with Object Lock, remove "
            "`request_checksum_calculation` from [provider_params] and ~/.aws/config, and "
            "AWS_REQUEST_CHECKSUM_CALCULATION from the environment."
        )
    return (
        " If this is an older server that does not know the checksums that boto3 sends, write "
        "`config.request_checksum_calculation = when_required` under [provider_params]."
    )


def _what_happened(error: Exception, place: Place) -> str:
    if _is(error, "IncompleteReadError", "ResponseStreamingError"):
        return f"the value was cut short on its way, twice ({error})."
    if _is(error, "FlexibleChecksumError"):
        return f"the value was damaged on its way, twice ({error})."
    if _is(error, "ConnectTimeoutError", "ReadTimeoutError"):
        return (
            f"the server did not respond in time, in any attempt ({error}); see [default] "
            "read_timeout_seconds and total_max_attempts."
        )
    if _is(error, "SSLError"):
        return (
            f"no secure connection ({error}); see `verify` under [provider_params], or write "
            "http:// in endpoint_url if the server has no TLS."
        )
    if _is(error, "HTTPClientError", "ConnectionError"):
        return f"no connection to the server ({error}); check {place.address}."
    return f"{type(error).__name__}: {error}"


def _said(error: Exception) -> str:
    message = str(_answer(error)["Error"].get("Message", "")).strip().rstrip(".")
    return f"{code_of(error)}: {message}" if message else code_of(error)


def _attempts(error: Exception) -> int:
    return int(_answer(error).get("ResponseMetadata", {}).get("RetryAttempts", 0)) + 1


def _answer(error: Exception | None) -> dict[str, Any]:
    """Return the response that an error is about, as botocore parses it; empty if there is none."""
    # Some of botocore's errors have a `response` that is not a dict.
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) and "Error" in answer else {}


def _is(error: Exception, *names: str) -> bool:
    """Return whether an error's class, or a base of it, is one of botocore or cshelve so named."""
    return any(
        each.__name__ in names and each.__module__.startswith(("botocore.", "cshelve."))
        for each in type(error).__mro__
    )
