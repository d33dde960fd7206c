"""What the store can decide, what it refuses, and how it says so."""

from __future__ import annotations

import io
import os
import pwd
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cshelve
from cshelve.providers.sftp.provider import Sftp
from cshelve.providers.streams import Source
from cshelve.testing import shelf_over
from cshelve.testing.contract._checks import in_threads
from testbed.openssh import OpenSSH
from tests.providers.sftp.rig import on_odd_server, write
from tests.rigs import finish, sftp_config

if TYPE_CHECKING:
    from testbed.odd_sftp import OddSftp

Opened = Callable[..., Sftp]


class TestConditions:
    def test_by_version_are_refused_with_the_reason_and_nothing_is_done(self, store: Sftp) -> None:
        version = store.put("k", b"value")
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="SFTP has no request"):
            store.put("k", b"new", if_version=version)
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="SFTP has no request"):
            store.delete("k", if_version=version)
        assert store.get("k").data == b"value"

    def test_modify_is_refused_before_its_function_is_called(self, store: Sftp) -> None:
        calls: list[object] = []
        with shelf_over(store) as db:
            for key in ("absent", "there"):
                db["there"] = 1
                with pytest.raises(cshelve.ConditionsNotSupportedError, match="modify"):
                    db.modify(key, lambda value: calls.append(value), 0)
        assert calls == []

    def test_of_callers_that_add_a_key_one_succeeds(self, store: Sftp) -> None:
        with shelf_over(store) as db:

            def add(number: int) -> int:
                return int(db.setdefault("leader", number))

            assert len(set(in_threads(8, add))) == 1

    def test_of_callers_that_pop_a_key_one_gets_it(self, store: Sftp) -> None:
        with shelf_over(store) as db:
            db["k"] = "value"
            got = in_threads(8, lambda _: db.pop("k", None))
            assert sorted(map(str, got)) == ["None"] * 7 + ["value"]

    def test_on_a_server_without_hard_links_are_refused(self, odd: OddSftp) -> None:
        odd.without = ("link",)
        with closing(on_odd_server(odd)) as provider:
            with pytest.raises(cshelve.ConditionsNotSupportedError, match="hard links"):
                provider.put("k", b"value", if_absent=True)
            assert list(provider.names()) == []
            with shelf_over(provider) as db:
                assert db.setdefault("k", 1) == 1  # With a warning in the log.

    def test_a_server_that_cannot_replace_files_is_refused(self, odd: OddSftp) -> None:
        odd.without = ("posix_rename",)
        with (
            closing(on_odd_server(odd)) as provider,
            pytest.raises(cshelve.StorageError, match=r"posix-rename@openssh.com"),
        ):
            provider.put("k", b"value")

    def test_a_server_without_fsync_is_used_without_it(self, odd: OddSftp) -> None:
        odd.without = ("fsync",)
        with closing(on_odd_server(odd)) as provider:
            for number in range(3):
                provider.put("k", b"%d" % number)
            assert provider.get("k").data == b"2"


@pytest.mark.skipif(os.getuid() != 0, reason="as another user, files cannot be taken from sshd's")
class TestPermissions:
    """The server's user is not the one that runs the tests, and owns only what it is given."""

    def test_a_file_that_cannot_be_read_is_no_missing_key(self, folder: Path, store: Sftp) -> None:
        (folder / "k").write_bytes(b"secret")
        (folder / "k").chmod(0o600)
        for act in (store.get, store.inspect, store.expires_at):
            with pytest.raises(cshelve.AuthError, match="let this user read and write it"):
                act("k")
        assert store.contains("k")

    def test_a_folder_that_cannot_be_written_may_be_read(
        self, folder: Path, store: Sftp, openssh: OpenSSH
    ) -> None:
        write(openssh, folder, "k", b"value")
        root = pwd.getpwuid(0)
        os.chown(folder, root.pw_uid, root.pw_gid)
        assert store.get("k").data == b"value"
        with pytest.raises(cshelve.AuthError, match=r"'new' in .* could not be written"):
            store.put("new", b"value")
        with pytest.raises(cshelve.AuthError, match=r"'new' in .* could not be created"):
            store.put("new", b"value", if_absent=True)
        with pytest.raises(cshelve.AuthError, match=r"'k' in .* could not be deleted"):
            store.delete("k")
        store.prepare("r")
        store.prepare("w")

    def test_a_folder_that_cannot_be_created_says_so(self, folder: Path, opened: Opened) -> None:
        folder.parent.chmod(0o755)
        os.chown(folder.parent, 0, 0)
        absent = opened(remote_path=str(folder.parent / "absent"))
        with pytest.raises(cshelve.CreateRefusedError, match="could not be created"):
            absent.create()


class TestFlags:
    def test_r_and_w_demand_the_folder(self, openssh: OpenSSH) -> None:
        config = sftp_config(openssh)
        for flag in ("r", "w"):
            with pytest.raises(cshelve.DBDoesNotExistsError):
                cshelve.open_from_dict(config, flag)
        cshelve.open_from_dict(config, "c").close()
        cshelve.open_from_dict(config, "r").close()

    def test_n_empties_the_folder_and_nothing_beside(self, openssh: OpenSSH) -> None:
        folder = openssh.new_folder()
        write(openssh, folder.parent, "beside", b"theirs")
        config = sftp_config(openssh, remote_path=str(folder))
        with cshelve.open_from_dict(config, "c") as db:
            db.update({"a": 1, "b/c": 2})
        with cshelve.open_from_dict(config, "n") as db:
            assert list(db) == []
        assert (folder.parent / "beside").exists()

    @pytest.mark.parametrize("path", ["", ".", "/"])
    def test_n_never_empties_a_home_or_a_server(self, opened: Opened, path: str) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="write the remote_path"):
            finish(opened(remote_path=path).purge())

    def test_a_relative_path_begins_at_the_home(self, odd: OddSftp) -> None:
        with closing(on_odd_server(odd, remote_path="shelf/deep/er")) as provider:
            provider.create()
            provider.put("k", b"value")
            assert "alice@127.0.0.1" in provider.location
            assert provider.location.endswith("/~/shelf/deep/er")
        assert (odd.root / "shelf/deep/er/k").read_bytes() == b"value"

    def test_the_home_itself_may_be_the_folder(self, odd: OddSftp) -> None:
        with closing(on_odd_server(odd, remote_path="")) as provider:
            provider.put("k", b"value")
            assert list(provider.names()) == ["k"]
            assert provider.delete("k")
            assert provider.exists()


def test_keys_that_differ_only_in_case_never_share_a_file(odd: OddSftp) -> None:
    odd.ignores_case = True
    with closing(on_odd_server(odd)) as provider:
        provider.put("users/ada", b"value")
        for if_absent in (False, True):
            with pytest.raises(cshelve.KeyNotStorableError, match="ignores case"):
                provider.put("users/Ada", b"other", if_absent=if_absent)
        assert provider.get("users/ada").data == b"value"
        assert list(provider.names()) == ["users/ada"]


def test_values_are_rewritten_and_expire_while_nobody_else_writes(openssh: OpenSSH) -> None:
    config = sftp_config(openssh)
    with cshelve.open_from_dict(config) as db:
        db.set("over", 1, expire_after_seconds=1e-6)
        db["stays"] = 2
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="exclusive=True"):
            db.expire()
        assert db.expire(exclusive=True) == 1
        assert dict(db) == {"stays": 2}
    config["compression"] = {"algorithm": "zlib"}
    with cshelve.open_from_dict(config) as db:
        db["stays"] = "x" * 5000
        with pytest.raises(cshelve.ConditionsNotSupportedError, match="exclusive=True"):
            db.rewrite()
        db.rewrite(exclusive=True)
        assert db["stays"] == "x" * 5000


def test_the_server_copies_files_without_sending_them(
    openssh: OpenSSH, opened: Opened, folder: Path
) -> None:
    other = openssh.new_folder()
    source, target = opened(), opened(remote_path=str(other))
    source.put("k", b"value" * 1000)
    with target.stats.measuring() as used:
        target.copy("k", "copies/k", origin=source)
    assert (used.bytes_sent, used.bytes_received) == (0, 0)
    assert (other / "copies/k").read_bytes() == b"value" * 1000
    with pytest.raises(cshelve.KeyNotFoundError):
        target.copy("absent", "copies/k", origin=source)


def test_an_upload_whose_connection_breaks_stores_nothing(
    openssh: OpenSSH, store: Sftp, folder: Path
) -> None:
    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 2_000_000:
                openssh.drop_connections()
            return super().read(size)

    store.put("k", b"old")
    with pytest.raises(cshelve.StorageError, match="'k' in sftp"):
        store.upload("k", Source(Breaking(bytes(5_000_000))))
    assert store.get("k").data == b"old"


class TestRequests:
    """The table in docs/sftp.md."""

    def test_each_operation_sends_these(self, store: Sftp) -> None:
        store.put("first", b"")
        counted = {}

        def count(what: str, act: Callable[[], object]) -> None:
            with store.stats.measuring() as used:
                act()
            # Files are closed without waiting for that.
            used.requests.pop("close", None)
            counted[what] = dict(used.requests)

        count("put", lambda: store.put("k", b"value"))
        count("get", lambda: store.get("k"))
        count("contains", lambda: store.contains("k"))
        count("expires", lambda: store.expires_at("k"))
        count("missing", lambda: store.contains("absent"))
        count("list", lambda: list(store.names()))
        count("first", lambda: list(store.names(limit=1)))
        count("delete", lambda: store.delete("k"))
        count("add", lambda: store.put("new", b"value", if_absent=True))
        writing = {"open": 1, "write": 1, "fsync": 1}
        reading = {"open": 1, "fstat": 1, "read": 1}
        counted["add"].pop("remove", None)
        assert counted == {
            "put": {**writing, "rename": 1},
            "add": {**writing, "stat": 2, "link": 1},
            "get": reading,
            "contains": {"stat": 1},
            "expires": reading,
            "missing": {"stat": 3},
            "list": {"stat": 2, "list": 1},
            "first": {"stat": 2, "list": 1},
            "delete": {"remove": 2},
        }
