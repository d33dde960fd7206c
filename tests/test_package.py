"""The package itself: its version, its names, and what importing it costs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import cshelve
from cshelve import exceptions

SDKS = ("boto3", "botocore", "Crypto", "cryptography", "azure", "google", "asyncssh")
EXTRAS = ("backports.zstd", "lz4", "msgpack")
# Of the standard library; what a shelf in memory has no use for.
HEAVY = ("asyncio", "email", "http.client", "multiprocessing", "socket", "ssl", "subprocess", "xml")
NAMES_OF_1X = [
    "AuthError",
    "AuthTypeError",
    "AuthArgumentError",
    "CanNotCreateDBError",
    "ConfigurationError",
    "DataProcessingSignatureError",
    "DBDoesNotExistsError",
    "EncryptedDataCorruptionError",
    "KeyNotFoundError",
    "MissingEncryptionKeyError",
    "ReadOnlyError",
    "UnknownCompressionAlgorithmError",
    "UnknownEncryptionAlgorithmError",
    "UnknownProviderError",
    "open",
    "open_from_dict",
]
RUNTIME_ERRORS_OF_1X = [
    "ConfigurationError",
    "DataProcessingSignatureError",
    "EncryptedDataCorruptionError",
    "MissingEncryptionKeyError",
    "UnknownCompressionAlgorithmError",
    "UnknownEncryptionAlgorithmError",
    "UnknownProviderError",
]


def run(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def test_this_is_ours_and_not_the_registrys() -> None:
    assert cshelve.__version__ == "2.0.0.dev0"
    assert importlib.metadata.version("cshelve") == cshelve.__version__


def test_importing_it_imports_no_sdk() -> None:
    program = (
        f"import sys, cshelve, cshelve.testing; print([m for m in {SDKS} if m in sys.modules])"
    )
    assert run(program) == "[]"


def test_a_local_and_an_in_memory_shelf_import_no_sdk(tmp_path: Path) -> None:
    program = (
        f"import sys, cshelve; cshelve.open({str(tmp_path / 'local')!r}).close(); "
        "cshelve.open_from_dict({'default': {'provider': 'in-memory'}}).close(); "
        f"print([m for m in {SDKS + EXTRAS} if m in sys.modules])"
    )
    assert run(program) == "[]"


def test_neither_importing_it_nor_a_shelf_in_memory_imports_what_is_heavy() -> None:
    program = (
        "import sys, cshelve; "
        "db = cshelve.open_from_dict({'default': {'provider': 'in-memory'}}); "
        "db['k'] = 1; assert dict(db.items()) == {'k': 1}; db.close(); "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert run(program) == "[]"


@pytest.mark.encryption
@pytest.mark.msgpack
@pytest.mark.parametrize(
    ("sections", "imported"),
    [
        ({"encryption": {"algorithm": "aes256", "key": "k" * 32}}, ["Crypto"]),
        (
            {"encryption": {"algorithm": "aes256-gcm", "key": cshelve.generate_key()}},
            ["cryptography"],
        ),
        ({"signing": {"algorithm": "hmac-sha256", "key": cshelve.generate_key()}}, []),
        ({"compression": {"algorithm": "zlib"}}, []),
        pytest.param({"compression": {"algorithm": "lz4"}}, ["lz4"], marks=pytest.mark.lz4),
        ({"default": {"serializer": "msgpack"}}, ["msgpack"]),
    ],
)
def test_a_shelf_imports_what_it_is_configured_for(
    sections: dict[str, dict[str, str]], imported: list[str]
) -> None:
    config = {**sections, "default": {"provider": "in-memory", **sections.get("default", {})}}
    program = (
        f"import sys, cshelve; db = cshelve.open_from_dict({config!r}); db['k'] = 'k' * 50; "
        "assert db['k'] == 'k' * 50; "
        f"print([m for m in {SDKS + EXTRAS} if m in sys.modules])"
    )
    assert run(program) == str(imported)


@pytest.mark.s3
def test_opening_a_shelf_in_a_bucket_imports_nothing_that_is_for_later() -> None:
    config = {
        "default": {
            "provider": "aws-s3",
            "bucket_name": "bucket",
            "auth_type": "anonymous",
            "region_name": "us-east-1",
            "check_bucket": False,
        }
    }
    # Of what compresses not zstd, which urllib3 imports by itself.
    later = ["lz4", "msgpack", "ctypes", "difflib", "cshelve.testing"]
    later += ["cshelve.codec.aes_eax", "cshelve.codec.aes_gcm", "cshelve.codec.signing"]
    program = (
        f"import sys, cshelve; cshelve.open_from_dict({config!r}).close(); "
        f"print([m for m in {later} if m in sys.modules])"
    )
    assert run(program) == "[]"


def test_the_testing_kit_imports_without_pytest() -> None:
    assert run("import sys, cshelve.testing; print('pytest' in sys.modules)") == "False"


@pytest.mark.parametrize("name", NAMES_OF_1X)
def test_the_names_that_callers_know_are_there(name: str) -> None:
    assert name in cshelve.__all__
    assert hasattr(cshelve, name)


def test_every_exception_is_exported() -> None:
    assert set(exceptions.__all__) <= set(cshelve.__all__)


def test_every_exception_is_an_error() -> None:
    assert all(issubclass(getattr(exceptions, name), cshelve.Error) for name in exceptions.__all__)


@pytest.mark.parametrize("name", RUNTIME_ERRORS_OF_1X)
def test_what_was_a_runtime_error_still_is(name: str) -> None:
    assert issubclass(getattr(cshelve, name), RuntimeError)


def test_only_an_absent_key_is_a_key_error() -> None:
    names = [n for n in exceptions.__all__ if issubclass(getattr(exceptions, n), KeyError)]
    assert names == ["KeyNotFoundError"]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    for name in exceptions.__all__:
        assert f" {name} " in (exceptions.__doc__ or "").replace("\n", " ").replace("(", " (")


def test_importing_everything_works() -> None:
    assert run("from cshelve import *; print(open.__module__)") == "cshelve._open"


def test_the_command_line_says_what_to_install() -> None:
    script = "import sys; sys.modules['click'] = None; from cshelve.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "cshelve: the command line needs the package click: pip install 'cshelve[cli]'\n"
    )
