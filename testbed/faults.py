"""The faults that the proxy can inject into an exchange instead of passing it on.

A fault is any callable that takes an ``Exchange``. This module has those that the tests need.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from testbed.exchange import Exchange
from testbed.http_messages import Headers, Request, Response, made_response

_XML = [("Content-Type", "application/xml"), ("x-amz-request-id", "FAULTPROXY")]
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Fault(Protocol):
    """Acts on one exchange; may be called by several threads at once."""

    def __call__(self, exchange: Exchange) -> None: ...


def pass_on(exchange: Exchange) -> None:
    """Pass the exchange on without a fault."""
    exchange.send(exchange.forward())


def error_response(status: int, code: str, message: str = "", path: str = "") -> Response:
    """Return a response with S3's error document."""
    document = (
        f"{_DECLARATION}<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        f"<Resource>{escape(path)}</Resource><RequestId>FAULTPROXY</RequestId></Error>"
    )
    return made_response(status, _XML, document.encode())


@dataclass(frozen=True)
class Answer:
    """Answers without the server: with the body if given, otherwise with S3's error of this code.

    Without either, the body is empty, as from a load balancer. A HEAD gets no body.
    """

    status: int
    code: str | None = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __call__(self, exchange: Exchange) -> None:
        exchange.send(self._response(exchange.request.path))

    def _response(self, path: str) -> Response:
        if self.body is None and self.code is not None:
            made = error_response(self.status, self.code, self.message, path)
            made.headers.extend(self.headers.items())
            return made
        return made_response(self.status, self.headers.items(), self.body or b"")


@dataclass(frozen=True)
class Reset:
    """Resets the connection: before the server sees the request, or after it has acted."""

    before: bool = True

    def __call__(self, exchange: Exchange) -> None:
        if not self.before:
            exchange.forward()
        exchange.reset()


@dataclass(frozen=True)
class Hang:
    """Never responds; the connection is closed when the rule is removed or the proxy ends."""

    forward_first: bool = False

    def __call__(self, exchange: Exchange) -> None:
        if self.forward_first:
            exchange.forward()
        exchange.wait()


@dataclass(frozen=True)
class CutBody:
    """Sends the original headers and only the first bytes of the body, then closes."""

    after_bytes: int

    def __call__(self, exchange: Exchange) -> None:
        exchange.send_cut(exchange.forward(), self.after_bytes)


@dataclass(frozen=True)
class Delay:
    """Waits before it passes the request on."""

    seconds: float

    def __call__(self, exchange: Exchange) -> None:
        exchange.wait(self.seconds)
        pass_on(exchange)


@dataclass(frozen=True)
class ForbidAbsent:
    """Turns "no such key" into 403, as AWS does for a caller who may not list the bucket."""

    def __call__(self, exchange: Exchange) -> None:
        response = exchange.forward()
        # AWS tells every caller that a bucket does not exist.
        if response.status == 404 and b"<Code>NoSuchBucket</Code>" not in response.body:
            path = exchange.request.path
            response = error_response(403, "AccessDenied", "Access Denied", path)
        exchange.send(response)


@dataclass(frozen=True)
class EditResponse:
    """Sends the server's response as edited by the function, with its length recomputed.

    A checksum header is not changed, so an edited body may fail the client's check.
    """

    function: Callable[[Response], Response]

    def __call__(self, exchange: Exchange) -> None:
        edited = self.function(exchange.forward())
        # The length in the response to a HEAD is that of a body that isn't sent.
        exchange.send(edited if exchange.request.method == "HEAD" else edited.with_length())


@dataclass(frozen=True)
class WithoutLength:
    """Sends the response without Content-Length or chunks: it ends when the connection closes."""

    def __call__(self, exchange: Exchange) -> None:
        response = exchange.forward().without_framing()
        response.headers.append(("Connection", "close"))
        exchange.send(response)


def fail_keys_in_delete_result(code: str, keys: Collection[str], message: str = "") -> Fault:
    """Return a fault that answers DeleteObjects with 200 and this error for the given keys.

    Nothing is deleted, and the server is not asked, because a body without these keys would need
    another signature. The other keys are reported as deleted, unless the request is quiet.
    """

    def answer(exchange: Exchange) -> None:
        requested, quiet = _requested_deletions(exchange.request.body)
        entries = [
            f"<Error><Key>{_xml_key(key)}</Key><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error>"
            for key in requested
            if key in keys
        ]
        if not quiet:
            entries += [
                f"<Deleted><Key>{_xml_key(key)}</Key></Deleted>"
                for key in requested
                if key not in keys
            ]
        document = (
            f'{_DECLARATION}<DeleteResult xmlns="{_NAMESPACE}">{"".join(entries)}</DeleteResult>'
        )
        exchange.send(made_response(200, _XML, document.encode()))

    return answer


def _requested_deletions(body: bytes) -> tuple[list[str], bool]:
    """Return the keys of a DeleteObjects request, and whether it asks for errors only."""
    root = ElementTree.fromstring(body)
    keys = [key.text or "" for key in root.findall("{*}Object/{*}Key")]
    return keys, (root.findtext("{*}Quiet") or "").strip().lower() == "true"


def _xml_key(key: str) -> str:
    # The client's parser would turn a bare carriage return into a newline.
    return escape(key, {"\r": "&#13;"})


@dataclass(frozen=True)
class AfterActing:
    """Lets the server act, discards its response, and applies another fault."""

    fault: Fault

    def __call__(self, exchange: Exchange) -> None:
        exchange.forward()
        self.fault(exchange)


@dataclass(frozen=True)
class Meanwhile:
    """Calls a function, as if another client acted at that moment, and applies another fault."""

    function: Callable[[], object]
    fault: Fault = pass_on

    def __call__(self, exchange: Exchange) -> None:
        self.function()
        self.fault(exchange)


@dataclass(frozen=True)
class WithoutHeaders:
    """Passes the request on without these headers, like a server that does not know them.

    Only for a server that does not check signatures: boto3 signs nearly every header.
    """

    names: Collection[str]

    def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        dropped = {name.lower() for name in self.names}
        first, *fields = request.head
        kept = [
            line
            for line in fields
            if line.partition(b":")[0].decode("latin-1").lower() not in dropped
        ]
        pairs = [pair for pair in request.headers.pairs if pair[0].lower() not in dropped]
        exchange.request = replace(request, head=(first, *kept), headers=Headers(pairs))
        pass_on(exchange)


@dataclass(frozen=True)
class WithHeaders:
    """Applies another fault to requests with any of these headers, and passes the others on."""

    names: Collection[str]
    fault: Fault

    def __call__(self, exchange: Exchange) -> None:
        has_any = any(name in exchange.request.headers for name in self.names)
        (self.fault if has_any else pass_on)(exchange)


class Late:
    """Resets the first request's connection, and delivers that request just before the second."""

    def __init__(self) -> None:
        self._first: Request | None = None

    def __call__(self, exchange: Exchange) -> None:
        if self._first is None:
            self._first = exchange.request
            exchange.reset()
            return
        second, exchange.request = exchange.request, self._first
        exchange.forward()
        exchange.request = second
        pass_on(exchange)
