"""What is done to many names at once: requests of the direct engine, and boto3's beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from cshelve._concurrency.outcomes import Outcome, outcome_of
from cshelve._concurrency.parallel import StoppedError
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError
from cshelve.providers.aws_s3.direct.task import Task
from cshelve.providers.base import Item

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.templates import Data, Request
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["EngineTask", "ReadMany", "WriteMany", "item_of"]

T = TypeVar("T")
R = TypeVar("R")

# The version of what a server gives none for: one that no later condition finds unchanged.
NO_VERSION = '"none"'


class EngineTask(Task[T, R]):
    """A task whose requests are about objects of one bucket."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def made(
        self,
        operation: str,
        name: str,
        parameters: Mapping[str, object] | None = None,
        body: Data | None = None,
    ) -> Request | None:
        """Make a request of the engine; None if there is no engine any more."""
        engine = self._requests.direct()
        if engine is None:
            return None
        return engine.request(operation, self._requests.bucket.key(name), parameters, body)

    def judged(self, operation: str, answer: Answer) -> Answer:
        """Return an answer that is plain; have it noted, and raise, if it is not."""
        return self._requests.judged(operation, answer)

    def odd(self, error: NotPlainError) -> None:
        self._requests.note_failure(error)

    def apart(self, item: T) -> R:
        with self._requests.permit():
            return self.by_boto3(item)


class ReadMany(EngineTask[str, "Item | None"]):
    """Read the item of each name; None if it is absent."""

    def __init__(self, requests: Requests, get_by_boto3: Callable[[str], Item]) -> None:
        super().__init__(requests)
        self._get_by_boto3 = get_by_boto3

    def request(self, name: str) -> Request | None:
        return self.made("GetObject", name) if self._requests.bucket.can_hold(name) else None

    def result(self, name: str, answer: Answer) -> Item | None:
        self.judged("GetObject", answer)
        return None if answer.status == 404 else item_of(answer, self._requests)

    def apart(self, name: str) -> Item | None:
        return super().apart(name) if self._requests.bucket.can_hold(name) else None

    def by_boto3(self, name: str) -> Item | None:
        try:
            item = self._get_by_boto3(name)
        except KeyNotFoundError:
            item = None
        self._requests.note_done_by_boto3()
        return item


class WriteMany(EngineTask["tuple[str, bytes]", Outcome]):
    """Store the data of each name, and tell what became of it."""

    is_worth_an_end = True

    def __init__(
        self,
        requests: Requests,
        *,
        put: Callable[[str, bytes], object],
        put_by_boto3: Callable[[str, bytes], object],
        is_large: Callable[[int], bool],
    ) -> None:
        """Take how a single one is stored, by whatever, and by boto3 within a permit."""
        super().__init__(requests)
        self._put = put
        self._put_by_boto3 = put_by_boto3
        self._is_large = is_large

    def request(self, item: tuple[str, bytes]) -> Request | None:
        name, data = item
        if self._is_large(len(data)) or not self._requests.bucket.can_hold(name):
            return None
        return self.made("PutObject", name, None, data)

    def result(self, item: tuple[str, bytes], answer: Answer) -> Outcome:
        name, data = item
        self.judged("PutObject", answer)
        self._requests.add_bytes(sent=len(data))
        return Outcome(name, None, len(data))

    def by_boto3(self, item: tuple[str, bytes]) -> Outcome:
        outcome = self._outcome(item, self._put_by_boto3)
        if outcome.failure is None:
            self._requests.note_done_by_boto3()
        return outcome

    def apart(self, item: tuple[str, bytes]) -> Outcome:
        return self._outcome(item, self._put)

    def given_up(self, item: tuple[str, bytes]) -> Outcome:
        def stopped(*_: object) -> None:
            raise StoppedError

        return self._outcome(item, stopped)

    def is_last(self, outcome: Outcome) -> bool:
        return outcome.ends_all()

    def _outcome(self, item: tuple[str, bytes], put: Callable[[str, bytes], object]) -> Outcome:
        name, data = item
        location = self._requests.bucket.location
        return outcome_of(name, location, lambda: put(name, data), len(data))


def item_of(answer: Answer, requests: Requests) -> Item:
    """Return what an answer to a GET holds."""
    requests.add_bytes(received=len(answer.body))
    return Item(answer.body, answer.headers.get("etag", NO_VERSION))


__all__ += ["NO_VERSION", "NotPlainError"]
