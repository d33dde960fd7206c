"""`gcs`: a shelf in a bucket of Google Cloud Storage.

The object of a key is named `key_prefix/key`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from cshelve._config.sections import Sections
from cshelve.exceptions import (
    DBDoesNotExistsError,
    Error,
    KeyNotFoundError,
    KeyNotStorableError,
)
from cshelve.providers.base import (
    DEFAULT_CONCURRENCY,
    Capabilities,
    Details,
    Entry,
    Item,
    Outcome,
    Provider,
)
from cshelve.providers.bulk import warn_of_whole_bucket
from cshelve.providers.gcs.conditional import delete_if, put_if
from cshelve.providers.gcs.errors import FailureError, NoCredentialsError, translated
from cshelve.providers.gcs.options import LONGEST_NAME, OPTIONS, GcsSettings, settings_from
from cshelve.providers.gcs.reading import download, generation_in, inspected, listed, sent_for
from cshelve.providers.gcs.requests import OK, Call, Requests
from cshelve.providers.gcs.uploads import CHUNK_BYTES, Uploads

if TYPE_CHECKING:
    import logging

    from cshelve.providers.streams import Source, Target

__all__ = ["Gcs"]

# A record tells in its first bytes when it expires.
HEAD_BYTES = 64
NO_RANGE = 416


class Gcs(Provider):
    """Objects in a bucket of Google Cloud Storage.

    Each method sends one request unless it says otherwise. Values over 8 MiB need one request for
    each 8 MiB when they are written, and one more. An object is stored and deleted as a whole or
    not at all. Safe in many threads.

    Temporary failures are retried. Before a request with a condition is sent again, one request
    finds out whether it was carried out.

        with cshelve.open_provider(Gcs("my-bucket", key_prefix="app")) as db:
            db["greeting"] = "hello"
    """

    options = OPTIONS
    capabilities = Capabilities(
        conditional_put=True,
        conditional_delete=True,
        delete_reports=True,
        copies=True,
        lists_from_key=True,
    )

    def __init__(
        self,
        bucket_name: str,
        *,
        key_prefix: str | None = None,
        auth_type: str = "default",
        credentials_file: str | None = None,
        credentials: Any = None,
        project: str | None = None,
        bucket_location: str | None = None,
        api_endpoint: str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        provider_params: Mapping[str, Any] | None = None,
        logger: logging.Logger | None = None,
        **options: Any,
    ) -> None:
        """Set the options; each argument is the option of the same name in a configuration.

        `auth_type` is `default` (google-auth's application default credentials), `service_account`
        (with `credentials_file`) or `anonymous`. `credentials` are your own, an object of
        google-auth. `provider_params` is the section with this name, and `options` are any other
        options of `[default]`, such as `read_timeout_seconds`. A `$` in a value has no special
        meaning here.

        Sends no request. Raises `ConfigurationError` for options that are missing or unknown, or
        that do not go together.
        """
        default = dict(
            bucket_name=bucket_name,
            key_prefix=key_prefix,
            auth_type=auth_type,
            credentials_file=credentials_file,
            bucket_location=bucket_location,
            concurrency=concurrency,
            **options,
        )
        parameters = {
            **(provider_params or {}),
            **_given({"credentials": credentials, "project": project}),
            **_given({"client_options.api_endpoint": api_endpoint}),
        }
        contents = {"default": {n: _literal(value) for n, value in _given(default).items()}}
        config = Sections(
            "Gcs", contents, from_file=False, flag="c", call_params=parameters, logger=logger
        )
        config.declare(self.options)
        config.refuse_unknown()
        self._set_up(settings_from(config), config.logger)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        provider = cls.__new__(cls)
        provider._set_up(settings_from(config), config.logger)
        return provider

    def _set_up(self, settings: GcsSettings, logger: logging.Logger) -> None:
        super().__init__(concurrency=settings.concurrency)
        self._settings = settings
        self._requests = Requests(settings, self.stats)
        self._uploads = Uploads(self._requests)
        self._logger = logger
        # A configuration cannot contain the caller's credentials.
        self.can_be_reopened = settings.credentials is None

    @property
    def content_type(self) -> str | None:
        return self._uploads.content_type

    @content_type.setter
    def content_type(self, content_type: str | None) -> None:
        self._uploads.content_type = content_type

    @property
    def location(self) -> str:
        return self._requests.location

    def exists(self) -> bool:
        """Return whether the bucket exists, by listing one object."""
        try:
            next(listed(self._requests, "", None, 1), None)
        except DBDoesNotExistsError:
            return False
        return True

    def create(self) -> None:
        """Create the bucket in the project of the configuration or of the credentials.

        Raises `AuthError` or `CanNotCreateDBError` if that fails.
        """
        from cshelve.providers.gcs.buckets import create_bucket  # Rarely needed.

        if create_bucket(self._requests):
            # The usual reason is a misspelt name.
            self._logger.warning("%s: the bucket did not exist, and was created", self.location)

    def close(self) -> None:
        self._requests.close()

    def get(self, name: str) -> Item:
        self._refuse_absent(name)
        call = self._requests.media(name)
        answer = sent_for(self._requests, call)
        return Item(answer.body, generation_in(self._requests, call, answer.headers))

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        """Return the details, by a GET of the first bytes, and a second one for an empty object."""
        self._refuse_absent(name)
        return inspected(self._requests, name, head_bytes)

    def contains(self, name: str) -> bool:
        if not self._requests.can_hold(name):
            return False
        try:
            sent_for(self._requests, self._requests.metadata(name, "generation"))
        except KeyNotFoundError:
            return False
        return True

    def expires_at(self, name: str) -> float | None:
        """Return when the object expires, by its first bytes."""
        if not self._requests.can_hold(name):
            return None
        call = self._requests.media(name, {"Range": f"bytes=0-{HEAD_BYTES - 1}"})
        try:
            answer = sent_for(self._requests, call._replace(accepts=OK | {NO_RANGE}))
        except KeyNotFoundError:
            return None
        return self.expiry_in(b"" if answer.status == NO_RANGE else answer.body)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self._refuse_not_storable(name)
        if if_absent or if_version is not None:
            expected = None if if_absent else if_version
            return put_if(self._requests, self._uploads, name, data, expected)
        try:
            return self._uploads.put(name, data)
        except (FailureError, NoCredentialsError) as error:
            raise self._failed_write(error, name) from error

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        """Delete an object; return None if it is absent, but perhaps due to an earlier attempt."""
        if not self._requests.can_hold(name):
            return False
        if if_version is not None:
            return delete_if(self._requests, name, if_version)
        url = self._requests.object_url(name)
        call = Call("objects.delete", "DELETE", url, name)
        try:
            self._requests.send(call)
        except FailureError as error:
            if self._requests.is_absent(error, call):
                return None if error.lost_before else False
            self._requests.fail(error, call)
        except NoCredentialsError as error:
            self._requests.fail(error, call)
        return True

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Yield the entry of each object; this sends one request for each 1,000."""
        return islice(listed(self._requests, prefix, start_after, limit), limit)

    def upload(self, name: str, source: Source) -> str:
        """Store a file; in chunks if it is large, with only two of them in memory."""
        self._refuse_not_storable(name)
        chunks = source.pieces(CHUNK_BYTES)
        begun = deque(islice(chunks, 2))
        if len(begun) < 2:
            data = b"".join(begun)
            version = self.put(name, data)
            source.moved(len(data))
            return version

        def all_chunks() -> Iterator[bytes]:
            while begun:
                yield begun.popleft()
            yield from chunks

        try:
            return self._uploads.put_chunks(name, all_chunks(), moved=source.moved)
        except (FailureError, NoCredentialsError) as error:
            raise self._failed_write(error, name) from error

    def download(self, name: str, target: Target) -> None:
        """Write a value to a file piece by piece; after a failure, request only the rest."""
        self._refuse_absent(name)
        download(self._requests, name, target)

    def shares_store(self, other: Provider) -> bool:
        """Return whether the other provider uses the same server and credentials."""
        return (
            type(other) is Gcs
            and other._settings.identity == self._settings.identity
            and other._settings.credentials is self._settings.credentials
        )

    def copy(
        self,
        source: str,
        target: str,
        *,
        if_version: str | None = None,
        origin: Provider | None = None,
    ) -> None:
        """Copy inside Google Cloud Storage, with metadata and content type.

        This takes one request, or several if the object is large, and another location or storage
        class is the target.
        """
        from cshelve.providers.gcs.copies import rewrite  # Rarely needed.

        store = origin if isinstance(origin, Gcs) else self
        store._refuse_absent(source)
        self._refuse_not_storable(target)
        rewrite(self._requests, store._requests, source, target, if_version)

    def presigned_url(self, name: str, expires_seconds: float) -> str:
        """Return a link signed by the credentials, with Signature Version 4."""
        self._refuse_not_storable(name)
        from cshelve.providers.gcs.presigning import presigned_url  # It imports google-auth.

        return presigned_url(self._requests, name, expires_seconds)

    def guard_purge(self, deleting: Generator[Outcome]) -> Generator[Outcome]:
        """Log a warning at the end if this deletes the objects of a whole bucket."""
        if self._settings.prefix:
            return deleting
        return warn_of_whole_bucket(deleting, self._logger, self.location)

    def _refuse_absent(self, name: str) -> None:
        """Raise `KeyNotFoundError` for a name that no object can have."""
        if not self._requests.can_hold(name):
            raise KeyNotFoundError(name)

    def _refuse_not_storable(self, name: str) -> None:
        if not self._requests.can_hold(name):
            raise KeyNotStorableError(
                f"{name[:50]!r} in {self.location}: Google Cloud Storage holds names of 1 to "
                f"{LONGEST_NAME:,} bytes, the prefix included, without line ends, other than '.' "
                "and '..', which do not begin with .well-known/acme-challenge/. Nothing was sent."
            )

    def _failed_write(self, error: FailureError | NoCredentialsError, name: str) -> Error:
        return translated(error, self._requests.place("objects.insert", name))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _literal(value: Any) -> Any:
    """Return a value in a configuration's form: `$$` stands for `$`."""
    return f"${value}" if isinstance(value, str) and value.startswith("$") else value
