"""Interruptions, forks, closing, and the end of the program."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cshelve
from cshelve.providers.sftp.provider import Sftp
from testbed.openssh import OpenSSH
from tests.forks import forks, in_child
from tests.providers.sftp.rig import files_in, on_odd_server, on_server
from tests.rigs import sftp_config, wait_until
from tests.scripts import run_script

if TYPE_CHECKING:
    from testbed.odd_sftp import OddSftp


STRIKES = 20
INTERRUPTED = f"""
import signal
import cshelve


class Interruption(Exception):
    pass


def strike(*_):
    raise Interruption


signal.signal(signal.SIGALRM, strike)
with cshelve.open_from_dict(config) as db:
    struck = 0
    for number in range({STRIKES}):
        try:
            # Again in a second: Python swallows what strikes while it collects garbage.
            signal.setitimer(signal.ITIMER_REAL, 0.001 + number * 0.0014, 1)
            while True:
                db["k"] = "value" * 10_000
        except Interruption:
            struck += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert db["k"] == "value" * 10_000
print(struck)
"""


class InterruptionError(Exception):
    """What a signal handler of the program raises."""


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    def strike(*_: object) -> None:
        raise InterruptionError

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "sftp"]


class TestAnInterruption:
    @pytest.mark.parametrize("operation", ["open", "write", "posix_rename"])
    def test_of_a_put_leaves_no_temporary_file(
        self, odd: OddSftp, over_odd: Sftp, operation: str
    ) -> None:
        over_odd.put("k", b"old")
        odd.hang(operation)
        began = time.monotonic()
        with pytest.raises(InterruptionError), interrupted_after(0.2):
            over_odd.put("k", b"new")
        assert time.monotonic() - began < 5
        odd.release()
        assert over_odd.get("k").data == b"old"
        wait_until(lambda: files_in(odd.root / "shelf") == {"k"})

    def test_of_a_read_leaves_a_connection_that_works(self, odd: OddSftp, over_odd: Sftp) -> None:
        over_odd.put("k", b"value")
        odd.hang("read")
        with pytest.raises(InterruptionError), interrupted_after(0.2):
            over_odd.get("k")
        odd.release()
        assert over_odd.get("k").data == b"value"

    def test_at_any_moment_leaves_no_temporary_file(self, openssh: OpenSSH) -> None:
        folder = openssh.new_folder()
        config = sftp_config(openssh, remote_path=str(folder))
        done = run_script(INTERRUPTED, config)
        assert done.stdout == f"{STRIKES}\n", done.stderr
        assert "never awaited" not in done.stderr
        wait_until(lambda: files_in(folder) == {"k"})


@forks
class TestAForkedChild:
    def test_has_a_connection_of_its_own(self, folder: Path, store: Sftp) -> None:
        store.put("k", b"parent")

        def child() -> tuple[bytes, int]:
            data = store.get("k").data
            store.put("k", b"child")
            store.close()
            return data, os.getpid()

        data, process = in_child(child)
        assert (data, process != os.getpid()) == (b"parent", True)
        assert store.get("k").data == b"child"

    def test_that_is_forked_while_others_write_does_not_wait_for_them(self, store: Sftp) -> None:
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                store.put("k", b"value")

        writing = threading.Thread(target=write)
        writing.start()
        try:
            for _ in range(3):
                assert in_child(lambda: store.contains("other")) is False
        finally:
            stop.set()
            writing.join()


class TestClosing:
    def test_ends_the_thread_and_the_connection(self, openssh: OpenSSH, folder: Path) -> None:
        with closing(on_server(openssh, str(folder))) as provider:
            assert threads() == []
            provider.put("k", b"value")
            assert threads() == ["sftp"]
        assert threads() == []

    def test_is_done_by_the_garbage_collector_too(self, openssh: OpenSSH, folder: Path) -> None:
        provider = on_server(openssh, str(folder))
        provider.put("k", b"value")
        del provider
        gc.collect()
        assert threads() == []

    def test_in_the_middle_of_a_request_ends_it(self, odd: OddSftp) -> None:
        provider = on_odd_server(odd)
        provider.put("k", b"value")
        odd.hang("stat")
        failures: list[BaseException] = []

        def ask() -> None:
            try:
                provider.contains("k")
            except cshelve.StorageError as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: "stat" not in odd.rules)
        provider.close()
        asking.join(10)
        assert not asking.is_alive()
        assert len(failures) == 1

    @pytest.mark.parametrize("end", ["db.close()", "", "import os; os._exit(0)"])
    def test_may_be_left_to_the_end_of_the_program(self, openssh: OpenSSH, end: str) -> None:
        program = f"import cshelve; db = cshelve.open_from_dict(config); db['k'] = 1; {end}"
        done = run_script(program, sftp_config(openssh))
        assert (done.stdout, done.stderr) == ("", "")


def test_a_shelf_is_pickled_without_its_connection(openssh: OpenSSH) -> None:
    import pickle

    with cshelve.open_from_dict(sftp_config(openssh)) as db:
        db["k"] = 1
        with pickle.loads(pickle.dumps(db)) as copy:
            assert copy["k"] == 1


def test_a_shelf_with_a_password_is_not_pickled(odd: OddSftp) -> None:
    import pickle

    config = {
        "provider": "sftp",
        "hostname": odd.hostname,
        "port": odd.port,
        "username": odd.username,
        "remote_path": "/shelf",
        "auth_type": "password",
        "password": "the password of the user",
        "host_key_fingerprint": odd.fingerprint,
    }
    with (
        cshelve.open_from_dict({"default": config}) as db,
        pytest.raises(cshelve.NotPicklableError, match="password"),
    ):
        pickle.dumps(db)


def test_many_threads_share_one_connection(store: Sftp) -> None:
    from cshelve.testing.contract._checks import in_threads

    store.put("k", b"value")
    # Providers that unpickled shelves have shared stay open, too.
    before = threads()
    in_threads(16, lambda number: store.put(f"{number}", b"value"))
    assert threads() == before
    assert len(list(store.names())) == 17


@pytest.mark.parametrize("concurrency", [1, 8])
def test_many_keys_are_read_at_once_and_no_more_than_allowed(
    odd: OddSftp, concurrency: int
) -> None:
    with closing(on_odd_server(odd, concurrency=concurrency)) as provider:
        provider.put("k", b"value")
        odd.hold("open")
        taken: list[int] = []
        found: list[object] = []
        reading = threading.Thread(target=lambda: found.extend(provider.get_many(["k"] * 30)))
        reading.start()
        wait_until(lambda: "open" not in odd.rules)
        permits = provider._permits.get()
        wait_until(lambda: permits.taken == concurrency)
        taken.append(permits.taken)
        odd.release()
        reading.join(20)
        assert (len(found), taken) == (30, [concurrency])
