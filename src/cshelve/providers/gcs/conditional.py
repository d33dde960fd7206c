"""Conditional puts and deletes, which are never retried blindly.

The SDK repeats a request with a generation as a condition, since that cannot be carried out twice.
But if the first response was lost, the second one says 412, as if another writer had been first. So
each request is sent once, and `settling` looks at the object after a lost response.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from cshelve.exceptions import ConflictError, Error, StorageError
from cshelve.providers.gcs.errors import FailureError, NoCredentialsError, translated
from cshelve.providers.gcs.requests import Call, Requests, pause
from cshelve.providers.gcs.uploads import Uploads
from cshelve.providers.settling import ConditionalRequest, Failure, Found, settle

__all__ = ["TOKEN", "delete_if", "put_if"]

# The name of a conditional put's token in the object's metadata.
TOKEN = "cshelve-token"
GENERATION = re.compile("[0-9]{1,19}")
ABSENT = "0"


def put_if(
    requests: Requests, uploads: Uploads, name: str, data: bytes, if_version: str | None
) -> str:
    """Store data if the generation is `if_version`, or None if absent; return the new one."""
    token = secrets.token_hex(16)
    query = _condition(requests, "objects.insert", name, if_version)

    def send(number: int) -> str:
        return uploads.put(name, data, query, {TOKEN: token}, once=number)

    return _settled(requests, _Write(requests, "objects.insert", name, send, if_version, token))


def delete_if(requests: Requests, name: str, if_version: str) -> bool:
    """Delete a name if its generation is `if_version`; return False if it is absent."""
    query = _condition(requests, "objects.delete", name, if_version)
    call = Call("objects.delete", "DELETE", requests.object_url(name), name, query)

    def send(number: int) -> str:
        requests.send(call, once=number)
        return ""

    try:
        _settled(requests, _Write(requests, "objects.delete", name, send, if_version, None))
    except _AbsentError:
        return False
    return True


class _AbsentError(ConflictError):
    """The object of a delete is absent."""


class _Write(ConditionalRequest):
    """A conditional request."""

    def __init__(
        self,
        requests: Requests,
        operation: str,
        name: str,
        send: Callable[[int], str],
        if_version: str | None,
        token: str | None,
    ) -> None:
        self._place = requests.place(operation, name)
        super().__init__(str(self._place), if_version, token)
        self._requests = requests
        self._name = name
        self._send = send

    def send(self, number: int) -> str:
        return self._send(number)

    def failures(self) -> tuple[type[Exception], ...]:
        return (FailureError,)

    def kind_of(self, failure: Exception) -> Failure:
        assert isinstance(failure, FailureError)
        if failure.is_lost:
            return Failure.LOST
        return Failure.NOTHING_DONE if failure.is_transient else Failure.REFUSED

    def look(self) -> Found | None:
        call = self._requests.metadata(self._name, "generation,metadata")
        try:
            found = self._requests.send(call).json()
            token = (found.get("metadata") or {}).get(TOKEN)
            return Found(str(found["generation"]), token)
        except FailureError as error:
            if self._requests.is_absent(error, call):
                return None
            self._requests.fail(error, call)
        except NoCredentialsError as error:
            self._requests.fail(error, call)
        except (ValueError, KeyError) as error:
            place = self._requests.place(call.operation, self._name)
            raise StorageError(f"{place}: the server's response cannot be read.") from error

    def refusal(self, failure: Exception) -> Error:
        assert isinstance(failure, FailureError)
        if failure.status == 404:
            call = self._requests.metadata(self._name, "generation")
            if self._requests.is_absent(failure, call):
                return _AbsentError(f"{self._place}: it was deleted since it was read.")
        return translated(failure, self._place)

    def pause(self, number: int, failure: Exception) -> None:
        assert isinstance(failure, FailureError)
        pause(number, failure)


def _condition(
    requests: Requests, operation: str, name: str, if_version: str | None
) -> dict[str, str]:
    """Return the condition in a query; raise `ConflictError` for a text that is no generation."""
    if if_version is None:
        return {"ifGenerationMatch": ABSENT}
    if not GENERATION.fullmatch(if_version) or int(if_version) == 0:
        raise ConflictError(
            f"{requests.place(operation, name)}: {if_version!r:.100} is not a generation that "
            "Google Cloud Storage assigns."
        )
    return {"ifGenerationMatch": if_version}


def _settled(requests: Requests, write: _Write) -> str:
    try:
        return settle(write, requests.settings.attempts)
    except NoCredentialsError as error:
        raise translated(error, write._place) from error
