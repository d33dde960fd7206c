"""The interface between the loop over many requests (`many`) and the tasks it runs (`tasks`)."""

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
    """How to process each item: by a request of the engine, or in a thread."""

    is_worth_an_end = False
    """Whether a loop that ends early waits for the requests in flight. True for writes, which the
    server might otherwise still carry out later."""

    @abstractmethod
    def request(self, item: T) -> Request | None:
        """Return the request for an item; None if `without_engine` has to process the item."""

    @abstractmethod
    def body_buffer(self, item: T, reader: Reader) -> memoryview | None:
        """Return the buffer for the body of a response; None lets the reader allocate one.

        The loop calls this when the head of the response has been read.
        """

    @abstractmethod
    def result(self, item: T, answer: Answer) -> R:
        """Return the item's result; raise `NotPlainError` if boto3 has to repeat the request."""

    @abstractmethod
    def by_boto3(self, item: T) -> R:
        """Process an item by boto3, in a thread, and return its result.

        The item already has a permit.
        """

    @abstractmethod
    def without_engine(self, item: T) -> R:
        """Process an item for which `request` returned None, in a thread, and return its result.

        The item has no permit yet: this method acquires what it needs.
        """

    @abstractmethod
    def given_up(self, item: T) -> R | None:
        """Return the result of an item whose processing never began; None if it has no result."""

    @abstractmethod
    def note_unusable(self, error: NotPlainError) -> None:
        """Record that the engine could not use a response, so boto3 sends the request again."""

    @abstractmethod
    def is_last(self, result: R) -> bool:
        """Return whether the loop begins no more items after this result."""
