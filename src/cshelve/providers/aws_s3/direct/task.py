"""What a loop over many requests does to each item; `tasks` of the provider implement it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError, Reader
    from cshelve.providers.aws_s3.direct.templates import Request

__all__ = ["Task"]

T = TypeVar("T")
R = TypeVar("R")


class Task(ABC, Generic[T, R]):
    """What is done to each item: by a request of the engine, or by boto3 in a thread."""

    is_worth_an_end = False
    """Whether an early end waits for what is in flight: for a write, so that it is not stored
    later; not for a read."""

    @abstractmethod
    def request(self, item: T) -> Request | None:
        """Make the request of an item; None if a thread has to do it."""

    @abstractmethod
    def place(self, item: T, reader: Reader) -> memoryview | None:
        """Return a buffer for the body, if there is one, once the head of its answer is there."""

    @abstractmethod
    def result(self, item: T, answer: Answer) -> R:
        """Make the result of an answer; raise `NotPlainError` if boto3 has to do it again."""

    @abstractmethod
    def by_boto3(self, item: T) -> R:
        """Do it by boto3, in a thread, with the permit of the item."""

    @abstractmethod
    def apart(self, item: T) -> R:
        """Do what has no request of the engine, in a thread that takes permits of its own."""

    @abstractmethod
    def given_up(self, item: T) -> R | None:
        """Make the result of an item that was never begun; None if it has none."""

    @abstractmethod
    def odd(self, error: NotPlainError) -> None:
        """Note an answer that is not plain."""

    @abstractmethod
    def is_last(self, result: R) -> bool:
        """Return whether nothing more is to begin after a result."""
