"""Write an object: by one request, or, if it is large, in a resumable upload.

A resumable upload sends chunks, one after the other. After a failure, the server says how much has
arrived, and the rest of the chunk is sent. Nothing is stored before the last chunk has arrived.
https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from cshelve._concurrency.parallel import unstoppable
from cshelve.providers.gcs.errors import FailureError, NoCredentialsError
from cshelve.providers.gcs.requests import Answer, Call, Requests, crc32c_of, pause

__all__ = ["CHUNK_BYTES", "Uploads"]

# A multiple of 256 KiB, as the API demands. The SDK sends larger values in a resumable upload too.
CHUNK_BYTES = 8 << 20
OF_CHUNK = frozenset({200, 201, 308})
PERSISTED = re.compile("bytes=0-([0-9]+)")
# The status with which the server confirms that an upload was cancelled.
CANCELLED = frozenset({204, 404, 410, 499})


class Uploads:
    """The writes of a shelf. Safe in many threads."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self.content_type: str | None = None
        """The media type of all objects."""

    def put(
        self,
        name: str,
        data: bytes,
        query: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        *,
        once: int | None = None,
    ) -> str:
        """Store data with some metadata, and return the generation.

        `query` has the condition, and `once` is that of `Requests.send`. Raises `FailureError`.
        """
        if len(data) > CHUNK_BYTES:
            view = memoryview(data)
            chunks = (view[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES))
            return self.put_chunks(name, chunks, query, metadata, once=once)
        boundary = secrets.token_hex(16)
        properties = self._properties(name, metadata)
        if checksum := crc32c_of(data):
            properties["crc32c"] = checksum
        call = self._insert(name, {"uploadType": "multipart", **(query or {})})._replace(
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            body=_in_two_parts(boundary, properties, self._media_type, data),
            value_bytes=len(data),
        )
        return _generation_in(self._requests.send(call, once=once))

    def put_chunks(
        self,
        name: str,
        chunks: Iterable[bytes | memoryview],
        query: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        *,
        once: int | None = None,
        moved: Callable[[int], object] = lambda _: None,
    ) -> str:
        """Store the chunks, of which only the last may be shorter, and return the generation.

        Raises `FailureError`, and what iterating over the chunks raises; nothing is stored then.
        """
        begin = self._insert(name, {"uploadType": "resumable", **(query or {})})._replace(
            headers={
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Type": self._media_type,
            },
            body=json.dumps(self._properties(name, metadata)).encode(),
        )
        url = self._requests.send(begin, once=once).headers.get("Location", "")
        if not url:
            raise FailureError("the response has no address for the upload", 200)
        call = Call("objects.insert", "PUT", url, name, accepts=OF_CHUNK)
        try:
            return self._send_chunks(call, chunks, moved)
        except BaseException:
            self._cancel(call)
            raise

    def _send_chunks(
        self,
        call: Call,
        chunks: Iterable[bytes | memoryview],
        moved: Callable[[int], object],
    ) -> str:
        start = 0
        for chunk, is_last in _with_last(chunks):
            answer = self._send_chunk(call, chunk, start, is_last=is_last)
            start += len(chunk)
            moved(len(chunk))
        return _generation_in(answer)

    def _send_chunk(
        self, call: Call, chunk: bytes | memoryview, start: int, *, is_last: bool
    ) -> Answer:
        """Send a chunk until it has arrived, and return the response."""
        total = str(start + len(chunk)) if is_last else "*"
        rest = memoryview(chunk)
        attempts = self._requests.settings.attempts
        for number in range(attempts):
            first = start + len(chunk) - len(rest)
            span = f"{first}-{first + len(rest) - 1}" if rest else "*"
            headers = {"Content-Range": f"bytes {span}/{total}"}
            sending = call._replace(headers=headers, body=rest, value_bytes=len(rest))
            try:
                answer = self._requests.send(sending, once=number)
            except FailureError as error:
                if not error.is_transient or number == attempts - 1:
                    raise
                pause(number, error)
                asking = call._replace(headers={"Content-Range": f"bytes */{total}"})
                answer = self._requests.send(asking)
            if answer.status != 308:
                if not is_last:
                    raise FailureError("the upload ended before its last chunk", answer.status)
                return answer
            arrived = _arrived(answer) - start
            if not 0 <= arrived <= len(chunk):
                break
            rest = memoryview(chunk)[arrived:]
            if not rest and not is_last:
                return answer
        raise FailureError("the server does not say which bytes of the upload have arrived", 308)

    def _cancel(self, call: Call) -> None:
        """Cancel an upload at the server, which would drop it by itself after a week."""
        cancelling = call._replace(method="DELETE", accepts=CANCELLED)
        with unstoppable(), suppress(FailureError, NoCredentialsError):
            self._requests.send(cancelling, once=0)

    @property
    def _media_type(self) -> str:
        return self.content_type or "application/octet-stream"

    def _insert(self, name: str, query: Mapping[str, str]) -> Call:
        url = self._requests.objects_url("upload/")
        return Call("objects.insert", "POST", url, name, {"fields": "generation", **query})

    def _properties(self, name: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "name": self._requests.settings.prefix + name,
            "contentType": self._media_type,
        }
        if metadata:
            properties["metadata"] = dict(metadata)
        return properties


def _in_two_parts(boundary: str, properties: Any, media_type: str, data: bytes) -> bytes:
    head = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
        f"{json.dumps(properties)}\r\n--{boundary}\r\nContent-Type: {media_type}\r\n\r\n"
    )
    return b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode()))


def _with_last(chunks: Iterable[bytes | memoryview]) -> Iterator[tuple[bytes | memoryview, bool]]:
    """Yield each chunk, and whether it is the last one, for which the next one is read."""
    waiting: bytes | memoryview | None = None
    for chunk in chunks:
        if waiting is not None:
            yield waiting, False
        waiting = chunk
    yield b"" if waiting is None else waiting, True


def _arrived(answer: Answer) -> int:
    """Return how many bytes of an upload the server has."""
    found = PERSISTED.fullmatch(answer.headers.get("Range", ""))
    return int(found[1]) + 1 if found else 0


def _generation_in(answer: Answer) -> str:
    try:
        return str(answer.json()["generation"])
    except (ValueError, KeyError):
        # Any web server that responds with a page would otherwise seem to have stored the value.
        raise FailureError(
            "the response has no generation; it is not known whether the value is stored",
            answer.status,
        ) from None
