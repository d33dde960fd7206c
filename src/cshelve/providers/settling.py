"""Determine the outcome of a conditional request whose response is lost.

A client that blindly repeats such a request may be told that another writer was first, when its own
first request has changed the version. So each request is sent once, and after a lost response, this
module looks at the object. A put stores a random token in the object's metadata, which shows
whether the put was carried out. This works for any store with versions and metadata.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import NamedTuple

from cshelve._concurrency.backoff import full_jitter
from cshelve.exceptions import Error, OutcomeUnknownError

__all__ = ["ConditionalRequest", "Failure", "Found", "settle"]

PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 20.0


class Failure(Enum):
    """The meaning of a failure of a conditional request."""

    NOTHING_DONE = auto()
    """The store did nothing, and the request is worth sending again."""
    LOST = auto()
    """The store may have carried out the request, although no response says so."""
    REFUSED = auto()
    """The store has decided: the condition does not hold, or the request is not allowed."""


class Found(NamedTuple):
    """The current version and token of an object."""

    version: str
    token: str | None
    """The token of the put that stored the object; None unless that put was conditional."""


class ConditionalRequest(ABC):
    """A conditional put or delete; subclasses implement it for a store."""

    def __init__(self, place: str, if_version: str | None, token: str | None) -> None:
        self.place = place
        """The beginning of each message: the operation, the name and the store."""
        self.if_version = if_version
        """The version that the condition demands; None if the name has to be absent."""
        self.token = token
        """The token that a put stores. None for a delete, as nothing shows later who deleted."""

    @abstractmethod
    def send(self, number: int) -> str:
        """Send the request once, and return the new version; empty for a delete.

        `number` counts the attempts from 0. Raises one of `failures`.
        """

    @abstractmethod
    def failures(self) -> tuple[type[Exception], ...]:
        """Return the classes of the exceptions that `send` raises."""

    @abstractmethod
    def kind_of(self, failure: Exception) -> Failure:
        """Return the meaning of a failure of `send`."""

    @abstractmethod
    def look(self) -> Found | None:
        """Return the current version and token of the object; None if it is absent.

        Raises an `Error` if that cannot be determined.
        """

    @abstractmethod
    def refusal(self, failure: Exception) -> Error:
        """Return the error for a failure after which the request is not sent again."""

    def pause(self, number: int, failure: Exception) -> None:
        """Wait before the next attempt; `number` counts the attempts from 0."""
        time.sleep(full_jitter(number, PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))


def settle(request: ConditionalRequest, attempts: int) -> str:
    """Send a request until its outcome is known, and return the new version; empty for a delete.

    After a lost response, `look` decides. If it finds our token, the request was carried out. If it
    finds what the condition demands, the request was not, and is sent again. Anything else raises
    `OutcomeUnknownError`. A request that did nothing is sent again, and any other failure raises
    the error that `refusal` returns.
    """
    lost: Exception | None = None
    for number in range(attempts):
        try:
            return request.send(number)
        except request.failures() as error:
            failure = error
        kind = request.kind_of(failure)
        if kind is Failure.LOST:
            lost = failure
        elif kind is Failure.REFUSED and lost is None:
            raise request.refusal(failure) from failure
        # Once a response was lost, a refusal may be due to our own earlier request.
        if lost is not None and kind is not Failure.NOTHING_DONE:
            found = _look(request, lost)
            if found is not None and found.token is not None and found.token == request.token:
                return found.version
            if not _is_undone(request, found):
                raise _unknown(request, "others have written since") from lost
            if failure is not lost:
                raise request.refusal(failure) from failure
        if number < attempts - 1:
            request.pause(number, failure)
    if lost is not None:
        raise _unknown(request, "no attempt has been carried out so far") from lost
    raise request.refusal(failure) from failure


def _is_undone(request: ConditionalRequest, found: Found | None) -> bool:
    """Return whether the condition still holds, so the request was not carried out yet."""
    return (None if found is None else found.version) == request.if_version


def _look(request: ConditionalRequest, lost: Exception) -> Found | None:
    try:
        return request.look()
    except Error as error:
        raise _unknown(request, f"the current value cannot be examined ({error})") from lost


def _unknown(request: ConditionalRequest, why: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"{request.place}: the response was lost, and {why}: it is not known whether the request "
        "was carried out. Read the key to see its current value."
    )
