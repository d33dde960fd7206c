"""The interface between a loop over many requests and what it does; see `tasks`."""

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
    """How to process each item: by a request of the engine, or by boto3 in a thread."""

    is_worth_an_end = False
    """Whether requests in flight are waited for if the loop ends early. True for writes: else one
    might still be stored later."""

    @abstractmethod
    def request(self, item: T) -> Request | None:
        """Return the request for an item, or None if a thread has to process it."""

    @abstractmethod
    def body_buffer(self, item: T, reader: Reader) -> memoryview | None:
        """Return the buffer that is to receive the body of a response, or None for a new one.

        Called when the head of the response has been read.
        """

    @abstractmethod
    def result(self, item: T, answer: Answer) -> R:
        """Return the result of a response; raise `NotPlainError` if boto3 has to send it again."""

    @abstractmethod
    def by_boto3(self, item: T) -> R:
        """Process an item by boto3, in a thread; the item already has its permit."""

    @abstractmethod
    def without_engine(self, item: T) -> R:
        """Process an item without a request of the engine, in a thread; acquire permits here."""

    @abstractmethod
    def given_up(self, item: T) -> R | None:
        """Return the result of an item that was never begun, or None if it has none."""

    @abstractmethod
    def note_unusable(self, error: NotPlainError) -> None:
        """Note that the engine could not use a response, and that boto3 has to send the request."""

    @abstractmethod
    def is_last(self, result: R) -> bool:
        """Return whether no further item may begin after this result."""
