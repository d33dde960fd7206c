"""Copies inside Google Cloud Storage, without transferring the data.

A rewrite keeps the metadata and the content type. If it takes long, the server responds before it
is done, with a token to continue. https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
"""

from __future__ import annotations

from cshelve.exceptions import ConflictError, KeyNotFoundError, StorageError
from cshelve.providers.gcs.errors import FailureError, NoCredentialsError
from cshelve.providers.gcs.requests import Call, Requests

__all__ = ["rewrite"]


def rewrite(
    requests: Requests, origin: Requests, source: str, target: str, if_version: str | None
) -> None:
    """Copy an object from the bucket of `origin`.

    Raises `KeyNotFoundError`, or `ConflictError` if the source has another generation by now.
    """
    of_target = requests.object_url(target).removeprefix("/storage/v1")
    url = f"{origin.object_url(source)}/rewriteTo{of_target}"
    query = {"fields": "done,rewriteToken"}
    if if_version is not None:
        query["ifSourceGenerationMatch"] = if_version
    call = Call("objects.rewrite", "POST", url, source, query)
    while True:
        answer = _sent(requests, origin, call)
        if answer.get("done") is True:
            return
        token = answer.get("rewriteToken")
        if not isinstance(token, str):
            place = requests.place(call.operation, target)
            raise StorageError(f"{place}: the response does not say whether the copy is done.")
        call = call._replace(query={**query, "rewriteToken": token})


def _sent(requests: Requests, origin: Requests, call: Call) -> dict[str, object]:
    assert call.name is not None
    try:
        return requests.send(call).json()
    except FailureError as error:
        if error.status == 412:
            raise ConflictError(
                f"{call.name!r} in {origin.location} was changed since it was read"
            ) from error
        if not error.says_no_bucket and origin.is_absent(error, call):
            raise KeyNotFoundError(call.name) from None
        requests.fail(error, call)
    except NoCredentialsError as error:
        requests.fail(error, call)
    except ValueError as error:
        place = requests.place(call.operation, call.name)
        raise StorageError(f"{place}: the response cannot be read ({error}).") from error
