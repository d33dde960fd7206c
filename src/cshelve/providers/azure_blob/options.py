"""The options of `azure-blob`, and the frozen object that holds their values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cshelve._config.options import Option, any_value, boolean, integer, number, text, word
from cshelve._config.sections import Sections
from cshelve.exceptions import AuthArgumentError, AuthTypeError
from cshelve.providers.azure_blob.names import LONGEST_NAME, problem_of
from cshelve.providers.base import DEFAULT_CONCURRENCY, MOST_CONCURRENCY

__all__ = ["OBJECTS", "OPTIONS", "AzureSettings", "settings_from"]

T = TypeVar("T")

CONTAINER_NAME = Option("container_name", text, "", "The container.", required=True)
KEY_PREFIX = Option(
    "key_prefix", text, "", "The prefix of the shelf's blob names; one `/` follows it."
)
ACCOUNT_URL = Option(
    "account_url", text, None, "The account's address; required without a connection string."
)
# The option with the secret of each way to authenticate.
AUTH_TYPES = {
    "access_key": "access_key",
    "connection_string": "connection_string",
    "sas": "sas_token",
    "passwordless": None,
    "anonymous": None,
}
AUTH_TYPE = Option(
    "auth_type", word, "", "How to authenticate.", required=True, choices=tuple(AUTH_TYPES)
)
ENVIRONMENT_KEY = Option(
    "environment_key", text, None, "The environment variable that contains the secret."
)
SECRETS = (
    Option("access_key", text, None, "A key of the account.", secret=True),
    Option("connection_string", text, None, "The account's connection string.", secret=True),
    Option("sas_token", text, None, "A shared access signature.", secret=True),
)
CHECK_CONTAINER = Option(
    "check_container", boolean, True, "Whether `open` checks that the container exists."
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
LOGS_HTTP = Option(
    "http", boolean, False, "Whether Azure's client logs its requests to storage.", "logging"
)
LOGS_CREDENTIALS = Option(
    "credentials", boolean, False, "Whether Azure's client logs how it gets tokens.", "logging"
)


def boolean_or_text(value: object) -> object:
    """Return a truth value as a bool, and any other value, such as a path, unchanged."""
    try:
        return boolean(value)
    except ValueError:
        return value


# What one request can store: https://learn.microsoft.com/azure/storage/blobs/scalability-targets
MOST_PUT_BYTES = 5000 << 20
MOST_BLOCK_BYTES = 4000 << 20


def _size(name: str, default: int, meaning: str, most: int | None = None) -> Option[int]:
    return Option(name, integer, default, meaning, "provider_params", least=1, most=most)


SINGLE_PUT = _size(
    "max_single_put_size", 16 << 20, "Store larger values in blocks, in bytes.", MOST_PUT_BYTES
)
BLOCK = _size(
    "max_block_size", 8 << 20, "The size of each block except the last.", MOST_BLOCK_BYTES
)
SINGLE_GET = _size("max_single_get_size", 16 << 20, "Read larger values in ranges, in bytes.")
RANGE = _size("max_chunk_get_size", 8 << 20, "The size of each range except the first.")
RETRIES = Option(
    "retry_total",
    integer,
    None,
    "The most attempts after the first, instead of `total_max_attempts`.",
    "provider_params",
    least=0,
)
_PARAMETERS: tuple[tuple[str, Callable[[object], Any], Any, str], ...] = (
    ("connection_timeout", number, 20.0, "How many seconds to wait for a connection."),
    ("read_timeout", number, 60.0, "How many seconds to wait for more bytes from the server."),
    ("connection_verify", boolean_or_text, True, "Whether to verify certificates, or a CA bundle."),
    ("connection_cert", any_value, None, "The path of a client certificate."),
    ("proxies", any_value, None, "A dict with the proxy for each URL scheme."),
    ("transport", any_value, None, "Your own transport of azure-core."),
    ("credential", any_value, None, "Your own token credential, with `passwordless`."),
    ("api_version", text, None, "The version of the storage API."),
    ("audience", text, None, "The audience of tokens."),
    ("user_agent", text, None, "What to put before the client's own user agent."),
    ("logging_enable", boolean, None, "The same as `[logging] http`."),
    ("logging_body", boolean, None, "Whether the log contains bodies, too."),
    ("secondary_hostname", text, None, "The host of the secondary endpoint, which is not used."),
)
# Those that are passed on to the client; the provider uses the others itself.
PARAMETERS: tuple[Option[Any], ...] = tuple(
    Option(name, kind, default, meaning, "provider_params")
    for name, kind, default, meaning in _PARAMETERS
)
OF_PROVIDER: tuple[Option[Any], ...] = (SINGLE_PUT, BLOCK, SINGLE_GET, RANGE, RETRIES)
OPTIONS: tuple[Option[Any], ...] = (
    *(ACCOUNT_URL, CONTAINER_NAME, KEY_PREFIX, AUTH_TYPE, ENVIRONMENT_KEY, *SECRETS),
    *(CHECK_CONTAINER, TOTAL_MAX_ATTEMPTS, CONCURRENCY),
    *(*OF_PROVIDER, *PARAMETERS, LOGS_HTTP, LOGS_CREDENTIALS),
)

# Objects that a program makes, which no configuration can contain.
OBJECTS = frozenset({"transport", "credential"})
# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
USUAL_CONTAINER_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*|\$(root|web|logs)")


@dataclass(frozen=True, eq=False)
class AzureSettings:
    """All settings of a shelf in Azure Blob Storage."""

    account_url: str
    """The account's address; empty if only the connection string has it."""
    account: str
    """The account, as shown in the location."""
    container_name: str
    prefix: str
    """The text before each key: empty, or ending in a slash."""
    auth_type: str
    secret: str | None = field(repr=False)
    """The access key, connection string or shared access signature."""
    origin_of_secret: str
    """Where the secret comes from, for messages."""
    check_container: bool
    attempts: int
    """The number of times that a request is tried, including the first time."""
    concurrency: int
    single_put_bytes: int
    block_bytes: int
    single_get_bytes: int
    range_bytes: int
    client_params: Mapping[str, Any] = field(repr=False)
    """The arguments of `BlobServiceClient`."""
    logs_credentials: bool


def settings_from(config: Sections) -> AzureSettings:
    """Read and check every option of the provider; raise `ConfigurationError` for a wrong one."""
    container_name = _container_name(config)
    prefix = _prefix(config)
    auth_type = config.take(AUTH_TYPE, error=AuthTypeError)
    secret, origin = _secret(config, auth_type)
    account_url = _account_url(config, auth_type)
    params = {
        option.name: value
        for option in PARAMETERS
        if (value := _parameter(config, option)) is not None
    }
    if params.get("credential") is not None and auth_type != "passwordless":
        raise AuthArgumentError(
            f"{config.call.where('credential')}goes with auth_type = passwordless, and not with "
            f"{auth_type}."
        )
    params.setdefault("logging_enable", config.take(LOGS_HTTP))
    attempts, retries = config.take(TOTAL_MAX_ATTEMPTS), _parameter(config, RETRIES)
    return AzureSettings(
        account_url=account_url,
        account=_account_of(account_url or _address_in(secret or "")),
        container_name=container_name,
        prefix=prefix,
        auth_type=auth_type,
        secret=secret,
        origin_of_secret=origin,
        check_container=config.take(CHECK_CONTAINER),
        attempts=attempts if retries is None else retries + 1,
        concurrency=config.take(CONCURRENCY),
        single_put_bytes=_parameter(config, SINGLE_PUT),
        block_bytes=_parameter(config, BLOCK),
        single_get_bytes=_parameter(config, SINGLE_GET),
        range_bytes=_parameter(config, RANGE),
        client_params=params,
        logs_credentials=config.take(LOGS_CREDENTIALS),
    )


def _container_name(config: Sections) -> str:
    name = config.take(CONTAINER_NAME)
    if not USUAL_CONTAINER_NAME.fullmatch(name):
        raise config.error(
            CONTAINER_NAME,
            "is a name of 3 to 63 lower-case letters, digits and single hyphens; a path in the "
            "container is key_prefix, and a comment stands on a line of its own.",
        )
    return name


def _prefix(config: Sections) -> str:
    """Return the value of `key_prefix` with exactly one slash at its end; empty if it is not set.

    Raises an error for a slash at the beginning, which is hardly ever what the user means.
    """
    written = config.take(KEY_PREFIX)
    prefix = written.rstrip("/")
    if written and not prefix:
        raise config.error(
            KEY_PREFIX, "is nothing but slashes; leave it out for a shelf of the whole container."
        )
    if prefix.startswith("/"):
        raise config.error(
            KEY_PREFIX,
            "begins with a slash, which Azure would take for a folder without a name; remove it.",
        )
    problem = problem_of(f"{prefix}/x") if prefix else None
    if problem is not None:
        raise config.error(
            KEY_PREFIX,
            f"cannot begin the name of a blob: {problem}. (The longest name has {LONGEST_NAME:,} "
            "characters.)",
        )
    return f"{prefix}/" if prefix else ""


def _secret(config: Sections, auth_type: str) -> tuple[str | None, str]:
    """Return the secret of a way to authenticate, and where it comes from."""
    needed = AUTH_TYPES[auth_type]
    variable = config.take(ENVIRONMENT_KEY)
    if needed is None and variable:
        problem = f"does not go with auth_type = {auth_type}, which needs no secret."
        raise AuthArgumentError(config.where(ENVIRONMENT_KEY) + problem)
    found: str | None = None
    origin = "the credentials"
    for option in SECRETS:
        value = config.take(option)
        if value is None:
            continue
        if option.name != needed:
            problem = f"does not go with auth_type = {auth_type}."
            raise AuthArgumentError(config.where(option) + problem)
        if variable:
            problem = f"does not go with environment_key, which names the variable {variable!r}."
            raise AuthArgumentError(config.where(option) + problem)
        found, origin = value, f"[default] {option.name}"
    if needed is None:
        return None, origin
    if variable:
        found, origin = os.environ.get(variable), f"the environment variable {variable}"
        if not found:
            problem = f"the environment variable {variable!r} is not set, or empty."
            raise AuthArgumentError(config.where(ENVIRONMENT_KEY) + problem)
    if not found:
        raise AuthArgumentError(
            f"{config.where(AUTH_TYPE)}{auth_type} needs a secret: write environment_key = NAME, "
            f"or {needed} = $NAME, with the name of an environment variable."
        )
    if found != found.strip() or not found.isprintable():
        # The client would raise an error, too, but one that quotes the secret.
        raise AuthArgumentError(
            f"{config.source}: the secret in {origin} contains a control character, or begins or "
            "ends with white space, such as the line end of the file that it was read from."
        )
    return found, origin


def _account_url(config: Sections, auth_type: str) -> str:
    url = config.take(ACCOUNT_URL)
    if auth_type == "connection_string":
        return ""  # As in 1.x, where both may be written, and the connection string counts.
    if not url:
        raise config.error(
            ACCOUNT_URL, "this option is required, such as https://myaccount.blob.core.windows.net."
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise config.error(
            ACCOUNT_URL, "is an address such as https://myaccount.blob.core.windows.net."
        )
    if parts.query or parts.username or parts.password:
        # The message does not quote it.
        raise config.error(
            ACCOUNT_URL,
            "contains more than the address, perhaps a secret; a shared access signature is "
            "sas_token, with auth_type = sas.",
        )
    return url.rstrip("/")


def _parameter(config: Sections, option: Option[T]) -> T:
    """Return the value of a parameter; that in the configuration takes precedence."""
    written = config.section(option.section)
    if option.name not in written.options():
        return config.call.take(option)
    if option.name in OBJECTS:
        raise written.error(option, "is an object, to pass in the provider_params of the call.")
    return written.take(option)


def _address_in(connection_string: str) -> str:
    """Return the address of the account in a connection string; empty if it has none."""
    fields = dict(part.partition("=")[::2] for part in connection_string.split(";"))
    by_name = {name.strip().lower(): value for name, value in fields.items()}
    if "blobendpoint" in by_name:
        return by_name["blobendpoint"].partition("?")[0]
    if by_name.get("usedevelopmentstorage", "").lower() == "true":
        return "http://127.0.0.1:10000/devstoreaccount1"
    account, suffix = by_name.get("accountname"), by_name.get("endpointsuffix")
    return f"https://{account}.blob.{suffix or 'core.windows.net'}" if account else ""


def _account_of(url: str) -> str:
    """Return the account in an address, or host and path if it is not one of Azure's."""
    parts = urlsplit(url)
    host, dot, _ = parts.netloc.partition(".blob.")
    return host if dot else (parts.netloc + parts.path).rstrip("/")
