"""The SDK's client of a shelf, and the session of requests and google-auth that sends requests.

The client determines the address and signs links. The session adds and renews credentials. This
module imports the SDK, and is itself imported when the first request is sent.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud.storage import Client
from google.oauth2 import service_account
from requests import Session
from requests.adapters import HTTPAdapter

from cshelve.exceptions import AuthArgumentError, ConfigurationError
from cshelve.providers.gcs.errors import NoCredentialsError
from cshelve.providers.gcs.options import GcsSettings

__all__ = ["Connection"]

# The SDK sends no credentials to an emulator that this variable names.
EMULATOR = "STORAGE_EMULATOR_HOST"


class Connection:
    """The client and the session of one process. Safe in many threads."""

    def __init__(self, settings: GcsSettings) -> None:
        """Find the credentials, which may ask Google's metadata server or read files."""
        credentials, project = _credentials(settings)
        if settings.project is not None:
            project = settings.project
        options = dict(settings.client_options)
        if quota_project := options.pop("quota_project_id", None):
            credentials = _for_quota_project(credentials, quota_project)
        try:
            self.client = Client(project=project, credentials=credentials, client_options=options)
        except (ValueError, GoogleAuthError) as error:
            raise ConfigurationError(f"gs://{settings.bucket_name}: {error}") from error
        self.project: str | None = project
        self.base_url: str = self.client.api_endpoint.rstrip("/")
        self._credentials = credentials
        self._renewing = threading.Lock()
        self._token_session = Session()
        self._token_session.mount("https://", HTTPAdapter(max_retries=3))
        self._ask_for_token = Request(self._token_session)
        self._session = _session(
            credentials, self._ask_for_token, self.base_url, settings.concurrency
        )

    def request(self, method: str, url: str, **parameters: Any) -> Any:
        """Send a request, and once more if its token is refused, with a new one."""
        if not self._credentials.valid:
            self._renew(self._credentials.token)
        token = self._credentials.token
        response = self._session.request(method, url, **parameters)
        if response.status_code != 401 or isinstance(self._credentials, AnonymousCredentials):
            return response
        # google-auth would do that too, but leave the connection of the first response open.
        response.close()
        self._renew(token)
        return self._session.request(method, url, **parameters)

    def _renew(self, token: str | None) -> None:
        """Replace a token, unless another thread has; google-auth would do so in every thread."""
        with self._renewing:
            if self._credentials.token == token:
                self._credentials.refresh(self._ask_for_token)

    def close(self) -> None:
        """Close the connections to the server."""
        self._session.close()
        self._token_session.close()
        self.client.close()


def _session(credentials: Any, ask_for_token: Any, base_url: str, concurrency: int) -> Any:
    session = AuthorizedSession(credentials, refresh_status_codes=(), auth_request=ask_for_token)
    # The default of requests is 10: it would open a new connection for each request above.
    adapter = HTTPAdapter(pool_maxsize=concurrency)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # Read the proxies and certificates of the environment once: requests would do so for each
    # request, which takes as long as all else, and look for a password in ~/.netrc.
    found = session.merge_environment_settings(base_url, {}, None, None, None)
    session.proxies, session.verify = found["proxies"], found["verify"]
    session.trust_env = False
    return session


def _credentials(settings: GcsSettings) -> tuple[Any, str | None]:
    """Return the credentials, and the project that they belong to, if that is known."""
    if settings.credentials is not None:
        return google.auth.credentials.with_scopes_if_required(
            settings.credentials, Client.SCOPE
        ), getattr(settings.credentials, "project_id", None)
    if settings.auth_type == "anonymous" or os.environ.get(EMULATOR):
        return AnonymousCredentials(), None
    if settings.auth_type == "service_account":
        return _of_service_account(str(settings.credentials_file))
    try:
        found: tuple[Any, str | None] = google.auth.default(scopes=Client.SCOPE)
    except DefaultCredentialsError as error:
        raise NoCredentialsError(str(error)) from error
    return found


def _of_service_account(path: str) -> tuple[Any, str | None]:
    try:
        credentials = service_account.Credentials.from_service_account_file(
            path, scopes=Client.SCOPE
        )
    except (OSError, ValueError, GoogleAuthError) as error:
        # Not the content of the file, which a message of google-auth does not quote either.
        raise AuthArgumentError(
            f"[default] credentials_file: {path!r} is not the JSON key file of a service account "
            f"({type(error).__name__}: {error})."
        ) from error
    return credentials, credentials.project_id


def _for_quota_project(credentials: Any, project: str) -> Any:
    if not hasattr(credentials, "with_quota_project"):
        raise ConfigurationError(
            "[provider_params] client_options.quota_project_id: these credentials cannot be billed "
            "to another project."
        )
    return credentials.with_quota_project(project)
