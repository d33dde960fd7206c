"""The requests of one shelf: sent by the direct engine if possible, and by boto3 otherwise.

Every request needs one of the shelf's permits, whichever engine sends it. If the direct engine does
not get a plain response, boto3 sends the request again with the same permit.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING

from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.permits import Permit, Permits
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.aws_s3.bucket import EXPIRES, LONGEST_KEY, NO_VERSION, PROBE
from cshelve.providers.aws_s3.choice import captured_source, choose
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError
from cshelve.providers.aws_s3.direct.connections import NotSentError
from cshelve.providers.aws_s3.direct.engine import (
    TROUBLE,
    Begun,
    Engine,
    LateError,
    sent_in_vain,
)
from cshelve.providers.aws_s3.errors import WRONG_REGION, AnswerLostError, UnchangedError
from cshelve.providers.base import Item

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.aws_s3.by_boto3 import ByBoto3
    from cshelve.providers.aws_s3.clients import Clients
    from cshelve.providers.aws_s3.direct.templates import Request
    from cshelve.providers.aws_s3.options import ClientConfig, S3Settings
    from cshelve.providers.base import Stats

__all__ = ["Requests", "replaced"]

# After this many responses in a row that only boto3 could use, boto3 sends all requests.
MOST_NOT_PLAIN = 3
# The direct engine may wait for a response this fraction of the time that boto3 would wait in all.
MOST_ADDED = 0.25
# Redirects, from which boto3 may learn where the bucket is.
REDIRECTS = frozenset({301, 302, 307, 308})


class Requests:
    """Send a shelf's requests. Safe in many threads; a forked child gets its own connections."""

    def __init__(
        self, settings: S3Settings, bucket: Bucket, stats: Stats, logger: logging.Logger
    ) -> None:
        self.bucket = bucket
        self.stats = stats
        self.expiry_of: Callable[[bytes], float | None] | None = None
        """Returns when data expires."""
        self._prefix = bucket.prefix
        self._settings = settings
        self._logger = logger
        self._clients: PerProcess[Clients] = PerProcess(self._new_clients)
        self._boto3: ByBoto3 | None = None
        self._building = PerProcess(threading.Lock)
        choice = choose(settings, lambda: self.clients, bucket, interception())
        self.config: ClientConfig = choice.config
        bucket.sends_checksums = choice.config.sends_checksums
        stats.engine = choice.engine
        self.reason = choice.reason
        """Why this engine is in use."""
        self._engine: Engine | None = None
        self._waits_like_boto3 = True
        """Whether a response that is too late for the direct engine is too late for boto3."""
        if choice.source is not None:
            longest = choice.config.read_timeout
            patience = min(longest, MOST_ADDED * choice.config.attempts * longest)
            self._waits_like_boto3 = patience == longest
            self._engine = Engine(choice.source, stats.count, patience)
        self._permits = PerProcess(lambda: Permits(self.config.concurrency))
        self._in_vain = 0
        """The number of responses in a row that the direct engine could not use."""
        self._is_intercepted = False

    @property
    def permits(self) -> Permits:
        """The permits of this process."""
        return self._permits.get()

    @property
    def most_of_one(self) -> int:
        """The number of requests for one large value that may be in flight at the same time.

        About half of all: otherwise, other requests would wait until the whole value has arrived.
        """
        return min(1 + self.config.concurrency // 2, self.config.concurrency)

    @property
    def clients(self) -> Clients:
        """The boto3 clients of this process, which are built when first needed."""
        made = self._clients.made()
        if made is None:
            with self._building.get():
                made = self._clients.get()
        return made

    @property
    def boto3(self) -> ByBoto3:
        """The object that sends requests by boto3, which is imported here when first needed."""
        if self._boto3 is None:
            from cshelve.providers.aws_s3.by_boto3 import ByBoto3

            forbidden = self._settings.missing_on_forbidden
            self._boto3 = ByBoto3(self, missing_on_forbidden=forbidden)
        return self._boto3

    def set_content_type(self, content_type: str | None) -> None:
        """Send this media type with every object. Call this before the first request."""
        self.bucket.content_type = content_type
        if self._engine is not None:
            self._engine.content_type = content_type

    def parameters_of(self, data: bytes) -> dict[str, dict[str, str]] | None:
        """Return the parameters of a request that stores data: the expiry time, if it has one."""
        expires_at = None if self.expiry_of is None else self.expiry_of(data)
        if expires_at is None:
            return None
        return {"Metadata": {EXPIRES: str(round(expires_at * 1000))}}

    def close(self) -> None:
        """Close the connections of this process."""
        if self._engine is not None:
            self._engine.close()
        clients = self._clients.made()
        if clients is not None:
            clients.close()

    def key_of(self, name: str) -> str | None:
        """Return the key of a name's object; None if S3 cannot hold it, or `probe` uses it."""
        key = self._prefix + name
        is_short = len(key) * 4 <= LONGEST_KEY or len(key.encode()) <= LONGEST_KEY
        return key if name and is_short and PROBE not in name else None

    def permit(self) -> Permit:
        """Return a context manager that holds one of the permits."""
        return Permit(self._permits.get())

    def direct(self) -> Engine | None:
        """Return the direct engine; None if boto3 has to send the next request."""
        engine = self._engine
        if engine is None or (reason := interception()) is None:
            return engine
        if not self._is_intercepted:
            self._is_intercepted = True
            level = logging.WARNING if self._settings.engine == "direct" else logging.INFO
            self._logger.log(
                level, "%s: engine boto3 for as long as %s", self.bucket.location, reason
            )
        return None

    def answer(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, object] | None = None,
        body: bytes | memoryview | None = None,
        posted: Begun | None = None,
    ) -> Answer | None:
        """Send a request by the direct engine, and return the response if it is plain.

        Return None if boto3 has to send the request. `posted` is the request if `post` has sent it
        already. The caller holds a permit.
        """
        engine = self.direct()
        if engine is None:
            if posted is not None:
                posted.give_up()
            return None
        request = None if posted is None else posted.request
        try:
            if posted is None:
                key = None if name is None else self._prefix + name
                request = engine.request(operation, key, parameters, body)
                answer = engine.send(request)
            else:
                answer = engine.finish(posted)
            engine.judge(operation, answer)
        except TROUBLE as error:
            self.note_failure(error, request)
            return None
        self._in_vain = 0
        return answer

    def read(
        self, name: str, most_bytes: int, condition: Mapping[str, str] | None = None
    ) -> Item | Begun | None:
        """Read an item by the direct engine, but only its beginning beyond `most_bytes`.

        Return None if boto3 has to read it. Raises `KeyNotFoundError`, and `UnchangedError` if the
        `condition` of `only_if_not` does not hold. The caller holds a permit.
        """
        engine = self.direct()
        if engine is None:
            return None
        request = None
        try:
            request = engine.request("GetObject", self._prefix + name, condition)
            answer = engine.begin(request, most_bytes)
            if isinstance(answer, Answer):
                if condition and answer.status == 304:
                    self._in_vain = 0
                    raise UnchangedError
                engine.judge("GetObject", answer)
        except TROUBLE as error:
            self.note_failure(error, request)
            return None
        self._in_vain = 0
        if isinstance(answer, Begun):
            return answer
        if answer.status == 404:
            raise KeyNotFoundError(name)
        return self.item_of(answer)

    def beginning(self, name: str, most_bytes: int) -> Answer | None:
        """Return the response to a GET of an object's first bytes; None if boto3 has to send it.

        A server without ranges sends the whole object, and no more than the first bytes are read.
        The status is 416 if the object is empty. The caller holds a permit.
        """
        engine = self.direct()
        if engine is None:
            return None
        wanted = {"Range": f"bytes=0-{most_bytes - 1}"}
        request = None
        try:
            request = engine.request("GetObject", self._prefix + name, wanted)
            answer = engine.begin(request, most_bytes)
            if isinstance(answer, Begun):
                head = bytearray(most_bytes)
                answer.reader.receive_into(memoryview(head))
                answer = engine.finish(answer)._replace(body=bytes(head))
            elif answer.status != 416:
                engine.judge("GetObject", answer)
        except TROUBLE as error:
            self.note_failure(error, request)
            return None
        self._in_vain = 0
        return answer

    def item_of(self, answer: Answer) -> Item:
        """Return the item in a response to a GET."""
        return Item(answer.body, answer.headers.get("etag", NO_VERSION))

    def post(self, operation: str, parameters: Mapping[str, object]) -> Begun | None:
        """Send a request without waiting; pass the result to `answer`, which receives the response.

        Return None if boto3 has to send the request.
        """
        engine = self.direct()
        if engine is None:
            return None
        try:
            return engine.post(engine.request(operation, None, parameters))
        except TROUBLE as error:
            self.note_failure(error)
            return None

    def rest_of(self, begun: Begun) -> Answer:
        """Receive the rest of a response, and return the response. The caller holds a permit."""
        engine = self._engine
        if engine is None:
            begun.give_up()
            raise AnswerLostError("the engine is closed")
        return engine.finish(begun)

    def judged(self, operation: str, answer: Answer) -> Answer:
        """Return a response if it is plain; else record the failure and raise `NotPlainError`."""
        engine = self._engine
        try:
            if engine is None:
                raise NotPlainError("the engine is closed")
            engine.judge(operation, answer)
        except NotPlainError as error:
            self.note_failure(error)
            raise
        self._in_vain = 0
        return answer

    def warn(self, what: str) -> None:
        """Log a warning that names the shelf's location."""
        self._logger.warning("%s: %s", self.bucket.location, what)

    def note_failure(self, error: BaseException, request: Request | None = None) -> None:
        """Record that boto3 has to send a request, as the direct engine failed.

        `request` is the engine's, if it made one.

        Raises the error again if it came from a signal handler of the program.
        """
        if is_from_signal_handler(error):
            raise error
        if request is not None and request.attempts:
            sent_in_vain.set((request.operation, request.key, request.attempts))
        self._logger.debug("%s: left to boto3: %r", self.bucket.location, error)
        is_too_late = isinstance(error, LateError) and self._waits_like_boto3
        if isinstance(error, NotPlainError) or is_too_late:
            self._in_vain += 1
            status = getattr(error, "status", 0)
            if status >= 500 or status == 429:
                self._in_vain = 0  # A busy server refuses boto3's requests, too.
            if status in REDIRECTS or getattr(error, "code", "") in WRONG_REGION:
                self._in_vain = 0
                self.learn_where()
        elif isinstance(error, NotSentError | OSError):
            self._in_vain = 0  # The server, or the way to it, has stopped working.
        else:
            # boto3 has no credentials, which its own error explains, or only boto3 can send this.
            self._in_vain += 1

    def note_odd(self, what: str, operation: str, name: str | None = None) -> None:
        """Record that the body of a plain response has an unusual form, so boto3 has to read it."""
        self.note_failure(NotPlainError(what))
        self.note_sent(operation, name)

    def note_sent(self, operation: str, name: str | None = None, attempts: int = 1) -> None:
        """Record that boto3 is about to repeat a request in this thread, after some attempts."""
        key = None if name is None else self._prefix + name
        sent_in_vain.set((operation, key, attempts))

    def note_done_by_boto3(self) -> None:
        """Record that boto3 has succeeded; drop the direct engine if that has failed too often."""
        if self._in_vain >= MOST_NOT_PLAIN and self._engine is not None:
            engine, self._engine = self._engine, None
            if engine is not None:  # Another thread may have been faster.
                engine.close()
            self.stats.engine, self.reason = "boto3", "the server's responses are not plain"
            self._logger.warning(
                "%s: engine boto3 from now on, which is slower: boto3 understands the server's "
                "responses, but the direct engine does not. With debug logging, the log says "
                "what they are.",
                self.bucket.location,
            )

    def learn_where(self) -> None:
        """Learn from boto3 where to send requests after a redirect."""
        engine = self._engine
        if engine is not None:
            engine.close()
            engine.source = captured_source(lambda: self.clients, self.bucket)

    def _new_clients(self) -> Clients:
        from cshelve.providers.aws_s3.clients import Clients
        from cshelve.providers.aws_s3.session import checked_parameters

        clients = Clients(self._settings)
        self.bucket.parameters = checked_parameters(self._settings, clients)
        return clients


# What mocks and tracers replace, and the package of the originals. Most tracers wrap
# `_make_api_call`, Sentry wraps `__init__`, New Relic `make_request`; vcrpy replaces connections.
PLACES = (
    ("botocore.client", "BaseClient", "_make_api_call", "botocore."),
    ("botocore.client", "BaseClient", "__init__", "botocore."),
    ("botocore.endpoint", "Endpoint", "make_request", "botocore."),
    ("botocore.httpsession", "URLLib3Session", "send", "botocore."),
    ("botocore.awsrequest", "AWSHTTPConnectionPool", "ConnectionCls", "botocore."),
    ("botocore.awsrequest", "AWSHTTPSConnectionPool", "ConnectionCls", "botocore."),
    ("urllib3.connectionpool", "HTTPConnectionPool", "urlopen", "urllib3."),
)
# The originals that were found in these places, so that they are not examined again. They are
# compared by `is`, as wrapt's wrappers are equal to what they wrap.
_originals: dict[tuple[str, ...], object] = {}


def interception() -> str | None:
    """Return a text about the mock or tracer that intercepts boto3's requests; None if none does.

    While there is one, boto3 sends all requests, since it would not see those of the direct engine.
    Each request calls this, which costs a few look-ups in the loaded modules.
    """
    moto = sys.modules.get("moto.core.models")
    stubber = getattr(moto, "botocore_stubber", None) if moto is not None else None
    if stubber is not None and stubber.enabled:
        return "moto answers requests"
    return replaced()


def replaced() -> str | None:
    """Return what of botocore is replaced, as by a tracer; None if nothing is."""
    modules = sys.modules
    for place in PLACES:
        module, owner, name, package = place
        loaded = modules.get(module)
        # Another thread may be importing it at this moment.
        of_module = None if loaded is None else getattr(loaded, owner, None)
        if of_module is None:
            continue
        found = getattr(of_module, name, None)
        if found is None or found is _originals.get(place):
            continue
        if not _home_of(found).startswith(package):
            return f"{module}.{owner}.{name} is replaced, by a tracer, a mock or a recorder"
        _originals[place] = found
    return None


def _home_of(found: object) -> str:
    """Return the module that defines a function or class, whatever its `__module__` says."""
    if type(found) is FunctionType:
        # `functools.wraps` copies the `__module__` of the wrapped function.
        return str(found.__globals__.get("__name__"))
    return str(found.__module__) if isinstance(found, type) else ""
