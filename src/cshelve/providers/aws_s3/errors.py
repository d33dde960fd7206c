"""Failures of S3 and boto3 in cshelve's terms: what happened, where, what to do."""

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
    *("TRANSIENT", "WRONG_REGION", "AnswerLostError", "Place", "RefusalError"),
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
# Failures of one key among many that are worth another try.
TRANSIENT = THROTTLED.union(
    ("InternalError", "ServiceUnavailable", "OperationAborted", "RequestTimeout")
)
KNOWN_REASONS = EXPIRED_CREDENTIALS | TRANSIENT | WRONG_REGION
# How older servers refuse the headers of boto3's checksums, or a body in chunks.
MAY_MEAN_CHECKSUM = frozenset(
    {"InvalidArgument", "InvalidRequest", "MissingContentLength", "MissingContentMD5"}
    | {"NotImplemented", "XAmzContentSHA256Mismatch", "400", "411", "501"}
)
UNHOLDABLE_KEY = frozenset({"KeyTooLongError", "KeyTooLong", "InvalidURI"})
# Names of botocore's exceptions, as botocore may not be imported.
NO_CREDENTIALS = (
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("TokenRetrievalError", "SSOError", "NoAuthTokenError"),
)
NO_CONNECTION = ("HTTPClientError", "ConnectionError")
# As S3 and its like say that there is no room: `QuotaExceeded`, MinIO's `…QuotaExceeded`, a 507.
NO_ROOM = re.compile("Quota|StorageFull|EntityTooMany")
OF_KMS = re.compile(r"\bkms\b|^KMS", re.IGNORECASE)

# What an operation needs, unless that has its own name.
IAM_ACTIONS = {
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
}


# https://www.w3.org/TR/xml/#charsets
# Compiled when it is first needed, which takes as long as to import five modules.
NOT_IN_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


class RefusalError(Exception):
    """The server refused a request. Has the attributes of botocore's `ClientError`."""

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
    """A request was sent once, and it is not known whether it was carried out."""


def failures() -> tuple[type[Exception], ...]:
    """Return the classes of the errors that a request may raise, for use in an `except` clause.

    Call it there, and not earlier: boto3's errors are included only once boto3 is imported.
    """
    boto = sys.modules.get("botocore.exceptions")
    if boto is None:
        return RefusalError, AnswerLostError
    # While another thread imports the module for the first time, it may not have them yet.
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
    """Whether requests carry checksums that S3 does not insist on."""

    def __str__(self) -> str:
        of = "" if self.name is None else f" of {self.name!r}"
        return f"{self.operation}{of} in {self.location}"


def code_of(error: Exception | None) -> str:
    """Return the code in a server's answer; of a HEAD's answer, the status as a text."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """Return the HTTP status of a server's answer; 0 if there was none."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_absent(error: Exception) -> bool:
    """Return whether the server says that there is no such key, and nothing else.

    A HEAD's 404 has no code: there, and only there, an absent bucket looks the same.
    """
    is_of_head = getattr(error, "operation_name", "") == "HeadObject"
    return code_of(error) == "NoSuchKey" or (is_of_head and status_of(error) == 404)


def is_404_without_code(error: Exception) -> bool:
    """Return whether something was not found, and no code in the answer says what."""
    return status_of(error) == 404 and code_of(error) in {"", "404"}


def fits_in_xml(name: str) -> bool:
    """Return whether S3's requests and answers, which are XML, can name a key."""
    return not re.search(NOT_IN_XML, name)


def is_key_refused(error: Exception, name: str) -> bool:
    """Return whether the server says that it can hold no key like this."""
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
    """Return whether the server throttled a request, and so did not carry it out."""
    return code_of(error) in THROTTLED or status_of(error) == 429


def did_nothing(error: Exception) -> bool:
    """Return whether a request was certainly not carried out, so that it may be sent again.

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
    """Return whether a server has no DeleteObjects, or requires a header that boto3 does not send.

    Servers say this in many ways (501, 405, 411, or a 400 for the missing Content-MD5). So any of
    these counts, unless its code shows another reason. If the reason is another one all the same,
    the single deletes that follow fail with it.
    """
    return status_of(error) in {400, 405, 411, 501} and code_of(error) not in KNOWN_REASONS


def translated(error: Exception, place: Place) -> Error:
    """Return cshelve's error for a failure; raise it `from` the failure."""
    failure = _of_answer(error, place) if _answer(error) else _of(error, place)
    failure.about_shelf = failure.about_shelf or _is_about_shelf(error)
    return failure


def _is_about_shelf(error: Exception) -> bool:
    """Return whether any other key would fail alike; a refused key does not mean that."""
    if _answer(error):
        code = code_of(error)
        of_all = WRONG_CREDENTIALS | EXPIRED_CREDENTIALS | THROTTLED | WRONG_REGION
        return code in of_all or code == "RequestTimeTooSkewed" or status_of(error) in {429, 503}
    return _is(error, *NO_CREDENTIALS, *NO_CONNECTION)


def _of(error: Exception, place: Place) -> Error:
    if _is(error, *NO_CREDENTIALS):
        return AuthError(
            f"{place}: there are no usable credentials: {error}. Give [default] auth_type = "
            "access_key with key_id and key_secret, or what boto3's credential chain finds."
        )
    if _is(error, "ParamValidationError"):
        if "Invalid bucket name" in str(error):
            return ConfigurationError(
                f"{place}: [default] bucket_name is no name that S3 allows: letters, digits, "
                "dots and hyphens, 3 to 63 of them."
            )
        # Not its text, which quotes values.
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
            f"{place}: there is no room left for it ({_said(error)}); delete something, or have "
            "the quota raised."
        )
    if code == "NoSuchKey" and place.operation == "ListObjectsV2":
        return StorageError(
            f"{place}: the server takes the request for one about a key ({_said(error)}). Is the "
            "bucket's name in [provider_params] endpoint_url? Write the server's address alone."
        )
    if code == "InvalidObjectState":
        return StorageError(f"{place}: the object is archived; restore it first ({_said(error)}).")
    if status in {401, 403}:
        return _refused(error, place)
    if status == 412:
        return ConflictError(f"{place}: another writer was first ({_said(error)}).")
    if place.name is not None and is_key_refused(error, place.name):
        return KeyNotStorableError(f"{place}: the server holds no key like this ({_said(error)}).")
    if place.conditional and status == 409:
        return ConflictError(f"{place}: other writers were at it each time ({_said(error)}).")
    if place.conditional and refuses_conditions(error):
        return ConditionsNotSupportedError(
            f"{place}: the server does not know conditions ({_said(error)}). Writes without a "
            "condition do work."
        )
    if code in THROTTLED or status in {429, 503}:
        return StorageError(
            f"{place}: throttled, after {_attempts(error)} attempts ({_said(error)}). Slow down, "
            "or raise [default] total_max_attempts."
        )
    answered = f"{status} {_said(error)}".rstrip()
    return StorageError(f"{place}: the server answers {answered}.{_hint(error, place)}")


def _refused(error: Exception, place: Place) -> AuthError:
    code = code_of(error)
    if code in WRONG_CREDENTIALS:
        return AuthError(
            f"{place}: the access key id or the secret is wrong ({code}); check "
            f"{place.credentials}, and that they belong to this endpoint."
        )
    if OF_KMS.search(f"{code} {_said(error)}"):
        return AuthError(
            f"{place}: the key of the encryption is refused ({_said(error)}); the credentials need "
            "kms:GenerateDataKey for it to write, and kms:Decrypt to read."
        )
    if "explicit deny" in _said(error):
        return AuthError(f"{place}: a policy forbids it ({_said(error)}).")
    action = IAM_ACTIONS.get(place.operation, f"s3:{place.operation}")
    advice = f"refused ({_said(error)}); the credentials probably lack {action}"
    if place.operation in {"GetObject", "HeadObject"}:
        advice += (
            ", or the key is absent and they lack s3:ListBucket, without which S3 does not say so "
            "(see the option missing_on_forbidden)"
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
    """Return the advice for an older server, which may refuse boto3's checksums."""
    operation = getattr(error, "operation_name", "")
    writes = operation in {"PutObject", "UploadPart", "DeleteObjects"}
    if not writes or code_of(error) not in MAY_MEAN_CHECKSUM:
        return ""
    if not place.sends_checksums:
        return (
            " If the bucket wants checksums, as one with Object Lock does, take "
            "`request_checksum_calculation` out of [provider_params], of ~/.aws/config and of the "
            "environment (AWS_REQUEST_CHECKSUM_CALCULATION)."
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
            f"the server did not answer in time, in any attempt ({error}); see [default] "
            "read_timeout_seconds and total_max_attempts."
        )
    if _is(error, "SSLError"):
        return (
            f"no secure connection ({error}); see `verify` under [provider_params], or http:// in "
            "endpoint_url if the server has no TLS."
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
    # The `response` of some of botocore's errors is not a dict.
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) and "Error" in answer else {}


def _is(error: Exception, *names: str) -> bool:
    """Return whether an error is an instance of a class of botocore or cshelve with such a name."""
    return any(
        each.__name__ in names and each.__module__.startswith(("botocore.", "cshelve."))
        for each in type(error).__mro__
    )
