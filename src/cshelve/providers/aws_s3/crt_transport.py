"""How values travel by AWS's Common Runtime, beside boto3, which does whatever that cannot.

An answer that is plainly one is taken. After anything else boto3 does the whole again, which may
be repeated as often as one likes, so that errors, redirects and time-outs are boto3's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NoReturn

from cshelve._parallel import StoppedError, of_crew
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.aws_s3.by_boto3 import NO_VERSION, Boto3Transport, Transport
from cshelve.providers.aws_s3.flights import Flights, Task
from cshelve.providers.aws_s3.reply import Reply, Verdict, is_damaged
from cshelve.providers.aws_s3.sender import Sender
from cshelve.providers.aws_s3.sizes import MOST_BYTES, Sizes
from cshelve.providers.base import Item, Outcome, Stats

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.aws_s3.crt import Flight

__all__ = ["CrtTransport"]

OutcomeOf = Callable[[str, bytes, Callable[[str, bytes], object]], Outcome]


class CrtTransport(Transport):
    """One request each, and boto3's where that brings no answer. Safe in many threads."""

    def __init__(
        self,
        boto3: Boto3Transport,
        bucket: Bucket,
        stats: Stats,
        outcome_of_put: OutcomeOf,
        logger: logging.Logger,
        *,
        most_bytes: int,
        must: bool,
    ) -> None:
        """Take how large a value may be at most, beside what else is needed."""
        self._boto3 = boto3
        self._concurrency = bucket.connections.concurrency
        sizes = Sizes(min(most_bytes, MOST_BYTES))
        self._values = _Values(Sender(bucket, stats, logger, must=must), boto3, stats, sizes)
        self._outcome_of_put = outcome_of_put

    def get(self, name: str) -> Item:
        values = self._values
        flight = values.ask("GetObject", name) if values.may_read(name) else None
        if (reply := values.answer(flight)) is not None:
            if reply.verdict is Verdict.ABSENT:
                raise KeyNotFoundError(name)
            if (item := values.item(reply)) is not None:
                return item
        return values.read_by_boto3(name, flight)

    def contains(self, name: str) -> bool:
        values = self._values
        flight = values.ask("HeadObject", name) if values.sender.can_send(name) else None
        if (reply := values.answer(flight)) is not None:
            return reply.verdict is Verdict.DONE
        found = self._boto3.contains(name)
        if found:
            values.sender.note_difference(flight)
        return found

    def put(self, name: str, data: bytes) -> str:
        values = self._values
        flight = values.ask("PutObject", name, data) if values.may_write(name, data) else None
        if (reply := values.answer(flight)) is not None:
            return values.version(reply, data)
        return values.write_by_boto3(name, data, flight)

    def delete(self, name: str) -> bool | None:
        values = self._values
        flight = values.ask("DeleteObject", name) if values.sender.can_send(name) else None
        if (reply := values.answer(flight)) is not None:
            return None if reply.verdict is Verdict.DONE else False
        deleted = self._boto3.delete(name)
        if deleted is None:
            values.sender.note_difference(flight)
        return deleted

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item]]:
        if self._concurrency <= 1:  # A crew takes one more ahead.
            yield from self._boto3.get_many(names)
            return
        crew = Flights(_Reading(self._values), self._concurrency)
        for name, item in of_crew(crew, names, self._concurrency):
            if item is not None:
                yield name, item

    def putting(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        if self._concurrency <= 1:
            yield from self._boto3.putting(items)
            return
        crew = Flights(_Writing(self._values, self._outcome_of_put), self._concurrency)
        for _, outcome in of_crew(crew, items, self._concurrency, apart=lambda item: item[0]):
            yield outcome

    def note_listed(self, names: Sequence[str], sizes_bytes: Sequence[int | None]) -> None:
        self._values.sizes.note_listed(names, sizes_bytes)

    def close(self) -> None:
        self._values.sender.close()


class _Values:
    """What reading and writing have in common, be it of one value or of many."""

    def __init__(self, sender: Sender, boto3: Boto3Transport, stats: Stats, sizes: Sizes) -> None:
        self.sender = sender
        self.sizes = sizes
        self._boto3 = boto3
        self._stats = stats

    def may_read(self, name: str) -> bool:
        return self.sizes.may_be_read(name) and self.sender.can_send(name)

    def may_write(self, name: str, data: bytes) -> bool:
        return self.sizes.admit(len(data)) and self.sender.can_send(name)

    def ask(self, operation: str, name: str, body: bytes | None = None) -> Flight | None:
        """Send a request and wait until it lands, or is late; None if it was not sent."""
        landed: SimpleQueue[Flight] = SimpleQueue()
        flight = self.sender.flight(operation, landed.put)
        flight.acquire()
        if not self.sender.send(flight, name, body):
            return None
        try:
            landed.get(timeout=flight.seconds_left)
        except Empty:
            flight.cancel()
        except BaseException:
            flight.cancel()
            raise
        return flight

    def answer(self, flight: Flight | None) -> Reply | None:
        """Give what a request brought back, if it is an answer."""
        return None if flight is None else self.sender.take(flight)

    def item(self, reply: Reply) -> Item | None:
        """Take the value out of an answer; None if it was damaged on its way."""
        if is_damaged(reply.headers, reply.body):
            return None
        self.sizes.admit(len(reply.body))
        self._stats.add_bytes(received=len(reply.body))
        return Item(reply.body, reply.headers.get("etag", NO_VERSION))

    def version(self, reply: Reply, data: bytes) -> str:
        self._stats.add_bytes(sent=len(data))
        return reply.headers["etag"]

    def read_by_boto3(self, name: str, flight: Flight | None) -> Item:
        item = self._boto3.get(name)
        self.sizes.admit(len(item.data))
        self.sender.note_difference(flight)
        return item

    def write_by_boto3(self, name: str, data: bytes, flight: Flight | None) -> str:
        version = self._boto3.put(name, data)
        self.sender.note_difference(flight)
        return version


class _Reading(Task[str, "Item | None"]):
    """Reading many: the item of a name, None if it is absent."""

    operation = "GetObject"
    is_worth_an_end = False

    def __init__(self, values: _Values) -> None:
        self._values = values
        self.sender = values.sender

    def serves(self, name: str) -> bool:
        return self._values.may_read(name)

    def send(self, flight: Flight, name: str) -> bool:
        return self.sender.send(flight, name, None)

    def result_of(self, name: str, reply: Reply) -> tuple[bool, Item | None]:
        if reply.verdict is Verdict.ABSENT:
            return True, None
        item = self._values.item(reply)
        return item is not None, item

    def by_boto3(self, name: str, flight: Flight | None) -> Item | None:
        try:
            return self._values.read_by_boto3(name, flight)
        except KeyNotFoundError:
            return None

    def given_up(self, _: str) -> Item | None:
        raise CancelledError

    def is_last(self, _: Item | None) -> bool:
        return False


class _Writing(Task[tuple[str, bytes], Outcome]):
    """Writing many: what became of a name."""

    operation = "PutObject"
    is_worth_an_end = True

    def __init__(self, values: _Values, outcome_of_put: OutcomeOf) -> None:
        self._values = values
        self._outcome_of_put = outcome_of_put
        self.sender = values.sender

    def serves(self, item: tuple[str, bytes]) -> bool:
        return self._values.may_write(*item)

    def send(self, flight: Flight, item: tuple[str, bytes]) -> bool:
        return self.sender.send(flight, *item)

    def result_of(self, item: tuple[str, bytes], reply: Reply) -> tuple[bool, Outcome]:
        name, data = item
        self._values.version(reply, data)
        return True, Outcome(name, None, len(data))

    def by_boto3(self, item: tuple[str, bytes], flight: Flight | None) -> Outcome:
        return self._outcome_of_put(
            *item, lambda name, data: self._values.write_by_boto3(name, data, flight)
        )

    def given_up(self, item: tuple[str, bytes]) -> Outcome:
        return self._outcome_of_put(*item, _stopped)

    def is_last(self, outcome: Outcome) -> bool:
        return outcome.ends_all()


def _stopped(*_: object) -> NoReturn:
    raise StoppedError
