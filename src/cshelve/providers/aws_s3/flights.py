"""Many requests in the air, submitted and waited for by one thread; what fails goes to threads.

The loop of the Common Runtime does no more than to put what landed into a queue. The one who wants
the results takes them out, so that values are decoded there, and hands to boto3's threads at once
whatever boto3 has to do again, while others are still in the air.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from cshelve._parallel import Crew, Workers

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.crt import Flight
    from cshelve.providers.aws_s3.reply import Reply
    from cshelve.providers.aws_s3.sender import Sender

__all__ = ["Flights", "Task"]

T = TypeVar("T")
R = TypeVar("R")


class Task(ABC, Generic[T, R]):
    """What is done to each item: by the Common Runtime, and by boto3 where that cannot."""

    sender: Sender
    operation: str
    is_worth_an_end: bool
    """Whether what is in the air at an early end is waited for: a write is, a read is not."""

    @abstractmethod
    def serves(self, item: T) -> bool:
        """Tell whether the Common Runtime may do it."""

    @abstractmethod
    def send(self, flight: Flight, item: T) -> bool:
        """Send the request of an item by a flight with its permit; False if it was not sent."""

    @abstractmethod
    def result_of(self, item: T, reply: Reply) -> tuple[bool, R]:
        """Make the result of an answer, in the thread that wants it; False if boto3 has to."""

    @abstractmethod
    def by_boto3(self, item: T, flight: Flight | None) -> R:
        """Have boto3 do it, after this flight, if there was one."""

    @abstractmethod
    def given_up(self, item: T) -> R:
        """Give the result of what ended without an answer, or raise `CancelledError`."""

    @abstractmethod
    def is_last(self, result: R) -> bool:
        """Tell whether nothing more is to be begun after a result."""


@dataclass(eq=False)
class _Job(Generic[T, R]):
    """An item and its request."""

    item: T
    flight: Flight | None = None
    has_landed: bool = False
    reply: Reply | None = None
    """The answer, if that is what it brought back."""
    again: Callable[[], R] | None = None
    """What waits for boto3's result, where boto3 does it."""


class Flights(Crew[T, R]):
    """A crew for `of_crew`: requests in the air, and threads for what boto3 has to do."""

    def __init__(self, task: Task[T, R], most: int) -> None:
        self._task = task
        self._workers: Workers[_Job[T, R], R] = Workers(
            lambda job: task.by_boto3(job.item, job.flight), most, task.is_last
        )
        self._landed: SimpleQueue[Flight] = SimpleQueue()
        # In the order in which they took off, which is the one in which they will be late.
        self._in_the_air: dict[Flight, _Job[T, R]] = {}
        self._process = os.getpid()

    @property
    def are_stopped(self) -> bool:
        return self._workers.are_stopped

    def start(self, item: T) -> Callable[[], R]:
        """Send the request of an item, or have a thread do it where that is boto3's."""
        job: _Job[T, R] = _Job(item)
        if self._task.serves(item):
            flight = self._task.sender.flight(self._task.operation, self._landed.put)
            while not flight.acquire(self._seconds_left()):
                self._give_up_late()
            if self._task.send(flight, item):
                job.flight = flight
                self._in_the_air[flight] = job
                return partial(self._result, job)
        return self._workers.start(job)

    def stop(self) -> None:
        """Begin nothing more, and wait for what is in the air if that is worth it."""
        self._workers.begin_nothing_more()
        try:
            if os.getpid() != self._process:
                return
            if not self._task.is_worth_an_end:
                for flight in self._in_the_air:
                    flight.cancel()
                self._in_the_air.clear()
            while self._in_the_air:
                self._take_landed()
        finally:
            self._workers.stop()

    def _result(self, job: _Job[T, R]) -> R:
        while not job.has_landed:
            self._take_landed()
        if job.reply is not None:
            is_good, result = self._task.result_of(job.item, job.reply)
            if is_good:
                return result
            job.again = self._workers.start(job)
        if job.again is not None:
            with suppress(CancelledError):
                return job.again()
        return self._task.given_up(job.item)

    def _take_landed(self) -> None:
        """Wait until something lands, or is late."""
        try:
            flight = self._landed.get(timeout=self._seconds_left())
        except Empty:
            self._give_up_late()
        else:
            self._take(flight)

    def _seconds_left(self) -> float | None:
        """Tell when the first of what is in the air will be late; None if none ever is."""
        return next((flight.seconds_left for flight in self._in_the_air), None)

    def _give_up_late(self) -> None:
        for flight in [each for each in self._in_the_air if each.seconds_left == 0]:
            flight.cancel()
            self._take(flight)

    def _take(self, flight: Flight) -> None:
        """Look at what a request brought back; if it is no answer, let boto3 begin at once."""
        job = self._in_the_air.pop(flight, None)
        if job is None:
            return  # It was given up before it landed.
        job.has_landed = True
        job.reply = self._task.sender.take(flight)
        if job.reply is None and not self.are_stopped:
            job.again = self._workers.start(job)
