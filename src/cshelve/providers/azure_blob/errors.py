"""Translate failures of Azure and its client to cshelve's errors: what, where, what to do.

Import this only after the client: it needs the classes of the client's errors.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.etree.ElementTree import ParseError

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from cshelve.exceptions import (
    AuthError,
    ConflictError,
    DBDoesNotExistsError,
    Error,
    KeyNotStorableError,
    StorageError,
)

__all__ = [
    "ABSENT",
    "BLOCKS_REMOVED",
    "UNREADABLE",
    "AzureError",
    "Place",
    "UnreadableError",
    "code_of",
    "did_nothing",
    "is_absent",
    "is_answer_lost",
    "is_conflict",
    "is_throttled",
    "is_transient",
    "status_of",
    "translated",
]

# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
ABSENT = "BlobNotFound"
NO_CONTAINER = frozenset({"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"})
THROTTLED = frozenset({"ServerBusy", "AccountBeingCreated"})
CONFLICTS = frozenset({"ConditionNotMet", "BlobAlreadyExists", "SourceConditionNotMet"})
BLOCKS_REMOVED = "InvalidBlockList"
UNHOLDABLE_NAME = frozenset({"InvalidUri", "InvalidResourceName", "OutOfRangeInput"})
WRONG_SECRET = frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo"})
LACKS_PERMISSION = frozenset(
    {"AuthorizationPermissionMismatch", "AuthorizationFailure", "InsufficientAccountPermissions"}
    | {"AuthorizationServiceMismatch", "AuthorizationResourceTypeMismatch"}
    | {"AuthorizationProtocolMismatch"}
)
NO_PUBLIC_ACCESS = frozenset(
    {"PublicAccessNotPermitted", "NoAuthenticationInformation", "ResourceNotFound"}
)
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
# The errors of urllib3 for a connection that was never established.
NO_CONNECTION = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ProxyError")

# The role with which a user, or an application, may do what an operation does.
READER, CONTRIBUTOR = "Storage Blob Data Reader", "Storage Blob Data Contributor"
READING = frozenset({"GetBlob", "GetBlobProperties", "ListBlobs"})


# What the client raises for a response that is not like Azure's.
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, ParseError)


class UnreadableError(AzureError):
    """Raised if the client cannot read a response."""


class Place(NamedTuple):
    """The beginning of every message about a request: its operation, its name and its location."""

    operation: str
    location: str
    name: str | None = None
    credentials: str = "the credentials"
    """Where the credentials come from."""
    auth_type: str = ""

    def __str__(self) -> str:
        of = "" if self.name is None else f" of {self.name!r}"
        return f"{self.operation}{of} in {self.location}"


def code_of(error: BaseException | None) -> str:
    """Return the error code in Azure's response; empty if there is none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def status_of(error: BaseException) -> int:
    """Return the HTTP status of Azure's response; 0 if there was none."""
    return int(getattr(error, "status_code", None) or 0)


def is_absent(error: BaseException) -> bool:
    """Return whether Azure says that the blob is absent, and not its container."""
    return status_of(error) == 404 and code_of(error) == ABSENT


def is_conflict(error: BaseException) -> bool:
    """Return whether Azure says that the condition of a request does not hold."""
    return status_of(error) in {409, 412} and code_of(error) in CONFLICTS


def is_throttled(error: BaseException) -> bool:
    """Return whether Azure throttled a request, which means that it did nothing."""
    return code_of(error) in THROTTLED or status_of(error) == 429


def did_nothing(error: BaseException) -> bool:
    """Return whether Azure certainly did not carry out a request, so it may be sent again."""
    return is_throttled(error) or _was_never_sent(error)


def is_answer_lost(error: BaseException) -> bool:
    """Return whether a request may have been carried out although no response confirms it."""
    if did_nothing(error):
        return False
    if isinstance(error, UnreadableError):
        return True
    status = status_of(error)
    return (not status and _is_about_connection(error)) or (status >= 500 and status != 501)


def is_transient(error: BaseException) -> bool:
    """Return whether a request that may be sent twice is worth another attempt."""
    status = status_of(error)
    return status in TRANSIENT or (not status and _is_about_connection(error))


def translated(error: AzureError, place: Place) -> Error:
    """Return cshelve's error for a failure; the caller raises it `from` the failure."""
    is_of_storage = status_of(error) and not _is_about_credentials(error)
    failure = _of_answer(error, place) if is_of_storage else _of(error, place)
    failure.about_shelf = failure.about_shelf or _is_about_shelf(error)
    return failure


def _is_about_shelf(error: AzureError) -> bool:
    """Return whether requests about other blobs would fail, too."""
    if _is_about_credentials(error):
        return True
    if not status_of(error):
        return _is_about_connection(error)
    is_of_all = code_of(error) in WRONG_SECRET | THROTTLED or status_of(error) in {401, 429, 503}
    return is_of_all or "failed to authenticate" in _said(error)


def _of(error: AzureError, place: Place) -> Error:
    if _is_about_credentials(error):
        advice = f"check {place.credentials}."
        if place.auth_type == "passwordless":
            advice = (
                "sign in with `az login`, set the variables AZURE_CLIENT_ID, AZURE_TENANT_ID and "
                "AZURE_CLIENT_SECRET, or choose another [default] auth_type."
            )
        return AuthError(f"{place}: no usable credentials ({_first_line(error)}); {advice}")
    if isinstance(error, UnreadableError):
        return StorageError(
            f"{place}: the response cannot be read ({_first_line(error)}); is [default] "
            "account_url the address of Azure Blob Storage?"
        )
    if _was_never_sent(error):
        return StorageError(
            f"{place}: no connection to the server ({_first_line(error)}); check the network and "
            "[default] account_url."
        )
    said = _first_line(error)
    if "certificate" in said.lower() or "ssl" in said.lower():
        return StorageError(
            f"{place}: no secure connection ({said}); see `connection_verify` under "
            "[provider_params]."
        )
    return StorageError(
        f"{place}: the connection broke, or the server did not respond in time, in each attempt "
        f"({said}); see [provider_params] read_timeout and [default] total_max_attempts."
    )


def _of_answer(error: AzureError, place: Place) -> Error:
    code, status, said = code_of(error), status_of(error), _said(error)
    if code in NO_CONTAINER:
        return DBDoesNotExistsError(
            f"{place}: there is no such container ({code}); flag 'c' creates it when the shelf is "
            "opened."
        )
    is_refused = status in {401, 403} or code in NO_PUBLIC_ACCESS
    if place.auth_type == "anonymous" and is_refused and place.operation in READING:
        return AuthError(
            f"{place}: the container does not exist, or does not allow anonymous requests ({said})."
        )
    if status in {401, 403}:
        return _refused(code, said, place)
    if is_conflict(error):
        return ConflictError(f"{place}: another writer was first ({said}).")
    if code in UNHOLDABLE_NAME and place.name is not None:
        return KeyNotStorableError(f"{place}: Azure cannot hold such a key ({said}).")
    if code == BLOCKS_REMOVED:
        return StorageError(
            f"{place}: another writer stored this key while its blocks were sent, and Azure "
            "removed them. Write it again."
        )
    if advice := ADVICE.get(code):
        return StorageError(f"{place}: {advice} ({code}).")
    if is_throttled(error) or status == 503:
        return StorageError(
            f"{place}: throttled, in each attempt ({said}). Slow down, or raise [default] "
            "total_max_attempts."
        )
    return StorageError(f"{place}: the server responded with {status} {said}".rstrip() + ".")


ADVICE = {
    "BlobArchived": "the blob is archived; rehydrate it first",
    "BlobBeingRehydrated": "the blob is still being rehydrated",
    "BlobImmutableDueToPolicy": "a policy makes the blob immutable",
    "LeaseIdMissing": "another program holds a lease on the blob",
    "LeaseAlreadyPresent": "another program holds a lease on the blob",
    "SnapshotsPresent": "the blob has snapshots, which would be lost; delete these first",
    "InvalidBlobType": "the blob is not a block blob; another program made it",
    "AccountIsDisabled": "the account is disabled",
    "UnsupportedHeader": "the server does not know the API version; set [provider_params] "
    "api_version",
    "InvalidHeaderValue": "the server does not accept a header, perhaps because of its version; "
    "set [provider_params] api_version",
}


def _refused(code: str, said: str, place: Place) -> AuthError:
    # Azurite has another code for it.
    if code in WRONG_SECRET or "failed to authenticate" in said:
        return AuthError(
            f"{place}: the secret or token is wrong or has expired ({said}); check "
            f"{place.credentials}, [default] account_url, and this machine's clock."
        )
    if code == "KeyBasedAuthenticationNotPermitted":
        return AuthError(
            f"{place}: the account does not allow access keys ({code}); use auth_type = "
            "passwordless."
        )
    role = READER if place.operation in READING else CONTRIBUTOR
    needed = {
        "passwordless": f"the role {role} is probably missing",
        "sas": "the shared access signature probably does not permit this operation",
        "anonymous": "anonymous requests may only read, if the container allows it",
    }.get(place.auth_type, "the firewall of the account, or its policy, may forbid it")
    return AuthError(f"{place}: refused ({said}); {needed}.")


def _said(error: AzureError) -> str:
    code = code_of(error)
    message = _first_line(error).rstrip(".")
    return f"{code}: {message}" if code and code not in message else message or code


def _first_line(error: AzureError) -> str:
    """Return the beginning of a message, which may go on with a whole document."""
    lines = str(getattr(error, "message", None) or error).strip().splitlines()
    return re.sub(r"(sig|Signature)=[^&\s]+", r"\1=…", lines[0])[:300] if lines else ""


def _is_about_credentials(error: BaseException) -> bool:
    """Return whether there is no token or signature, so that nothing was sent to storage."""
    # An error of storage has a code, also if it is of this class.
    return isinstance(error, ClientAuthenticationError) and not code_of(error)


def _is_about_connection(error: BaseException) -> bool:
    kinds = (ServiceRequestError, ServiceResponseError)
    # A body that was cut off is a response error without a status, or one of decoding.
    is_cut = isinstance(error, HttpResponseError) and error.response is None
    return isinstance(error, kinds) or is_cut


def _was_never_sent(error: BaseException) -> bool:
    """Return whether no connection was established."""
    if not isinstance(error, ServiceRequestError):
        return False
    inner: BaseException | None = error.inner_exception
    while inner is not None:
        if type(inner).__name__ in NO_CONNECTION or type(inner).__name__ == "ConnectTimeout":
            return True
        cause = inner.args[0] if inner.args else None
        reason = getattr(inner, "reason", None) or cause
        inner = reason if isinstance(reason, BaseException) else None
    return False
