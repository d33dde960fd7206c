"""The options of `aws-s3`, read into one frozen value.

What `[provider_params]` and its `config.` names may be is checked against boto3 itself, which is
imported only for a name that is not among the plain ones; their types, which boto3 does not tell,
are the tables here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cshelve._config.sections import Section, Sections, closest
from cshelve.exceptions import AuthArgumentError, AuthTypeError, ConfigurationError
from cshelve.providers.base import DEFAULT_CONCURRENCY

__all__ = ["ClientConfig", "S3Settings", "settings_from"]

# Which options each way to authenticate needs, and which it may have.
AUTH_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "access_key": (("key_id", "key_secret"), ("session_token",)),
    "default": ((), ()),
    "profile": (("profile_name",), ()),
    "anonymous": ((), ()),
}
AUTH_OPTIONS = ("key_id", "key_secret", "session_token", "profile_name")
# Not the key's id, which only names the key.
SECRET_AUTH_OPTIONS = ("key_secret", "session_token")
SECRET_CLIENT_PARAMETERS = ("aws_secret_access_key", "aws_session_token")
SECRET_PUT_PARAMETERS = ("SSECustomerKey",)

ENGINES = ("auto", "boto3", "direct")

# Names that boto3 surely has, so that it need not be imported to ask it. `direct.plain` knows what
# they mean.
PLAIN_CLIENT_PARAMETERS = frozenset(
    {"endpoint_url", "region_name", "use_ssl", "verify"}
    | {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
)
PLAIN_CONFIG_OPTIONS = frozenset(
    {"connect_timeout", "read_timeout", "max_pool_connections", "retries", "s3"}
    | {"request_checksum_calculation", "response_checksum_validation"}
)
# The one parameter of the call that is none of boto3's client.
SESSION = "boto3_session"

THRESHOLD_BYTES = 16 * 2**20
CHUNK_BYTES = 8 * 2**20
# A part but the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
LEAST_CHUNK_BYTES = 5 * 2**20

# What botocore takes; S3 itself is stricter and says so.
BUCKET_NAME = re.compile(r"[a-zA-Z0-9.\-_]{1,255}")

# Everything that is not named here is text.
CLIENT_TYPES = {"use_ssl": "boolean", "verify": "boolean or text"}
CONFIG_TYPES = {
    "connect_timeout": "number",
    "read_timeout": "number",
    "parameter_validation": "boolean",
    "max_pool_connections": "integer",
    "inject_host_prefix": "boolean",
    "endpoint_discovery_enabled": "boolean or text",
    "use_dualstack_endpoint": "boolean",
    "use_fips_endpoint": "boolean",
    "ignore_configured_endpoint_urls": "boolean",
    "tcp_keepalive": "boolean",
    "request_min_compression_size_bytes": "integer",
    "disable_request_compression": "boolean",
    "s3_disable_express_session_auth": "boolean",
    "retries.max_attempts": "integer",
    "retries.total_max_attempts": "integer",
    "s3.use_accelerate_endpoint": "boolean",
    "s3.payload_signing_enabled": "boolean",
    "s3.use_arn_region": "boolean",
    "s3.use_dualstack_endpoint": "boolean",
    "proxies_config.proxy_use_forwarding_for_https": "boolean",
}
# Options that have names of their own, and these where they are fixed. (botocore checks those of
# `retries` itself; proxies are named after schemes.)
CONFIG_GROUPS: dict[str, frozenset[str] | None] = {
    "s3": frozenset(
        {
            "addressing_style",
            "payload_signing_enabled",
            "us_east_1_regional_endpoint",
            "use_accelerate_endpoint",
            "use_arn_region",
            "use_dualstack_endpoint",
        }
    ),
    "retries": frozenset({"max_attempts", "total_max_attempts", "mode"}),
    "proxies": None,
    "proxies_config": frozenset(
        {"proxy_ca_bundle", "proxy_client_cert", "proxy_use_forwarding_for_https"}
    ),
    "client_context_params": None,
}


class ClientConfig(NamedTuple):
    """What botocore's Config says of a client, or would say if there were one."""

    endpoint_url: str
    attempts: int
    """How often a request is tried, the first time included."""
    concurrency: int
    read_timeout: float
    sends_checksums: bool
    """Whether requests carry checksums that S3 does not insist on."""
    checks_checksums: bool
    """Whether the checksums of answers are compared."""


@dataclass(frozen=True, eq=False)
class S3Settings:
    """Everything that a configuration says about a shelf in S3."""

    bucket_name: str
    prefix: str
    """Empty, or ending in the slash that stands before each key."""
    auth_type: str
    credentials: Mapping[str, str] = field(repr=False)
    """The options of `AUTH_OPTIONS` that are given."""
    region_name: str | None
    check_bucket: bool
    missing_on_forbidden: bool
    concurrency: int
    multipart_threshold_bytes: int
    multipart_chunk_bytes: int
    engine: str
    own_config: Mapping[str, Any]
    """What we ask of botocore's Config where the user asks nothing."""
    client_params: Mapping[str, Any] = field(repr=False)
    config_options: Mapping[str, Any] = field(repr=False)
    """The configuration's `config.` options."""
    session: Any = field(repr=False)
    """The caller's own boto3 session, if there is one."""
    put_params: Section = field(repr=False)
    """Checked and typed when there is a client, which has botocore's model of them."""
    source: str


def settings_from(config: Sections) -> S3Settings:
    """Take every option of the provider out of a configuration, checking names and types."""
    default = config.section("default")
    bucket_name = _bucket_name(default)
    prefix = _prefix(default)
    auth_type, credentials = _authentication(default)
    concurrency = default.integer("concurrency", default=DEFAULT_CONCURRENCY, least=1)
    missing_on_forbidden = default.boolean("missing_on_forbidden", default=False)
    if missing_on_forbidden and config.flag != "r":
        raise default.error(
            "missing_on_forbidden", f"goes with flag 'r' only, and this is {config.flag!r}."
        )
    check_bucket = default.boolean("check_bucket", default=True)
    chunk_bytes = default.integer(
        "multipart_chunk_bytes", default=CHUNK_BYTES, least=LEAST_CHUNK_BYTES
    )
    threshold_bytes = default.integer("multipart_threshold_bytes", default=THRESHOLD_BYTES, least=0)
    client_params, config_options = _client_parameters(config)
    session = _session(config, auth_type, client_params)
    return S3Settings(
        bucket_name=bucket_name,
        prefix=prefix,
        auth_type=auth_type,
        credentials=credentials,
        region_name=default.text("region_name"),
        check_bucket=check_bucket and not missing_on_forbidden,
        missing_on_forbidden=missing_on_forbidden,
        concurrency=concurrency,
        # What is no longer than one chunk is never split.
        multipart_threshold_bytes=max(threshold_bytes, chunk_bytes),
        multipart_chunk_bytes=chunk_bytes,
        engine=_engine(default),
        own_config={
            "connect_timeout": default.number("connect_timeout_seconds", default=10),
            "read_timeout": default.number("read_timeout_seconds", default=20),
            "retries": {
                "mode": "standard",
                "total_max_attempts": default.integer("total_max_attempts", default=5, least=1),
            },
            "max_pool_connections": concurrency,
        },
        client_params=client_params,
        config_options=config_options,
        session=session,
        put_params=_put_params(config),
        source=config.source,
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


def _session(config: Sections, auth_type: str, parameters: dict[str, Any]) -> Any:
    """Take the caller's own boto3 session out of the parameters."""
    session = parameters.pop(SESSION, None)
    if session is None:
        return None
    call = config.call()
    if auth_type != "default":
        raise AuthArgumentError(
            f"{call.where(SESSION)}does not go with auth_type = {auth_type}: the session brings "
            "its own credentials; write auth_type = default."
        )
    # Told from a class, a client or a session of botocore's, without boto3.
    needed = ("client", "get_credentials", "_session")
    if isinstance(session, type) or not all(hasattr(session, name) for name in needed):
        raise call.error(SESSION, f"is a boto3.Session, not of type {type(session).__name__}.")
    return session


def _put_params(config: Sections) -> Section:
    section = config.section("put_params")
    section.keep_secret(*SECRET_PUT_PARAMETERS)
    return section


def _engine(default: Section) -> str:
    engine = default.text("engine") or ENGINES[0]
    if engine not in ENGINES:
        raise default.error("engine", f"is {', '.join(ENGINES)}{closest(engine, ENGINES)}.")
    return engine


def _bucket_name(default: Section) -> str:
    """Read `bucket_name`, which is the bucket's alone: no URL, no path."""
    name = default.required_text("bucket_name")
    if not name.startswith("arn:") and not BUCKET_NAME.fullmatch(name):
        raise default.error(
            "bucket_name",
            "is a name of letters, digits, dots, hyphens and underscores; a path in the bucket is "
            "key_prefix, and a comment stands on a line of its own.",
        )
    return name


def _prefix(default: Section) -> str:
    """Read `key_prefix` with the one slash behind it; nothing is the whole bucket."""
    written = default.text("key_prefix") or ""
    prefix = written.rstrip("/")
    if written and not prefix:
        raise default.error(
            "key_prefix", "is nothing but slashes; leave it out for a shelf of the whole bucket."
        )
    return f"{prefix}/" if prefix else ""


def _authentication(default: Section) -> tuple[str, dict[str, str]]:
    """Read `auth_type` and the options that go with it."""
    auth_type = default.required_text("auth_type", AuthTypeError)
    if auth_type not in AUTH_TYPES:
        raise AuthTypeError(
            f"{default.where('auth_type')}there is no way to authenticate {auth_type!r:.40}"
            f"{closest(auth_type, AUTH_TYPES)}; there are {', '.join(AUTH_TYPES)}."
        )
    needed, allowed = AUTH_TYPES[auth_type]
    default.keep_secret(*SECRET_AUTH_OPTIONS)
    credentials: dict[str, str] = {}
    for option in needed:
        credentials[option] = default.required_text(option, AuthArgumentError)
    for option in AUTH_OPTIONS:
        value = default.text(option)
        if value is not None and option not in needed and option not in allowed:
            raise AuthArgumentError(
                f"{default.where(option)}does not go with auth_type = {auth_type}."
            )
        if value:
            _refuse_control_characters(default, option, value)
            credentials[option] = value
    return auth_type, credentials


def _client_parameters(config: Sections) -> tuple[dict[str, Any], dict[str, Any]]:
    """Merge `provider_params` of call and configuration: boto3's parameters, and Config's.

    Where both have the same, the configuration wins. `config` of the call stays among the
    parameters; options under `config.` are returned beside it, nested as Config takes them.
    """
    call = config.call()
    written = config.section("provider_params")
    parameters: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for section in (call, written):
        section.keep_secret(*SECRET_CLIENT_PARAMETERS)
        for name in section.options():
            value = section.value(name)
            if name.startswith("config") and "@" in str(getattr(value, "proxies", value)):
                section.keep_secret(name)  # A proxy's address may have a password in it.
            if name.startswith("config."):
                _nest(section, options, name.removeprefix("config."), value)
            else:
                parameters[name] = _client_parameter(section, name, value)
    return parameters, options


def _client_parameter(section: Section, name: str, value: object) -> object:
    if name == SESSION:
        if section.name != "provider_params" or section.is_from_file or isinstance(value, str):
            raise section.error(name, "is an object, which only the call to open can give.")
        return value
    if name not in PLAIN_CLIENT_PARAMETERS and name not in _client_parameter_names():
        configs = (f"config.{option}" for option in _config_option_names())
        known = {*_client_parameter_names(), SESSION, *configs}
        raise section.error(name, f"boto3's client has no such parameter{closest(name, known)}.")
    if name == "config":
        from botocore.config import Config

        if not isinstance(value, Config):
            raise section.error(name, "is a botocore Config; in a file: config.<name> = value.")
        return value
    typed = _typed(section, name, value, CLIENT_TYPES.get(name, "text"))
    if name == "endpoint_url" and typed:
        _check_endpoint(section, typed)
    if name.startswith("aws_") and typed:
        _refuse_control_characters(section, name, typed)
    return typed


def _check_endpoint(section: Section, url: str) -> None:
    """Refuse what boto3 would take and mistake, or quote in an error with a password in it."""
    if not url.lower().startswith(("http://", "https://")):
        raise section.error("endpoint_url", "begins with http:// or https://.")
    if "@" in urlsplit(url).netloc:
        raise section.error(
            "endpoint_url", "holds a user name; S3's credentials go into [default]."
        )


def _refuse_control_characters(section: Section, option: str, value: str) -> None:
    """Refuse what no credential holds, which the client would quote in an error of its own."""
    if value != value.strip() or not value.isprintable():
        raise AuthArgumentError(
            f"{section.where(option)}there is white space round the value, such as the end of the "
            "line of a file that it comes from, or a control character in it."
        )


def _nest(section: Section, options: dict[str, Any], name: str, value: object) -> None:
    """Put `a = value` or `a.b = value` where Config expects it."""
    option = f"config.{name}"
    group, _, inner = name.partition(".")
    if group not in PLAIN_CONFIG_OPTIONS and group not in _config_option_names():
        known = _config_option_names()
        problem = f"botocore's Config has no such option{closest(group, known)}."
        raise section.error(option, problem)
    if group not in CONFIG_GROUPS:
        if inner:
            raise section.error(option, f"config.{group} has no names of its own.")
        options[group] = _typed(section, option, value, CONFIG_TYPES.get(name))
        return
    if not inner:
        if not isinstance(value, Mapping):
            raise section.error(option, f"has names of its own: {option}.<name> = value.")
        for each, of_each in value.items():
            _nest(section, options, f"{group}.{each}", of_each)
        return
    inner_names = CONFIG_GROUPS[group]
    if inner_names is not None and inner not in inner_names:
        problem = f"config.{group} has no such name{closest(inner, inner_names)}."
        raise section.error(option, problem)
    typed = _typed(section, option, value, CONFIG_TYPES.get(name))
    options[group] = {**options.get(group, {}), inner: typed}


def _typed(section: Section, option: str, value: object, kind: str | None) -> Any:
    """Read a value as the type that the option has; one of which we know none passes."""
    match kind:
        case _ if value is None:
            return None
        case "boolean":
            return section.as_boolean(option, value)
        case "integer":
            return section.as_integer(option, value)
        case "number":
            return section.as_number(option, value)
        case "boolean or text" if isinstance(value, str):
            try:
                return section.as_boolean(option, value)
            except ConfigurationError:
                return value
        case "text":
            return section.as_text(option, value)
        case _:
            return value
