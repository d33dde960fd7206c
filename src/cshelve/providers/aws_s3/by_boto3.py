"""How values travel: the interface, and the way by boto3, which is what any other has to do alike.

The other way is `crt_transport`; which of them a shelf takes is decided in `engine`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ResponseStreamingError,
)

from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.aws_s3.bucket import Bucket, etag_of
from cshelve.providers.aws_s3.errors import (
    code_of,
    fits_in_xml,
    is_404_without_code,
    is_absent,
    is_key_refused,
    status_of,
    translated,
)
from cshelve.providers.aws_s3.multipart import MultipartUploads
from cshelve.providers.aws_s3.pages import pages_of
from cshelve.providers.aws_s3.ranged_reads import RangedReads, UnfitRangeError
from cshelve.providers.base import Item, Outcome, Stats

__all__ = ["NO_VERSION", "Boto3Transport", "Bulk", "Transport"]

# A body that did not arrive as it was sent. boto3 repeats requests but not the reading of a body.
DAMAGED_ON_THE_WAY = (IncompleteReadError, ResponseStreamingError, FlexibleChecksumError)

# The version of what a server gives none for: one that no later condition finds unchanged.
NO_VERSION = '"none"'


class Transport(ABC):
    """Requests about objects, without conditions. Each is one; safe in many threads.

    What they raise and promise is what the provider's methods of these names do.
    """

    @abstractmethod
    def get(self, name: str) -> Item:
        """Read an object."""

    @abstractmethod
    def contains(self, name: str) -> bool:
        """Tell whether an object is there, by a HEAD."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> str:
        """Store an object and give its version."""

    @abstractmethod
    def delete(self, name: str) -> bool | None:
        """Delete an object; False if it is known that it was not there."""

    @abstractmethod
    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item]]:
        """Read many, in their order, without those that are absent."""

    @abstractmethod
    def putting(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        """Store many while the outcomes are gone through."""

    @abstractmethod
    def note_listed(self, names: Sequence[str], sizes_bytes: Sequence[int | None]) -> None:
        """Hear of the sizes of objects, a page of them, before anybody reads these."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections that are not boto3's."""


class Bulk(NamedTuple):
    """How many objects are read and stored by threads that do one each."""

    get_many: Callable[[Iterable[str]], Iterator[tuple[str, Item]]]
    putting: Callable[[Iterable[tuple[str, bytes]]], Generator[Outcome]]


class Boto3Transport(Transport):
    """One boto3 call a request, repeated by boto3; a body that was cut short is read once more."""

    def __init__(
        self,
        bucket: Bucket,
        stats: Stats,
        bulk: Bulk,
        uploads: MultipartUploads,
        ranged_reads: RangedReads,
        *,
        missing_on_forbidden: bool,
    ) -> None:
        self._bucket = bucket
        self._stats = stats
        self._missing_on_forbidden = missing_on_forbidden
        self._bulk = bulk
        self._uploads = uploads
        self._ranged_reads = ranged_reads

    def get(self, name: str) -> Item:
        try:
            return self._read(name)
        except (*DAMAGED_ON_THE_WAY, _CutRefusalError, UnfitRangeError):
            with self._bucket.translating("GetObject", name):
                return self._read(name, is_second=True)

    def contains(self, name: str) -> bool:
        """Ask by a HEAD, or by a GET of one byte where only its answer has a code.

        That is with `missing_on_forbidden`, and after a HEAD's 400, which a key that the server
        cannot hold gets as well as an expired token.
        """
        if not self._bucket.can_hold(name):
            return False
        if self._missing_on_forbidden:
            return self._contains_by_get(name)
        try:
            with self._bucket.connections.client() as client:
                client.head_object(**self._bucket.request("HeadObject", name))
        except (ClientError, BotoCoreError) as error:
            if is_absent(error):
                return False
            if status_of(error) == 400:
                return self._contains_by_get(name)
            raise translated(error, self._bucket.place("HeadObject", name)) from error
        return True

    def put(self, name: str, data: bytes) -> str:
        self._bucket.refuse_unless_held(name)
        in_parts = self._uploads.take(len(data))
        version = (self._uploads.put if in_parts else self._put)(name, data)
        self._stats.add_bytes(sent=len(data))
        return version

    def delete(self, name: str) -> bool | None:
        if not self._bucket.can_hold(name):
            return False
        try:
            with self._bucket.connections.client() as client:
                client.delete_object(**self._bucket.request("DeleteObject", name))
        except (ClientError, BotoCoreError) as error:
            if is_absent(error) or is_key_refused(error, name):
                return False
            raise translated(error, self._bucket.place("DeleteObject", name)) from error
        return None

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item]]:
        return self._bulk.get_many(names)

    def putting(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        return self._bulk.putting(items)

    def note_listed(self, names: Sequence[str], sizes_bytes: Sequence[int | None]) -> None:
        """Do nothing: boto3 gives the size before the body."""

    def close(self) -> None:
        """Do nothing: the connections are boto3's."""

    def _put(self, name: str, data: bytes) -> str:
        request = self._bucket.request("PutObject", name)
        try:
            with self._bucket.connections.client() as client:
                answer = client.put_object(**request, Body=data)
        except (ClientError, BotoCoreError) as error:
            raise translated(error, self._bucket.place("PutObject", name)) from error
        return etag_of(answer, self._bucket, name)

    def _read(self, name: str, *, is_second: bool = False) -> Item:
        """Send one GET and read its body; a body that is damaged is boto3's error."""
        if not self._bucket.can_hold(name):
            raise KeyNotFoundError(name)
        try:
            with self._bucket.connections.client() as client:
                answer = client.get_object(**self._bucket.request("GetObject", name))
                data = self._ranged_reads.data_of(name, answer)
        except DAMAGED_ON_THE_WAY:
            raise
        except (ClientError, BotoCoreError) as error:
            if is_404_without_code(error) and fits_in_xml(name) and not is_second:
                raise _CutRefusalError from error
            if self._means_absent(error, name):
                raise KeyNotFoundError(name) from None
            raise translated(error, self._bucket.place("GetObject", name)) from error
        self._stats.add_bytes(received=len(data))
        return Item(data, str(answer.get("ETag", NO_VERSION)))

    def _contains_by_get(self, name: str) -> bool:
        try:
            with self._bucket.connections.client() as client:
                answer = client.get_object(
                    **self._bucket.request("GetObject", name), Range="bytes=0-0"
                )
                answer["Body"].close()
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == "InvalidRange" or status_of(error) == 416:
                return True  # It is there, and empty.
            if self._means_absent(error, name):
                return False
            raise translated(error, self._bucket.place("GetObject", name)) from error
        return True

    def _means_absent(self, error: Exception, name: str) -> bool:
        """Tell whether a GET's failure says that the key is not there."""
        if self._missing_on_forbidden and code_of(error) == "AccessDenied":
            return True
        if is_absent(error) or is_key_refused(error, name):
            return True
        if not is_404_without_code(error) or fits_in_xml(name):
            return False
        # S3's answer quotes the key, which makes it no XML, and boto3 lose its code: was it the key
        # that is absent, or the bucket, or was that no S3 at all? A listing knows.
        listed = next(pages_of(self._bucket, name, 1))
        return self._bucket.key(name) not in listed.keys


class _CutRefusalError(Exception):
    """Something is not there, and the answer's body, which says what, did not arrive."""
