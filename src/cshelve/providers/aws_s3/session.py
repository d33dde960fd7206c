"""From settings to boto3 clients: one private session a shelf, its clients built under a lock."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from boto3.session import Session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ProfileNotFound
from botocore.httpsession import where
from botocore.loaders import Loader, create_loader
from botocore.validate import ParamValidator

from cshelve._concurrency.per_process import PerProcess
from cshelve._config.options import boolean, integer
from cshelve._config.sections import Section, closest
from cshelve.exceptions import AuthArgumentError, ConfigurationError
from cshelve.providers.aws_s3.bucket import TOKEN, given_endpoint
from cshelve.providers.aws_s3.client_parameters import NO_ADDRESS, problem_of_address
from cshelve.providers.aws_s3.options import ClientConfig, S3Settings

if TYPE_CHECKING:
    from botocore.model import ServiceModel
    from botocore.session import Session as BotocoreSession
    from types_boto3_s3 import S3Client

__all__ = [
    "UnreadableAnswerError",
    "authorities_path",
    "build_client",
    "build_session",
    "checked_parameters",
    "client_config_of",
    "credentials_of",
    "loader_of",
]

# boto3 loads and caches data files while it builds a client, which is not safe in many threads.
_building = PerProcess(threading.Lock)
# botocore's loaders of data by the variable AWS_DATA_PATH: see `loader_of`.
_loaders: dict[str | None, Loader] = {}

# cshelve's own name for `SSECustomerKey` as a file can hold it.
KEY_IN_BASE64 = "SSECustomerKeyBase64"
# What a put is made of; a user's parameters must not change it.
OURS = frozenset(
    {"Bucket", "Key", "Body", "IfMatch", "IfNoneMatch", "ContentLength", "ContentMD5"}
    | {"WriteOffsetBytes", "SSECustomerKeyMD5"}
)
# Parameters of a put that other requests need too: who pays, whose bucket, which key to decrypt by.
SHARED = frozenset(
    {"RequestPayer", "ExpectedBucketOwner", "SSECustomerAlgorithm", "SSECustomerKey"}
)
# What boto3 sends with a put and with a part, but does not ask for when an upload begins:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
CHECKSUM = "CRC32"
# Which of a put's parameters other requests carry, if they know them; None is all.
CARRYING: dict[str, frozenset[str] | None] = {
    "GetObject": SHARED,
    "HeadObject": SHARED,
    "DeleteObject": SHARED,
    "DeleteObjects": SHARED,
    "ListObjectsV2": SHARED,
    "CreateMultipartUpload": None,
    "UploadPart": SHARED | {"ChecksumAlgorithm"},
    "CompleteMultipartUpload": SHARED,
    "AbortMultipartUpload": SHARED,
}


class UnreadableAnswerError(BotoCoreError):
    """An answer that botocore cannot read."""

    fmt = "the server's answer cannot be read ({error})"


def loader_of(core: BotocoreSession) -> Loader:
    """Return the loader of a session's data folders, which all shelves of the process share.

    To read the data is most of what it takes to build a client. botocore changes some of what it
    has read, but in the same way for every client. Two threads that read the same get equal data.
    """
    path = core.get_config_variable("data_path")
    return _loaders.setdefault(path, create_loader(path))


def build_session(settings: S3Settings, core: BotocoreSession) -> Session:
    """Return the session whose credentials and data a shelf's clients share."""
    with _building.get(), _our_errors(settings, core):
        profile = settings.credentials.get("profile_name")
        if profile is not None:
            # Before anything is asked of the configuration, which would be another profile's.
            core.set_config_variable("profile", profile)
        loader = loader_of(core)
        core.register_component("data_loader", loader)
        session = Session(botocore_session=core, profile_name=profile)
        # boto3 adds its own folder each time.
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)
        return session


def build_client(session: Session, settings: S3Settings, *, sends_once: bool = False) -> S3Client:
    """Build the client that the settings describe; sends nothing.

    One that `sends_once` never repeats a request. Raises `ConfigurationError` for parameters that
    boto3 refuses.
    """
    core = session._session
    with _building.get(), _our_errors(settings, core):
        parameters = _parameters(settings)
        if sends_once:
            once = Config(retries={"mode": "standard", "total_max_attempts": 1})
            parameters["config"] = parameters["config"].merge(once)
        client = session.client("s3", **parameters)
        problem = problem_of_address(client.meta.endpoint_url)
        if problem is not None:
            raise _refused_address(settings, core, problem)
        return client


def credentials_of(session: Session, settings: S3Settings) -> Any:
    """Return botocore's credentials as the clients have them; they renew themselves."""
    given = _parameters(settings)
    key_id, secret = given.get("aws_access_key_id"), given.get("aws_secret_access_key")
    if key_id is not None and secret is not None:
        return Credentials(key_id, secret, given.get("aws_session_token"))
    return session.get_credentials()


def authorities_path(core: BotocoreSession, settings: S3Settings) -> str | None:
    """Return the file of the authorities that the clients trust; None if they trust any server."""
    verify = _parameters(settings).get("verify")
    if verify is None:
        verify = core.get_config_variable("ca_bundle")
    if verify is None:
        verify = os.environ.get("REQUESTS_CA_BUNDLE", True)
    return where() if verify is True else (verify or None)


def client_config_of(meta: Any, settings: S3Settings) -> ClientConfig:
    """Return what a client's Config came to be."""
    config = meta.config
    # botocore makes `total_max_attempts` of whatever form the user gave it in.
    retries: dict[str, Any] = getattr(config, "retries", None) or {}
    pool_size: int = getattr(config, "max_pool_connections", 10)
    return ClientConfig(
        endpoint_url=meta.endpoint_url,
        attempts=int(retries.get("total_max_attempts", 1)),
        concurrency=min(settings.concurrency, pool_size),
        read_timeout=config.read_timeout,
        sends_checksums=config.request_checksum_calculation == "when_supported",
        checks_checksums=config.response_checksum_validation == "when_supported",
    )


@contextmanager
def _our_errors(settings: S3Settings, core: BotocoreSession) -> Iterator[None]:
    """Raise, for boto3's errors before any request, what is wrong with the configuration."""
    try:
        yield
    except ConfigurationError:
        raise
    except ProfileNotFound as error:
        written = "profile_name" in settings.credentials
        origin = "[default] profile_name" if written else "the environment variable AWS_PROFILE"
        raise AuthArgumentError(
            f"{settings.source}, {origin}: {error}. Profiles are in ~/.aws/config and "
            "~/.aws/credentials."
        ) from error
    except ValueError as error:
        if not str(error).startswith(("Invalid endpoint", "Invalid IPv6 URL")):
            raise _refused_parameters(settings, error) from error
        # Not its text, which quotes an address that may have a password in it.
        raise _refused_address(settings, core, NO_ADDRESS) from None
    except (BotoCoreError, TypeError, OSError) as error:
        raise _refused_parameters(settings, error) from error


def _refused_parameters(settings: S3Settings, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{settings.source}, [provider_params]: boto3 builds no client with these: {error}"
    )


def _refused_address(
    settings: S3Settings, core: BotocoreSession, problem: str
) -> ConfigurationError:
    """Make the error for an address with a problem; it names where the address is set."""
    origin = given_endpoint(settings) or _endpoint_of_profile(core) or _origin_of_region(settings)
    return ConfigurationError(f"{settings.source}, {origin}: {problem}")


def _endpoint_of_profile(core: BotocoreSession) -> str | None:
    """Return which profile sets the server's address, for a message; None if none does."""
    profile = core.get_scoped_config()
    services = core.full_config.get("services", {}).get(profile.get("services"), {})
    if not (profile.get("endpoint_url") or services.get("s3", {}).get("endpoint_url")):
        return None
    return f"endpoint_url of the profile {core.profile or 'default'!r} in ~/.aws/config"


def _origin_of_region(settings: S3Settings) -> str:
    """Return which option or variable sets the region, which AWS's own addresses contain."""
    if settings.region_name is not None:
        return "[default] region_name"
    if settings.client_params.get("region_name") is not None:
        return "[provider_params] region_name"
    if "AWS_DEFAULT_REGION" in os.environ:
        return "the environment variable AWS_DEFAULT_REGION"
    return "the region of the profile in ~/.aws/config"


def checked_put_params(settings: S3Settings, model: ServiceModel) -> dict[str, Any]:
    """Check `[put_params]` against botocore's model of PutObject, and return them with types."""
    section = settings.put_params
    shape: Any = model.operation_model("PutObject").input_shape
    members: Mapping[str, Any] = shape.members
    allowed = {n for n in members if n not in OURS and not _is_checksum_value(n)}
    params: dict[str, Any] = {}
    for option in section.options():
        value = section.value(option)
        name, _, inner = option.partition(".")
        if option == KEY_IN_BASE64:
            params["SSECustomerKey"] = _key_in_base64(section, value, params)
            continue
        if option == "SSECustomerKey" and isinstance(value, bytes):
            params[option] = value  # botocore encodes it, after its own check of types.
            continue
        if name not in members:
            raise section.error(option, f"PutObject has none such{closest(name, allowed)}.")
        if name not in allowed:
            raise section.error(option, "is set by the shelf itself.")
        if value is None:
            continue
        if name == "Metadata" and TOKEN in {each.lower() for each in (inner, *_names(value))}:
            raise section.error(option, f"{TOKEN} is set by the shelf itself.")
        if inner and members[name].type_name == "map":
            params.setdefault(name, {})[inner] = value
        elif inner:
            raise section.error(option, f"{name} has no names of its own.")
        else:
            typed = _as_model_type(section, option, value, members[name].type_name)
            params[name] = {**params.get(name, {}), **typed} if isinstance(typed, dict) else typed
    as_text = {name: "bytes" if isinstance(each, bytes) else each for name, each in params.items()}
    report = ParamValidator().validate({"Bucket": "b", "Key": "k", **as_text}, shape)
    if report.has_errors():
        # The message omits the report, which quotes values: one may be an encryption key.
        raise ConfigurationError(
            f"{settings.source}, [put_params]: botocore refuses the type of a value among "
            f"{', '.join(params)}."
        )
    return params


def _key_in_base64(section: Section, value: object, params: Mapping[str, Any]) -> bytes:
    """Return a key that is written in base64, since a file cannot contain random bytes as text."""
    if "SSECustomerKey" in params or "SSECustomerKey" in section.options():
        raise section.error(KEY_IN_BASE64, "does not go with SSECustomerKey: give the key once.")
    try:
        key = base64.b64decode(str(value), validate=True)
    except ValueError:
        raise section.error(KEY_IN_BASE64, "is no base64.") from None
    if len(key) != 32:
        raise section.error(KEY_IN_BASE64, f"has to be 32 bytes in base64, not {len(key)}.")
    return key


def checked_parameters(settings: S3Settings, clients: Any) -> dict[str, dict[str, Any]]:
    """Check `[put_params]`, and return for each operation what it carries of them."""
    model = clients.meta.service_model
    put_params = checked_put_params(settings, model)
    parameters = shared_params(put_params, model) | {"PutObject": put_params}
    if clients.client_config.sends_checksums:
        for operation in ("CreateMultipartUpload", "UploadPart"):
            parameters[operation].setdefault("ChecksumAlgorithm", CHECKSUM)
    return parameters


def shared_params(put_params: Mapping[str, Any], model: ServiceModel) -> dict[str, dict[str, Any]]:
    """Return, for each operation, which of the user's parameters it has to carry too."""
    result: dict[str, dict[str, Any]] = {}
    for operation, names in CARRYING.items():
        shape = model.operation_model(operation).input_shape
        members = () if shape is None else shape.members
        result[operation] = {
            name: value
            for name, value in put_params.items()
            if name in members and (names is None or name in names)
        }
    return result


def _parameters(settings: S3Settings) -> dict[str, Any]:
    """Return the arguments of `Session.client`: the user's parameters, then our own."""
    given = dict(settings.client_params)
    credentials = {
        "aws_access_key_id": settings.credentials.get("key_id"),
        "aws_secret_access_key": settings.credentials.get("key_secret"),
        "aws_session_token": settings.credentials.get("session_token"),
    }
    for parameter, value in credentials.items():
        if value is not None and given.setdefault(parameter, value) != value:
            raise AuthArgumentError(
                f"{settings.source}: {parameter} in provider_params is not what [default] says; "
                "give it once."
            )
    if settings.region_name is not None:
        given["region_name"] = settings.region_name
    given["config"] = _config(settings, given.pop("config", None))
    return given


def _config(settings: S3Settings, of_call: Config | None) -> Config:
    """Merge ours, the call's and the configuration's Config; the later wins."""
    options = dict(settings.config_options)
    if of_call is not None:
        for name, value in options.items():
            if isinstance(value, dict):
                options[name] = {**(getattr(of_call, name, None) or {}), **value}
        retries = getattr(of_call, "retries", None)
        if retries and "retries" not in options:
            options["retries"] = dict(retries)
    if "retries" in options:
        options["retries"] = _retries(settings, options["retries"])
    if settings.auth_type == "anonymous":
        options["signature_version"] = UNSIGNED
    config = Config(**settings.own_config)
    if of_call is not None:
        config = config.merge(of_call)
    return config.merge(Config(**options))


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, Mapping) else []


def _as_model_type(section: Section, option: str, value: object, kind: str) -> Any:
    """Read a value as the type that the model has for it."""
    match kind:
        case "boolean":
            return section.read(option, boolean, value)
        case "integer" | "long":
            return section.read(option, integer, value)
        case "map" if isinstance(value, Mapping):
            return dict(value)
        case "map":
            raise section.error(option, f"has names of its own: {option}.<name> = value.")
        case _:
            return value


def _retries(settings: S3Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's options of retries, with our number of attempts and mode for the rest."""
    ours = dict(settings.own_config["retries"])
    if {"max_attempts", "total_max_attempts"}.intersection(given):
        del ours["total_max_attempts"]
    return ours | dict(given)


def _is_checksum_value(name: str) -> bool:
    return name.startswith("Checksum") and name != "ChecksumAlgorithm"
