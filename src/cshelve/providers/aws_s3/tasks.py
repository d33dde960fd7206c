"""Tasks on many names at the same time: by requests of the direct engine, and by boto3."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from cshelve._concurrency.outcomes import Outcome, outcome_of
from cshelve._concurrency.parallel import StoppedError, map_in_order
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.aws_s3.bucket import only_if_not
from cshelve.providers.aws_s3.direct.many import all_at_once
from cshelve.providers.aws_s3.direct.task import Task
from cshelve.providers.aws_s3.errors import UnchangedError
from cshelve.providers.base import Item

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError, Reader
    from cshelve.providers.aws_s3.direct.engine import Begun
    from cshelve.providers.aws_s3.direct.templates import Data, Request
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["BucketTask", "ReadMany", "ReadManyIfChanged", "WriteMany"]

T = TypeVar("T")
R = TypeVar("R")


class BucketTask(Task[T, R]):
    """A task whose requests are about objects of one bucket."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def results(
        self,
        items: Iterable[T],
        most: int,
        key_of: Callable[[T], object] | None = None,
        begun: tuple[T, Begun] | None = None,
    ) -> Generator[tuple[T, R]]:
        """Process many items at the same time, and yield each with its result, in order.

        At most `most` requests are in flight, and items with equal keys never at the same time.
        `begun` is an item before the others whose request was sent already.
        """
        engine = self._requests.direct()
        if engine is not None:
            permits = self._requests.permits
            return all_at_once(engine, permits, self, items, most, key_of, begun)
        if begun is not None:
            # The engine may not send requests now, so the first item's request is sent again.
            begun[1].give_up()
            items = chain((begun[0],), items)
        return map_in_order(self.without_engine, items, most, apart=key_of, is_last=self.is_last)

    def made(
        self,
        operation: str,
        key: str,
        parameters: Mapping[str, object] | None = None,
        body: Data | None = None,
    ) -> Request | None:
        """Return a request of the direct engine; None if the engine is not in use any more."""
        engine = self._requests.direct()
        return None if engine is None else engine.request(operation, key, parameters, body)

    def body_buffer(self, item: T, reader: Reader) -> memoryview | None:
        return None

    def given_up(self, item: T) -> R | None:
        return None

    def is_last(self, result: R) -> bool:
        return False

    def note_unusable(self, error: NotPlainError) -> None:
        self._requests.note_failure(error)

    def without_engine(self, item: T) -> R:
        with self._requests.permit():
            return self.by_boto3(item)


class ReadMany(BucketTask[str, "Item | None"]):
    """Read the item of each name; the result is None for an absent name."""

    def request(self, name: str) -> Request | None:
        key = self._requests.key_of(name)
        return None if key is None else self.made("GetObject", key)

    def result(self, name: str, answer: Answer) -> Item | None:
        self._requests.judged("GetObject", answer)
        return None if answer.status == 404 else self._requests.item_of(answer)

    def without_engine(self, name: str) -> Item | None:
        return None if self._requests.key_of(name) is None else super().without_engine(name)

    def by_boto3(self, name: str) -> Item | None:
        try:
            return self._requests.boto3.get(name)
        except KeyNotFoundError:
            self._requests.note_done_by_boto3()
            return None


class ReadManyIfChanged(BucketTask["tuple[str, str | None]", "Item | None"]):
    """Read names that come with the version to compare; an unchanged item has no data."""

    def request(self, asked: tuple[str, str | None]) -> Request | None:
        name, version = asked
        key = self._requests.key_of(name)
        return None if key is None else self.made("GetObject", key, only_if_not(version))

    def result(self, asked: tuple[str, str | None], answer: Answer) -> Item | None:
        _, version = asked
        if answer.status == 304 and version is not None:
            return Item(b"", version)
        self._requests.judged("GetObject", answer)
        return None if answer.status == 404 else self._requests.item_of(answer)

    def without_engine(self, asked: tuple[str, str | None]) -> Item | None:
        return None if self._requests.key_of(asked[0]) is None else super().without_engine(asked)

    def by_boto3(self, asked: tuple[str, str | None]) -> Item | None:
        name, version = asked
        try:
            return self._requests.boto3.get(name, only_if_not(version))
        except UnchangedError:
            return None if version is None else Item(b"", version)
        except KeyNotFoundError:
            self._requests.note_done_by_boto3()
            return None


class WriteMany(BucketTask["tuple[str, bytes]", Outcome]):
    """Store the data of each name; the result is an outcome."""

    is_worth_an_end = True

    def __init__(
        self, requests: Requests, put: Callable[[str, bytes], object], most_bytes: int
    ) -> None:
        """`put` stores the data of one name, and is used for data of more than `most_bytes`."""
        super().__init__(requests)
        self._put = put
        self._most_bytes = most_bytes

    def request(self, item: tuple[str, bytes]) -> Request | None:
        name, data = item
        key = self._requests.key_of(name)
        if key is None or len(data) > self._most_bytes:
            return None
        return self.made("PutObject", key, self._requests.parameters_of(data), data)

    def result(self, item: tuple[str, bytes], answer: Answer) -> Outcome:
        name, data = item
        self._requests.judged("PutObject", answer)
        return Outcome(name, None, len(data))

    def by_boto3(self, item: tuple[str, bytes]) -> Outcome:
        return self._outcome(item, self._requests.boto3.put)

    def without_engine(self, item: tuple[str, bytes]) -> Outcome:
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
