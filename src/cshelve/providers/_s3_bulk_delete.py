"""Many keys deleted in one request, and what to do where a server cannot do that."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cshelve._parallel import map_in_order
from cshelve.exceptions import Error
from cshelve.providers._s3_bucket import Bucket
from cshelve.providers._s3_errors import (
    TRANSIENT,
    code_of,
    fits_in_xml,
    is_key_refused,
    lacks_bulk_delete,
    translated,
)

__all__ = ["BulkDelete"]

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
KEYS_PER_REQUEST = 1000
LONGEST_PAUSE_SECONDS = 20


class BulkDelete:
    """Delete names of a bucket, 1,000 a request, or singly once the server has shown it can't.

    What fails inside an answer for a passing reason is tried again: boto3 does not look inside.
    """

    def __init__(self, bucket: Bucket, delete: Callable[[str], object], concurrency: int) -> None:
        """Take the bucket, and how to delete a single name and how many at a time."""
        self._bucket = bucket
        self._delete = delete
        self._concurrency = concurrency
        self._is_there = True

    def outcomes(self, names: Iterable[str]) -> Generator[tuple[str, Error | None]]:
        """Delete names and tell of each what went wrong, if anything did."""
        source = (name for name in names if self._bucket.can_hold(name))
        while batch := list(itertools.islice(source, KEYS_PER_REQUEST)):
            singly = batch
            if self._is_there:
                singly = [name for name in batch if not fits_in_xml(name)]
                yield from self._together([n for n in batch if fits_in_xml(n)])
            yield from self._singly(singly)

    def _together(self, names: list[str]) -> Iterator[tuple[str, Error | None]]:
        """Send one request, and again for the names that are worth another try."""
        attempts = self._bucket.attempts
        for attempt in range(attempts):
            if not names:
                return
            if attempt:
                time.sleep(random.uniform(0, min(2**attempt, LONGEST_PAUSE_SECONDS)))
            try:
                errors = self._send(names)
            except _NoBulkDeleteError:
                self._is_there = False
                yield from self._singly(names)
                return
            last = attempt == attempts - 1
            again = [] if last else [n for n in names if code_of(errors.get(n)) in TRANSIENT]
            # An answer may name a key that we did not: a server that alters keys. It failed too.
            for name in {*names, *errors}.difference(again):
                yield name, self._failure(name, errors.get(name))
            names = again

    def _singly(self, names: Iterable[str]) -> Iterator[tuple[str, Error | None]]:
        def delete(name: str) -> Error | None:
            try:
                self._delete(name)
            except Error as error:
                return error
            return None

        return map_in_order(delete, names, self._concurrency)

    def _send(self, names: list[str]) -> dict[str, ClientError]:
        """Send one DeleteObjects and give the errors inside its answer, by name."""
        keys: Any = [{"Key": self._bucket.key(name)} for name in names]
        try:
            answer = self._bucket.client.delete_objects(
                Delete={"Objects": keys, "Quiet": True}, **self._bucket.request("DeleteObjects")
            )
        except (ClientError, BotoCoreError) as error:
            if lacks_bulk_delete(error):
                raise _NoBulkDeleteError from error
            raise translated(error, self._bucket.place("DeleteObjects")) from error
        return {
            found.get("Key", "").removeprefix(self._bucket.prefix): _error_of_key(found)
            for found in answer.get("Errors", ())
        }

    def _failure(self, name: str, error: ClientError | None) -> Error | None:
        """Tell what came of one name; one that the server cannot hold is not there either."""
        if error is None or is_key_refused(error, name):
            return None
        failure = translated(error, self._bucket.place("DeleteObjects", name))
        failure.about_shelf = False  # The server did answer for the others.
        return failure


class _NoBulkDeleteError(Exception):
    """The server does not do DeleteObjects as boto3 asks for it."""


def _error_of_key(found: Mapping[str, Any]) -> ClientError:
    """Make of a key's error inside a 200 answer what boto3 would have raised for that key."""
    code = found.get("Code", "")
    status = 403 if code in {"AccessDenied", "AllAccessDisabled"} else 400
    answer: Any = {
        "Error": {"Code": code, "Message": found.get("Message", "")},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "DeleteObjects")
