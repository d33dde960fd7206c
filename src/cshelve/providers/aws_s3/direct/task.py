"""What is done to many items at once, by requests of the engine and by threads."""

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
    """What is done to each item: by a request of the engine, or by a thread."""

    is_worth_an_end = False
    """Whether what flies at an early end is waited for: a write is, so that it does not land later;
    a read is not."""

    @abstractmethod
    def request(self, item: T) -> Request | None:
        """Make the request of an item; None if a thread has to do it."""

    @abstractmethod
    def result(self, item: T, answer: Answer) -> R:
        """Make the result of an answer; raises `NotPlainError` if boto3 has to do it again."""

    @abstractmethod
    def by_boto3(self, item: T) -> R:
        """Have boto3 do it, in a thread; the permit is there."""

    @abstractmethod
    def apart(self, item: T) -> R:
        """Do what has no request of the engine, in a thread, with permits of its own."""

    def given_up(self, item: T) -> R | None:
        """Make the result of what ended without one; None if there is nothing to tell."""
        return None

    def place(self, item: T, reader: Reader) -> memoryview | None:
        """Make a place for the body, once the head of its answer has arrived."""
        return None

    def odd(self, error: NotPlainError) -> None:  # nothing is a good answer
        """Hear of an answer that could not be taken."""

    def is_last(self, result: R) -> bool:
        """Return whether nothing more is to be begun after a result."""
        return False
