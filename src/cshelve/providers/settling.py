"""A conditional request whose answer is lost, settled: for any store with versions and metadata.

A client that repeats a conditional request by itself would take the answer to its second sending
for the outcome: "another writer was first", when it was itself. So the request is sent once at a
time, and what happened is found out here. A put carries a random token among the object's metadata,
and one look at the object shows whether that is there now.
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
    """What a failure says about a conditional request."""

    NOTHING_DONE = auto()
    """Nothing was done, and the request is worth sending again."""
    LOST = auto()
    """The request may have been done, although its answer does not say so."""
    REFUSED = auto()
    """The store has decided: the condition does not hold, or the request is not allowed."""


class Found(NamedTuple):
    """An object that is there, as one look at it shows."""

    version: str
    token: str | None
    """The token of the put that stored it, if it was a conditional one."""


class ConditionalRequest(ABC):
    """A put or delete under a condition, in terms of one store."""

    def __init__(self, place: str, if_version: str | None, token: str | None) -> None:
        self.place = place
        """The beginning of each message: the operation, the name, the store."""
        self.if_version = if_version
        """The version that it asks for; None if nothing may be there."""
        self.token = token
        """The token that a put writes. None for a delete, after which nothing shows who did it."""

    @abstractmethod
    def send(self, number: int) -> str:
        """Send it once, for the time `number`, from 0; return the new version, or an empty one."""

    @abstractmethod
    def failures(self) -> tuple[type[Exception], ...]:
        """Return the classes of what `send` raises."""

    @abstractmethod
    def kind_of(self, failure: Exception) -> Failure:
        """Return what a failure of `send` says."""

    @abstractmethod
    def look(self) -> Found | None:
        """Return what is there now, None if nothing is; raise an `Error` if that cannot be told."""

    @abstractmethod
    def refusal(self, failure: Exception) -> Error:
        """Return the error for a failure after which it is not sent again."""

    def pause(self, number: int, failure: Exception) -> None:
        """Wait before another attempt."""
        time.sleep(full_jitter(number, PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))


def settle(request: ConditionalRequest, attempts: int) -> str:
    """Send a request until its outcome is known, and return the new version, if it has one.

    After a lost answer, one look shows what is there: our token, so it was done; what the condition
    asks for, so it is sent again; or something else, which is an `OutcomeUnknownError`. What did
    nothing is sent again. Any other failure is raised as `refusal` says.
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
        # Once an answer was lost, a refusal may be the answer to our own earlier sending.
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
        raise _unknown(request, "it was not done so far, in any attempt") from lost
    raise request.refusal(failure) from failure


def _is_undone(request: ConditionalRequest, found: Found | None) -> bool:
    """Return whether what is there is what the condition asks for, so that it was not done yet."""
    return (None if found is None else found.version) == request.if_version


def _look(request: ConditionalRequest, lost: Exception) -> Found | None:
    try:
        return request.look()
    except Error as error:
        raise _unknown(request, f"what is there cannot be told ({error})") from lost


def _unknown(request: ConditionalRequest, why: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"{request.place}: the answer was lost, and {why}: whether it was done is not known. Read "
        "the key to see what is there now."
    )
