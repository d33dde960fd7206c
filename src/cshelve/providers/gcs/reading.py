"""Read objects: details, the beginning of the data, pages of listings, and large data by pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import dropwhile
from typing import Any

from cshelve.exceptions import ConflictError, KeyNotFoundError, StorageError
from cshelve.providers.base import Details, Entry
from cshelve.providers.gcs.errors import FailureError, NoCredentialsError
from cshelve.providers.gcs.options import LONGEST_NAME
from cshelve.providers.gcs.requests import OK, Answer, Call, Requests, pause
from cshelve.providers.streams import PIECE_BYTES, Target

__all__ = ["download", "generation_in", "inspected", "listed", "sent_for"]

PAGE = 1000
RANGE = re.compile("bytes 0-[0-9]+/([0-9]+)")
# The response to a range of an empty object.
NO_RANGE = 416
# An object may be empty when the first request arrives, and be replaced before the second does.
ATTEMPTS = 3


def sent_for(requests: Requests, call: Call) -> Answer:
    """Send a request about an object, or raise `KeyNotFoundError` if it is absent."""
    assert call.name is not None
    try:
        return requests.send(call)
    except FailureError as error:
        if requests.is_absent(error, call):
            raise KeyNotFoundError(call.name) from None
        requests.fail(error, call)
    except NoCredentialsError as error:
        requests.fail(error, call)


def generation_in(requests: Requests, call: Call, headers: Mapping[str, str]) -> str:
    """Return the generation in the response to a download; raise `StorageError` without one."""
    generation = headers.get("X-Goog-Generation")
    if generation is None:
        raise StorageError(
            f"{requests.place(call.operation, call.name)}: the response has no header "
            "x-goog-generation, unlike Google's; is this another server, or a proxy?"
        )
    return generation


def inspected(requests: Requests, name: str, head_bytes: int) -> Details:
    """Return the details of an object, by a GET of the first bytes, and another if it is empty."""
    most_bytes = max(head_bytes, 1)  # There is no range of no bytes.
    call = requests.media(name, {"Range": f"bytes=0-{most_bytes - 1}"})
    call = call._replace(accepts=OK | {NO_RANGE})
    for _ in range(ATTEMPTS):
        answer = sent_for(requests, call)
        if answer.status != NO_RANGE:
            return _details(requests, call, answer, head_bytes)
        details = _details_of_empty(requests, name)
        if details.size_bytes == 0:
            return details
    place = requests.place(call.operation, name)
    raise StorageError(f"{place}: the server refuses a range of the first bytes.")


def _details(requests: Requests, call: Call, answer: Answer, head_bytes: int) -> Details:
    from email.utils import parsedate_to_datetime  # Slow to import, and rarely needed.

    headers = answer.headers
    found = RANGE.fullmatch(headers.get("Content-Range", ""))
    size_bytes = int(found[1]) if found else len(answer.body)
    try:
        modified = parsedate_to_datetime(headers["Last-Modified"])
    except (KeyError, ValueError):
        place = requests.place(call.operation, call.name)
        raise StorageError(f"{place}: the response has no date, unlike Google's.") from None
    version = generation_in(requests, call, headers)
    head = answer.body[:head_bytes]
    content_type = headers.get("Content-Type")
    return Details(str(call.name), size_bytes, modified, version, head, content_type)


def _details_of_empty(requests: Requests, name: str) -> Details:
    call = requests.metadata(name, "name,size,generation,timeCreated,contentType")
    row = _json(requests, call, sent_for(requests, call))
    entry = _entry(requests, call, row)
    content_type = row.get("contentType")
    version = str(entry.version)
    return Details(name, entry.size_bytes, entry.modified, version, b"", content_type)


def listed(
    requests: Requests, prefix: str, start_after: str | None, limit: int | None
) -> Iterator[Entry]:
    """Yield the entries of a listing, in the order of the names' bytes, page by page."""
    query = {"maxResults": str(PAGE)}
    if limit is not None:
        # One more for the name at which the listing starts, or for an object named like the prefix.
        query["maxResults"] = str(min(limit + 1, PAGE))
    if requests.settings.prefix or prefix:
        query["prefix"] = requests.settings.prefix + prefix
    if start_after:
        # Cut to the length of a name: no name lies between that and the whole text.
        start = (requests.settings.prefix + start_after).encode()[:LONGEST_NAME]
        query["startOffset"] = start.decode(errors="ignore")
    entries = _pages(requests, query)
    # An object named like the prefix itself, as consoles create for a folder, is no key.
    least = (start_after or "").encode()
    return dropwhile(lambda entry: entry.name.encode() <= least, entries)


def _pages(requests: Requests, query: dict[str, str]) -> Iterator[Entry]:
    while True:
        call = requests.listing(query)
        page = _json(requests, call, requests.sent(call))
        for row in page.get("items", ()):
            yield _entry(requests, call, row)
        if not page.get("nextPageToken"):
            return
        query = {**query, "maxResults": str(PAGE), "pageToken": page["nextPageToken"]}


def _entry(requests: Requests, call: Call, row: Mapping[str, Any]) -> Entry:
    try:
        return Entry(
            row["name"].removeprefix(requests.settings.prefix),
            int(row["size"]),
            # The time when this generation was written; `updated` changes with its metadata too.
            datetime.fromisoformat(row["timeCreated"]),
            str(row["generation"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(requests, call, error) from error


def _json(requests: Requests, call: Call, answer: Answer) -> dict[str, Any]:
    try:
        return answer.json()
    except ValueError as error:
        raise _unreadable(requests, call, error) from error


def _unreadable(requests: Requests, call: Call, error: Exception) -> StorageError:
    place = requests.place(call.operation, call.name)
    return StorageError(
        f"{place}: the response cannot be read ({type(error).__name__}: {error}); is the server "
        "Google Cloud Storage?"
    )


def download(requests: Requests, name: str, target: Target) -> None:
    """Write the data of an object to a file, piece by piece, all of one generation.

    After a failure, the rest is requested, of that generation.
    """
    written, generation = 0, ""
    for number in range(requests.settings.attempts):
        call = requests.media(name)
        if written:
            call = requests.media(name, {"Range": f"bytes={written}-"}, generation=generation)
        try:
            with requests.exchange(call, number) as response:
                if not generation:
                    generation = generation_in(requests, call, response.headers)
                    target.begun(int(response.headers.get("Content-Length", 0)))
                elif response.status != 206:
                    raise FailureError("the server does not send the rest of the data", 200)
                for piece in response.pieces(PIECE_BYTES):
                    target.write(piece)
                    written += len(piece)
                return
        except FailureError as error:
            error.attempts = number + 1
            _refuse_to_continue(requests, call, error, written)
            if not error.is_transient or number == requests.settings.attempts - 1:
                requests.fail(error, call)
            pause(number, error)
        except NoCredentialsError as error:
            requests.fail(error, call)


def _refuse_to_continue(requests: Requests, call: Call, error: FailureError, written: int) -> None:
    """Raise an error if the object, or the generation of which a part is written, is absent."""
    assert call.name is not None
    if error.status != 404 or not requests.is_absent(error, call):
        return
    if not written:
        raise KeyNotFoundError(call.name) from None
    raise ConflictError(
        f"{requests.place(call.operation, call.name)}: the value was replaced or deleted while it "
        "was downloaded, after a connection broke; download it again."
    ) from error
