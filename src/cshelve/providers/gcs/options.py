"""The options of `gcs`, and the frozen object that holds their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cshelve._config.options import Option, any_value, integer, seconds, text, word
from cshelve.exceptions import AuthArgumentError, AuthTypeError
from cshelve.providers.base import DEFAULT_CONCURRENCY, MOST_CONCURRENCY

if TYPE_CHECKING:
    from cshelve._config.sections import Sections

__all__ = ["LONGEST_NAME", "OPTIONS", "GcsSettings", "settings_from"]

# In bytes of UTF-8: https://cloud.google.com/storage/docs/objects#naming
LONGEST_NAME = 1024
# https://cloud.google.com/storage/docs/buckets#naming
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
AUTH_TYPES = ("default", "service_account", "anonymous")

BUCKET_NAME = Option("bucket_name", text, "", "The bucket.", required=True)
KEY_PREFIX = Option(
    "key_prefix", text, "", "The prefix of the shelf's object names; one `/` follows it."
)
AUTH_TYPE = Option("auth_type", word, "default", "How to authenticate.", choices=AUTH_TYPES)
CREDENTIALS_FILE = Option(
    "credentials_file",
    text,
    None,
    "The key file of a service account; required with `service_account`.",
)
BUCKET_LOCATION = Option(
    "bucket_location", text, None, "Where flag `c` creates the bucket, such as `europe-west1`."
)
CONNECT_TIMEOUT_SECONDS = Option(
    "connect_timeout_seconds", seconds, 10.0, "How long to wait for a connection."
)
READ_TIMEOUT_SECONDS = Option(
    "read_timeout_seconds", seconds, 20.0, "How long to wait for more bytes from the server."
)
TOTAL_MAX_ATTEMPTS = Option(
    "total_max_attempts", integer, 5, "The most attempts per request, including the first.", least=1
)
CONCURRENCY = Option(
    "concurrency",
    integer,
    DEFAULT_CONCURRENCY,
    "The most requests in flight at once.",
    least=1,
    most=MOST_CONCURRENCY,
)
PROJECT = Option(
    "project", text, None, "The project in which flag `c` creates the bucket.", "provider_params"
)
API_ENDPOINT = Option(
    "client_options.api_endpoint",
    text,
    None,
    "The URL of the server, if it is not Google's.",
    "provider_params",
)
UNIVERSE_DOMAIN = Option(
    "client_options.universe_domain",
    text,
    None,
    "The domain of the cloud, if it is not `googleapis.com`.",
    "provider_params",
)
QUOTA_PROJECT = Option(
    "client_options.quota_project_id",
    text,
    None,
    "The project that is billed for the requests.",
    "provider_params",
)
OWN_CREDENTIALS = Option(
    "credentials",
    any_value,
    None,
    "Your own credentials, an object of google-auth; only in a call.",
    "provider_params",
)
OPTIONS: tuple[Option[Any], ...] = (
    *(BUCKET_NAME, KEY_PREFIX, AUTH_TYPE, CREDENTIALS_FILE, BUCKET_LOCATION),
    *(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, TOTAL_MAX_ATTEMPTS, CONCURRENCY),
    *(PROJECT, API_ENDPOINT, UNIVERSE_DOMAIN, QUOTA_PROJECT, OWN_CREDENTIALS),
)


@dataclass(frozen=True)
class GcsSettings:
    """All settings of a shelf in Google Cloud Storage."""

    bucket_name: str
    prefix: str
    """The text before each key: empty, or ending in a slash."""
    auth_type: str
    credentials_file: str | None
    bucket_location: str | None
    timeouts: tuple[float, float]
    """How many seconds to wait for a connection, and for more bytes."""
    attempts: int
    concurrency: int
    project: str | None
    client_options: Mapping[str, str]
    """Options of the SDK's client, such as `api_endpoint`."""
    credentials: Any = field(repr=False)
    """The caller's own credentials, if there are any."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What two shelves have in common if they use one server as the same user."""
        return self.auth_type, self.credentials_file, dict(self.client_options)


def settings_from(config: Sections) -> GcsSettings:
    """Read and check every option of the provider; raise `ConfigurationError` for a wrong one."""
    auth_type, credentials_file = _authentication(config)
    return GcsSettings(
        bucket_name=_bucket_name(config),
        prefix=_prefix(config),
        auth_type=auth_type,
        credentials_file=credentials_file,
        bucket_location=config.take(BUCKET_LOCATION),
        timeouts=(config.take(CONNECT_TIMEOUT_SECONDS), config.take(READ_TIMEOUT_SECONDS)),
        attempts=config.take(TOTAL_MAX_ATTEMPTS),
        concurrency=config.take(CONCURRENCY),
        project=_parameter(config, PROJECT),
        client_options=_client_options(config),
        credentials=_own_credentials(config, auth_type),
    )


def _bucket_name(config: Sections) -> str:
    name = config.take(BUCKET_NAME)
    if not BUCKET.fullmatch(name):
        raise config.error(
            BUCKET_NAME,
            "is a name of 3 or more lower-case letters, digits, dots, hyphens and underscores; a "
            "path in the bucket is key_prefix.",
        )
    return name


def _prefix(config: Sections) -> str:
    """Return the value of `key_prefix` with exactly one slash at its end; empty if it is not set.

    Raises an error for a slash at the beginning: it is part of an object's name, and hardly ever
    what the user means.
    """
    written = config.take(KEY_PREFIX)
    prefix = f"{written.rstrip('/')}/" if written else ""
    try:
        size_bytes = len(prefix.encode())
    except UnicodeEncodeError:
        raise config.error(
            KEY_PREFIX, "has half of a character in it, which UTF-8 cannot encode."
        ) from None
    if prefix.startswith("/"):
        raise config.error(
            KEY_PREFIX,
            "begins with a slash, which would be a folder without a name; remove it, or leave the "
            "option out for a shelf of the whole bucket.",
        )
    if size_bytes >= LONGEST_NAME or "\r" in prefix or "\n" in prefix:
        raise config.error(
            KEY_PREFIX,
            f"has to be shorter than {LONGEST_NAME:,} bytes in UTF-8, and without line ends: these "
            "are the rules of Google Cloud Storage for the names of objects.",
        )
    return prefix


def _authentication(config: Sections) -> tuple[str, str | None]:
    auth_type = config.take(AUTH_TYPE, error=AuthTypeError)
    is_needed = auth_type == "service_account"
    path = config.take(CREDENTIALS_FILE, required=is_needed, error=AuthArgumentError)
    if path is not None and not is_needed:
        raise AuthArgumentError(
            f"{config.where(CREDENTIALS_FILE)}does not go with auth_type = {auth_type}; write "
            "auth_type = service_account."
        )
    return auth_type, path


def _own_credentials(config: Sections, auth_type: str) -> Any:
    credentials = config.call.take(OWN_CREDENTIALS)
    if config.section(OWN_CREDENTIALS.section).value(OWN_CREDENTIALS.name) is not None:
        raise config.error(OWN_CREDENTIALS, "is an object: pass it to open.")
    if credentials is not None and auth_type != "default":
        raise AuthArgumentError(
            f"{config.call.where(OWN_CREDENTIALS)}does not go with auth_type = {auth_type}; write "
            "auth_type = default."
        )
    return credentials


def _client_options(config: Sections) -> dict[str, str]:
    options: dict[str, str] = {}
    for option in (API_ENDPOINT, UNIVERSE_DOMAIN, QUOTA_PROJECT):
        value = _parameter(config, option)
        if value is not None:
            options[option.name.removeprefix("client_options.")] = value
    endpoint = options.get("api_endpoint", "https://")
    if not endpoint.lower().startswith(("http://", "https://")) or "@" in endpoint:
        raise config.error(
            API_ENDPOINT, "begins with http:// or https://, and has no user name in it."
        )
    return options


def _parameter(config: Sections, option: Option[str | None]) -> str | None:
    """Return a parameter of the client; the configuration goes before the call."""
    value = config.take(option)
    return config.call.take(option) if value is None else value
