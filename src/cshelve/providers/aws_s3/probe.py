"""Find out whether a server honours conditional requests before the shelf relies on them.

A server that does not support If-Match and If-None-Match ignores them and reports success, so that
every writer wins. AWS supports them. On other servers, a shelf tries each kind of condition once,
when it first needs it. The names it uses (`.cshelve-probe-…`, inside the prefix) are not keys, and
listings omit them.
"""

from __future__ import annotations

import secrets
import threading
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cshelve._concurrency.per_process import PerProcess
from cshelve.exceptions import ConditionsNotSupportedError
from cshelve.providers.aws_s3.bucket import PROBE
from cshelve.providers.aws_s3.errors import (
    code_of,
    did_nothing,
    failures,
    is_answer_lost,
    refuses_conditions,
    status_of,
    translated,
)
from cshelve.providers.aws_s3.sending import attempt, attempt_once, send

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["Condition", "Probe"]

# The DNS suffixes of AWS itself, from botocore's partitions.
AWS_SUFFIXES = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
)
# An ETag that no object has.
NO_ETAG = '"00000000000000000000000000000000"'
HONOURED = frozenset({404, 412})


class Condition(Enum):
    """A condition of a write; the value is the name in messages."""

    UNCHANGED = "If-Match with PutObject"
    ABSENT = "If-None-Match with PutObject"
    DELETE_UNCHANGED = "If-Match with DeleteObject"


class Probe:
    """The conditions that the server honours. Safe in many threads: one probes, the others wait."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self._locks = PerProcess(threading.Lock)
        self._is_honoured: dict[Condition, bool] = {}
        host = urlsplit(requests.config.endpoint_url).hostname or ""
        if host.endswith(AWS_SUFFIXES):
            self._is_honoured = dict.fromkeys(Condition, True)

    def require(self, condition: Condition) -> None:
        """Raise `ConditionsNotSupportedError` if the server does not honour a condition.

        The first call sends one PUT. The first call for `ABSENT` and the first one for
        `DELETE_UNCHANGED` send three more requests each. Later calls send nothing.
        """
        if condition not in self._is_honoured:
            with self._locks.get():
                self._find_out(condition)
        if not self._is_honoured[condition]:
            raise ConditionsNotSupportedError(
                f"{self._bucket.location}: the server does not honour {condition.value}, so it "
                "cannot decide who was first. Writes without a condition do work."
            )

    def is_honoured(self, condition: Condition) -> bool:
        """Return whether it is known that the server honours a condition; send nothing."""
        return self._is_honoured.get(condition, False)

    def _find_out(self, condition: Condition) -> None:
        known = self._is_honoured
        if Condition.UNCHANGED not in known:
            known[Condition.UNCHANGED] = self._honours_unchanged()
        if not known[Condition.UNCHANGED]:
            # Most servers support If-Match. One that does not supports no other condition.
            known.update(dict.fromkeys(Condition, False))
        elif condition not in known and condition is Condition.ABSENT:
            known[condition] = self._honours_absent()
        elif condition not in known:
            known[condition] = self._honours_delete()

    def _honours_unchanged(self) -> bool:
        """Put an object with an If-Match that cannot hold; return whether the put is refused."""
        name = _probe_name()
        if self._is_refused("PutObject", name, IfMatch=NO_ETAG):
            return True
        self._remove(name)
        return False

    def _honours_absent(self) -> bool:
        """Put an object twice with If-None-Match; return whether the second put is refused."""
        name = _probe_name()
        try:
            # The first put may be refused, too: if its response was lost, and boto3 retried it.
            return any(self._is_refused("PutObject", name, IfNoneMatch="*") for _ in range(2))
        finally:
            self._remove(name)

    def _honours_delete(self) -> bool:
        """Delete an object of our own with a wrong If-Match; return whether that is refused."""
        name = _probe_name()
        send(self._requests, "PutObject", name, None, b"")
        try:
            return self._is_refused("DeleteObject", name, IfMatch=NO_ETAG)
        finally:
            self._remove(name)

    def _is_refused(self, operation: str, name: str, **condition: str) -> bool:
        """Send a request whose condition does not hold; return whether it is refused."""
        try:
            self._send(operation, name, condition)
        except failures() as error:
            if status_of(error) in HONOURED and code_of(error) != "NoSuchBucket":
                return True
            if refuses_conditions(error):
                if operation == "PutObject" and status_of(error) == 400:
                    # A 400 may have another reason. If so, a put without a condition fails, too,
                    # and raises the error.
                    other = _probe_name()
                    send(self._requests, "PutObject", other, None, b"")
                    self._remove(other)
                return False
            raise translated(error, self._bucket.place(operation)) from error
        return False

    def _send(self, operation: str, name: str, condition: dict[str, str]) -> None:
        """Send a request, and have boto3 send it again if its outcome is unclear."""
        requests = self._requests
        body = b"" if operation == "PutObject" else None
        if requests.direct() is None:
            attempt(requests, operation, name, condition, body)
            return
        try:
            attempt_once(requests, operation, name, condition, body, by_boto3=False)
        except failures() as error:
            if not (is_answer_lost(error) or did_nothing(error)):
                raise
            with requests.permit():
                requests.boto3.call(operation, name, condition, body)

    def _remove(self, name: str) -> None:
        try:
            attempt(self._requests, "DeleteObject", name)
        except failures():
            return  # The result of the probe is known, and listings omit an object that is left.


def _probe_name() -> str:
    return PROBE + secrets.token_hex(8)
