"""Build boto3's clients from settings: each shelf has a session of its own."""

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
from cshelve.providers.aws_s3.bucket import EXPIRES, TOKEN, given_endpoint
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

# Clients are built under this lock: boto3 loads and caches data files meanwhile, which is not safe
# in many threads.
_building = PerProcess(threading.Lock)
# botocore's data loaders by the value of AWS_DATA_PATH: see `loader_of`.
_loaders: dict[str | None, Loader] = {}

# cshelve's own option for an `SSECustomerKey` in a file, which cannot contain random bytes.
KEY_IN_BASE64 = "SSECustomerKeyBase64"
# Parameters of a put that the shelf sets; the user's must not change them.
OURS = frozenset(
    {"Bucket", "Key", "Body", "IfMatch", "IfNoneMatch", "ContentLength", "ContentMD5"}
    | {"WriteOffsetBytes", "SSECustomerKeyMD5"}
)
# Parameters of a put that other requests need too: who pays, who owns the bucket, and the key that
# encrypts.
SHARED = frozenset(
    {"RequestPayer", "ExpectedBucketOwner", "SSECustomerAlgorithm", "SSECustomerKey"}
)
# The checksum that boto3 sends with a put and with a part, but does not announce when an upload
# begins:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
CHECKSUM = "CRC32"
# The parameters of a put that other requests carry, if they support them; None means all.
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
    """Raised for a response that botocore cannot read."""

    fmt = "the server's response cannot be read ({error})"


def loader_of(core: BotocoreSession) -> Loader:
    """Return the loader for a session's data folders; all shelves of the process share it.

    Reading the data takes most of the time of building a client. Sharing is safe: botocore changes
    some of the data, but in the same way for every client, and two threads that read the same file
    get equal data.
    """
    path = core.get_config_variable("data_path")
    return _loaders.setdefault(path, create_loader(path))


def build_session(settings: S3Settings, core: BotocoreSession) -> Session:
    """Return a session for a shelf's clients; raise `ConfigurationError` if boto3 refuses it."""
    with _building.get(), _our_errors(settings, core):
        profile = settings.credentials.get("profile_name")
        if profile is not None:
            # Set this before botocore reads the configuration, or it would read another profile's.
            core.set_config_variable("profile", profile)
        loader = loader_of(core)
        core.register_component("data_loader", loader)
        session = Session(botocore_session=core, profile_name=profile)
        # boto3 adds its own folder with each session.
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)
        return session


def build_client(session: Session, settings: S3Settings, config: Config | None = None) -> S3Client:
    """Return a client with these settings, without sending anything.

    `config` goes before the settings. Raises `ConfigurationError` for parameters that boto3
    refuses.
    """
    core = session._session
    with _building.get(), _our_errors(settings, core):
        parameters = _parameters(settings)
        if config is not None:
            parameters["config"] = parameters["config"].merge(config)
        client = session.client("s3", **parameters)
        problem = problem_of_address(client.meta.endpoint_url)
        if problem is not None:
            raise _refused_address(settings, core, problem)
        return client


def credentials_of(session: Session, settings: S3Settings) -> Any:
    """Return the clients' credentials as botocore's object, which renews itself; None without."""
    given = _parameters(settings)
    key_id, secret = given.get("aws_access_key_id"), given.get("aws_secret_access_key")
    if key_id is not None and secret is not None:
        return Credentials(key_id, secret, given.get("aws_session_token"))
    return session.get_credentials()


def authorities_path(core: BotocoreSession, settings: S3Settings) -> str | None:
    """Return the file of CA certificates that the clients trust; None if they trust any server."""
    verify = _parameters(settings).get("verify")
    if verify is None:
        verify = core.get_config_variable("ca_bundle")
    if verify is None:
        verify = os.environ.get("REQUESTS_CA_BUNDLE", True)
    return where() if verify is True else (verify or None)


def client_config_of(meta: Any, settings: S3Settings) -> ClientConfig:
    """Return the settings in the merged Config of a client."""
    config = meta.config
    # botocore turns every way to set the number of attempts into `total_max_attempts`.
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
    """Turn boto3's errors while it builds a session or client into a `ConfigurationError`."""
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
        # Without boto3's message, which quotes the address: it may contain a password.
        raise _refused_address(settings, core, NO_ADDRESS) from None
    except (BotoCoreError, TypeError, OSError) as error:
        raise _refused_parameters(settings, error) from error


def _refused_parameters(settings: S3Settings, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{settings.source}, [provider_params]: boto3 refuses these parameters: {error}"
    )


def _refused_address(
    settings: S3Settings, core: BotocoreSession, problem: str
) -> ConfigurationError:
    """Return the error for a wrong address; the message says where the address is set."""
    origin = given_endpoint(settings) or _endpoint_of_profile(core) or _origin_of_region(settings)
    return ConfigurationError(f"{settings.source}, {origin}: {problem}")


def _endpoint_of_profile(core: BotocoreSession) -> str | None:
    """Return the profile that sets the server's address, for a message; None if none does."""
    profile = core.get_scoped_config()
    services = core.full_config.get("services", {}).get(profile.get("services"), {})
    if not (profile.get("endpoint_url") or services.get("s3", {}).get("endpoint_url")):
        return None
    return f"endpoint_url of the profile {core.profile or 'default'!r} in ~/.aws/config"


def _origin_of_region(settings: S3Settings) -> str:
    """Return where the region is set, for a message about AWS's address, which contains it."""
    if settings.region_name is not None:
        return "[default] region_name"
    if settings.client_params.get("region_name") is not None:
        return "[provider_params] region_name"
    if "AWS_DEFAULT_REGION" in os.environ:
        return "the environment variable AWS_DEFAULT_REGION"
    return "the region of the profile in ~/.aws/config"


def checked_put_params(settings: S3Settings, model: ServiceModel) -> dict[str, Any]:
    """Return the values of `[put_params]` in the types of botocore's model of PutObject.

    Raises `ConfigurationError` for a name or value that the model does not allow.
    """
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
            params[option] = value  # botocore accepts bytes here, although its model says text.
            continue
        if name not in members:
            raise section.error(option, f"PutObject has no such parameter{closest(name, allowed)}.")
        if name not in allowed:
            raise section.error(option, "is set by the shelf itself.")
        if value is None:
            continue
        given = {each.lower() for each in (inner, *_names(value))} if name == "Metadata" else ()
        for ours in (TOKEN, EXPIRES):
            if ours in given:
                raise section.error(option, f"{ours} is set by the shelf itself.")
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
        # The message omits the report, which quotes values: one might be an encryption key.
        raise ConfigurationError(
            f"{settings.source}, [put_params]: botocore refuses the type of a value among "
            f"{', '.join(params)}."
        )
    return params


def _key_in_base64(section: Section, value: object, params: Mapping[str, Any]) -> bytes:
    """Return the key of `SSECustomerKeyBase64`, decoded; raise an error if it is not a key.

    The option exists because a configuration file cannot contain random bytes.
    """
    if "SSECustomerKey" in params or "SSECustomerKey" in section.options():
        raise section.error(KEY_IN_BASE64, "does not go with SSECustomerKey: give the key once.")
    try:
        key = base64.b64decode(str(value), validate=True)
    except ValueError:
        raise section.error(KEY_IN_BASE64, "is not base64.") from None
    if len(key) != 32:
        raise section.error(KEY_IN_BASE64, f"has to be 32 bytes in base64, not {len(key)}.")
    return key


def checked_parameters(settings: S3Settings, clients: Any) -> dict[str, dict[str, Any]]:
    """Check `[put_params]`, and return the parameters that each operation carries."""
    model = clients.meta.service_model
    put_params = checked_put_params(settings, model)
    parameters = shared_params(put_params, model) | {"PutObject": put_params}
    if clients.client_config.sends_checksums:
        for operation in ("CreateMultipartUpload", "UploadPart"):
            parameters[operation].setdefault("ChecksumAlgorithm", CHECKSUM)
    return parameters


def shared_params(put_params: Mapping[str, Any], model: ServiceModel) -> dict[str, dict[str, Any]]:
    """Return the parameters of a put that each other operation has to carry, by operation."""
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
    """Return the arguments of `Session.client`, from the user's parameters and our options.

    Raises `AuthArgumentError` if the two contain different credentials.
    """
    given = dict(settings.client_params)
    credentials = {
        "aws_access_key_id": settings.credentials.get("key_id"),
        "aws_secret_access_key": settings.credentials.get("key_secret"),
        "aws_session_token": settings.credentials.get("session_token"),
    }
    for parameter, value in credentials.items():
        if value is not None and given.setdefault(parameter, value) != value:
            raise AuthArgumentError(
                f"{settings.source}: {parameter} in provider_params differs from [default]; set it "
                "in one place."
            )
    if settings.region_name is not None:
        given["region_name"] = settings.region_name
    given["config"] = _config(settings, given.pop("config", None))
    return given


def _config(settings: S3Settings, of_call: Config | None) -> Config:
    """Merge three Configs: ours, the call's and the configuration's; later ones take precedence."""
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
    """Return a value in the type of botocore's model; raise an error if it does not fit."""
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
    """Return the user's `retries`, completed by our mode and number of attempts."""
    ours = dict(settings.own_config["retries"])
    if {"max_attempts", "total_max_attempts"}.intersection(given):
        del ours["total_max_attempts"]
    return ours | dict(given)


def _is_checksum_value(name: str) -> bool:
    return name.startswith("Checksum") and name != "ChecksumAlgorithm"
