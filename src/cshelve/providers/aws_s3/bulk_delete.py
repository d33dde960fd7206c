"""Delete many keys in one request, or one by one if the server cannot do that."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from html import escape, unescape
from typing import TYPE_CHECKING, NoReturn

from cshelve._concurrency.backoff import full_jitter
from cshelve._concurrency.parallel import StoppedError, map_in_order
from cshelve.exceptions import Error, StorageError
from cshelve.providers.aws_s3.errors import (
    TRANSIENT,
    RefusalError,
    code_of,
    failures,
    fits_in_xml,
    is_key_refused,
    is_throttled,
    lacks_bulk_delete,
    translated,
)
from cshelve.providers.base import Outcome

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["BulkDelete"]

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
KEYS_PER_REQUEST = 1000
# S3 deletes 3,500 keys a second or more, which a few requests at a time reach:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
BATCHES_AT_ONCE = 4
LONGEST_PAUSE_SECONDS = 20
# A plain response, as servers usually write it.
RESULT = re.compile(
    r"\s*(?:<\?xml [ -;=?-~]*\?>)?\s*<DeleteResult[ -;=?-~]*>"
    # XML allows only three control characters: \t, \n and \r.
    r"((?:\s*<(?:Deleted|Error)>(?:\s*<\w+>[^<\0-\x08\x0b\x0c\x0e-\x1f]*</\w+>|\s*<\w+/>)*"
    r"\s*</(?:Deleted|Error)>)+)"
    r"\s*</DeleteResult>\s*"
)
ENTRY = re.compile(r"<(Deleted|Error)>(.*?)</\1>", re.DOTALL)
TEXT = re.compile(r"<(\w+)>([^<]*)</\1>")
# Entities that XML does not define, although `html.unescape` would decode them.
ENTITIES = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)")


class BulkDelete:
    """Delete names from a bucket, 1,000 in a request, or one by one if the server cannot do that.

    A response may list keys that failed for a temporary reason. They are tried again here, since
    boto3 does not look at them.
    """

    def __init__(
        self, requests: Requests, singly: Callable[[Iterable[str]], Generator[Outcome]]
    ) -> None:
        """`singly` deletes names one by one, and yields their outcomes."""
        self._requests = requests
        self._bucket = requests.bucket
        self._singly = singly
        self._is_there = True

    def outcomes(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete names and yield their outcomes; stop if every other name would fail as well."""
        batches = _Batches(names)
        first = next(batches, [])
        if len(first) < KEYS_PER_REQUEST:  # One request needs no thread.
            yield from self._of_batch(first)
        else:
            at_once = min(BATCHES_AT_ONCE, self._requests.config.concurrency)
            all_batches = itertools.chain([first], batches)
            done = map_in_order(self._settled, all_batches, at_once, is_last=_end_all)
            with closing(done):
                for _, outcomes in done:
                    yield from outcomes
        if batches.error is not None:
            raise batches.error

    def _settled(self, names: list[str]) -> list[Outcome]:
        """Return the outcomes of a batch, in a thread; none of a batch that was not sent."""
        outcomes: list[Outcome] = []
        with suppress(StoppedError):
            outcomes.extend(self._of_batch(names))
        return outcomes

    def _of_batch(self, names: list[str]) -> Iterator[Outcome]:
        """Delete up to 1,000 names: in one request, except for names that XML cannot contain."""
        held = []
        for name in names:
            if self._requests.key_of(name) is not None:
                held.append(name)
            else:
                yield Outcome(name)  # S3 cannot hold such a key, so it is absent already.
        if not self._is_there:
            yield from self._singly(held)
            return
        yield from self._together([name for name in held if fits_in_xml(name)])
        yield from self._singly(name for name in held if not fits_in_xml(name))

    def _together(self, names: list[str]) -> Iterator[Outcome]:
        """Send one request, then more requests for the names that are worth another try."""
        attempts = self._requests.config.attempts
        for attempt in range(attempts):
            if not names:
                return
            if attempt:
                time.sleep(full_jitter(attempt, 1, LONGEST_PAUSE_SECONDS))
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
            # A server that alters keys may report a name that we did not send. It failed too.
            are_all_alike = len(errors) >= len(names) > 1
            settled = [*names, *set(errors).difference(names)]
            for name in settled:
                if name not in again:
                    failure = self._failure(name, errors.get(name), are_all_alike=are_all_alike)
                    yield Outcome(name, failure)
            names = again

    def _send(self, names: list[str]) -> dict[str, RefusalError]:
        """Send one DeleteObjects and return the errors that its response lists, by name.

        `Quiet` would shorten the response, but then an empty one, cut off on its way, would look
        like success.
        """
        keys = [self._bucket.prefix + name for name in names]
        with self._requests.permit():
            answer = self._requests.answer("DeleteObjects", None, None, _document(keys))
            found = None if answer is None else _errors_in(answer.body, keys)
            if found is None:
                if answer is not None:
                    self._requests.note_odd("a response to DeleteObjects", "DeleteObjects")
                found = self._send_by_boto3(keys)
        return {key.removeprefix(self._bucket.prefix): error for key, error in found.items()}

    def _send_by_boto3(self, keys: list[str], *, again: bool = True) -> dict[str, RefusalError]:
        """Send a DeleteObjects by boto3, twice if the response is empty; return errors by key."""
        objects = {"Objects": [{"Key": key} for key in keys], "Quiet": False}
        try:
            answer = self._requests.boto3.call("DeleteObjects", None, {"Delete": objects})
        except failures() as error:
            if lacks_bulk_delete(error):
                raise _NoBulkDeleteError from error
            raise translated(error, self._bucket.place("DeleteObjects")) from error
        if not answer.get("Deleted") and not answer.get("Errors"):
            self._requests.boto3.repeat()
            return self._send_by_boto3(keys, again=False) if again else self._refuse_empty_answer()
        return {
            found.get("Key", ""): _error_of_key(found.get("Code", ""), found.get("Message", ""))
            for found in answer.get("Errors", ())
        }

    def _refuse_empty_answer(self) -> NoReturn:
        raise StorageError(
            f"{self._bucket.place('DeleteObjects')}: the response was empty, twice; it is not "
            "known which keys are deleted."
        )

    def _failure(
        self, name: str, error: RefusalError | None, *, are_all_alike: bool
    ) -> Error | None:
        """Return the failure of one name; None for success, or for a key that S3 cannot hold."""
        if error is None or is_key_refused(error, name):
            return None
        failure = translated(error, self._bucket.place("DeleteObjects", name))
        failure.__cause__ = error
        # Other keys may still succeed, unless the server throttles everything.
        failure.about_shelf = is_throttled(error) and are_all_alike
        return failure


class _Batches(Iterator[list[str]]):
    """Lists of names, each for one request; an error of the names' source ends them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = iter(names)
        self.error: Exception | None = None
        """To be raised when the outcomes of the requests in flight are known."""

    def __next__(self) -> list[str]:
        batch: list[str] = []
        try:
            batch = list(itertools.islice(self._names, KEYS_PER_REQUEST))
        except Exception as error:  # noqa: BLE001  # a caller's iterator may raise anything
            self.error = error
        if not batch:
            raise StopIteration
        return batch


def _end_all(outcomes: list[Outcome]) -> bool:
    return any(outcome.ends_all() for outcome in outcomes)


class _NoBulkDeleteError(Exception):
    """Raised if the server does not support DeleteObjects as boto3 sends it."""


def _document(keys: list[str]) -> bytes:
    """Return the body of a DeleteObjects, written as boto3 writes it."""
    objects = "".join(f"<Object><Key>{escape(key, quote=False)}</Key></Object>" for key in keys)
    # An XML parser reads every line end as "\n", so that "a\rb" would become another key.
    objects = objects.replace("\r", "&#xD;").replace("\n", "&#xA;")
    return (
        '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{objects}<Quiet>false</Quiet></Delete>"
    ).encode()


def _errors_in(body: bytes, keys: list[str]) -> dict[str, RefusalError] | None:
    """Return the errors in a response, by key; None if it is unusual, or does not name all keys."""
    text = body.decode("utf-8", "replace")
    found = RESULT.fullmatch(text)
    if found is None or ENTITIES.search(text) or "\ufffd" in text:
        return None
    errors: dict[str, RefusalError] = {}
    named = set()
    for kind, entry in ENTRY.findall(found[1]):
        texts = {name: unescape(value) for name, value in TEXT.findall(entry)}
        if "Key" not in texts:
            return None
        named.add(texts["Key"])
        if kind == "Error":
            errors[texts["Key"]] = _error_of_key(texts.get("Code", ""), texts.get("Message", ""))
    return errors if named == set(keys) else None


def _error_of_key(code: str, message: str) -> RefusalError:
    """Return the error that a DELETE of the key alone would raise.

    S3 reports the errors of single keys inside a response with status 200.
    """
    status = 403 if code in {"AccessDenied", "AllAccessDisabled"} else 400
    return RefusalError("DeleteObjects", status, code, message)
