"""`azure-blob`: a shelf in a container of Azure Blob Storage.

The blob of a key is named `key_prefix/key`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self

from cshelve._config.sections import Sections
from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    CreateRefusedError,
    DBDoesNotExistsError,
    KeyNotFoundError,
    KeyNotStorableError,
)
from cshelve.providers.azure_blob.names import problem_of
from cshelve.providers.azure_blob.options import (
    OBJECTS,
    OPTIONS,
    AzureSettings,
    settings_from,
)
from cshelve.providers.azure_blob.requests import Requests
from cshelve.providers.base import (
    DEFAULT_CONCURRENCY,
    Capabilities,
    Details,
    Entry,
    Item,
    Outcome,
    Provider,
)
from cshelve.providers.bulk import delete_each

if TYPE_CHECKING:
    import logging

    from cshelve.providers.streams import Source, Target

__all__ = ["AzureBlob"]

# Enough of a record to contain its expiry time.
HEAD_BYTES = 64


class AzureBlob(Provider):
    """Blobs in a container of Azure Blob Storage.

    Each method sends one request unless it says otherwise. A large value needs one request for each
    block or range, and one more when it is written. Azure stores and deletes a blob as a whole or
    not at all. Safe in many threads.

        account = "https://myaccount.blob.core.windows.net"
        with cshelve.open_provider(AzureBlob("notes", account_url=account)) as db:
            db["greeting"] = "hello"
    """

    options = OPTIONS
    capabilities = Capabilities(
        conditional_put=True, conditional_delete=True, delete_reports=True, copies=True
    )

    def __init__(
        self,
        container_name: str,
        *,
        account_url: str | None = None,
        key_prefix: str | None = None,
        auth_type: str = "passwordless",
        access_key: str | None = None,
        connection_string: str | None = None,
        sas_token: str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        provider_params: Mapping[str, Any] | None = None,
        logger: logging.Logger | None = None,
        **options: Any,
    ) -> None:
        """Set the options; each argument is the option of the same name in a configuration.

        `auth_type` is `passwordless` (the credentials that azure-identity finds), `access_key`,
        `connection_string` or `sas`, each with its secret, or `anonymous`. `provider_params` are
        parameters of `BlobServiceClient`, and `options` are any other options of `[default]`. A `$`
        in a value has no special meaning here.

        Sends no request. Raises `ConfigurationError` for options that are missing or unknown, or
        that do not go together.
        """
        default = dict(
            container_name=container_name,
            account_url=account_url,
            key_prefix=key_prefix,
            auth_type=auth_type,
            access_key=access_key,
            connection_string=connection_string,
            sas_token=sas_token,
            concurrency=concurrency,
            **options,
        )
        config = Sections(
            "AzureBlob",
            {"default": _given(default)},
            from_file=False,
            flag="c",
            call_params=provider_params,
            logger=logger,
        )
        config.declare(self.options)
        config.refuse_unknown()
        self._set_up(settings_from(config), config.logger)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        provider = cls.__new__(cls)
        provider._set_up(settings_from(config), config.logger)
        return provider

    def _set_up(self, settings: AzureSettings, logger: logging.Logger) -> None:
        super().__init__(concurrency=settings.concurrency)
        self._settings = settings
        self._location = f"az://{settings.account}/{settings.container_name}/{settings.prefix}"
        self._location = self._location.rstrip("/")
        self._logger = logger
        self._requests = Requests(settings, self._location, self.stats)
        # A configuration cannot contain the caller's objects.
        self.can_be_reopened = not OBJECTS.intersection(settings.client_params)

    @property
    def location(self) -> str:
        return self._location

    def exists(self) -> bool:
        """Return whether the container exists, by listing one blob.

        Without `check_container`, send nothing and return True.
        """
        if not self._settings.check_container:
            return True
        try:
            next(self._pages("", 1), None)
        except DBDoesNotExistsError:
            return False
        return True

    def create(self) -> None:
        """Create the container.

        Raises `AuthError` or `CanNotCreateDBError` if that fails.
        """
        from cshelve.providers.azure_blob.errors import AzureError, code_of

        operation = "CreateContainer"
        container = self._requests.clients.container
        try:
            self._requests.send(operation, None, container.create_container)
        except AzureError as error:
            if code_of(error) == "ContainerAlreadyExists":
                return
            failure = self._requests.error(error, operation)
            kind = CreateRefusedError if isinstance(failure, AuthError) else CanNotCreateDBError
            raise kind(str(failure)) from error
        # The usual reason is a misspelt name.
        self._logger.warning("%s: the container did not exist, and was created", self.location)

    def close(self) -> None:
        self._requests.close()

    def get(self, name: str) -> Item:
        from cshelve.providers.azure_blob.reads import item

        if not self._is_storable(name):
            raise KeyNotFoundError(name)
        return item(self._requests, name)

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        """Return the details, by a request for the first bytes, and one more for an empty blob."""
        from cshelve.providers.azure_blob.reads import inspected

        if not self._is_storable(name):
            raise KeyNotFoundError(name)
        return inspected(self._requests, name, head_bytes)

    def contains(self, name: str) -> bool:
        from cshelve.providers.azure_blob.reads import properties_of

        try:
            if self._is_storable(name):
                properties_of(self._requests, name)
                return True
        except KeyNotFoundError:
            pass
        return False

    def expires_at(self, name: str) -> float | None:
        """Read the beginning of the value, which contains its expiry time."""
        try:
            return self.expiry_in(self.inspect(name, HEAD_BYTES).head)
        except KeyNotFoundError:
            return None

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        from cshelve.providers.azure_blob.writes import put, put_if

        self._require_storable(name)
        if if_absent or if_version is not None:
            expected = None if if_absent else if_version
            return put_if(self._requests, name, data, self._properties(), expected)
        return put(self._requests, name, data, self._properties())

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        """Delete a blob; return None if a response was lost, and with it whether it existed."""
        from cshelve.providers.azure_blob.writes import delete, delete_if

        if not self._is_storable(name):
            return False
        if if_version is not None:
            return delete_if(self._requests, name, if_version)
        return delete(self._requests, name)

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Yield the entry of each blob; this sends one request for each 5,000.

        With `start_after`, the whole listing is read first, since Azure's order is another one: it
        compares names in UTF-16, and cannot begin in the middle.
        """
        if start_after is None:
            return islice(chain.from_iterable(self._pages(prefix, limit)), limit)
        return self._entries_after(start_after, prefix, limit)

    def _entries_after(self, start: str, prefix: str, limit: int | None) -> Iterator[Entry]:
        # The order of code points, in which Python compares, is that of UTF-8.
        after = (
            entry for page in self._pages(prefix, None) for entry in page if entry.name > start
        )
        if limit is None:
            yield from sorted(after)
        else:
            yield from nsmallest(limit, after)

    def upload(self, name: str, source: Source) -> str:
        """Store a file; in blocks if it is long enough, with only a few of them in memory."""
        from cshelve.providers.azure_blob.blocks import MOST_IN_MEMORY, block_bytes, put_blocks

        self._require_storable(name)
        size_bytes = block_bytes(self._settings.block_bytes, source.size_bytes)
        pieces = source.pieces(size_bytes)
        begun: deque[bytes] = deque()
        size = 0
        for piece in pieces:
            begun.append(piece)
            size += len(piece)
            if size > self._settings.single_put_bytes:
                break
        else:
            version = self.put(name, b"".join(begun))
            source.moved(size)
            return version
        del piece

        def blocks() -> Iterator[bytes]:
            while begun:
                yield begun.popleft()
            yield from pieces

        return put_blocks(
            self._requests, name, blocks(), self._properties(), MOST_IN_MEMORY, source.moved
        )

    def download(self, name: str, target: Target) -> None:
        """Write a value to a file, in ranges of one version, with only a few of them in memory."""
        from cshelve.providers.azure_blob.reads import download

        if not self._is_storable(name):
            raise KeyNotFoundError(name)
        download(self._requests, name, target)

    def shares_store(self, other: Provider) -> bool:
        """Return whether the other provider uses the same account and credentials."""
        return type(other) is AzureBlob and _account_of(self) == _account_of(other)

    def copy(
        self,
        source: str,
        target: str,
        *,
        if_version: str | None = None,
        origin: Provider | None = None,
    ) -> None:
        """Copy inside Azure, with metadata and content type; read and write large blobs."""
        from cshelve.providers.azure_blob.copies import copy_blob

        store = origin if isinstance(origin, AzureBlob) else self
        if not store._is_storable(source):
            raise KeyNotFoundError(source)
        self._require_storable(target)
        if not copy_blob(self._requests, store._requests, source, target, if_version):
            super().copy(source, target, if_version=if_version, origin=origin)

    def presigned_url(self, name: str, expires_seconds: float) -> str:
        """Return a link signed with the account's key, which sends nothing.

        With `passwordless`, Azure provides a key to sign with, by one request.
        """
        from cshelve.providers.azure_blob.links import presigned_url

        self._require_storable(name)
        return presigned_url(self._requests, name, expires_seconds)

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete 256 blobs in a request."""
        from cshelve.providers.azure_blob.deletes import delete_batches

        return delete_batches(
            self._requests, names, self._is_storable, lambda each: delete_each(self, each)
        )

    def guard_purge(self, deleting: Generator[Outcome]) -> Generator[Outcome]:
        """Log a warning at the end if this deletes the blobs of a whole container."""
        if self._settings.prefix:
            yield from deleting
            return
        deleted = 0
        try:
            for outcome in deleting:
                deleted += outcome.failure is None
                yield outcome
        finally:
            deleting.close()
            if deleted:
                blobs = "1 blob was" if deleted == 1 else f"{deleted} blobs were"
                self._logger.warning(
                    "%s: the shelf is the whole container, and %s deleted from it; key_prefix "
                    "limits a shelf to a part of a container",
                    self.location,
                    blobs,
                )

    def _is_storable(self, name: str) -> bool:
        return bool(name) and problem_of(self._settings.prefix + name) is None

    def _require_storable(self, name: str) -> None:
        if not self._is_storable(name):
            why = problem_of(self._settings.prefix + name) if name else "it is empty"
            raise KeyNotStorableError(
                f"{name[:50]!r} cannot be a key in {self.location}: {why}. Nothing was sent."
            )

    def _properties(self) -> dict[str, Any]:
        """Return the properties of each blob that is written."""
        from azure.storage.blob import ContentSettings

        kind = self.content_type
        return {} if kind is None else {"content_settings": ContentSettings(content_type=kind)}

    def _pages(self, prefix: str, limit: int | None) -> Iterator[list[Entry]]:
        from cshelve.providers.azure_blob.listing import pages_of

        return pages_of(self._requests, prefix, limit)


def _account_of(provider: AzureBlob) -> tuple[object, ...]:
    settings = provider._settings
    params = {name: settings.client_params.get(name) for name in ("credential", "transport")}
    return settings.account_url, settings.auth_type, settings.secret, params


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not None, in a configuration's form: `$$` stands for `$`."""
    return {
        name: f"${value}" if isinstance(value, str) and value.startswith("$") else value
        for name, value in options.items()
        if value is not None
    }
