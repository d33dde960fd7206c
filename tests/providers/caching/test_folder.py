"""Entries in files: whose they are, what damages them, and how many there may be."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import stat
import threading
import time
import zlib
from pathlib import Path

import pytest

from cshelve.providers.base import Item
from cshelve.providers.caching import folder as module
from cshelve.providers.caching.folder import OURS, FolderEntries, Prepared
from tests.forks import forks, in_child
from tests.providers.caching.rig import entry_files
from tests.scripts import result_of, run_script

LARGE = b"x" * 1_000_000
NOW = 1_700_000_000.0


def entries_in(folder: Path, scope: str = "us", max_bytes: int = 1 << 30) -> FolderEntries:
    return FolderEntries(str(folder), scope, max_bytes, logging.getLogger("cshelve"))


def keep(entries: FolderEntries, name: str, data: bytes = b"value", version: str = '"1"') -> None:
    prepared = entries.prepare(name, Item(data, version), NOW)
    assert prepared is not None
    entries.keep(prepared)


def data_of(entries: FolderEntries, name: str) -> bytes | None:
    entry = entries.read(name)
    return None if entry is None else entry.item.data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["k", "", "../up", "a/b", "\0", "é" * 1000, "\ud800"])
def test_any_name_has_an_entry(name: str, folder: Path) -> None:
    entries = entries_in(folder)
    keep(entries, name, version="é \ud800")
    entry = entries.read(name)
    assert entry is not None
    assert (entry.item, entry.asked_at) == ((b"value", "é \ud800"), NOW)
    assert entries.read(name + "x") is None
    entries.drop(name)
    assert entries.read(name) is None


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 70_000, 5_000_000])
def test_data_of_any_size_comes_back(size: int, folder: Path) -> None:
    data = os.urandom(size)
    entries = entries_in(folder)
    keep(entries, "k", data)
    assert data_of(entries, "k") == data
    assert data_of(entries_in(folder), "k") == data


def test_only_the_owner_can_read_the_folder(folder: Path) -> None:
    keep(entries_in(folder), "k")
    below = [folder / OURS, *(folder / OURS).rglob("*")]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in below if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in entry_files(folder)} == {0o600}


def test_another_scope_sees_nothing(folder: Path) -> None:
    keep(entries_in(folder), "k")
    other = entries_in(folder, "them")
    assert other.read("k") is None
    keep(other, "k", b"theirs")
    other.clear()
    assert (data_of(entries_in(folder), "k"), other.read("k")) == (b"value", None)


def test_a_folder_that_others_can_write_to_is_not_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(entries_in(folder), "k")
    (folder / OURS).chmod(0o777)
    entries = entries_in(folder)
    assert entries.read("k") is None
    assert entries.prepare("k", Item(b"", ""), NOW) is None
    assert [record.message for record in caplog.records] == [
        f"[cache] folder: {folder / OURS} is not used: others can write to it. "
        "Values come from the store."
    ]


def test_a_link_instead_of_the_folder_is_not_used(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / OURS).symlink_to(tmp_path / "elsewhere")
    entries = entries_in(folder)
    assert entries.read("k") is None
    assert entries.prepare("k", Item(b"", ""), NOW) is None


@pytest.mark.parametrize("data", [b"value", LARGE], ids=["small", "large"])
class TestDamage:
    @pytest.fixture
    def entries(self, folder: Path, data: bytes) -> FolderEntries:
        entries = entries_in(folder)
        keep(entries, "k", data)
        return entries

    @pytest.mark.parametrize("place", [0, 8, 12, 30, 40, -1])
    def test_a_changed_byte_is_a_miss(
        self, place: int, entries: FolderEntries, folder: Path
    ) -> None:
        (file,) = entry_files(folder)
        with open(file, "r+b") as opened:
            opened.seek(place, os.SEEK_SET if place >= 0 else os.SEEK_END)
            (byte,) = opened.read(1)
            opened.seek(-1, os.SEEK_CUR)
            opened.write(bytes([byte ^ 1]))
        assert entries.read("k") is None
        assert entry_files(folder) == []
        assert entries.read("k") is None

    @pytest.mark.parametrize("size", [0, 10, 50])
    def test_a_file_that_was_cut_is_a_miss(
        self, size: int, entries: FolderEntries, folder: Path
    ) -> None:
        (file,) = entry_files(folder)
        os.truncate(file, size if size < 50 else file.stat().st_size - 1)
        assert entries.read("k") is None

    def test_a_longer_file_is_a_miss(self, entries: FolderEntries, folder: Path) -> None:
        (file,) = entry_files(folder)
        with open(file, "ab") as opened:
            opened.write(b"x")
        assert entries.read("k") is None

    def test_the_file_of_another_name_is_a_miss(
        self, entries: FolderEntries, folder: Path, data: bytes
    ) -> None:
        (file,) = entry_files(folder)
        keep(entries, "other", data + b"!")
        (other,) = set(entry_files(folder)) - {file}
        shutil.copy2(other, file)
        assert entries.read("k") is None

    def test_after_a_start_of_the_machine_everything_is_checked(
        self, entries: FolderEntries, folder: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
    ) -> None:
        (file,) = entry_files(folder)
        before = file.stat()
        with open(file, "r+b") as opened:
            opened.seek(-1, os.SEEK_END)
            opened.write(b"!")
        # A crash may leave the times as they were.
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        monkeypatch.setattr(module, "_start", lambda: b"another start")
        assert entries.read("k") is None

    @pytest.mark.parametrize("start", [b"another start", b""])
    def test_a_checked_entry_is_as_good_as_before(
        self, start: bytes, entries: FolderEntries, monkeypatch: pytest.MonkeyPatch, data: bytes
    ) -> None:
        monkeypatch.setattr(module, "_start", lambda: start)
        for _ in range(3):
            entry = entries.read("k")
            assert entry is not None
            assert (entry.item.data, entry.asked_at) == (data, NOW)


def test_a_large_entry_is_checked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = entries_in(folder)
    keep(entries, "k", LARGE)
    checked: list[int] = []
    crc32 = zlib.crc32

    def counting(data: bytes, value: int = 0) -> int:
        checked.append(len(data))
        return crc32(data, value)

    monkeypatch.setattr("cshelve.providers.caching.folder.zlib.crc32", counting)
    monkeypatch.setattr(module, "_start", lambda: b"another start")
    for _ in range(5):
        assert data_of(entries, "k") == LARGE
    assert checked.count(len(LARGE)) == 1


class TestAFolderThatFails:
    def test_a_file_in_its_place(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        folder.write_text("a file")
        entries = entries_in(folder)
        assert entries.read("k") is None
        for _ in range(3):
            assert entries.prepare("k", Item(b"", ""), NOW) is None
        entries.drop("k")
        entries.clear()
        (record,) = caplog.records
        assert str(folder) in record.message
        assert record.levelname == "WARNING"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_one_that_is_read_only(self, folder: Path) -> None:
        keep(entries_in(folder), "k")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o500 if path.is_dir() else 0o400)
        entries = entries_in(folder)
        assert data_of(entries, "k") == b"value"
        assert entries.prepare("l", Item(b"", ""), NOW) is None
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700)

    def test_a_full_disk(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        entries = entries_in(folder)
        keep(entries, "k")

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("cshelve.providers.caching.folder.os.write", full)
        assert entries.prepare("l", Item(b"x", ""), NOW) is None
        assert data_of(entries, "k") == b"value"
        assert not any((folder / OURS / "tmp").iterdir())

    def test_a_folder_that_is_removed_is_made_again(self, folder: Path) -> None:
        entries = entries_in(folder)
        keep(entries, "k")
        shutil.rmtree(folder)
        assert entries.read("k") is None
        entries.prepare("k", Item(b"", ""), NOW)
        keep(entries, "k")
        assert data_of(entries, "k") == b"value"

    def test_an_alarm_of_the_program_reaches_it(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entries = entries_in(folder)
        keep(entries, "k")

        def ring(*_: object) -> None:
            raise TimeoutError("the program's own")

        def slow(*_: object) -> int:
            signal.raise_signal(signal.SIGALRM)
            return 0

        before = signal.signal(signal.SIGALRM, ring)
        try:
            monkeypatch.setattr("cshelve.providers.caching.folder.os.write", slow)
            with pytest.raises(TimeoutError, match="the program's own"):
                entries.prepare("l", Item(b"x", ""), NOW)
        finally:
            signal.signal(signal.SIGALRM, before)


class TestRoom:
    def size_of(self, folder: Path) -> int:
        return sum(path.stat().st_size for path in entry_files(folder))

    def test_it_holds_the_limit(self, folder: Path) -> None:
        entries = entries_in(folder, max_bytes=1_000_000)
        sizes = []
        for number in range(250):
            keep(entries, str(number), os.urandom(10_000))
            if number % 3 == 0:
                sizes.append(self.size_of(folder))
        assert 800_000 < max(sizes) <= 1_050_000
        assert sizes[-1] > 700_000

    def test_what_was_used_last_stays(self, folder: Path) -> None:
        entries = entries_in(folder, max_bytes=1_000_000)
        keep(entries, "hot")
        for number in range(150):
            keep(entries, str(number), os.urandom(10_000))
            assert data_of(entries, "hot") == b"value"
        assert entries.read("0") is None
        assert entries.read("149") is not None

    def test_small_entries_count_too(self, folder: Path) -> None:
        entries = entries_in(folder, max_bytes=100_000)
        for number in range(1500):
            keep(entries, str(number), bytes(100))
        assert self.size_of(folder) < 125_000

    def test_an_entry_that_is_larger_than_the_limit_is_not_kept(self, folder: Path) -> None:
        entries = entries_in(folder, max_bytes=1000)
        assert entries.prepare("k", Item(bytes(1000), ""), NOW) is None

    def test_several_processes_hold_it_together(self, folder: Path) -> None:
        program = """
            import logging, os
            from cshelve.providers.base import Item
            from cshelve.providers.caching.folder import FolderEntries
            for number in range(80):
                # Each as in a process of its own.
                entries = FolderEntries(arguments[0], "us", 1_000_000, logging.getLogger())
                item = Item(bytes(10_000), "")
                entries.keep(entries.prepare(f"{arguments[1]}-{number}", item, 0))
            print("null")
        """
        for turn in range(3):
            result_of(program, arguments=[str(folder), turn])
        assert self.size_of(folder) <= 1_100_000

    def test_other_scopes_make_room_too(self, folder: Path) -> None:
        keep(entries_in(folder, "old", 1_000_000), "k", bytes(500_000))
        entries = entries_in(folder, "new", 1_000_000)
        for number in range(150):
            keep(entries, str(number), bytes(10_000))
        assert entries_in(folder, "old").read("k") is None


KILLED = """
    import logging, os, signal
    from cshelve.providers.base import Item
    from cshelve.providers.caching import folder
    entries = folder.FolderEntries(arguments, "us", 1 << 30, logging.getLogger())
    write = os.write
    def killed(descriptor, data):
        write(descriptor, data[:10])
        os.kill(os.getpid(), signal.SIGKILL)
    entries.prepare("a", Item(b"whole", "1"), 0)
    entries.keep(entries.prepare("a", Item(b"whole", "1"), 0))
    folder.os.write = killed
    entries.prepare("k", Item(bytes(100_000), "1"), 0)
"""


def test_what_a_killed_process_was_writing_is_cleaned_up(folder: Path) -> None:
    ended = run_script(KILLED, arguments=str(folder))
    assert ended.returncode == -signal.SIGKILL
    temporary = folder / OURS / "tmp"
    assert len(list(temporary.iterdir())) == 2
    entries = entries_in(folder)
    assert (data_of(entries, "a"), entries.read("k")) == (b"whole", None)
    keep(entries, "k")
    assert list(temporary.iterdir()) == []
    assert data_of(entries, "k") == b"value"


def test_what_a_running_process_is_writing_stays(folder: Path) -> None:
    first = entries_in(folder)
    prepared = first.prepare("k", Item(b"value", "1"), NOW)
    assert isinstance(prepared, Prepared)
    keep(entries_in(folder), "other")
    first.keep(prepared)
    assert data_of(first, "k") == b"value"


@forks
def test_a_forked_child_and_its_parent_share_the_folder(folder: Path) -> None:
    entries = entries_in(folder)
    keep(entries, "k")

    def child() -> bytes | None:
        found = data_of(entries, "k")
        keep(entries, "child", b"of the child")
        return found

    assert in_child(child) == b"value"
    assert data_of(entries, "child") == b"of the child"


def test_many_processes_read_and_write_whole_entries(folder: Path) -> None:
    program = """
        import logging, random
        from cshelve.providers.base import Item
        from cshelve.providers.caching.folder import FolderEntries
        entries = FolderEntries(arguments, "us", 2_000_000, logging.getLogger())
        wrong = 0
        for turn in range(150):
            name, size = str(random.randrange(20)), random.randrange(200_000)
            letter = random.choice(b"abc")
            prepared = entries.prepare(name, Item(bytes([letter]) * size, str(size)), turn)
            entries.keep(prepared)
            entry = entries.read(str(random.randrange(20)))
            if entry is not None:
                data = entry.item.data
                wrong += len(set(data)) > 1 or str(len(data)) != entry.item.version
        print(wrong)
    """
    wrong: list[int] = []
    threads = [
        threading.Thread(target=lambda: wrong.append(result_of(program, arguments=str(folder))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0, 0, 0]


def test_renewing_changes_only_the_entry_that_was_read(folder: Path) -> None:
    entries = entries_in(folder)
    keep(entries, "k")
    entry = entries.read("k")
    assert entry is not None
    entries.renew("k", entry, NOW + 10)
    renewed = entries.read("k")
    assert renewed is not None
    assert renewed.asked_at == NOW + 10
    keep(entries, "k", b"another")
    entries.renew("k", entry, NOW + 20)
    found = entries.read("k")
    assert found is not None
    assert (found.item.data, found.asked_at) == (b"another", NOW)
    entries.drop("k")
    entries.renew("k", entry, NOW)
    assert entries.read("k") is None


def test_the_time_of_use_is_set_whatever_the_mount_options(folder: Path) -> None:
    entries = entries_in(folder)
    keep(entries, "k")
    (file,) = entry_files(folder)
    os.utime(file, ns=(0, file.stat().st_mtime_ns))
    entries.read("k")
    assert file.stat().st_atime > time.time() - 60
