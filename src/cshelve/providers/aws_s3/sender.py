"""Requests by the Common Runtime as boto3 would make them: target, signature, trust, patience."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cshelve._forks import PerProcess
from cshelve.exceptions import ConfigurationError
from cshelve.providers.aws_s3.crt import Flight, Request, Signer, send
from cshelve.providers.aws_s3.crt_process import Terms, client_for
from cshelve.providers.aws_s3.reply import Reply, Verdict
from cshelve.providers.aws_s3.template import MARK, NoTemplateError, Template, template_of

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.base import Stats

__all__ = ["Sender"]

# What a wait in vain may add to the time that boto3 alone takes.
MOST_ADDED = 0.25
# The first answer over TLS is not waited for longer: that it refused a certificate, the Common
# Runtime keeps to itself for half a minute.
FIRST_SECURE_ANSWER_SECONDS = 5.0
REDIRECTS = frozenset({301, 302, 307, 308, 400})
# A busy server's answers to boto3 as well: they show no difference between the two.
PASSING = frozenset({408, 409, 429})


class Sender:
    """What sends requests of one bucket, until it meets with what only boto3 can deal with.

    Safe in many threads. A forked child begins anew: what its parent had would hang there.
    """

    def __init__(self, bucket: Bucket, stats: Stats, logger: logging.Logger, *, must: bool) -> None:
        """Take whether there `must` be no other engine, if boto3's requests cannot be imitated."""
        self._bucket = bucket
        self._connections = bucket.connections
        self._stats = stats
        self._logger = logger
        self._must = must
        self._of_processes = PerProcess(lambda: _OfProcess(bucket, stats))
        self._is_pinned = False
        self._patience_seconds = _patience(self._connections.config.read_timeout, bucket.attempts)

    def can_send(self, name: str) -> bool:
        """Tell whether a request about a name may go this way.

        A process's first is boto3's: it tells of an absent host or a bad certificate at its speed.
        """
        return (
            not self._is_pinned and self._connections.has_answered and self._bucket.can_hold(name)
        )

    def flight(self, operation: str, landed: Callable[[Flight], object]) -> Flight:
        """Make a flight, which still needs its permit."""
        patience = self._patience_of(self._of_processes.get())
        return Flight(operation, landed, self._connections.permits, patience)

    def send(self, flight: Flight, name: str, body: bytes | None) -> bool:
        """Let a flight that has its permit take off; False, and the permit given back, if not."""
        is_sent = False
        try:
            is_sent = self._sent(flight, name, body)
        finally:
            if not is_sent:
                flight.cancel()
        return is_sent

    def take(self, flight: Flight) -> Reply | None:
        """Give the reply if it is an answer; else draw conclusions."""
        reply = flight.reply
        if reply is None or flight.is_late:
            self.pin(f"no answer to {flight.operation} in {flight.patience_seconds:g} seconds")
            return None
        match reply.verdict:
            case Verdict.DONE | Verdict.ABSENT:
                self._of_processes.get().has_answered = True
                return reply
            case Verdict.NEVER_MORE:
                self.pin(f"{reply.what_happened} to {flight.operation}")
            case Verdict.AGAIN if reply.status in REDIRECTS:
                # boto3 may learn where the bucket is, and then we do from it.
                self._of_processes.get().templates.clear()
        return None

    def note_difference(self, flight: Flight | None) -> None:
        """Hear that boto3 could do what was refused here: the next would be sent twice as well."""
        reply = flight.reply if flight is not None else None
        if reply is not None and 400 < reply.status < 500 and reply.status not in PASSING:
            self.pin(f"{reply.what_happened} to {reply.operation}, which boto3 can do")

    def pin(self, why: str) -> None:
        """Leave everything to boto3 from now on."""
        if not self._is_pinned:
            self._is_pinned = True
            self._logger.warning(
                "%s: engine boto3 from now on: crt met with %s", self._bucket.location, why
            )

    def close(self) -> None:
        """Forget what this process has learnt; connections close when they have been idle."""
        self._of_processes.drop()

    def _patience_of(self, ours: _OfProcess) -> float | None:
        if ours.has_answered or not ours.is_secure or self._patience_seconds is None:
            return self._patience_seconds
        return min(self._patience_seconds, FIRST_SECURE_ANSWER_SECONDS)

    def _sent(self, flight: Flight, name: str, body: bytes | None) -> bool:
        ours = self._of_processes.get()
        try:
            request = ours.request(flight.operation, name, body)
        except NoTemplateError as error:
            self._cannot_imitate(error)
            return False
        except Exception as error:
            # Of boto3's or its providers of credentials, which may be anything: boto3 meets it
            # when it does the request, and has the words for it.
            self._logger.debug("%s: left to boto3", self._bucket.location, exc_info=error)
            return False
        try:
            send(ours.client(request.template), flight, request)
        except Exception as error:  # noqa: BLE001
            # Whatever keeps the Common Runtime from working here (no thread for it, a file of
            # authorities that it cannot read), boto3 may do without.
            self.pin(f"{type(error).__name__}: {error}")
            return False
        return True

    def _cannot_imitate(self, error: NoTemplateError) -> None:
        self.pin(f"what it cannot send: {error}")
        if self._must:
            raise ConfigurationError(
                f"{self._bucket.location}: [default] engine: crt cannot serve this shelf: {error}."
                " With `auto` boto3 does."
            ) from error


class _OfProcess:
    """What one process has: a client, made when it is first used, and the templates."""

    def __init__(self, bucket: Bucket, stats: Stats) -> None:
        self._bucket = bucket
        self._connections = bucket.connections
        self._signer = Signer(self._connections.credentials, stats.count)
        self._client: Any = None
        self.templates: dict[str, Template] = {}
        self.is_secure = self._connections.meta.endpoint_url.startswith("https:")
        self.has_answered = False

    def request(self, operation: str, name: str, body: bytes | None) -> Request:
        """Make the request that boto3 would make."""
        template = self.templates.get(operation) or self._learn(operation)
        if template.region is not None:
            self._signer.refresh()
        signing = self._signer.signing(template, operation, body)
        return Request(template, template.path_of(self._bucket.key(name)), body, signing)

    def client(self, template: Template) -> Any:
        """Give the client that requests of this template go by."""
        if self._client is None:
            self._client = client_for(
                Terms(
                    port=template.port,
                    is_secure=template.is_secure,
                    ca_path=self._connections.authorities_path(),
                    connect_seconds=self._connections.config.connect_timeout,
                )
            )
        return self._client

    def _learn(self, operation: str) -> Template:
        parameters = {**self._bucket.request(operation), "Key": MARK}
        if operation == "PutObject":
            parameters["Body"] = b""
        template = template_of(self._connections.captured(operation, parameters))
        self.templates[operation] = template
        return template


def _patience(read_seconds: float | None, attempts: int) -> float | None:
    """Tell how long to wait for an answer: as boto3 does, and less where it tries only seldom."""
    if read_seconds is None:
        return None
    return min(read_seconds, MOST_ADDED * attempts * read_seconds)
