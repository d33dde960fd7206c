"""`doctor`, which is lied to: each test is a shelf in trouble of one kind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

import cshelve
from testbed.fault_proxy import FaultProxy
from testbed.faults import (
    Answer,
    Delay,
    EditResponse,
    Fault,
    ForbidAbsent,
    Hang,
    WithHeaders,
    WithoutHeaders,
)
from testbed.http_messages import Response
from testbed.moto import Moto
from testbed.openssh import OpenSSH
from testbed.s3_client import Identity
from testbed.scripted_server import ScriptedServer
from testbed.tls_front import TlsFront, write_certificate
from tests import rigs
from tests.cli.rig import ini_file, objects, on_terminal, run, s3_ini, screen

s3_only = pytest.mark.s3

# Shifts the clock of the whole program, by the number of seconds in the environment.
SHIFTED_CLOCK = """
import datetime, os, time

seconds = float(os.environ["SHIFT_SECONDS"])
true_time, true_gmtime, true_strftime = time.time, time.gmtime, time.strftime
time.time = lambda: true_time() + seconds
time.gmtime = lambda at=None: true_gmtime(time.time() if at is None else at)
time.strftime = lambda form, at=None: true_strftime(form, time.gmtime() if at is None else at)

class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=seconds)

    @classmethod
    def utcnow(cls):
        return super().utcnow() + datetime.timedelta(seconds=seconds)

datetime.datetime = Shifted
"""


def doctor(
    shelf: object, flag: str = "w", *, status: int, **options: Any
) -> dict[str, dict[str, Any]]:
    """Run the doctor, check its status, and return its findings by the name of the check."""
    done = run("doctor", "--json", shelf, "--flag", flag, **options)
    assert done.returncode == status, (done.stdout.decode(), done.stderr.decode())
    found = {each["check"]: each for each in objects(done.stdout.decode())}
    assert all(each["advice"] for each in found.values() if each["status"] == "failed")
    return found


def times_of_files(folder: Path) -> dict[Path, int]:
    """Return when each file was written, without those that SQLite needs to read a database."""
    files = (each for each in folder.rglob("*") if not each.name.endswith(("-shm", "-wal")))
    return {each: each.stat().st_mtime_ns for each in files}


def with_status(found: dict[str, dict[str, Any]], status: str) -> list[str]:
    return [name for name, each in found.items() if each["status"] == status]


def s3_shelf(path: Path, s3: rigs.S3Rig, identity: Identity | None = None, **default: Any) -> Path:
    return ini_file(path / "shelf.ini", s3.config(identity, total_max_attempts=2, **default))


def put_keys(s3: rigs.S3Rig) -> set[str]:
    return {seen.key.rpartition("/")[2] for seen in s3.proxy.requests if seen.method == "PUT"}


def keys_of_doctor(s3: rigs.S3Rig) -> list[str]:
    """Return the objects that a doctor has written and left in the bucket."""
    changed = {seen.key for seen in s3.proxy.requests if seen.method != "GET"}
    return [key for key in sorted(changed) if "cshelve-doctor" in key and is_there(s3, key)]


def is_there(s3: rigs.S3Rig, key: str) -> bool:
    listed = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=key).get("Contents", [])
    return key in [each["Key"] for each in listed]


@s3_only
class TestHealthy:
    def test_with_r_nothing_is_written(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        shelf = s3_ini(tmp_path / "shelf.ini", s3)
        with cshelve.open(shelf) as db:
            db["k"] = 1
        s3.proxy.clear()
        found = doctor(shelf, "r", status=0)
        assert with_status(found, "ok") == list(found)
        assert {seen.method for seen in s3.proxy.requests} == {"GET", "HEAD"}
        # It is the default.
        done = run("doctor", shelf)
        assert b"nothing was written" in done.stderr
        assert done.stdout.decode().splitlines()[0].startswith("ok       variables: ")

    @pytest.mark.parametrize("flag", "wcn")
    def test_its_own_key_is_removed_and_others_stay(
        self, s3: rigs.S3Rig, tmp_path: Path, flag: str
    ) -> None:
        shelf = s3_ini(tmp_path / "shelf.ini", s3)
        with cshelve.open(shelf) as db:
            db["k"] = 1
        s3.proxy.clear()
        found = doctor(shelf, flag, status=0)
        assert with_status(found, "ok") == list(found)
        assert found["write latency"]["seconds"] > 0
        assert "refused" in found["checksums"]["detail"]
        assert all(
            key.startswith(("cshelve-doctor-", ".cshelve-probe-")) for key in put_keys(s3)
        ), put_keys(s3)
        assert keys_of_doctor(s3) == []
        with cshelve.open(shelf, "r") as db:
            assert dict(db) == {"k": 1}

    def test_a_terminal_shows_a_table(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        shown = screen("doctor", s3_ini(tmp_path / "shelf.ini", s3))
        assert "What was found" in shown
        assert "read latency" in shown

    def test_a_narrow_terminal_shows_what_was_found(self, tmp_path: Path) -> None:
        absent = tmp_path / "absent.ini"
        shown = screen("doctor", absent, status=1, env={"COLUMNS": "20"})
        assert "there is no such file" in shown

    @pytest.mark.parametrize("serializer", ["json", "msgpack", "bytes"])
    def test_any_serializer_will_do(self, s3: rigs.S3Rig, tmp_path: Path, serializer: str) -> None:
        shelf = s3_ini(tmp_path / "shelf.ini", s3, serializer=serializer)
        assert doctor(shelf, status=0)["write"]["status"] == "ok"


@s3_only
class TestCredentials:
    def test_a_wrong_secret(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        wrong = Identity(s3.server.admin.access_key, "not-the-secret")
        found = doctor(s3_shelf(tmp_path, s3, wrong), status=1)
        assert with_status(found, "failed") == ["signature"]
        assert "SignatureDoesNotMatch" in found["signature"]["detail"]
        assert "[default] key_id and key_secret" in found["signature"]["advice"]
        assert found["write"]["detail"] == "not tried, because of: signature"

    def test_an_unknown_key_id(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        found = doctor(s3_shelf(tmp_path, s3, Identity("nobody-at-all", "x")), status=1)
        assert with_status(found, "failed") == ["signature"]
        assert "does not know the access key id" in found["signature"]["detail"]

    def test_expired_credentials(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        with s3.proxy.inject(Answer(400, "ExpiredToken"), operation="ListObjectsV2", times=None):
            found = doctor(s3_shelf(tmp_path, s3), status=1)
        assert with_status(found, "failed") == ["signature"]
        assert found["signature"]["advice"] == "renew them"

    def test_no_credentials(self, s3: rigs.S3Rig) -> None:
        url = f"s3://{s3.bucket}?endpoint_url={s3.proxy.endpoint_url}"
        found = doctor(url, status=1, env={"HOME": "/nowhere"})
        assert with_status(found, "failed") == ["credentials"]
        assert found["connection"]["status"] == "ok"

    def test_a_readers(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        shelf = s3_shelf(tmp_path, s3, s3.server.reader)
        assert with_status(doctor(shelf, "r", status=0), "failed") == []
        found = doctor(shelf, status=1)
        assert with_status(found, "failed") == ["delete", "write", "abort upload"]
        assert "grant s3:PutObject" in found["write"]["advice"]
        assert f"cshelve policy {shelf} --flag w" in found["write"]["advice"]

    def test_those_that_can_only_list(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        found = doctor(s3_shelf(tmp_path, s3, s3.server.lister), "r", status=1)
        assert with_status(found, "failed") == ["read"]
        assert "grant s3:GetObject" in found["read"]["advice"]

    def test_those_that_cannot_list(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        """Everything else is tried all the same."""
        refused = Answer(403, "AccessDenied")
        with s3.proxy.inject(refused, operation="ListObjectsV2", times=None):
            found = doctor(s3_shelf(tmp_path, s3), status=1)
        assert with_status(found, "failed") == ["list"]
        assert with_status(found, "warning") == ["open"]
        assert found["write"]["status"] == "ok"
        assert keys_of_doctor(s3) == []

    def test_those_that_need_not_list(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        shelf = s3_shelf(tmp_path, s3, missing_on_forbidden="true")
        refused = Answer(403, "AccessDenied")
        with s3.proxy.inject(refused, operation="ListObjectsV2", times=None):
            found = doctor(shelf, "r", status=0)
        assert with_status(found, "warning") == ["list"]

    def test_those_that_cannot_delete(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        """What could not be removed again is not written."""
        refused = Answer(403, "AccessDenied")
        with s3.proxy.inject(refused, operation="DeleteObject", times=None):
            found = doctor(s3_shelf(tmp_path, s3), status=1)
        assert with_status(found, "failed") == ["delete"]
        assert found["write"]["detail"].startswith("not refused; nothing was written")
        assert keys_of_doctor(s3) == []

    def test_a_missing_key_that_looks_refused(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        shelf = s3_shelf(tmp_path, s3)
        with cshelve.open(shelf) as db:
            db["k"] = 1
        with s3.proxy.inject(ForbidAbsent(), operation="GetObject", times=None):
            found = doctor(shelf, "r", status=1)
        assert with_status(found, "failed") == ["missing key"]
        assert "s3:ListBucket" in found["missing key"]["advice"]

    def test_secrets_are_never_printed(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        for who in (s3.server.admin, s3.server.reader, Identity("unknown-id", "a-secret-key")):
            shelf = s3_shelf(tmp_path, s3, who)
            for form in ([], ["--json"], ["--debug"]):
                done = run("doctor", shelf, "--flag", "w", *form)
                assert who.secret_key.encode() not in done.stdout + done.stderr

    def test_aws_tells_whose_they_are(self, moto: Moto, tmp_path: Path) -> None:
        moto.client().create_bucket(Bucket="whose")
        env = {
            "AWS_ENDPOINT_URL": moto.endpoint_url,
            "AWS_ACCESS_KEY_ID": "some-key-id",
            "AWS_SECRET_ACCESS_KEY": "some-secret",
        }
        found = doctor("s3://whose/prefix", "r", status=0, env=env)
        assert "arn:aws:sts::" in found["credentials"]["detail"]
        assert "AWS_ACCESS_KEY_ID" in found["credentials"]["detail"]


@s3_only
class TestPlace:
    @pytest.mark.parametrize("flag", "rw")
    def test_an_absent_bucket(self, s3: rigs.S3Rig, tmp_path: Path, flag: str) -> None:
        shelf = s3_shelf(tmp_path, s3, bucket_name="no-such-bucket")
        found = doctor(shelf, flag, status=1)
        assert with_status(found, "failed") == ["open"]
        assert "flag c" in found["open"]["advice"]

    @pytest.mark.parametrize("flag", "cn")
    def test_an_absent_bucket_is_not_created(
        self, s3: rigs.S3Rig, tmp_path: Path, flag: str
    ) -> None:
        shelf = s3_shelf(tmp_path, s3, bucket_name="no-such-bucket")
        found = doctor(shelf, flag, status=1)
        assert with_status(found, "failed") == []
        assert "in the region us-east-1" in found["open"]["detail"]
        assert "s3:CreateBucket" in found["open"]["detail"]
        assert found["write"]["status"] == "skipped"
        names = {each["Name"] for each in s3.client.list_buckets()["Buckets"]}
        assert "no-such-bucket" not in names

    def test_another_region(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        headers = {"x-amz-bucket-region": "eu-central-1"}
        wrong = Answer(400, "AuthorizationHeaderMalformed", "wrong region", headers)
        with s3.proxy.inject(wrong, operation="ListObjectsV2", times=None):
            found = doctor(s3_shelf(tmp_path, s3), status=1)
        assert with_status(found, "failed") == ["region"]
        assert "eu-central-1" in found["region"]["detail"]

    def test_another_region_to_which_requests_are_redirected(
        self, s3: rigs.S3Rig, tmp_path: Path
    ) -> None:
        def edit(response: Response) -> Response:
            response.headers.append(("x-amz-bucket-region", "eu-central-1"))
            return response

        with s3.proxy.inject(EditResponse(edit), operation="HeadBucket", times=None):
            found = doctor(s3_shelf(tmp_path, s3), "r", status=0)
        assert with_status(found, "warning") == ["region"]
        assert "region_name = eu-central-1" in found["region"]["advice"]


@s3_only
class TestWay:
    def at(self, path: Path, s3: rigs.S3Rig, endpoint_url: str, **params: str) -> Path:
        config = s3.config(total_max_attempts=2)
        config["provider_params"] = {"endpoint_url": endpoint_url, **params}
        return ini_file(path / "shelf.ini", config)

    def test_a_dead_port(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        found = doctor(self.at(tmp_path, s3, f"http://127.0.0.1:{port}"), status=1)
        assert with_status(found, "failed") == ["connection"]
        assert "refused" in found["connection"]["detail"]
        assert "[provider_params] endpoint_url" in found["connection"]["advice"]
        assert found["credentials"]["status"] == "ok"

    def test_a_name_without_an_address(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        found = doctor(self.at(tmp_path, s3, "http://s3.nowhere.invalid"), status=1)
        assert with_status(found, "failed") == ["name resolution"]
        assert "s3.nowhere.invalid" in found["name resolution"]["detail"]

    def test_a_certificate_of_its_own(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        write_certificate(certificate := tmp_path / "own.pem")
        with TlsFront(s3.proxy.endpoint_url, certificate) as front:
            found = doctor(self.at(tmp_path, s3, front.endpoint_url), status=1)
            assert with_status(found, "failed") == ["TLS"]
            assert "self-signed" in found["TLS"]["detail"].replace("self signed", "self-signed")
            assert "verify" in found["TLS"]["advice"]
            trusting = self.at(tmp_path, s3, front.endpoint_url, verify=str(certificate))
            found = doctor(trusting, status=0)
            assert "valid until" in found["TLS"]["detail"]
            found = doctor(self.at(tmp_path, s3, front.endpoint_url, verify="false"), status=0)
            assert with_status(found, "warning") == ["TLS"]

    def test_a_server_without_tls(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        url = s3.server.endpoint_url.replace("http://", "https://")
        found = doctor(self.at(tmp_path, s3, url), status=1)
        assert with_status(found, "failed") == ["TLS"]
        assert "http://" in found["TLS"]["advice"]

    def test_a_server_that_is_none_of_s3(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        with s3.proxy.inject(Answer(200, body=b"hello"), times=None):
            found = doctor(s3_shelf(tmp_path, s3), "r", status=1)
        assert with_status(found, "failed") == ["signature"]
        assert "an S3 server" in found["signature"]["advice"]

    def test_a_port_without_http(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        with ScriptedServer(lambda _index, _request: b"SSH-2.0-OpenSSH_9.6\r\n") as server:
            found = doctor(self.at(tmp_path, s3, server.endpoint_url), "r", status=1)
        assert with_status(found, "failed") == ["response"]

    def test_a_proxy_is_named_without_its_password(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        proxy = s3.proxy.endpoint_url.replace("http://", "http://user:hunter2@")
        shelf = self.at(tmp_path, s3, "http://s3.nowhere.invalid")
        done = run("doctor", shelf, env={"HTTP_PROXY": proxy, "http_proxy": proxy})
        assert b"left to the proxy 127.0.0.1:" in done.stdout
        assert b"hunter2" not in done.stdout + done.stderr


@s3_only
class TestClock:
    @pytest.mark.parametrize(("seconds", "told"), [(3600, "60 minutes ahead"), (-3600, "behind")])
    def test_it_is_off_by_an_hour(
        self, s3: rigs.S3Rig, tmp_path: Path, seconds: int, told: str
    ) -> None:
        (tmp_path / "sitecustomize.py").write_text(SHIFTED_CLOCK)
        paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        env = {"PYTHONPATH": paths, "SHIFT_SECONDS": str(seconds)}
        found = doctor(s3_shelf(tmp_path, s3), status=1, env=env)
        assert with_status(found, "failed") == ["clock"]
        assert "the server refuses the time of requests" in found["clock"]["detail"]
        assert told in found["clock"]["detail"]

    def test_a_server_does_not_object(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        def edit(response: Response) -> Response:
            response.headers[:] = [
                (name, "Thu, 01 Jan 2026 00:00:00 GMT" if name.lower() == "date" else value)
                for name, value in response.headers
            ]
            return response

        with s3.proxy.inject(EditResponse(edit), operation="HeadBucket", times=None):
            found = doctor(s3_shelf(tmp_path, s3), "r", status=1)
        assert with_status(found, "failed") == ["clock"]


@s3_only
class TestPromises:
    """Moto checks no signatures, so a proxy may change requests on their way to it."""

    @pytest.fixture
    def proxy(self, moto: Moto) -> Iterator[FaultProxy]:
        client = moto.client()
        if "promises" not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket="promises")
        with FaultProxy(moto.endpoint_url) as proxy:
            yield proxy

    def shelf(self, path: Path, moto: Moto, proxy: FaultProxy) -> Path:
        config = rigs.s3_config(moto.admin, proxy.endpoint_url, bucket_name="promises")
        return ini_file(path / "shelf.ini", config)

    def test_conditions_are_ignored(self, moto: Moto, proxy: FaultProxy, tmp_path: Path) -> None:
        with proxy.inject(WithoutHeaders(["If-Match", "If-None-Match"]), times=None):
            found = doctor(self.shelf(tmp_path, moto, proxy), status=1)
        assert with_status(found, "failed") == ["conditional writes"]
        assert "plain writes" in found["conditional writes"]["advice"]
        assert moto.client().list_objects_v2(Bucket="promises").get("KeyCount") == 0

    def test_conditions_that_hold_are_refused(
        self, moto: Moto, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        fault = WithHeaders(["If-Match"], Answer(412, "PreconditionFailed"))
        with proxy.inject(fault, method="PUT", times=None):
            found = doctor(self.shelf(tmp_path, moto, proxy), status=1)
        assert with_status(found, "failed") == ["conditional writes"]
        assert "although the condition holds" in found["conditional writes"]["detail"]
        assert moto.client().list_objects_v2(Bucket="promises").get("KeyCount") == 0

    def test_a_wrong_checksum_is_accepted(
        self, moto: Moto, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        fault = WithoutHeaders(["x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm"])
        with proxy.inject(fault, method="PUT", times=None):
            found = doctor(self.shelf(tmp_path, moto, proxy), status=0)
        assert found["checksums"]["status"] == "warning"
        assert "damage" in found["checksums"]["detail"]


@s3_only
class TestInterrupts:
    def test_a_key_that_cannot_be_removed_is_named(self, s3: rigs.S3Rig, tmp_path: Path) -> None:
        refused = Answer(403, "AccessDenied")
        # The first deletion is that of a key that does not exist.
        with s3.proxy.inject(refused, operation="DeleteObject", times=None, after=1):
            found = doctor(s3_shelf(tmp_path, s3), status=1)
        [key] = keys_of_doctor(s3)
        assert key.rpartition("/")[2] in found["clean-up"]["detail"]
        s3.client.delete_object(Bucket=s3.bucket, Key=key)

    @pytest.mark.parametrize("fault", [Hang(forward_first=True), Delay(0.5)])
    def test_the_key_is_removed(self, s3: rigs.S3Rig, tmp_path: Path, fault: Fault) -> None:
        """The write that Ctrl-C ends has arrived, or it arrives only after that."""
        rule = s3.proxy.inject(fault, operation="PutObject", times=1)
        with on_terminal("doctor", s3_shelf(tmp_path, s3), "--flag", "w") as child:
            rigs.wait_until(lambda: rule.hits > 0)
            child.kill(signal.SIGINT)
            child.expect(pexpect.EOF)
            shown = str(child.before)
            assert "missing key" in shown
            assert "skipped" not in shown
            child.wait()
            assert child.exitstatus == 130
        rule.remove()
        assert keys_of_doctor(s3) == []


class TestConfiguration:
    def test_variables_that_are_not_set(self, tmp_path: Path) -> None:
        config = {"default": {"provider": "filesystem", "folder_path": "$NO_FOLDER"}}
        found = doctor(ini_file(tmp_path / "shelf.ini", config), "r", status=1)
        assert with_status(found, "failed") == ["variables"]
        assert "NO_FOLDER" in found["variables"]["detail"]
        assert len(with_status(found, "skipped")) == len(found) - 1

    def test_an_option_that_does_not_exist(self, tmp_path: Path) -> None:
        config = {"default": {"provider": "filesystem", "folder_pth": "x"}}
        found = doctor(ini_file(tmp_path / "shelf.ini", config), "r", status=1)
        assert with_status(found, "failed") == ["configuration"]
        assert "folder_path" in found["configuration"]["detail"]

    def test_a_file_that_does_not_exist(self, tmp_path: Path) -> None:
        found = doctor(tmp_path / "absent.ini", "r", status=1)
        assert with_status(found, "failed") == ["variables"]

    def test_put_params_that_do_not_exist(self) -> None:
        found = doctor("s3://bucket?put_params.Taging=x", "r", status=1)
        assert with_status(found, "failed") == ["configuration"]
        assert "Tagging" in found["configuration"]["detail"]


class TestOtherStores:
    @pytest.mark.parametrize("kind", ["folder", "local"])
    @pytest.mark.parametrize("flag", "rwcn")
    def test_they_are_left_as_they_were(self, tmp_path: Path, kind: str, flag: str) -> None:
        name = f"file://{tmp_path}/shelf" if kind == "folder" else str(tmp_path / "shelf")
        with cshelve.open(name) as db:
            db["k"] = 1
        before = times_of_files(tmp_path)
        found = doctor(name, flag, status=0)
        assert with_status(found, "ok") == list(found)
        assert ("write" in found) is (flag != "r")
        if flag == "r":
            assert times_of_files(tmp_path) == before
        with cshelve.open(name, "r") as db:
            assert dict(db) == {"k": 1}

    def test_memory(self) -> None:
        assert with_status(doctor("memory://x", "c", status=0), "failed") == []

    @pytest.mark.parametrize("flag", "rwcn")
    def test_nothing_is_created(self, tmp_path: Path, flag: str) -> None:
        for name in (f"file://{tmp_path}/shelf", str(tmp_path / "shelf")):
            doctor(name, flag, status=1)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.sftp
def test_a_store_without_conditions_is_no_failure(openssh: OpenSSH, tmp_path: Path) -> None:
    config = rigs.sftp_config(openssh)
    cshelve.open_from_dict(config).close()
    found = doctor(ini_file(tmp_path / "shelf.ini", config), status=0)
    assert with_status(found, "warning") == ["conditional writes"]
    assert "modify" in found["conditional writes"]["advice"]
