"""The requests of one shelf, by the JSON API of Google Cloud Storage.

Every request is sent here: with a permit, and counted. What fails for a temporary reason is sent
again, unless the caller says otherwise. https://cloud.google.com/storage/docs/json_api
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import quote, urlencode

from cshelve._concurrency.backoff import full_jitter
from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.permits import Permit, Permits
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.exceptions import MissingDependencyError
from cshelve.providers.gcs.errors import (
    FailureError,
    NoCredentialsError,
    Place,
    message_in,
    translated,
)
from cshelve.providers.gcs.options import LONGEST_NAME, GcsSettings

if TYPE_CHECKING:
    from cshelve.providers.gcs.connection import Connection
    from cshelve.providers.stats import Stats

__all__ = ["Answer", "Call", "Requests", "Response", "crc32c_of", "pause"]

PAUSE_SECONDS = 0.1
THROTTLED_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 20.0
OK = frozenset({200, 201, 204, 206})
# https://cloud.google.com/storage/docs/objects#naming
RESERVED = ".well-known/acme-challenge/"


class Call(NamedTuple):
    """A request, before it is sent; `query` and `headers` are not encoded yet."""

    operation: str
    """The name of the method in the JSON API, such as `objects.get`."""
    method: str
    url: str
    """The path below the server's address, or a whole URL."""
    name: str | None = None
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes | memoryview = b""
    value_bytes: int = 0
    """How many bytes of the body are a value's."""
    accepts: frozenset[int] = OK
    """The statuses that are no failure."""
    is_media: bool = False
    """Whether the response has the data of an object, of which nothing may be decoded."""


class Answer(NamedTuple):
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body; raise `ValueError` if there is none."""
        read = json.loads(self.body)
        if not isinstance(read, dict):
            raise ValueError("the response is not a JSON object")
        return read


class Requests:
    """Send a shelf's requests. Safe in many threads; a forked child gets its own connections."""

    def __init__(self, settings: GcsSettings, stats: Stats) -> None:
        self.settings = settings
        self.location = f"gs://{settings.bucket_name}/{settings.prefix}".rstrip("/")
        self._stats = stats
        self._permits = PerProcess(lambda: Permits(settings.concurrency))
        self._connections: PerProcess[Connection] = PerProcess(self._connect)
        self._building = PerProcess(threading.Lock)

    @property
    def connection(self) -> Connection:
        """The client and the session of this process, which are built when first needed."""
        made = self._connections.made()
        if made is None:
            with self._building.get():
                made = self._connections.get()
        return made

    def close(self) -> None:
        """Close the connections of this process."""
        if (connection := self._connections.drop()) is not None:
            connection.close()

    def place(self, operation: str, name: str | None = None) -> Place:
        """Return the operation, name and location that begin a message."""
        return Place(operation, self.location, name)

    def can_hold(self, name: str) -> bool:
        """Return whether an object can have this name, by the rules of Google Cloud Storage."""
        full = self.settings.prefix + name
        return (
            bool(name)
            and len(full.encode()) <= LONGEST_NAME
            and full not in {".", ".."}
            and not full.startswith(RESERVED)
            and "\r" not in full
            and "\n" not in full
        )

    def objects_url(self, service: str = "") -> str:
        """Return the path of the bucket's objects; `service` is empty, or ends in a slash."""
        return f"/{service}storage/v1/b/{quote(self.settings.bucket_name, safe='')}/o"

    def object_url(self, name: str, service: str = "") -> str:
        """Return the path of an object."""
        full = quote(self.settings.prefix + name, safe="")
        return f"{self.objects_url(service)}/{full}"

    def media(self, name: str, headers: Mapping[str, str] | None = None, **query: str) -> Call:
        """Return the request for the data of an object, or for the range that a header names."""
        return Call(
            "objects.get",
            "GET",
            self.object_url(name, "download/"),
            name,
            {"alt": "media", **query},
            # Data that is compressed in the store stays so.
            {"Accept-Encoding": "gzip", **(headers or {})},
            is_media=True,
        )

    def metadata(self, name: str, fields: str) -> Call:
        """Return the request for some properties of an object."""
        return Call("objects.get", "GET", self.object_url(name), name, {"fields": fields})

    def send(self, call: Call, *, once: int | None = None) -> Answer:
        """Send a request until it succeeds, and return the response.

        With `once`, send it only once; this is the number of attempts before, which the caller has
        made. Raises `FailureError` or `NoCredentialsError`.
        """
        numbers = range(self.settings.attempts) if once is None else range(once, once + 1)
        was_lost = False
        for number in numbers:
            try:
                with self.exchange(call, number) as response:
                    return Answer(response.status, response.headers, response.read())
            except FailureError as error:
                error.attempts, error.lost_before = number + 1, was_lost
                if not error.is_transient or number == numbers[-1]:
                    raise
                was_lost = was_lost or error.is_lost
                pause(number, error)
        raise AssertionError("there is at least one attempt")

    def sent(self, call: Call) -> Answer:
        """Do the same as `send`, but raise one of cshelve's errors."""
        try:
            return self.send(call)
        except (FailureError, NoCredentialsError) as error:
            self.fail(error, call)

    def fail(self, error: FailureError | NoCredentialsError, call: Call) -> NoReturn:
        """Raise cshelve's error for a failure."""
        raise translated(error, self.place(call.operation, call.name)) from error

    def is_absent(self, error: FailureError, call: Call) -> bool:
        """Return whether a failure means that the object is absent, and not its bucket.

        Google's messages say which. If another server's does not, this sends a listing.
        """
        if error.status != 404 or error.says_no_bucket:
            return False
        if not error.says_absent:
            self.sent(self.listing({"maxResults": "1"}))
        return True

    def listing(self, query: Mapping[str, str]) -> Call:
        """Return the request for a page of objects."""
        fields = "items(name,size,generation,timeCreated),nextPageToken"
        return Call("objects.list", "GET", self.objects_url(), None, {"fields": fields, **query})

    @contextmanager
    def exchange(self, call: Call, number: int = 0) -> Iterator[Response]:
        """Send a request once, yield the response, and close it. The body is still to be read.

        Raises `FailureError` for a failure of the transport, also while the body is read, and for a
        status that the call does not accept. Holds a permit until the end. `number` counts the
        attempts from 0.
        """
        refuse_if_stopped()
        connection = self.connection
        response = Response()
        failure: BaseException | None = None
        with Permit(self._permits.get()):
            began = time.monotonic()
            try:
                response.begin(self._begun(connection, call), call)
                if response.status not in call.accepts:
                    raise FailureError(message_in(response.read()), response.status)
                yield response
            except FailureError as error:
                failure = error
                raise
            except _transport_errors() as error:
                failure = error
                _raise_from_signal_handler(error)
                raise _failure_of(error) from error
            except BaseException as error:
                failure = error
                raise
            finally:
                response.close()
                self._stats.count(
                    call.operation,
                    key=None if call.name is None else self.settings.prefix + call.name,
                    status=response.status,
                    sent=call.value_bytes,
                    received=response.received,
                    seconds=time.monotonic() - began,
                    attempt=number + 1,
                    error=failure if response.status == 0 else None,
                )

    def _begun(self, connection: Connection, call: Call) -> Any:
        url = call.url if "://" in call.url else connection.base_url + call.url
        if call.query:
            url += "?" + urlencode(call.query)
        return connection.request(
            call.method,
            url,
            # Without a body, requests sends the length 0 for a POST, which the server demands.
            data=call.body or None,
            headers=dict(call.headers),
            timeout=self.settings.timeouts,
            stream=True,
            allow_redirects=False,
        )

    def _connect(self) -> Connection:
        try:
            from cshelve.providers.gcs.connection import Connection  # It imports the SDK.
        except ModuleNotFoundError as error:
            # If a configuration chooses the provider, this has been found out earlier.
            raise MissingDependencyError(
                f"the provider gcs needs the package {error.name}: pip install 'cshelve[gcs]'",
                name=error.name,
            ) from error
        return Connection(self.settings)


class Response:
    """A response whose body is still to be read."""

    def __init__(self) -> None:
        self.status = 0
        """0 if no response has arrived."""
        self.headers: Mapping[str, str] = {}
        self.received = 0
        """The number of bytes of an object's data that have been read."""
        self._response: Any = None
        self._is_media = False

    def begin(self, response: Any, call: Call) -> None:
        """Take over a response of requests."""
        self._response = response
        self.status, self.headers = response.status_code, response.headers
        self._is_media = call.is_media

    def read(self) -> bytes:
        """Return the body; data of an object is as it is stored, and verified by its checksum."""
        if not self._is_media or self.status not in OK:
            body: bytes = self._response.content
            return body
        data = b"".join(self.pieces(None))
        _verify(data, self)
        return data

    def pieces(self, size_bytes: int | None) -> Iterator[bytes]:
        """Yield the data of an object in pieces of at most this size; None for all at once."""
        raw = self._response.raw
        while True:
            piece: bytes = raw.read(size_bytes, decode_content=False)
            self.received += len(piece)
            if piece:
                yield piece
            if size_bytes is None or not piece:
                break
        # Not every version of urllib3 notices that.
        length = self.headers.get("Content-Length")
        if length is not None and self.received != int(length):
            raise FailureError(f"only {self.received} of {length} bytes arrived")

    def close(self) -> None:
        """Return the connection to its pool, or close it if there is more of the body."""
        if self._response is not None:
            self._response.close()


def pause(number: int, error: FailureError) -> None:
    """Wait before the next attempt; `number` counts the attempts from 0."""
    first = THROTTLED_PAUSE_SECONDS if error.status == 429 else PAUSE_SECONDS
    time.sleep(full_jitter(number, first, LONGEST_PAUSE_SECONDS))


def crc32c_of(data: bytes | memoryview) -> str | None:
    """Return a checksum as the API has it; None if only slow code in Python could compute it."""
    import google_crc32c  # A requirement of the SDK.

    if google_crc32c.implementation != "c":
        return None
    import base64

    value: int = google_crc32c.value(bytes(data))
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def _verify(data: bytes, response: Response) -> None:
    """Raise `FailureError` if the data of a whole object differs from its checksum."""
    checksums = response.headers.get("X-Goog-Hash", "")
    _, found, rest = checksums.partition("crc32c=")
    if not found or response.status != 200:
        return
    computed = crc32c_of(data)
    if computed is not None and computed != rest.partition(",")[0].strip():
        raise FailureError("the data was damaged on its way: its checksum differs")


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return the classes of the errors of sending a request, and of reading its response."""
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    return GoogleAuthError, RequestException, HTTPError


def _failure_of(error: Exception) -> FailureError | NoCredentialsError:
    from google.auth.exceptions import GoogleAuthError, TransportError
    from requests.exceptions import ConnectTimeout, ProxyError, SSLError
    from urllib3.exceptions import NewConnectionError

    said = f"{type(error).__name__}: {error}"
    if isinstance(error, GoogleAuthError):
        if isinstance(error, TransportError):  # The server that issues tokens is not reached.
            return FailureError(said, was_sent=False)
        return NoCredentialsError(said)
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    never_sent = isinstance(error, ConnectTimeout | ProxyError | SSLError)
    return FailureError(said, was_sent=not (never_sent or isinstance(reason, NewConnectionError)))


def _raise_from_signal_handler(error: BaseException | None) -> None:
    """Raise the exception of the program's signal handler that has caused this error, if any."""
    while error is not None:
        if is_from_signal_handler(error):
            raise error
        error = error.__context__
