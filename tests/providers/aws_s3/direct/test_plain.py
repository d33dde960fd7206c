"""Configurations that need no boto3: what is not surely understood is left to boto3.

Every variable that botocore and boto3 read has to be known here, so that a new version of theirs
with a new one fails; and a shelf with a plain configuration never imports either of them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cshelve.providers.aws_s3.plain import (
    BOTO3S,
    UNDERSTOOD,
    WITHOUT_BEARING,
    PlainSource,
    plain_source,
)
from testbed.tls_front import TlsFront, write_certificate
from tests.providers.aws_s3.direct.messages import settings_of
from tests.providers.aws_s3.direct.parity.comparison import Boto3, compare
from tests.providers.aws_s3.direct.parity.configurations import LOCAL
from tests.providers.aws_s3.direct.parity.wanted import ODD_KEY, OF_BUCKETS, OF_KEYS
from tests.rigs import S3Rig, unique_name
from tests.scripts import run_script

pytestmark = [pytest.mark.s3, pytest.mark.once, pytest.mark.usefixtures("quick_clients")]

# Where credentials come from if none are given and none are in AWS_ACCESS_KEY_ID: then boto3 is
# asked anyway.
FOR_CREDENTIALS = frozenset(
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}
    | {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}
    | {"AWS_CREDENTIAL_FILE", "AWS_LOGIN_CACHE_DIRECTORY", "AWS_ROLE_ARN"}
    | {"AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE"}
)
# Of the user agent, of `defaults_mode`, which is boto3's, and of how boto3 itself does it.
OF_NO_REQUEST = frozenset(
    {"AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "BOTO_DISABLE_CRT"}
    | {"BOTO_EXPERIMENTAL__ADD_PROXY_HOST_HEADER", "BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE"}
    # Writes the secrets of TLS into a file.
    | {"SSLKEYLOGFILE"}
)
KNOWN = UNDERSTOOD | WITHOUT_BEARING | BOTO3S | FOR_CREDENTIALS | OF_NO_REQUEST
IN_QUOTES = re.compile(r"""['"]((?:AWS|BOTO)[A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])['"]""")
LOOKED_UP = re.compile(r"""(?:environ|getenv)\b(?:\.get)?\s*[\[(]\s*['"](\w+)['"]""")
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let nothing of this machine make a configuration other than plain; botocore's own rules."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(variable)
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert isinstance(plain_source(settings_of()), PlainSource)
    return home


def reason(default: dict[str, Any] | None = None, params: dict[str, Any] | None = None) -> str:
    """Say why a configuration is not plain; nothing if it is."""
    found = plain_source(settings_of(default, params))
    return found if isinstance(found, str) else ""


def sources_of_botocore() -> Iterator[str]:
    import boto3
    import botocore
    import s3transfer

    for package in (botocore, boto3, s3transfer):
        assert package.__file__ is not None
        for path in sorted(Path(package.__file__).parent.rglob("*.py")):
            yield path.read_text("utf-8")


class TestVariables:
    def test_all_of_botocores_tables_are_known(self) -> None:
        from botocore import configprovider

        names: set[str] = set()
        tables = [
            value
            for name, value in vars(configprovider).items()
            if name.isupper() and isinstance(value, dict)
        ]
        assert len(tables) >= 3
        for table in tables:
            for _, variables, *_ in table.values():
                names |= {variables} if isinstance(variables, str) else set(variables or ())
        assert len(names) > 30
        assert names - KNOWN == set()

    def test_all_that_their_source_mentions_are_known(self) -> None:
        names: set[str] = set()
        for text in sources_of_botocore():
            names |= set(IN_QUOTES.findall(text))
            names |= set(LOOKED_UP.findall(text))
        # That it finds them, in whatever way they are written.
        assert {"AWS_PROFILE", "REQUESTS_CA_BUNDLE", "BOTO_CONFIG", "SSLKEYLOGFILE"} <= names
        # One is of an example in a docstring, the other one `templates` reads, within AWS Lambda.
        assert names - KNOWN <= {"FOO", "_X_AMZN_TRACE_ID"}

    def test_the_variables_of_a_service_are_known(self) -> None:
        """Their names are put together, so that a search does not find them."""
        assert {"AWS_ENDPOINT_URL_S3", "AWS_BEARER_TOKEN_S3"} <= KNOWN
        made = {
            name
            for text in sources_of_botocore()
            for name in re.findall(r"""f['"]((?:AWS|BOTO)[A-Z_]*)\{""", text)
        }
        assert made == {"AWS_ENDPOINT_URL_", "AWS_BEARER_TOKEN_"}

    def test_each_is_known_in_one_way(self) -> None:
        sets = [UNDERSTOOD, WITHOUT_BEARING, BOTO3S, FOR_CREDENTIALS, OF_NO_REQUEST]
        assert sum(map(len, sets)) == len(KNOWN)

    @pytest.mark.parametrize("name", sorted(BOTO3S))
    @pytest.mark.parametrize("value", ["x", ""])
    def test_those_that_are_boto3s(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        assert name in reason()

    def test_those_that_change_nothing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """boto3 makes the same requests with all of them as we do, who don't look at them."""
        numbers = {"AWS_MAX_ATTEMPTS", "AWS_CSM_PORT", "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES"}
        numbers |= {"AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"}
        odd = {
            "AWS_RETRY_MODE": "adaptive",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1/",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ipv6",
            "AWS_ACCOUNT_ID_ENDPOINT_MODE": "required",
            "AWS_STS_REGIONAL_ENDPOINTS": "legacy",
            "SSLKEYLOGFILE": str(tmp_path / "secrets"),
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
            "AWS_REGION": "eu-central-1",
        }
        for name in WITHOUT_BEARING | FOR_CREDENTIALS | OF_NO_REQUEST:
            monkeypatch.setenv(name, "7" if name in numbers else odd.get(name, "true"))
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        for params in ({}, {"endpoint_url": LOCAL}):
            settings = settings_of({"auth_type": "default"}, params)
            source = plain_source(settings)
            assert isinstance(source, PlainSource)
            boto3 = Boto3(settings)
            one_of_each = {wanted.operation: wanted for wanted in OF_KEYS}
            for wanted in one_of_each.values():
                compare(boto3, [source], wanted, ODD_KEY)
            compare(boto3, [source], OF_BUCKETS[-1], None)
            assert source.client_config == boto3.clients.client_config

    @pytest.mark.parametrize(
        "name",
        [
            *("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
            *("Http_Proxy", "socks_proxy"),
        ],
    )
    def test_proxies(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
        assert name in reason()
        # Whatever it may be an exception from.
        monkeypatch.setenv("no_proxy", "*")
        assert name in reason()
        monkeypatch.setenv("REQUEST_METHOD", "GET")
        assert name in reason()

    @pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY"])
    def test_an_empty_proxy_is_none(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "")
        assert reason() == ""

    @pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
    def test_exceptions_alone_are_nothing(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "example.com")
        assert reason() == ""


FILES = [("config", "AWS_CONFIG_FILE"), ("credentials", "AWS_SHARED_CREDENTIALS_FILE")]


class TestFiles:
    @pytest.mark.parametrize(("name", "_"), FILES)
    def test_one_at_its_place_is_boto3s(self, name: str, _: str, home: Path) -> None:
        path = home / ".aws" / name
        path.write_text("[default]\n")
        assert reason() == f"the file {path}"
        path.write_text("")
        assert reason() == ""

    @pytest.mark.parametrize(("name", "variable"), FILES)
    @pytest.mark.parametrize("written", ["{home}/else", "~/else", "$HOME/else", "${{HOME}}/else"])
    def test_so_is_one_elsewhere(
        self,
        name: str,
        variable: str,
        written: str,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Written in each form that botocore understands."""
        import botocore.session

        monkeypatch.setenv(variable, written.format(home=home))
        assert reason() == ""
        (home / "else").write_text(
            "[profile x]\nregion = y\n" if name == "config" else "[x]\na=b\n"
        )
        assert reason() == f"the file {home / 'else'}"
        assert "x" in botocore.session.Session().full_config["profiles"]

    @pytest.mark.parametrize(("name", "variable"), FILES)
    @pytest.mark.parametrize("instead", ["", os.devnull, "~/.aws", "~/not-there"])
    def test_one_that_another_takes_the_place_of_is_not_read(
        self,
        name: str,
        variable: str,
        instead: str,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import botocore.session

        (home / ".aws" / name).write_text("[default]\nregion = eu-west-3\n")
        assert reason() != ""
        monkeypatch.setenv(variable, instead)
        assert reason() == ""
        assert botocore.session.Session().full_config["profiles"] == {}

    def test_models_are_boto3s(self, home: Path) -> None:
        (home / ".aws" / "models").mkdir()
        assert "models" in reason()


ODD = "config.request_checksum_calculation"


class TestSettings:
    @pytest.mark.parametrize(
        ("default", "params", "why"),
        [
            ({"auth_type": "profile", "profile_name": "x"}, {}, "profile"),
            ({"auth_type": "default"}, {}, "no keys"),
            ({"auth_type": "default"}, {"aws_access_key_id": "x"}, "no keys"),
            ({"auth_type": "default"}, {"aws_secret_access_key": "x"}, "no keys"),
            ({"auth_type": "default"}, {"aws_session_token": "x"}, "no keys"),
            ({}, {"aws_session_token": "x"}, "aws_session_token"),
            ({"key_id": "ké"}, {}, "plain text"),
            ({"key_secret": "sé"}, {}, "plain text"),
            ({}, {"use_ssl": True}, "use_ssl"),
            ({}, {"api_version": "2006-03-01"}, "api_version"),
            ({}, {"config.tcp_keepalive": True}, "tcp_keepalive"),
            ({}, {"config.user_agent_extra": "x"}, "user_agent_extra"),
            ({}, {"config.parameter_validation": False}, "parameter_validation"),
            ({}, {"config.proxies": {"http": "x"}}, "proxies"),
            ({}, {"config.client_cert": "x"}, "client_cert"),
            ({}, {"config.signature_version": "s3v4"}, "signature_version"),
            ({}, {"config.region_name": "eu-west-1"}, "region_name"),
            ({}, {"config.retries.mode": "standard"}, "retries"),
            ({}, {"config.read_timeout": None}, "read_timeout"),
            ({}, {"config.connect_timeout": 0}, "connect_timeout"),
            ({}, {"config.max_pool_connections": -1}, "max_pool_connections"),
            ({}, {"config.s3.addressing_style": "virtual"}, "s3"),
            ({}, {"config.s3.addressing_style": "AUTO"}, "s3"),
            ({}, {"config.s3.addressing_style": ["auto"]}, "s3"),
            ({}, {"config.s3.addressing_style": None}, "s3"),
            ({}, {"config.s3.use_arn_region": True}, "s3"),
            ({}, {ODD: "WHEN_REQUIRED"}, ODD),
            ({}, {ODD: None}, ODD),
            ({}, {ODD: ["when_required"]}, ODD),
            ({}, {ODD: {"a": "b"}}, ODD),
            ({}, {"endpoint_url": "http://h:"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://h_h"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://-h"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://h..h"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://h//"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://h\n"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://bücher.example"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://[fe80::1%25eth0]"}, "endpoint_url"),
            ({}, {"endpoint_url": "http://[::ffff:127.0.0.1]"}, "endpoint_url"),
            ({}, {"endpoint_url": "https://s3.amazonaws.com.cn"}, "endpoint_url"),
            ({}, {"endpoint_url": "https://s3.eu-west-1.api.aws"}, "endpoint_url"),
            ({"bucket_name": "a--x-s3"}, {"endpoint_url": LOCAL}, "bucket"),
            ({"bucket_name": "a--xa-s3"}, {}, "bucket"),
            ({"bucket_name": "a--op-s3"}, {}, "bucket"),
            ({"bucket_name": "a--new1-s3"}, {}, "bucket"),
        ],
    )
    def test_what_is_boto3s(
        self, default: dict[str, Any], params: dict[str, Any], why: str
    ) -> None:
        assert why in reason(default, params)

    def test_a_session_of_the_callers_is(self) -> None:
        settings = dataclasses.replace(settings_of(), session=object())
        assert plain_source(settings) == "boto3_session"

    def test_parameters_of_puts_are(self) -> None:
        found = plain_source(settings_of(put_params={"ContentType": "text/plain"}))
        assert isinstance(found, str)
        assert "put_params" in found

    @pytest.mark.parametrize("missing", sorted(KEYS))
    @pytest.mark.parametrize("value", ["", None, "two\nlines", " x"])
    def test_half_of_the_keys_of_the_environment_are_none(
        self, missing: str, value: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in KEYS:
            monkeypatch.setenv(name, KEYS[name])
        assert reason({"auth_type": "default"}) == ""
        if value is None:
            monkeypatch.delenv(missing)
        else:
            monkeypatch.setenv(missing, value)
        assert reason({"auth_type": "default"}) != ""

    def test_buckets_that_botocore_has_rules_for_are(self) -> None:
        """Its rules for endpoints name the ends of their names."""
        import gzip

        import botocore

        path = Path(botocore.__file__).parent / "data/s3/2006-03-01/endpoint-rule-set-1.json.gz"
        rules = gzip.decompress(path.read_bytes()).decode()
        ends = set(re.findall(r'"(-[a-z0-9-]*[a-z0-9])"', rules))
        assert {"--x-s3", "--xa-s3", "--op-s3"} <= ends
        for end in ends:
            assert "bucket" in reason({"bucket_name": f"mine{end}"}), end


SCRIPT = """
import cshelve
db = cshelve.open_from_dict(config)
db["a"] = 1
assert db["a"] == 1 and "a" in db and "b" not in db
del db["a"]
try:
    db["a"]
except KeyError:
    pass
else:
    raise AssertionError("it is there")
db.update({f"k{n}": n for n in range(50)})
assert [v for _, v in db.get_many(["k1", "k2", "none"])][:2] == [1, 2]
assert dict(db.items()) == {f"k{n}": n for n in range(50)}
assert len(db) == 50 and sorted(db) == sorted(f"k{n}" for n in range(50))
assert db.modify("k1", lambda n: n + 1) == 2 and db["k1"] == 2
assert db.modify("new", lambda n: n + 1, default=0) == 1
assert db.setdefault("k2", 9) == 2 and db.setdefault("s", 9) == 9
assert db.pop("s") == 9 and db.pop("s", None) is None
large = bytes(range(256)) * (20 * 4096)
db["large"] = large
assert db["large"] == large and db.pop("large") == large
db.clear()
assert len(db) == 0
found = sorted({"boto3", "botocore", "awscrt", "s3transfer", "urllib3"} & set(sys.modules))
from tests.rigs import provider_of
print(json.dumps([provider_of(db).engine, found]))
db.close()
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certificate") / "ours.pem"
    write_certificate(path)
    return path


class TestImports:
    """Each in a process of its own, with all that a shelf can do."""

    def modules_of(self, config: dict[str, Any], **environ: str) -> list[Any]:
        config["default"]["engine"] = "direct"
        ended = run_script(SCRIPT, config, environ=environ)
        assert (ended.stderr, ended.returncode) == ("", 0)
        result: list[Any] = json.loads(ended.stdout)
        return result

    def config(self, s3: S3Rig, url: str, **default: Any) -> dict[str, Any]:
        config = s3.config(**default)
        config["provider_params"] = {"endpoint_url": url}
        return config

    def keys(self, s3: S3Rig) -> tuple[str, str]:
        return s3.server.admin.access_key, s3.server.admin.secret_key

    def test_keys_that_are_given(self, s3: S3Rig) -> None:
        config = self.config(s3, s3.server.endpoint_url)
        assert self.modules_of(config) == ["direct", []]

    def test_keys_of_variables(self, s3: S3Rig) -> None:
        key_id, secret = self.keys(s3)
        config = self.config(s3, s3.server.endpoint_url, key_id="$MY_ID", key_secret="$MY_SECRET")
        assert self.modules_of(config, MY_ID=key_id, MY_SECRET=secret) == ["direct", []]

    def test_keys_where_aws_has_them(self, s3: S3Rig) -> None:
        key_id, secret = self.keys(s3)
        config = {
            "default": {
                "provider": "aws-s3",
                "bucket_name": s3.bucket,
                "auth_type": "default",
                "key_prefix": unique_name(),
            }
        }
        found = self.modules_of(
            config,
            AWS_ACCESS_KEY_ID=key_id,
            AWS_SECRET_ACCESS_KEY=secret,
            AWS_ENDPOINT_URL=s3.server.endpoint_url,
            AWS_DEFAULT_REGION="eu-west-1",
        )
        assert found == ["direct", []]

    @pytest.mark.parametrize("by", ["verify", "AWS_CA_BUNDLE"])
    def test_tls(self, by: str, s3: S3Rig, certificate: Path) -> None:
        with TlsFront(s3.server.endpoint_url, certificate) as front:
            config = self.config(s3, front.endpoint_url)
            environ = {}
            if by == "verify":
                config["provider_params"]["verify"] = str(certificate)
            else:
                environ["AWS_CA_BUNDLE"] = str(certificate)
            assert self.modules_of(config, **environ) == ["direct", []]

    def test_what_is_not_plain_imports_boto3(self, s3: S3Rig) -> None:
        config = self.config(s3, s3.server.endpoint_url)
        config["put_params"] = {"ContentType": "application/x-python"}
        engine, modules = self.modules_of(config)
        assert engine == "direct"
        assert {"boto3", "botocore"} <= set(modules)
