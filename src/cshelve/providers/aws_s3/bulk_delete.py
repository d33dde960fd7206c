"""Many keys deleted in one request, and what to do where a server cannot do that."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from cshelve.exceptions import Error, StorageError
from cshelve.providers.aws_s3.bucket import Bucket
from cshelve.providers.aws_s3.errors import (
    TRANSIENT,
    code_of,
    fits_in_xml,
    is_key_refused,
    is_throttled,
    lacks_bulk_delete,
    translated,
)
from cshelve.providers.base import Outcome

__all__ = ["BulkDelete"]

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
KEYS_PER_REQUEST = 1000
LONGEST_PAUSE_SECONDS = 20


class BulkDelete:
    """Delete names of a bucket, 1,000 a request, or singly once the server has shown it can't.

    What fails inside an answer for a passing reason is tried again: boto3 does not look inside.
    """

    def __init__(
        self, bucket: Bucket, singly: Callable[[Iterable[str]], Generator[Outcome]]
    ) -> None:
        """Take the bucket, and how to delete names one by one."""
        self._bucket = bucket
        self._singly = singly
        self._is_there = True

    def outcomes(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete names and tell what became of each; end where every other would fail alike."""
        source = iter(names)
        while batch := list(itertools.islice(source, KEYS_PER_REQUEST)):
            for outcome in self._of_batch(batch):
                yield outcome
                over = outcome.failure is not None and outcome.failure.about_shelf
                source = iter(()) if over else source

    def _of_batch(self, names: list[str]) -> Iterator[Outcome]:
        """Delete up to 1,000 names, those that a request can carry in one."""
        held = []
        for name in names:
            if self._bucket.can_hold(name):
                held.append(name)
            else:
                yield Outcome(name)  # It is not there.
        if not self._is_there:
            yield from self._singly(held)
            return
        yield from self._together([name for name in held if fits_in_xml(name)])
        yield from self._singly(name for name in held if not fits_in_xml(name))

    def _together(self, names: list[str]) -> Iterator[Outcome]:
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
            except Error as error:
                yield from (Outcome(name, error) for name in names)
                return
            last = attempt == attempts - 1
            again = [] if last else [n for n in names if code_of(errors.get(n)) in TRANSIENT]
            # An answer may name a key that we did not: a server that alters keys. It failed too.
            are_all_alike = len(errors) >= len(names) > 1
            settled = [*names, *set(errors).difference(names)]
            for name in settled:
                if name not in again:
                    failure = self._failure(name, errors.get(name), are_all_alike=are_all_alike)
                    yield Outcome(name, failure)
            names = again

    def _send(self, names: list[str], *, again: bool = True) -> dict[str, ClientError]:
        """Send one DeleteObjects and give the errors inside its answer, by name.

        Not quietly, although that would make the answer short: one that was cut to nothing on its
        way would look like success. It is asked for once more.
        """
        keys: Any = [{"Key": self._bucket.key(name)} for name in names]
        request = self._bucket.request("DeleteObjects")
        try:
            with self._bucket.connections.client() as client:
                answer = client.delete_objects(Delete={"Objects": keys, "Quiet": False}, **request)
        except (ClientError, BotoCoreError) as error:
            if lacks_bulk_delete(error):
                raise _NoBulkDeleteError from error
            raise translated(error, self._bucket.place("DeleteObjects")) from error
        if not answer.get("Deleted") and not answer.get("Errors"):
            return self._send(names, again=False) if again else self._refuse_empty_answer()
        return {
            found.get("Key", "").removeprefix(self._bucket.prefix): _error_of_key(found)
            for found in answer.get("Errors", ())
        }

    def _refuse_empty_answer(self) -> NoReturn:
        raise StorageError(
            f"{self._bucket.place('DeleteObjects')}: the answer says of no key what became of it, "
            "twice; whether they are deleted is not known."
        )

    def _failure(
        self, name: str, error: ClientError | None, *, are_all_alike: bool
    ) -> Error | None:
        """Tell what came of one name; one that the server cannot hold is not there either."""
        if error is None or is_key_refused(error, name):
            return None
        failure = translated(error, self._bucket.place("DeleteObjects", name))
        failure.__cause__ = error
        # The server did answer for the others, unless it wants nothing done at all.
        failure.about_shelf = is_throttled(error) and are_all_alike
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
