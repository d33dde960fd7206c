"""Create the bucket of a shelf."""

from __future__ import annotations

import json

from cshelve.exceptions import AuthError, CanNotCreateDBError, Error
from cshelve.providers.gcs.errors import FailureError, NoCredentialsError, translated
from cshelve.providers.gcs.requests import Call, Requests

__all__ = ["create_bucket"]

OPERATION = "buckets.insert"


def create_bucket(requests: Requests) -> bool:
    """Create the bucket, and return whether it did not exist before."""
    place = requests.place(OPERATION)
    try:
        project = requests.connection.project
        query = {} if project is None else {"project": project}
        headers = {"Content-Type": "application/json"}
        properties = {"name": requests.settings.bucket_name}
        if requests.settings.bucket_location is not None:
            properties["location"] = requests.settings.bucket_location
        body = json.dumps(properties).encode()
        requests.send(Call(OPERATION, "POST", "/storage/v1/b", None, query, headers, body))
    except (FailureError, NoCredentialsError) as error:
        is_taken = isinstance(error, FailureError) and error.status == 409
        # Another program may have created it meanwhile. If we may list it, it is ours.
        if is_taken and _is_ours(requests):
            return False
        failure = translated(error, place)
        if isinstance(failure, AuthError | CanNotCreateDBError):
            raise failure from error
        hint = ""
        if not query:
            hint = " No project is known: set [provider_params] project."
        raise CanNotCreateDBError(f"{failure}{hint}") from error
    return True


def _is_ours(requests: Requests) -> bool:
    try:
        requests.sent(requests.listing({"maxResults": "1"}))
    except Error:
        return False
    return True
