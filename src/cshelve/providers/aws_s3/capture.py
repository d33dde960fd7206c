"""Requests that boto3 makes and nobody sends, and answers that come from here."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

__all__ = ["HERE", "Capture"]

# The header by which answers from here are known.
HERE = "x-cshelve-here"

T = TypeVar("T")


class Capture:
    """A hook for boto3's event `before-send`, which acts while this thread wants it to."""

    def __init__(self) -> None:
        self._of_this_thread = threading.local()

    def answer(self, request: Any) -> AWSResponse | None:
        """Take a request and answer that all is well, so that nothing is sent; None if not."""
        body = getattr(self._of_this_thread, "body", None)
        if body is None:
            return None
        self._of_this_thread.request = request
        return AWSResponse(request.url, 200, HTTPHeaders.from_pairs([(HERE, "yes")]), _Body(body))

    def request_of(self, call: Callable[[], object]) -> Any:
        """Give the request that a call of a client's makes; raises what boto3 raises before it."""
        with self._answering(b""):
            call()
            return self._of_this_thread.request

    def read_again(self, call: Callable[[], T], body: bytes) -> T:
        """Give what a call of a client's makes of an answer that has come before."""
        with self._answering(body):
            return call()

    @contextmanager
    def _answering(self, body: bytes) -> Iterator[None]:
        self._of_this_thread.body = body
        try:
            yield
        finally:
            self._of_this_thread.body = None


class _Body(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()
