"""The section `[provider_params]` of `aws-s3`: parameters of boto3's client and botocore's Config.

The tables here have the types, which boto3 does not expose, and the most common names. Any other
name is checked against boto3, which is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from cshelve._config.options import ANY_NAME, Option, any_value, boolean, integer, number, text
from cshelve._config.sections import Section, Sections, closest
from cshelve.exceptions import AuthArgumentError
from cshelve.providers.base import MOST_CONCURRENCY

__all__ = [
    "NO_ADDRESS",
    "OPTIONS_OF_BOTO3",
    "client_parameters",
    "problem_of_address",
    "refuse_control_characters",
    "session_of",
]


def boolean_or_text(value: object) -> object:
    """Return a truth value as a bool, and any other value, such as a path, unchanged."""
    try:
        return boolean(value)
    except ValueError:
        return value


def connections(value: object) -> int:
    """Return the size of a connection pool; raise `ValueError` if it is too large."""
    read = integer(value)
    if read > MOST_CONCURRENCY:
        raise ValueError(f"must be {MOST_CONCURRENCY} or less, not {read}.")
    return read


_PARAMETERS: tuple[tuple[str, Callable[[object], object], str], ...] = (
    ("endpoint_url", text, "The URL of the server, if it is not AWS."),
    ("region_name", text, "The region, if `[default]` has none."),
    ("use_ssl", boolean, "Whether to use HTTPS, if `endpoint_url` is not set."),
    ("verify", boolean_or_text, "Whether to verify TLS certificates, or the path of a CA bundle."),
    ("aws_access_key_id", text, "The same as `[default] key_id`."),
    ("aws_secret_access_key", text, "The same as `[default] key_secret`."),
    ("aws_session_token", text, "The same as `[default] session_token`."),
    (ANY_NAME, any_value, "Any other parameter of `boto3.client`, or of `Config` as `config.…`."),
)
_SECRETS = frozenset({"aws_secret_access_key", "aws_session_token"})
# Every version of boto3 has these, so they are known without importing it. `plain` implements them.
OPTIONS_OF_BOTO3: tuple[Option[Any], ...] = (
    *(
        Option(name, kind, None, meaning, "provider_params", secret=name in _SECRETS)
        for name, kind, meaning in _PARAMETERS
    ),
    Option(
        "SSECustomerKey",
        any_value,
        None,
        "The key of server-side encryption (SSE-C).",
        "put_params",
        secret=True,
    ),
    Option(
        "SSECustomerKeyBase64",
        text,
        None,
        "The same key in base64, for random bytes.",
        "put_params",
        secret=True,
    ),
    Option(ANY_NAME, any_value, None, "Any other parameter of PutObject.", "put_params"),
)
NO_ADDRESS = "gives no address of a server, such as https://s3.example.org."
# The only parameter of the call that is not one of boto3's client.
SESSION = "boto3_session"

PLAIN_CONFIG_OPTIONS = frozenset(
    {"connect_timeout", "read_timeout", "max_pool_connections", "retries", "s3"}
    | {"request_checksum_calculation", "response_checksum_validation"}
)
# An option that is not listed here is passed on unchanged.
CONFIG_TYPES: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(("connect_timeout", "read_timeout"), number),
    "max_pool_connections": connections,
    "request_min_compression_size_bytes": integer,
    **dict.fromkeys(("retries.max_attempts", "retries.total_max_attempts"), integer),
    **dict.fromkeys(("parameter_validation", "inject_host_prefix", "tcp_keepalive"), boolean),
    **dict.fromkeys(("use_dualstack_endpoint", "use_fips_endpoint"), boolean),
    **dict.fromkeys(("ignore_configured_endpoint_urls", "disable_request_compression"), boolean),
    **dict.fromkeys(("s3.use_accelerate_endpoint", "s3.payload_signing_enabled"), boolean),
    **dict.fromkeys(("s3.use_arn_region", "s3.use_dualstack_endpoint"), boolean),
    "s3_disable_express_session_auth": boolean,
    "proxies_config.proxy_use_forwarding_for_https": boolean,
    "endpoint_discovery_enabled": boolean_or_text,
}
# Options that contain options, with the names that are allowed inside; None allows any name.
# (botocore checks those of `retries` again. Those of `proxies` are URL schemes.)
CONFIG_GROUPS: dict[str, frozenset[str] | None] = {
    "s3": frozenset(
        {"addressing_style", "payload_signing_enabled", "us_east_1_regional_endpoint"}
        | {"use_accelerate_endpoint", "use_arn_region", "use_dualstack_endpoint"}
    ),
    "retries": frozenset({"max_attempts", "total_max_attempts", "mode"}),
    "proxies": None,
    "proxies_config": frozenset(
        {"proxy_ca_bundle", "proxy_client_cert", "proxy_use_forwarding_for_https"}
    ),
    "client_context_params": None,
}


def client_parameters(config: Sections) -> tuple[dict[str, Any], dict[str, Any]]:
    """Merge `provider_params` of the call and of the configuration, which takes precedence.

    Return the parameters of boto3's client, and the options under `config.`, nested as botocore's
    Config expects them. A `config` object of the call is among the parameters.
    """
    parameters: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for section in (config.call, config.section("provider_params")):
        for name in section.options():
            value = section.value(name)
            if name.startswith("config") and "@" in str(getattr(value, "proxies", value)):
                section.keep_secret(name)  # A proxy's address may contain a password.
            if name.startswith("config."):
                _nest(section, options, name.removeprefix("config."), value)
            else:
                parameters[name] = _client_parameter(section, name, value)
    return parameters, options


def session_of(config: Sections, auth_type: str, parameters: dict[str, Any]) -> Any:
    """Remove the caller's own boto3 session from the parameters, and return it; None without one.

    Raises `ConfigurationError` if it is no session, or does not go with `auth_type`.
    """
    session = parameters.pop(SESSION, None)
    if session is None:
        return None
    if auth_type != "default":
        raise AuthArgumentError(
            f"{config.call.where(SESSION)}does not go with auth_type = {auth_type}: the session "
            "brings its own credentials; write auth_type = default."
        )
    # Tells a session from a class, a client or a botocore session without importing boto3.
    needed = ("client", "get_credentials", "_session")
    if isinstance(session, type) or not all(hasattr(session, name) for name in needed):
        problem = f"is a boto3.Session, not of type {type(session).__name__}."
        raise config.call.error(SESSION, problem)
    return session


def refuse_control_characters(section: Section, option: str, value: str) -> None:
    """Raise `AuthArgumentError` for control characters or white space at the ends of credentials.

    boto3 would raise an error, too, but one that quotes the secret.
    """
    if value != value.strip() or not value.isprintable():
        raise AuthArgumentError(
            f"{section.where(option)}the value contains a control character, or begins or ends "
            "with white space, such as the line end of the file that it was read from."
        )


@cache
def _client_parameter_names() -> frozenset[str]:
    import inspect

    from boto3.session import Session

    return frozenset(inspect.signature(Session.client).parameters) - {"self", "service_name"}


@cache
def _config_option_names() -> frozenset[str]:
    from botocore.config import Config

    return frozenset(Config.OPTION_DEFAULTS)


def _client_parameter(section: Section, name: str, value: object) -> object:
    declared = section.declared.get(name)
    if name == SESSION:
        if section.name != "provider_params" or section.is_from_file or isinstance(value, str):
            raise section.error(name, "is an object: pass it to open, not in a file.")
        return value
    if declared is None and name not in _client_parameter_names():
        configs = (f"config.{option}" for option in _config_option_names())
        known = {*_client_parameter_names(), SESSION, *configs}
        raise section.error(name, f"boto3's client has no such parameter{closest(name, known)}.")
    if name == "config":
        from botocore.config import Config

        if not isinstance(value, Config):
            raise section.error(name, "is a botocore Config; in a file: config.<name> = value.")
        pool_size = getattr(value, "max_pool_connections", None)
        if isinstance(pool_size, int):
            section.read("config.max_pool_connections", connections, pool_size)
        return value
    if value is None:
        return None
    typed = section.read(name, text if declared is None else declared.type, value)
    if name == "endpoint_url" and typed:
        problem = problem_of_address(str(typed))
        if problem is not None:
            raise section.error(name, problem)
    if name.startswith("aws_") and typed:
        refuse_control_characters(section, name, typed)
    return typed


def problem_of_address(url: str) -> str | None:
    """Return what is wrong with a server's address, without quoting it; None if it is right.

    A user name or a query is wrong, too, since errors and logs would show it.
    """
    if not url.lower().startswith(("http://", "https://")):
        return "begins with http:// or https://."
    try:
        address = urlsplit(url)
        has_host = bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:  # For an invalid port, or half a pair of brackets.
        has_host = False
    if not has_host:
        return NO_ADDRESS
    if "@" in address.netloc or address.query or address.fragment:
        return (
            "has a user name or a query in it; write only the server's address here, and S3's "
            "credentials in [default]."
        )
    return None


def _nest(section: Section, options: dict[str, Any], name: str, value: object) -> None:
    """Put an option `a` or `a.b` where Config expects it; raise an error for unknown names."""
    option = f"config.{name}"
    group, _, inner = name.partition(".")
    if group not in PLAIN_CONFIG_OPTIONS and group not in _config_option_names():
        problem = f"botocore's Config has no such option{closest(group, _config_option_names())}."
        raise section.error(option, problem)
    has_names = group in CONFIG_GROUPS
    if has_names and not inner:
        if not isinstance(value, Mapping):
            raise section.error(option, f"has names of its own: {option}.<name> = value.")
        for each, of_each in value.items():
            _nest(section, options, f"{group}.{each}", of_each)
        return
    inner_names = CONFIG_GROUPS.get(group)
    if inner and not has_names:
        raise section.error(option, f"config.{group} has no names of its own.")
    if inner_names is not None and inner not in inner_names:
        problem = f"config.{group} has no such name{closest(inner, inner_names)}."
        raise section.error(option, problem)
    typed = (
        None if value is None else section.read(option, CONFIG_TYPES.get(name, any_value), value)
    )
    options[group] = {**options.get(group, {}), inner: typed} if inner else typed
