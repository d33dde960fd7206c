"""`aws-s3`: a shelf in a bucket of Amazon S3, or of another server that speaks its protocol.

The object of a key is named `key_prefix/key`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from itertools import chain, islice
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self

from cshelve._config.sections import Sections
from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    DBDoesNotExistsError,
    Error,
    KeyNotFoundError,
    StorageError,
)
from cshelve.providers.aws_s3 import multipart
from cshelve.providers.aws_s3.bucket import Bucket, expiry_in, only_if_not
from cshelve.providers.aws_s3.bulk_delete import BulkDelete
from cshelve.providers.aws_s3.conditional import delete_if, put_if
from cshelve.providers.aws_s3.copies import copy_object, have_one_client
from cshelve.providers.aws_s3.downloads import download
from cshelve.providers.aws_s3.errors import UnchangedError, code_of, failures, translated
from cshelve.providers.aws_s3.inspecting import inspected
from cshelve.providers.aws_s3.listing import Objects
from cshelve.providers.aws_s3.options import OPTIONS, S3Settings, settings_from
from cshelve.providers.aws_s3.pages import pages_of, require_listing
from cshelve.providers.aws_s3.probe import Condition, Probe
from cshelve.providers.aws_s3.ranged_reads import RangedReads
from cshelve.providers.aws_s3.requests import Requests
from cshelve.providers.aws_s3.sending import HEADER_OF_EXPIRY
from cshelve.providers.aws_s3.tasks import ReadMany, ReadManyIfChanged, WriteMany
from cshelve.providers.aws_s3.who_asks import who_asks
from cshelve.providers.base import (
    DEFAULT_CONCURRENCY,
    Capabilities,
    Details,
    Entry,
    Item,
    Outcome,
    Provider,
)
from cshelve.providers.bulk import delete_each, get_each, warn_of_whole_bucket

if TYPE_CHECKING:
    import logging

    from boto3.session import Session

    from cshelve.providers.on_event_loop import OnEventLoop
    from cshelve.providers.stats import Attempt
    from cshelve.providers.streams import Source, Target

__all__ = ["AwsS3"]

# Regions for which CreateBucket accepts no LocationConstraint: S3's first one, and names that do
# not stand for one region.
REGIONS_WITHOUT_CONSTRAINT = frozenset({"", "us-east-1", "aws-global", "auto"})


class AwsS3(Provider):
    """Objects in a bucket of Amazon S3, or of a server that speaks its protocol.

    Each method sends one request unless it says otherwise. A large value needs one request for each
    chunk, and two more when it is written. S3 stores and deletes an object as a whole or not at
    all. Safe in many threads.

    The direct engine sends requests, and boto3 sends those that the engine cannot. boto3 retries
    temporary failures, except of requests with a condition. A body that was cut short is requested
    once more.

        with cshelve.open_provider(AwsS3("my-bucket", key_prefix="app")) as db:
            db["greeting"] = "hello"
    """

    options = OPTIONS
    capabilities = Capabilities(
        conditional_put=True,
        conditional_delete=True,
        delete_reports=False,
        copies=True,
        lists_from_key=True,
    )

    def __init__(
        self,
        bucket_name: str,
        *,
        key_prefix: str | None = None,
        auth_type: str = "default",
        key_id: str | None = None,
        key_secret: str | None = None,
        session_token: str | None = None,
        profile_name: str | None = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        engine: str = "auto",
        session: Session | None = None,
        provider_params: Mapping[str, Any] | None = None,
        put_params: Mapping[str, Any] | None = None,
        logger: logging.Logger | None = None,
        **options: Any,
    ) -> None:
        """Set the options; each argument is the option of the same name in a configuration.

        `auth_type` is `default` (boto3's credential chain), `access_key` (with `key_id` and
        `key_secret`), `profile` (with `profile_name`) or `anonymous`. `session` is your own
        `boto3.Session`, whose credentials and region are used. `provider_params` and `put_params`
        are the sections with these names, and `options` are any other options of `[default]`, such
        as `multipart_chunk_bytes`. A `$` in a value has no special meaning here.

        Sends no request. Raises `ConfigurationError` for options that are missing or unknown, or
        that do not go together.
        """
        default = dict(
            bucket_name=bucket_name,
            key_prefix=key_prefix,
            auth_type=auth_type,
            key_id=key_id,
            key_secret=key_secret,
            session_token=session_token,
            profile_name=profile_name,
            region_name=region_name,
            concurrency=concurrency,
            engine=engine,
            **options,
        )
        of_client = {"endpoint_url": endpoint_url, "boto3_session": session}
        contents = {
            "default": _given(default),
            "provider_params": {**_given(provider_params or {}), **_given(of_client)},
            "put_params": _given(put_params or {}),
        }
        config = Sections("AwsS3", contents, from_file=False, flag="c", logger=logger)
        config.declare(self.options)
        config.refuse_unknown()
        self._set_up(settings_from(config), config.logger)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        provider = cls.__new__(cls)
        provider._set_up(settings_from(config), config.logger)
        return provider

    def _set_up(self, settings: S3Settings, logger: logging.Logger) -> None:
        self._settings = settings
        self._bucket = Bucket(settings)
        super().__init__(concurrency=settings.concurrency)
        self._requests = Requests(settings, self._bucket, self.stats, logger)
        self.concurrency = self._requests.config.concurrency
        # A configuration cannot contain the caller's session.
        self.can_be_reopened = settings.session is None
        self._logger = logger
        self._most_bytes = min(settings.multipart_threshold_bytes, multipart.LARGEST_PUT_BYTES)
        """The size of the largest value that is stored by one request."""
        slow_seconds = settings.slow_request_seconds or inf
        self.stats.tell_of_attempts(self._tell, logger, slow_seconds)
        logger.info("%s: engine %s (%s)", self.location, self.engine, self._requests.reason)

    @property
    def engine(self) -> str:
        """The engine in use: `direct`, with boto3 beside it, or `boto3`."""
        return str(self.stats.engine)

    @property
    def engine_reason(self) -> str:
        """Why this engine is in use."""
        return self._requests.reason

    @property
    def content_type(self) -> str | None:
        return self._bucket.content_type

    @content_type.setter
    def content_type(self, content_type: str | None) -> None:
        self._requests.set_content_type(content_type)

    @property
    def expiry_of(self) -> Callable[[bytes], float | None] | None:
        return self._requests.expiry_of

    @expiry_of.setter
    def expiry_of(self, expiry_of: Callable[[bytes], float | None] | None) -> None:
        self._requests.expiry_of = expiry_of

    @property
    def location(self) -> str:
        return self._bucket.location

    def exists(self) -> bool:
        """Return whether the bucket exists, by listing one key.

        Without `check_bucket`, send nothing and return True.
        """
        if not self._settings.check_bucket:
            return True
        try:
            require_listing(self._requests)
        except DBDoesNotExistsError:
            return False
        return True

    def create(self) -> None:
        """Create the bucket in the client's region.

        Raises `AuthError` or `CanNotCreateDBError` if that fails.
        """
        region = self._requests.clients.meta.region_name or ""
        where: dict[str, Any] = {}
        if region not in REGIONS_WITHOUT_CONSTRAINT:
            where["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            with self._requests.permit():
                self._requests.boto3.call("CreateBucket", None, where)
        except failures() as error:
            # Another program may have created it meanwhile. If we may list it, it is ours.
            taken = code_of(error) in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
            if taken and self._is_ours():
                return
            failure = translated(error, self._bucket.place("CreateBucket"))
            if isinstance(failure, AuthError | CanNotCreateDBError):
                raise failure from error
            raise CanNotCreateDBError(str(failure)) from error
        # The usual reason is a misspelt name.
        self._logger.warning("%s: the bucket did not exist, and was created", self.location)

    def close(self) -> None:
        self._requests.close()

    def get(self, name: str) -> Item:
        return self._read(name, None)

    def get_if_changed(self, name: str, version: str) -> Item | None:
        """Return the item, or None if it has this version: then the response has no body."""
        try:
            return self._read(name, only_if_not(version))
        except UnchangedError:
            return None

    def get_many_if_changed(
        self, versions: Iterable[tuple[str, str | None]]
    ) -> Generator[tuple[str, Item | None]]:
        if self._requests.direct() is None:
            yield from super().get_many_if_changed(versions)
            return
        read = ReadManyIfChanged(self._requests).results(versions, self.concurrency)
        with closing(read):
            for (name, _), item in read:
                yield name, item

    def who_asks(self) -> str | None:
        return who_asks(self._settings)

    def _read(self, name: str, condition: Mapping[str, str] | None) -> Item:
        requests = self._requests
        if requests.key_of(name) is None:
            raise KeyNotFoundError(name)
        with requests.permit():
            item = requests.read(name, self._settings.multipart_threshold_bytes, condition)
        if not isinstance(item, Item):
            if item is None:
                item = requests.boto3.get_in_ranges(name, self._ranged_reads, None, condition)
            else:
                item = self._ranged_reads.item(name, item)
        return item

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        """Return the details, by a GET of the first bytes, and a HEAD if the object is empty."""
        if self._requests.key_of(name) is None:
            raise KeyNotFoundError(name)
        return inspected(self._requests, name, head_bytes)

    def contains(self, name: str) -> bool:
        """Return whether the object exists, by a HEAD, or a GET of one byte for its error code."""
        return self.expires_at(name) is not None

    def expires_at(self, name: str) -> float | None:
        """Return when the object expires, by its metadata; the request is that of `contains`."""
        requests = self._requests
        if requests.key_of(name) is None:
            return None
        with requests.permit():
            answer = requests.answer("HeadObject", name)
            if answer is None:
                return requests.boto3.expires_at(name)
        return None if answer.status == 404 else expiry_in(answer.headers.get(HEADER_OF_EXPIRY))

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store an object; before the first condition of a kind, probe if the server honours it."""
        requests = self._requests
        if requests.key_of(name) is None:
            raise self._bucket.not_storable(name)
        if if_absent or if_version is not None:
            self._probe.require(Condition.ABSENT if if_absent else Condition.UNCHANGED)
            expected = None if if_absent else if_version
            version = put_if(requests, self._uploads, name, data, expected)
        elif len(data) > self._most_bytes:
            version = self._uploads.put(name, data)
        else:
            with requests.permit():
                answer = requests.answer("PutObject", name, requests.parameters_of(data), data)
                if answer is None:
                    version = requests.boto3.put(name, data)
                else:
                    version = answer.headers["etag"]
        return version

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        requests = self._requests
        if requests.key_of(name) is None:
            return False
        if if_version is not None:
            self._probe.require(Condition.DELETE_UNCHANGED)
            delete_if(requests, name, if_version)
            return True
        with requests.permit():
            answer = requests.answer("DeleteObject", name)
            if answer is None:
                return requests.boto3.delete(name)
            return False if answer.status == 404 else None

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Yield the entry of each object; this sends one request for each 1,000."""
        pages = pages_of(self._requests, prefix, start_after, limit)
        return islice(chain.from_iterable(map(self._entries, pages)), limit)

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        pages = pages_of(self._requests, prefix, start_after, limit)
        return islice(chain.from_iterable(map(self._names, pages)), limit)

    def upload(self, name: str, source: Source) -> str:
        """Store a file; in parts if it is long enough, with only a few of them in memory."""
        if self._requests.key_of(name) is None:
            raise self._bucket.not_storable(name)
        part_bytes = self._uploads.part_bytes(source.size_bytes)
        pieces = source.pieces(part_bytes)
        begun: deque[bytes] = deque()
        size = 0
        for piece in pieces:
            begun.append(piece)
            size += len(piece)
            if size > self._most_bytes:
                break
        else:
            version = self.put(name, b"".join(begun))
            source.moved(size)
            return version
        del piece

        def parts() -> Iterator[bytes]:
            while begun:
                yield begun.popleft()
            yield from pieces

        return self._uploads.put_parts(name, parts(), part_bytes, source.moved)

    def download(self, name: str, target: Target) -> None:
        """Write a value to a file, in ranges of one version, with only a few of them in memory."""
        if self._requests.key_of(name) is None:
            raise KeyNotFoundError(name)
        range_bytes = self._settings.multipart_chunk_bytes
        download(self._requests, self._ranged_reads, name, target, range_bytes)

    def shares_store(self, other: Provider) -> bool:
        """Return whether the other provider uses the same server and credentials."""
        return type(other) is AwsS3 and have_one_client(self._settings, other._settings)

    def copy(
        self,
        source: str,
        target: str,
        *,
        if_version: str | None = None,
        origin: Provider | None = None,
    ) -> None:
        """Copy inside S3, with metadata and content type; read and write objects over 5 GB."""
        store = origin if isinstance(origin, AwsS3) else self
        if store._requests.key_of(source) is None:
            raise KeyNotFoundError(source)
        if self._requests.key_of(target) is None:
            raise self._bucket.not_storable(target)
        if not copy_object(self._requests, store._requests, source, target, if_version):
            super().copy(source, target, if_version=if_version, origin=origin)

    def presigned_url(self, name: str, expires_seconds: float) -> str:
        """Return a link signed by boto3, which may fetch credentials, but sends nothing to S3."""
        if self._requests.key_of(name) is None:
            raise self._bucket.not_storable(name)
        from cshelve.providers.aws_s3.presigning import presigned_url  # It imports botocore.

        return presigned_url(self._requests, self._settings, name, expires_seconds)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item | None]]:
        if self._requests.direct() is None:
            return get_each(self, names)
        return ReadMany(self._requests).results(names, self.concurrency)

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        writing = WriteMany(self._requests, self.put, self._most_bytes)
        written = writing.results(items, self.concurrency, key_of=itemgetter(0))
        with closing(written):
            for _, outcome in written:
                yield outcome

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete 1,000 keys in a request, or one by one if the server cannot do that."""
        return self._bulk_delete.outcomes(names)

    def on_event_loop(self) -> OnEventLoop | None:
        if type(self) is not AwsS3:
            return None  # A subclass may do more in `get` or `put`.
        from cshelve.providers.aws_s3.on_event_loop import S3OnEventLoop  # It imports asyncio.

        return S3OnEventLoop.of(self._requests, self.put, self._most_bytes, self._probe)

    def guard_purge(self, deleting: Generator[Outcome]) -> Generator[Outcome]:
        """Log a warning at the end if this deletes the objects of a whole bucket."""
        if self._bucket.prefix:
            return deleting
        return warn_of_whole_bucket(deleting, self._logger, self.location)

    @cached_property
    def _bulk_delete(self) -> BulkDelete:
        return BulkDelete(self._requests, lambda names: delete_each(self, names))

    @cached_property
    def _probe(self) -> Probe:
        return Probe(self._requests)

    @cached_property
    def _ranged_reads(self) -> RangedReads:
        settings = self._settings
        sizes = (settings.multipart_threshold_bytes, settings.multipart_chunk_bytes)
        return RangedReads(self._requests, *sizes)

    @property
    def _uploads(self) -> multipart.MultipartUploads:
        return multipart.MultipartUploads(self._requests, self._settings.multipart_chunk_bytes)

    def _names(self, page: Objects) -> list[str]:
        prefix = self._bucket.prefix
        return [key.removeprefix(prefix) for key in page.keys] if prefix else page.keys

    def _entries(self, page: Objects) -> Iterator[Entry]:
        prefix = self._bucket.prefix
        place = self._bucket.place("ListObjectsV2")
        try:
            rows = list(page.rows())
        except ValueError as error:  # A date that does not exist.
            problem = f"the server's response cannot be read ({error})."
            raise StorageError(f"{place}: {problem}") from error
        for key, size, date, etag in rows:
            name = key.removeprefix(prefix)
            if size is None or date is None:
                raise StorageError(
                    f"{place._replace(name=name)}: the listing has no size or no date for this "
                    "object."
                )
            yield Entry(name, size, date, etag)

    def _tell(self, attempt: Attempt) -> None:
        from cshelve.providers.aws_s3.telling import tell

        slow_seconds = self._settings.slow_request_seconds or inf
        tell(self._requests, self._logger, slow_seconds, attempt)

    def _is_ours(self) -> bool:
        """Return whether we may list the bucket."""
        try:
            require_listing(self._requests)
        except Error:
            return False
        return True


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not None, in a configuration's form: `$$` stands for `$`."""
    return {
        name: f"${value}" if isinstance(value, str) and value.startswith("$") else value
        for name, value in options.items()
        if value is not None
    }
