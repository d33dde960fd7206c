"""Translate failures of Google Cloud Storage to cshelve's errors: what, where, what to do."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from cshelve.exceptions import (
    AuthError,
    ConflictError,
    CreateRefusedError,
    DBDoesNotExistsError,
    Error,
    KeyNotStorableError,
    StorageError,
)

__all__ = ["FailureError", "NoCredentialsError", "Place", "message_in", "translated"]

# https://cloud.google.com/storage/docs/retry-strategy
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
NO_OBJECT = "No such object"
NO_BUCKET = re.compile("bucket does not exist", re.IGNORECASE)
BAD_NAME = re.compile(r"invalid.*object ?name|object name.*(not valid|invalid|too long)", re.I)
PERMISSIONS = {
    "objects.get": "storage.objects.get",
    "objects.list": "storage.objects.list",
    "objects.insert": "storage.objects.create, and storage.objects.delete to replace an object",
    "objects.delete": "storage.objects.delete",
    "objects.rewrite": "storage.objects.get and storage.objects.create",
    "buckets.insert": "storage.buckets.create in the project",
}


class Place(NamedTuple):
    """The beginning of every message about a request: its operation, its name and its location."""

    operation: str
    location: str
    name: str | None = None

    def __str__(self) -> str:
        of = "" if self.name is None else f" of {self.name!r}"
        return f"{self.operation}{of} in {self.location}"


class FailureError(Exception):
    """A request that failed, in the last of its attempts."""

    def __init__(self, message: str, status: int = 0, *, was_sent: bool = True) -> None:
        """`status` is 0 without a response; `was_sent` is whether the server may have got it."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.was_sent = was_sent
        self.attempts = 1
        self.lost_before = False
        """Whether an earlier attempt may have been carried out."""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed in another attempt."""
        return self.status in TRANSIENT or self.status == 0

    @property
    def is_lost(self) -> bool:
        """Whether the request may have been carried out although no response confirms it."""
        if self.status == 429 or not self.was_sent:
            return False
        return self.status == 0 or self.status in TRANSIENT

    @property
    def says_absent(self) -> bool:
        """Whether the server says that the object is absent, and not the bucket."""
        return self.status == 404 and NO_OBJECT in self.message

    @property
    def says_no_bucket(self) -> bool:
        """Whether the server says that the bucket is absent."""
        return self.status == 404 and NO_BUCKET.search(self.message) is not None


class NoCredentialsError(Exception):
    """google-auth found no credentials, or they were refused."""


def message_in(body: bytes) -> str:
    """Return the message in the body of a refusal, which is JSON, or text for a download."""
    text = body[:5000].decode(errors="replace").strip()
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300]


def translated(failure: FailureError | NoCredentialsError, place: Place) -> Error:
    """Return cshelve's error for a failure; the caller raises it `from` the failure."""
    if isinstance(failure, NoCredentialsError):
        error: Error = AuthError(
            f"{place}: there are no usable credentials ({failure}). Run `gcloud auth "
            "application-default login`, set GOOGLE_APPLICATION_CREDENTIALS, or set [default] "
            "auth_type = service_account with credentials_file, or auth_type = anonymous for a "
            "public bucket."
        )
        error.about_shelf = True
        return error
    error = _of_response(failure, place) if failure.status else _without_response(failure, place)
    error.about_shelf = error.about_shelf or failure.status in {0, 401, 429, 503}
    return error


def _without_response(failure: FailureError, place: Place) -> StorageError:
    return StorageError(
        f"{place}: no complete response from the server, in {failure.attempts} attempts "
        f"({failure.message}); check the network, [provider_params] client_options.api_endpoint, "
        "and [default] read_timeout_seconds."
    )


def _of_response(failure: FailureError, place: Place) -> Error:
    status, said = failure.status, failure.message.rstrip(".") or "without a message"
    if failure.says_no_bucket:
        return DBDoesNotExistsError(
            f"{place}: there is no such bucket; flag 'c' creates it when the shelf is opened."
        )
    if status in {401, 403}:
        return _refused(status, said, place)
    if status in {304, 412}:
        return ConflictError(f"{place}: another writer was first ({said}).")
    if status == 400 and place.name is not None and BAD_NAME.search(said):
        return KeyNotStorableError(f"{place}: the server cannot hold such a key ({said}).")
    if status == 429:
        return StorageError(
            f"{place}: throttled, after {failure.attempts} attempts ({said}). One object can be "
            "written about once per second; slow down, or raise [default] total_max_attempts."
        )
    return StorageError(f"{place}: the server responded with {status} ({said}).")


def _refused(status: int, said: str, place: Place) -> AuthError:
    if status == 401:
        return AuthError(
            f"{place}: the credentials are missing, wrong or expired ({said}); check [default] "
            "auth_type and credentials_file."
        )
    needed = PERMISSIONS.get(place.operation, "a permission")
    advice = f"refused ({said}); the credentials probably lack {needed}"
    if place.operation == "objects.get":
        advice += (
            ", or the key is absent and they lack storage.objects.list, without which Google Cloud "
            "Storage does not report an absent key"
        )
    if place.operation == "buckets.insert":
        return CreateRefusedError(f"{place}: {advice}.")
    return AuthError(f"{place}: {advice}.")
