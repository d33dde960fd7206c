"""Make request templates for plain configurations by our own rules, without importing boto3.

For a configuration that the rules do not cover, `plain_source` says why, and boto3 makes the
templates (see `captured`). One test compares each request made by these rules with boto3's; another
one fails if botocore has an environment variable that is not listed here.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve.providers.aws_s3.direct.connections import Endpoint
from cshelve.providers.aws_s3.direct.templates import OPERATIONS, Credentials, Template
from cshelve.providers.aws_s3.options import ClientConfig

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.options import S3Settings

__all__ = ["PlainSource", "plain_source"]

# botocore's variables: those that the rules cover, those that do not change requests to S3 with
# given credentials, and those for which boto3 has to be used.
# https://docs.aws.amazon.com/sdkref/latest/guide/
UNDERSTOOD = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"}
    | {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}
    | {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}
)
WITHOUT_BEARING = frozenset(
    {"AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_IMDS_USE_IPV6"}
    | {"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"}
    | {"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_V1_DISABLED", "AWS_STS_REGIONAL_ENDPOINTS"}
    | {"AWS_SDK_UA_APP_ID", "AWS_ACCOUNT_ID", "AWS_ACCOUNT_ID_ENDPOINT_MODE"}
    | {"AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES", "AWS_DISABLE_REQUEST_COMPRESSION"}
    | {"AWS_CSM_HOST", "AWS_CSM_PORT", "AWS_CSM_CLIENT_ID"}
    | {"AWS_ENDPOINT_DISCOVERY_ENABLED", "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"}
    | {"AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS", "AWS_S3_USE_ARN_REGION"}
    | {"AWS_DISABLE_HOST_PREFIX_INJECTION"}
    # Our own values take precedence over these, in boto3's client as well.
    | {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"}
)
BOTO3S = frozenset(
    {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_DATA_PATH", "AWS_USE_DUALSTACK_ENDPOINT"}
    | {"AWS_USE_FIPS_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_DEFAULTS_MODE"}
    | {"AWS_SIGV4A_SIGNING_REGION_SET", "AWS_REQUEST_CHECKSUM_CALCULATION"}
    | {"AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"}
    | {"AWS_AUTH_SCHEME_PREFERENCE", "BOTO_CONFIG", "BOTOCORE_EXPERIMENTAL__PLUGINS"}
    | {"AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "BOTOCORE_TCP_KEEPALIVE"}
    | {"AWS_BEARER_TOKEN_S3"}
    # Reports each of boto3's requests to an agent.
    | {"AWS_CSM_ENABLED"}
)
FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
MODELS = "~/.aws/models"

PLAIN_PARAMETERS = frozenset(
    {"endpoint_url", "region_name", "verify"}
    | {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
)
PLAIN_CONFIG = frozenset(
    {"connect_timeout", "read_timeout", "max_pool_connections", "s3"}
    | {"request_checksum_calculation", "response_checksum_validation"}
)
ADDRESSING: tuple[dict[str, str], ...] = (
    {},
    {"addressing_style": "auto"},
    {"addressing_style": "path"},
)
CHECKSUMS = frozenset({"when_supported", "when_required"})
LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
ENDPOINT = re.compile(
    rf"(https?)://({LABEL}(?:\.{LABEL})*|\[[0-9a-f:]+\])(?::([1-9][0-9]{{0,4}}))?/?"
)
# Hosts of AWS itself, for which botocore has rules.
AWS_HOSTS = re.compile(r"amazonaws|api\.aws|amazonwebservices")
# https://docs.aws.amazon.com/general/latest/gr/rande.html, partition aws
REGION = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]{1,2}")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, without dots
HOST_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
PATH_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
# Buckets with special rules: S3 Express, Outposts, tables, access points.
SPECIAL_BUCKET = re.compile(r".*--[a-z0-9]+-s3|.*-s3alias")
REGION_OF_S3 = "us-east-1"


class NotPlainConfigurationError(Exception):
    """The rules do not cover a configuration, so boto3 has to be used; the message says why."""


class PlainSource(NamedTuple):
    """The templates, endpoint and credentials of a plain configuration, which never change."""

    endpoint: Endpoint
    templates: Mapping[str, Template]
    credentials: Credentials | None
    client_config: ClientConfig


def plain_source(settings: S3Settings) -> PlainSource | str:
    """Return the templates and more for a plain configuration, or why boto3 has to be used."""
    try:
        return _plain_source(settings, os.environ)
    except NotPlainConfigurationError as error:
        return str(error)


def _plain_source(settings: S3Settings, environ: Mapping[str, str]) -> PlainSource:
    _refuse_unless_plain(settings, environ)
    credentials, region = _credentials(settings, environ), _region(settings, environ)
    address = _address(settings, environ, region)
    timeouts = {**settings.own_config, **settings.config_options}
    supported = {
        name: settings.config_options.get(name, "when_supported") == "when_supported"
        for name in ("request_checksum_calculation", "response_checksum_validation")
    }
    client_config = ClientConfig(
        endpoint_url=address.url,
        attempts=settings.own_config["retries"]["total_max_attempts"],
        concurrency=min(settings.concurrency, timeouts["max_pool_connections"]),
        read_timeout=timeouts["read_timeout"],
        sends_checksums=supported["request_checksum_calculation"],
        checks_checksums=supported["response_checksum_validation"],
    )
    templates = _templates(address, client_config, region if credentials is not None else None)
    endpoint = Endpoint(
        address.host,
        address.port,
        address.is_secure,
        _authorities(settings, environ, is_secure=address.is_secure),
        timeouts["connect_timeout"],
    )
    return PlainSource(endpoint, templates, credentials, client_config)


class _Address(NamedTuple):
    """Where the bucket is."""

    url: str
    """Of the service, as boto3 has it."""
    is_secure: bool
    host: str
    port: int
    header: str
    """The value of the header Host."""
    path: str
    """Of the bucket, without a slash at its end."""


def _templates(address: _Address, config: ClientConfig, region: str | None) -> dict[str, Template]:
    templates: dict[str, Template] = {}
    for operation, model in OPERATIONS.items():
        headers = [("host", address.header)]
        is_put = model.method == "PUT"
        # S3 insists on a checksum where many keys are deleted.
        has_crc32 = operation == "DeleteObjects" or (is_put and config.sends_checksums)
        if has_crc32:
            headers.append(("x-amz-sdk-checksum-algorithm", "CRC32"))
        if operation == "CreateMultipartUpload" and config.sends_checksums:
            headers.append(("x-amz-checksum-algorithm", "CRC32"))
        if operation == "GetObject" and config.checks_checksums:
            headers.append(("x-amz-checksum-mode", "ENABLED"))
        templates[operation] = Template(
            method=model.method,
            path=f"{address.path}/" if model.is_of_key else address.path or "/",
            query=model.query,
            headers=tuple(headers),
            region=region,
            has_crc32=has_crc32,
            # Where TLS and a checksum protect an object's body, its hash is not signed.
            signs_body=not (is_put and has_crc32 and address.is_secure),
        )
    return templates


def _refuse_unless_plain(settings: S3Settings, environ: Mapping[str, str]) -> None:
    if settings.session is not None:
        raise NotPlainConfigurationError("boto3_session")
    if settings.put_params.options():
        raise NotPlainConfigurationError("[put_params], whose names and types boto3 checks")
    for name, value in settings.client_params.items():
        if value is not None and name not in PLAIN_PARAMETERS:
            raise NotPlainConfigurationError(f"[provider_params] {name}")
    for name, value in settings.config_options.items():
        is_number = isinstance(value, int | float) and value > 0
        is_known = {
            "connect_timeout": is_number,
            "read_timeout": is_number,
            "max_pool_connections": is_number,
            "s3": value in ADDRESSING,
        }.get(name, name in PLAIN_CONFIG and isinstance(value, str) and value in CHECKSUMS)
        if not is_known:
            raise NotPlainConfigurationError(f"[provider_params] config.{name}")
    for name in BOTO3S:
        # Also an empty one: boto3 raises errors about some.
        if name in environ:
            raise NotPlainConfigurationError(f"the environment variable {name}")
    for variable, file in FILES.items():
        path = os.path.expanduser(os.path.expandvars(environ.get(variable, file)))
        if os.path.isfile(path) and os.path.getsize(path):
            raise NotPlainConfigurationError(f"the file {path}")
    if os.path.exists(os.path.expanduser(MODELS)):
        raise NotPlainConfigurationError(f"the folder {MODELS}")
    _refuse_proxies(environ)


def _refuse_proxies(environ: Mapping[str, str]) -> None:
    for name, value in environ.items():
        if value and name.lower().endswith("_proxy") and name.lower() != "no_proxy":
            raise NotPlainConfigurationError(f"the environment variable {name}")
    if sys.platform in {"darwin", "win32"}:
        # There, proxies are a setting of the system as well.
        from urllib.request import getproxies

        if getproxies():
            raise NotPlainConfigurationError("a proxy of the system")


def _credentials(settings: S3Settings, environ: Mapping[str, str]) -> Credentials | None:
    if settings.auth_type == "anonymous":
        return None
    given, params = settings.credentials, settings.client_params
    key_id = given.get("key_id", params.get("aws_access_key_id"))
    secret = given.get("key_secret", params.get("aws_secret_access_key"))
    token = given.get("session_token", params.get("aws_session_token"))
    if settings.auth_type not in {"access_key", "default"}:
        raise NotPlainConfigurationError(f"auth_type = {settings.auth_type}")
    if key_id is None and secret is None and token is None and settings.auth_type == "default":
        key_id = environ.get("AWS_ACCESS_KEY_ID")
        secret = environ.get("AWS_SECRET_ACCESS_KEY")
        token = environ.get("AWS_SESSION_TOKEN") or None
    for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        # Given in both places, the two are compared when boto3's client is built.
        if params.get(name) is not None and settings.auth_type == "access_key":
            raise NotPlainConfigurationError(f"[provider_params] {name}")
    if not key_id or not secret:
        raise NotPlainConfigurationError("no keys: boto3 looks for credentials elsewhere")
    for value in (key_id, secret, token or ""):
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise NotPlainConfigurationError("credentials that are not plain text")
    return Credentials(key_id, secret, token)


def _region(settings: S3Settings, environ: Mapping[str, str]) -> str:
    region = settings.region_name
    if region is None:
        region = settings.client_params.get("region_name")
    if region is None:
        region = environ.get("AWS_DEFAULT_REGION", REGION_OF_S3)
    if not REGION.fullmatch(region):
        raise NotPlainConfigurationError(f"the region {region}")
    return region


def _address(settings: S3Settings, environ: Mapping[str, str], region: str) -> _Address:
    bucket = settings.bucket_name
    if SPECIAL_BUCKET.fullmatch(bucket):
        raise NotPlainConfigurationError(f"the bucket {bucket}")
    given: Any = settings.client_params.get("endpoint_url")
    if given is None:
        variables = (environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
        given = next(filter(None, variables), None)
    style = settings.config_options.get("s3", {}).get("addressing_style", "auto")
    if given is None:
        if not HOST_BUCKET.fullmatch(bucket) or style != "auto":
            raise NotPlainConfigurationError("a bucket that is not addressed by a host of its own")
        # The first region has the name from before there were regions.
        where = "s3" if region == REGION_OF_S3 else f"s3.{region}"
        service = f"{where}.amazonaws.com"
        host = f"{bucket}.{service}"
        return _Address(f"https://{service}", True, host, 443, host, "")
    found = ENDPOINT.fullmatch(given)
    if found is None or AWS_HOSTS.search(found[2]) or not PATH_BUCKET.fullmatch(bucket):
        raise NotPlainConfigurationError("endpoint_url, or the bucket's name")
    is_secure = found[1] == "https"
    usual = 443 if is_secure else 80
    port = int(found[3] or usual)
    if not 0 < port < 65536:
        raise NotPlainConfigurationError("the port of endpoint_url")
    header = found[2] if port == usual else f"{found[2]}:{port}"
    return _Address(given, is_secure, found[2].strip("[]"), port, header, f"/{bucket}")


def _authorities(
    settings: S3Settings, environ: Mapping[str, str], *, is_secure: bool
) -> str | None:
    """Return the file of the authorities that boto3 trusts: the given, certifi's, or botocore's.

    None if any server is trusted, or there is no TLS.
    """
    verify = settings.client_params.get("verify")
    if verify is None:
        verify = environ.get("AWS_CA_BUNDLE", environ.get("REQUESTS_CA_BUNDLE", True))
    if not (isinstance(verify, bool) or (isinstance(verify, str) and verify.strip())):
        raise NotPlainConfigurationError("verify, or a variable for it, which is empty")
    if verify is False or not is_secure:
        return None
    if verify is not True:
        return verify
    for package in ("certifi", "botocore"):
        found = importlib.util.find_spec(package)
        folder = next(iter((found and found.submodule_search_locations) or ()), "")
        path = os.path.join(folder, "cacert.pem")
        if folder and os.path.exists(path):
            return path
    raise NotPlainConfigurationError("no file of authorities, as certifi has one")
