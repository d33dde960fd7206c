"""`aws-s3`: a shelf in an Amazon S3 bucket, or in one of a server that speaks its protocol.

A key's object is named `key_prefix/key`. What may be configured is in `_s3_settings`, the boto3
client is built in `_s3_client`, and what its errors mean is in `_s3_errors`.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ResponseStreamingError,
)

from cshelve._parallel import map_in_order
from cshelve.exceptions import (
    CanNotCreateDBError,
    ConflictError,
    DBDoesNotExistsError,
    Error,
    KeyNotFoundError,
    KeyNotStorableError,
    StorageError,
)
from cshelve.providers._s3_client import build_client, checked_put_params, shared_params
from cshelve.providers._s3_errors import (
    Place,
    code_of,
    is_404_without_code,
    is_absent,
    is_key_refused,
    is_transient,
    lacks_bulk_delete,
    status_of,
    translated,
)
from cshelve.providers._s3_settings import S3Settings, settings_from
from cshelve.providers.base import Capabilities, Entry, Item, Provider, raise_failures

if TYPE_CHECKING:
    from cshelve._config import Sections

__all__ = ["AwsS3"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: bytes of UTF-8.
LONGEST_KEY = 1024
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
KEYS_PER_DELETE = 1000
# Regions that CreateBucket takes no LocationConstraint for: S3's first, and names that are none.
REGIONS_WITHOUT_CONSTRAINT = frozenset({"", "us-east-1", "aws-global", "auto"})
# A body that did not arrive as it was sent. boto3 repeats requests but not the reading of a body.
DAMAGED_ON_THE_WAY = (IncompleteReadError, ResponseStreamingError, FlexibleChecksumError)
# https://www.w3.org/TR/xml/#charsets: what the XML of a DeleteObjects request cannot carry.
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class AwsS3(Provider):
    """Objects in a bucket. Each method is one request unless it says otherwise.

    Requests are repeated by boto3, and by nobody else; only a body that was cut short on its way
    is asked for once more. S3 stores and deletes an object as a whole or not at all.
    """

    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=False)

    def __init__(self, settings: S3Settings) -> None:
        super().__init__(concurrency=settings.concurrency)
        self._settings = settings
        self._bucket = settings.bucket_name
        self._prefix = settings.prefix
        self._client = build_client(settings)
        self._put_params = checked_put_params(settings, self._client)
        self._shared = shared_params(self._put_params, self._client)
        self._has_bulk_delete = True
        # botocore makes `total_max_attempts` of whatever form the user gave it in.
        retries: dict[str, Any] = getattr(self._client.meta.config, "retries", None) or {}
        self._attempts = int(retries.get("total_max_attempts", 1))
        self._client.meta.events.register("before-send.s3", self._count)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        """Take what options.md lists for aws-s3, and build the client; sends nothing."""
        return cls(settings_from(config))

    @property
    def location(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def exists(self) -> bool:
        """Ask by a listing of one key; by nothing at all, and True, without `check_bucket`."""
        if not self._settings.check_bucket:
            return True
        try:
            self._page("", {"MaxKeys": 1})
        except DBDoesNotExistsError:
            return False
        return True

    def create(self) -> None:
        """Create the bucket, in the client's region."""
        region = self._client.meta.region_name or ""
        where: dict[str, Any] = {}
        if region not in REGIONS_WITHOUT_CONSTRAINT:
            where["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            self._client.create_bucket(Bucket=self._bucket, **where)
        except (ClientError, BotoCoreError) as error:
            # Somebody may have created it since we looked; whether it is ours, a listing tells.
            taken = code_of(error) in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
            if taken and self._is_ours():
                return
            failure = translated(error, Place("CreateBucket", self.location))
            if isinstance(failure, CanNotCreateDBError):
                raise failure from error
            raise CanNotCreateDBError(str(failure)) from error

    def close(self) -> None:
        self._client.close()

    def get(self, name: str) -> Item:
        try:
            return self._read(name)
        except DAMAGED_ON_THE_WAY:
            with self._translating("GetObject", name):
                return self._read(name)

    def contains(self, name: str) -> bool:
        """Ask by a HEAD, or by a GET of one byte where only its answer has a code.

        That is with `missing_on_forbidden`, and after a HEAD's 400, which a key that the server
        cannot hold gets as well as an expired token.
        """
        if not self._is_holdable(name):
            return False
        if self._settings.missing_on_forbidden:
            return self._contains_by_get(name)
        try:
            self._client.head_object(**self._object(name), **self._shared["HeadObject"])
        except (ClientError, BotoCoreError) as error:
            if is_absent(error):
                return False
            if status_of(error) == 400:
                return self._contains_by_get(name)
            raise translated(error, self._place("HeadObject", name)) from error
        return True

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        if not self._is_holdable(name):
            raise KeyNotStorableError(
                f"S3 holds keys of 1 to {LONGEST_KEY} bytes, the prefix included; "
                f"{name[:50]!r} in {self.location} is {len(self._key(name).encode())} long."
                if name
                else f"S3 holds no empty key; nothing was written to {self.location}."
            )
        condition: dict[str, Any] = {}
        if if_absent:
            condition["IfNoneMatch"] = "*"
        elif if_version is not None:
            condition["IfMatch"] = if_version
        try:
            answer = self._client.put_object(
                **self._object(name), Body=data, **self._put_params, **condition
            )
        except (ClientError, BotoCoreError) as error:
            place = self._place("PutObject", name)
            if if_version is not None and is_absent(error):
                raise ConflictError(f"{place}: it was deleted since it was read.") from error
            raise translated(error, place) from error
        self.stats.add_bytes(sent=len(data))
        return str(answer["ETag"])

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        if not self._is_holdable(name):
            return False
        condition: dict[str, Any] = {} if if_version is None else {"IfMatch": if_version}
        try:
            with self._translating("DeleteObject", name):
                self._client.delete_object(
                    **self._object(name), **self._shared["DeleteObject"], **condition
                )
        except (KeyNotFoundError, KeyNotStorableError):
            return False
        return None

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        """List the objects: one request for each 1,000."""
        for found in self._objects(prefix, limit):
            name = found["Key"].removeprefix(self._prefix)
            yield Entry(name, found["Size"], found["LastModified"])

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        for found in self._objects(prefix, limit):
            yield found["Key"].removeprefix(self._prefix)

    def delete_many(self, names: Iterable[str]) -> None:
        """Delete 1,000 keys a request, or singly where the server can't.

        Raises `BulkError`; what fails for a passing reason inside an answer is tried again.
        """
        raise_failures("deleted", self._deletions(names))

    # How a value is read

    def _read(self, name: str) -> Item:
        """Send one GET and read its body; a body that is damaged is boto3's error."""
        if not self._is_holdable(name):
            raise KeyNotFoundError(name)
        try:
            answer = self._client.get_object(**self._object(name), **self._shared["GetObject"])
            data = answer["Body"].read()
        except DAMAGED_ON_THE_WAY:
            raise
        except (ClientError, BotoCoreError) as error:
            if self._means_absent(error, name):
                raise KeyNotFoundError(name) from None
            raise translated(error, self._place("GetObject", name)) from error
        self.stats.add_bytes(received=len(data))
        return Item(data, answer["ETag"])

    def _contains_by_get(self, name: str) -> bool:
        try:
            answer = self._client.get_object(
                **self._object(name), **self._shared["GetObject"], Range="bytes=0-0"
            )
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == "InvalidRange" or status_of(error) == 416:
                return True  # It is there, and empty.
            if self._means_absent(error, name):
                return False
            raise translated(error, self._place("GetObject", name)) from error
        answer["Body"].close()
        return True

    def _means_absent(self, error: Exception, name: str) -> bool:
        """Tell whether a GET's failure says that the key is not there."""
        if self._settings.missing_on_forbidden and code_of(error) == "AccessDenied":
            return True
        if is_absent(error) or is_key_refused(error, name):
            return True
        if not is_404_without_code(error):
            return False
        # The key is quoted in the answer, which is no XML then if the key has control characters.
        # A listing tells an absent key from an absent bucket, and from what is no S3 at all.
        self._page("", {"MaxKeys": 1})
        return True

    # How keys are listed

    def _objects(self, prefix: str, limit: int | None) -> Iterator[Any]:
        """Go through the objects below a prefix, a page at a time."""
        left = limit
        parameters: dict[str, Any] = {}
        while left is None or left > 0:
            if left is not None:
                parameters["MaxKeys"] = min(left, 1000)
            page = self._page(prefix, parameters)
            for found in page.get("Contents", ()):
                # The prefix itself is no key; servers that don't know StartAfter list it.
                if found["Key"] != self._prefix:
                    left = None if left is None else left - 1
                    yield found
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token:
                raise StorageError(
                    f"{self._place('ListObjectsV2')}: the server cuts the listing short and does "
                    "not say how to go on."
                )
            parameters["ContinuationToken"] = token

    def _page(self, prefix: str, parameters: Mapping[str, Any]) -> Any:
        """Send one ListObjectsV2 for the names that begin so, the prefix itself left out."""
        request: dict[str, Any] = {"Bucket": self._bucket, **parameters}
        if self._prefix or prefix:
            request["Prefix"] = self._prefix + prefix
        if self._prefix and not prefix:
            request["StartAfter"] = self._prefix
        with self._translating("ListObjectsV2"):
            return self._client.list_objects_v2(**request, **self._shared["ListObjectsV2"])

    def _is_ours(self) -> bool:
        """Tell whether a bucket of that name is one that we may list."""
        try:
            self._page("", {"MaxKeys": 1})
        except Error:
            return False
        return True

    # How many keys are deleted

    def _deletions(self, names: Iterable[str]) -> Iterator[tuple[str, Error | None]]:
        source = iter(name for name in names if self._is_holdable(name))
        while batch := list(itertools.islice(source, KEYS_PER_DELETE)):
            singly = batch
            if self._has_bulk_delete:
                together = [name for name in batch if not NOT_IN_XML.search(name)]
                singly = [name for name in batch if NOT_IN_XML.search(name)]
                yield from self._delete_together(together)
            yield from map_in_order(self._delete_one, singly, self.concurrency)

    def _delete_together(self, names: list[str]) -> Iterator[tuple[str, Error | None]]:
        """Delete up to 1,000 keys in one request, repeating it for those worth another try."""
        attempts = self._attempts
        for attempt in range(attempts):
            if not names:
                return
            if attempt:
                time.sleep(random.uniform(0, min(2**attempt, 20)))
            try:
                errors = self._delete_objects(names)
            except _NoBulkDeleteError:
                self._has_bulk_delete = False
                yield from map_in_order(self._delete_one, names, self.concurrency)
                return
            last = attempt == attempts - 1
            again = [n for n in errors if not last and is_transient(code_of(errors[n]))]
            for name in set(names).difference(again):
                yield name, self._outcome_of_delete(name, errors.get(name))
            names = again

    def _outcome_of_delete(self, name: str, error: ClientError | None) -> Error | None:
        """Tell what came of one key among many; one that cannot be held is not there either."""
        if error is None or is_key_refused(error, name):
            return None
        return translated(error, self._place("DeleteObjects", name))

    def _delete_objects(self, names: list[str]) -> dict[str, ClientError]:
        """Send one DeleteObjects and give the errors inside its answer, by name."""
        keys: Any = [{"Key": self._key(name)} for name in names]
        try:
            answer = self._client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": keys, "Quiet": True},
                **self._shared["DeleteObjects"],
            )
        except (ClientError, BotoCoreError) as error:
            if lacks_bulk_delete(error):
                raise _NoBulkDeleteError from error
            raise translated(error, self._place("DeleteObjects")) from error
        return {
            found.get("Key", "").removeprefix(self._prefix): _error_of_key(found)
            for found in answer.get("Errors", ())
        }

    def _delete_one(self, name: str) -> Error | None:
        try:
            self.delete(name)
        except Error as error:
            return error
        return None

    # What every request is made of

    def _key(self, name: str) -> str:
        return self._prefix + name

    def _object(self, name: str) -> Any:
        return {"Bucket": self._bucket, "Key": self._key(name)}

    def _is_holdable(self, name: str) -> bool:
        """Tell without asking whether S3 can hold a key of that length."""
        return bool(name) and len(self._key(name).encode()) <= LONGEST_KEY

    def _place(self, operation: str, name: str | None = None) -> Place:
        return Place(operation, self.location, name)

    @contextmanager
    def _translating(self, operation: str, name: str | None = None) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise translated(error, self._place(operation, name)) from error

    def _count(self, event_name: str, **_: object) -> None:
        """Count a request that boto3 is about to send; each of its attempts comes here."""
        self.stats.count(event_name.rpartition(".")[2])


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
