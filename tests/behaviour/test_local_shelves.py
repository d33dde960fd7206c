"""A local name is a shelf of ours over the files of `shelve`, and behaves as `shelve` does."""

from __future__ import annotations

import dbm
import os
import pickle
import shelve
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter, methodcaller
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers import Dbm, Wrapper
from tests import rigs
from tests.behaviour.test_parity_with_shelve import (
    CLOSED,
    CONTENTS,
    NOT_PICKLED,
    OPERATIONS,
    READ_ONLY,
    STORIES,
    Open,
    assert_same_ending,
    ending_of,
)

pytestmark = pytest.mark.usefixtures("dbm_backend")

Opens = Callable[..., shelve.Shelf[Any]]
OPENERS: list[Opens] = [shelve.open, cshelve.open]


class Unpickled:
    """Its pickle is read by nobody who lacks `broken`, and here that raises what it is told to."""

    error: Exception = KeyError("inside")

    def __reduce__(self) -> tuple[Any, ...]:
        return _broken, ()


def _broken() -> Unpickled:
    raise Unpickled.error


@pytest.fixture
def name(tmp_path: Path) -> str:
    return str(tmp_path / "shelf")


def opener(open_one: Opens, name: str) -> Open:
    return lambda flag="c", **options: open_one(name, flag, **options)


class TestParity:
    """What `test_parity_with_shelve` asks of shelves in a store."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_an_operation_ends_and_leaves_behind_what_it_does_with_shelve(
        self, name: str, operation: str
    ) -> None:
        with shelve.open(f"{name}-theirs") as theirs, cshelve.open(name) as ours:
            theirs.update(CONTENTS)
            ours.update(CONTENTS)
            assert_same_ending(
                lambda: OPERATIONS[operation](theirs), lambda: OPERATIONS[operation](ours)
            )
            assert dict(ours.items()) == dict(theirs.items())

    @pytest.mark.parametrize("story", STORIES)
    def test_a_story_ends_as_with_shelve(self, name: str, story: str) -> None:
        openers = opener(shelve.open, f"{name}-theirs"), opener(cshelve.open, name)
        for open_shelf in openers:
            with open_shelf("c") as db:
                db.update(CONTENTS)
        standard, ours = openers
        assert_same_ending(lambda: STORIES[story](standard), lambda: STORIES[story](ours))

    @pytest.mark.parametrize("operation", CLOSED)
    def test_a_closed_shelf_gives_a_value_error(self, name: str, operation: str) -> None:
        db = cshelve.open(name)
        db.close()
        with pytest.raises(ValueError, match="closed shelf") as caught:
            CLOSED[operation](db)
        assert type(caught.value) is ValueError

    @pytest.mark.parametrize("operation", READ_ONLY)
    def test_a_shelf_for_reading_refuses_writes(self, name: str, operation: str) -> None:
        with cshelve.open(name) as db:
            db.update(CONTENTS)
        with shelve.open(name, "r") as db:
            _, theirs = ending_of(lambda: READ_ONLY[operation](db))
        with cshelve.open(name, "r") as db:
            _, ours = ending_of(lambda: READ_ONLY[operation](db))
        assert isinstance(ours, cshelve.ReadOnlyError)
        assert isinstance(ours, type(theirs))
        assert isinstance(ours, dbm.error)

    def test_a_shelf_for_reading_reads(self, name: str) -> None:
        with cshelve.open(name) as db:
            db.update(CONTENTS)
        with cshelve.open(name, "r", writeback=True) as db:
            assert dict(db.items()) == CONTENTS


class TestFiles:
    def test_what_it_writes_shelve_reads(self, name: str, dbm_backend: str) -> None:
        with cshelve.open(name) as db:
            db.update(CONTENTS)
            db["a"] = 2
        assert dbm.whichdb(name) == dbm_backend
        with shelve.open(name, "r") as db:
            assert dict(db.items()) == {**CONTENTS, "a": 2}

    def test_what_shelve_wrote_it_reads(self, name: str) -> None:
        with shelve.open(name) as db:
            db.update(CONTENTS)
        with cshelve.open(name, "w") as db:
            assert dict(db.items()) == CONTENTS
            db["a"] = 3
        with shelve.open(name, "r") as db:
            assert db["a"] == 3

    @pytest.mark.parametrize("protocol", [None, *range(-1, pickle.HIGHEST_PROTOCOL + 1)])
    def test_they_have_the_bytes_that_shelve_writes(self, name: str, protocol: int | None) -> None:
        for open_one, path in zip(OPENERS, (f"{name}-theirs", name), strict=True):
            with open_one(path, "n", protocol) as db:
                db["k"] = {"a": [1, 2.0, "three", b"four" * 100]}
        with dbm.open(f"{name}-theirs", "r") as theirs, dbm.open(name, "r") as ours:
            assert theirs["k"] == ours["k"]

    def test_they_are_the_same_files(self, tmp_path: Path) -> None:
        for folder, open_one in zip(("theirs", "ours"), OPENERS, strict=True):
            (tmp_path / folder).mkdir()
            with open_one(str(tmp_path / folder / "shelf")) as db:
                db["k"] = 1
        assert sorted(os.listdir(tmp_path / "ours")) == sorted(os.listdir(tmp_path / "theirs"))

    def test_they_are_where_the_program_was_when_it_opened_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        with cshelve.open("shelf") as db:
            monkeypatch.chdir(tmp_path / "elsewhere")
            db["k"] = 1
        assert os.listdir() == []
        monkeypatch.chdir(tmp_path)
        with shelve.open("shelf", "r") as db:
            assert db["k"] == 1

    def test_they_can_be_opened_where_there_is_no_current_folder(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        with cshelve.open(name) as db:
            db["k"] = 1

    @pytest.mark.parametrize("odd", ["$", "$$", "~", "a b", "é", "100%", "'quoted'", "x.ini.d"])
    def test_a_name_means_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with cshelve.open(odd) as db:
            db["k"] = 1
        with shelve.open(odd, "r") as db:
            assert db["k"] == 1

    def test_a_path_object_is_a_name(self, tmp_path: Path) -> None:
        with cshelve.open(tmp_path / "shelf") as db:
            db["k"] = 1
        with shelve.open(str(tmp_path / "shelf"), "r") as db:
            assert db["k"] == 1

    def test_a_file_that_another_opens_meanwhile_is_refused_where_shelve_refuses(
        self, name: str
    ) -> None:
        with cshelve.open(name) as db:
            db["k"] = 1
            _, theirs = ending_of(lambda: shelve.open(name).close())
            _, ours = ending_of(lambda: cshelve.open(name).close())
            assert (theirs is None) == (ours is None)
            if theirs is not None:
                assert isinstance(ours, type(theirs))
                assert isinstance(ours, cshelve.StorageError)


class TestFlags:
    @pytest.mark.parametrize("flag", ["nf", "cf", "cs", "cu", "csu", "wu", "rf", "rs", "ru"])
    def test_those_of_gdbm_do_what_they_do_in_dbm(
        self, name: str, dbm_backend: str, flag: str
    ) -> None:
        for path in (f"{name}-theirs", name):
            with shelve.open(path) as db:
                db["k"] = 1

        def use(open_one: Opens, path: str) -> object:
            with open_one(path, flag) as db:
                if not flag.startswith("r"):
                    db["new"] = 1
                return sorted(db)

        assert_same_ending(
            lambda: use(shelve.open, f"{name}-theirs"), lambda: use(cshelve.open, name)
        )

    @pytest.mark.parametrize("flag", ["", "x", "rw", "R", 5, None])
    def test_what_is_none_is_refused(self, name: str, flag: Any) -> None:
        with shelve.open(name):
            pass
        assert_same_ending(
            lambda: shelve.open(name, flag).close(), lambda: cshelve.open(name, flag).close()
        )


class TestErrors:
    """Each is what `shelve` raises, and one of ours."""

    @pytest.mark.parametrize("flag", ["r", "w"])
    def test_an_absent_shelf(self, name: str, flag: str) -> None:
        theirs, ours = self.both(lambda open_one: open_one(name, flag))
        assert isinstance(ours, cshelve.DBDoesNotExistsError)
        assert name in str(ours)
        assert str(theirs) in str(ours)

    @pytest.mark.parametrize("flag", ["r", "w", "c", "n"])
    def test_an_absent_folder(self, name: str, flag: str) -> None:
        _, ours = self.both(lambda open_one: open_one(f"{name}/absent/shelf", flag))
        kind = cshelve.CanNotCreateDBError if flag in "cn" else cshelve.DBDoesNotExistsError
        assert isinstance(ours, kind)

    @pytest.mark.parametrize("contents", [b"", b"no shelf"])
    @pytest.mark.parametrize("flag", ["r", "w", "c"])
    def test_a_file_of_another_kind(self, name: str, contents: bytes, flag: str) -> None:
        Path(name).write_bytes(contents)
        _, theirs = ending_of(lambda: OPENERS[0](name, flag).close())
        if theirs is not None:  # `dbm` may say of an empty file that it is one of its own.
            theirs, ours = self.both(lambda open_one: open_one(name, flag))
            assert str(theirs) in str(ours)

    def test_a_name_that_no_file_can_have(self) -> None:
        for open_one in OPENERS:
            with pytest.raises(ValueError, match="null"):
                open_one("a\0b").close()

    def test_a_folder_of_that_name(self, name: str) -> None:
        os.mkdir(name)
        _, theirs = ending_of(lambda: shelve.open(name, "c").close())
        if theirs is not None:  # A backend may append something to the name.
            self.both(lambda open_one: open_one(name, "c"))

    def test_an_error_can_be_pickled_and_is_ours_then(self, name: str) -> None:
        for path in (name, f"{name}/absent/shelf"):
            _, error = ending_of(lambda path=path: cshelve.open(path, "r"))  # type: ignore[misc]
            again = pickle.loads(pickle.dumps(error))
            assert isinstance(again, cshelve.DBDoesNotExistsError)
            assert str(again) == str(error)

    def test_a_damaged_value(self, name: str) -> None:
        with dbm.open(name, "c") as database:
            database["cut"] = pickle.dumps([1, 2, 3])[:-3]
            database["module"] = b"\x80\x04cno_such_module\nname\n."
            database["whole"] = pickle.dumps(1)
        for key in ("cut", "module"):
            theirs = self.with_shelf(shelve.open, name, itemgetter(key))
            for read in (itemgetter(key), methodcaller("get", key), methodcaller("pop", key)):
                ours = self.with_shelf(cshelve.open, name, read)
                assert (type(ours), str(ours)) == (type(theirs), str(theirs))

    def test_a_key_that_is_no_text(self, name: str) -> None:
        with dbm.open(name, "c") as database:
            database[b"\xff"] = pickle.dumps(1)
        for open_one in OPENERS:
            error = self.with_shelf(open_one, name, list)
            assert isinstance(error, UnicodeDecodeError)
            assert isinstance(error, cshelve.RecordError) == (open_one is cshelve.open)
        with cshelve.open(name) as db:
            db["a"] = 1
            assert dict(db.prefix("a").items()) == {"": 1}

    def test_get_many_goes_on_behind_a_damaged_value(self, name: str) -> None:
        with dbm.open(name, "c") as database:
            database["cut"] = pickle.dumps([1, 2, 3])[:-3]
            database["whole"] = pickle.dumps(1)
        for writeback in (False, True):
            with cshelve.open(name, writeback=writeback) as db:
                pairs = db.get_many(["cut", "whole", "absent"])
                with pytest.raises(pickle.UnpicklingError):
                    next(pairs)
                assert list(pairs) == [("whole", 1)]

    def test_what_a_class_raises_when_it_is_unpickled(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with cshelve.open(name) as db:
            db["k"] = Unpickled()
        for error in (KeyError("inside"), ZeroDivisionError(), cshelve.AuthError("theirs")):
            monkeypatch.setattr(Unpickled, "error", error)
            for open_one in OPENERS:
                assert self.with_shelf(open_one, name, lambda db: db["k"]) is error
                assert self.with_shelf(open_one, name, lambda db: db.get("k", 1)) is error

    def both(self, act: Callable[[Opens], object]) -> tuple[Exception, Exception]:
        theirs, ours = (ending_of(lambda each=each: act(each))[1] for each in OPENERS)  # type: ignore[misc]
        assert theirs is not None
        assert isinstance(ours, type(theirs))
        assert isinstance(ours, cshelve.Error)
        assert isinstance(ours, dbm.error)
        if isinstance(theirs, OSError) and theirs.errno is not None:
            assert isinstance(ours, OSError)
            assert ours.errno == theirs.errno
            assert ours.filename is not None
        return theirs, ours

    def with_shelf(
        self, open_one: Opens, name: str, act: Callable[[shelve.Shelf[Any]], object]
    ) -> Exception | None:
        with open_one(name) as db:
            return ending_of(lambda: act(db))[1]


class TestWhatCannotBePickled:
    def test_update_raises_what_pickle_raises_and_stops(self, name: str) -> None:
        for path, open_one in zip((f"{name}-theirs", name), OPENERS, strict=True):
            with open_one(path) as db:
                with pytest.raises(NOT_PICKLED):
                    db.update({"a": 1, "b": lambda: None, "c": 2})
                assert dict(db) == {"a": 1}

    def test_sync_and_close_raise_what_pickle_raises(self, name: str) -> None:
        for path, open_one in zip((f"{name}-theirs", name), OPENERS, strict=True):
            db = open_one(path, writeback=True)
            db["k"] = []
            db["k"].append(lambda: None)
            with pytest.raises(NOT_PICKLED):
                db.sync()
            db.cache["k"] = 1  # type: ignore[attr-defined]
            db.close()
            with open_one(path, "r") as db:
                assert db["k"] == (1 if open_one is cshelve.open else [])

    def test_set_many_goes_on_and_names_each(self, name: str) -> None:
        with cshelve.open(name) as db:
            with pytest.raises(cshelve.BulkError) as caught:
                db.set_many({"a": 1, "b": lambda: None, "c": 2})
            assert list(caught.value.failures) == ["b"]
            assert dict(db) == {"a": 1, "c": 2}


class TestAttributes:
    def test_it_is_the_same_class_as_every_other(self, name: str) -> None:
        with cshelve.open(name) as db:
            assert type(db) is cshelve.CloudShelf
            assert isinstance(db.provider, Dbm)
            assert db.provider.location == name
            assert repr(db) == f"<cshelve.CloudShelf in {name}>"

    def test_dict_is_what_dbm_opened(self, name: str) -> None:
        db: Any
        theirs: Any
        with cshelve.open(name) as db, shelve.open(f"{name}-theirs") as theirs:
            assert type(db.dict) is type(theirs.dict)
            db["k"] = 1
            assert db.dict[b"k"] == pickle.dumps(1, 5)
            assert db.keyencoding == theirs.keyencoding
        with pytest.raises(ValueError, match="closed shelf"):
            len(db.dict)

    def test_what_is_put_into_the_cache_is_written(self, name: str) -> None:
        for open_one in OPENERS:
            with open_one(name, "n", writeback=True) as db:
                db.cache["k"] = [1]  # type: ignore[attr-defined]
                assert db["k"] == [1]
            with open_one(name, "r") as db:
                assert db["k"] == [1]


class TestWhenNobodyCloses:
    def test_what_was_changed_is_written_when_the_shelf_is_dropped(self, name: str) -> None:
        for open_one in OPENERS:
            db = open_one(name, "n", writeback=True)
            db["k"] = [1]
            db["k"].append(2)
            del db
            with open_one(name, "r") as db:
                assert db["k"] == [1, 2]
            del db

    def test_what_was_changed_is_written_when_the_program_ends(self, name: str) -> None:
        for module in ("shelve", "cshelve"):
            program = (
                f"import {module}\ndb = {module}.open({name!r}, 'n', writeback=True)\n"
                "db['k'] = [1]\ndb['k'].append(2)"
            )
            command = [sys.executable, "-c", program]
            ended = subprocess.run(command, check=True, capture_output=True, text=True)
            assert ended.stderr == ""
            with shelve.open(name, "r") as db:
                assert db["k"] == [1, 2]

    def test_the_file_is_free_once_a_view_of_the_shelf_is_gone_too(self, name: str) -> None:
        view = cshelve.open(name).prefix("users/")
        view["ada"] = 1
        del view
        with cshelve.open(name) as db:
            assert dict(db.items()) == {"users/ada": 1}

    def test_a_close_that_cannot_write_says_so_once(self, name: str) -> None:
        with cshelve.open(name) as db:
            db["k"] = []
        db = cshelve.open(name, "r", writeback=True)
        db["k"].append(1)
        with pytest.raises(dbm.error):
            db.close()
        del db  # Warns of nothing, or the run would fail.
        with cshelve.open(name) as db:
            assert db["k"] == []

    def test_a_wrapper_round_it_changes_nothing_of_that(self, name: str) -> None:
        db = cshelve.open_provider(Wrapper(Dbm(name)), writeback=True)
        db["k"] = [1]
        db["k"].append(2)
        del db
        with shelve.open(name, "r") as theirs:
            assert theirs["k"] == [1, 2]


class TestWhatShelveHasNot:
    def test_get_many_set_many_and_prefix(self, name: str) -> None:
        with cshelve.open(name) as db:
            db.set_many((f"users/{number}", number) for number in range(5))
            assert list(db.get_many(["users/3", "absent", "users/0"])) == [
                ("users/3", 3),
                ("users/0", 0),
            ]
            users = db.prefix("users/")
            assert dict(users.items()) == {str(number): number for number in range(5)}
            users["new"] = 5
            users.delete_many(["0", "1", "absent"])
            del users["2"]
            assert sorted(db) == ["users/3", "users/4", "users/new"]
            users.clear()
            assert not db

    def test_versions(self, name: str) -> None:
        with cshelve.open(name) as db:
            db["k"] = 1
            value, version = db.get_versioned("k")
            newer = db.replace("k", value + 1, version)
            with pytest.raises(cshelve.ConflictError):
                db.replace("k", 5, version)
            with pytest.raises(cshelve.ConflictError):
                db.replace("k", 5, None)
            with pytest.raises(cshelve.ConflictError):
                db.delete("k", version)
            db.delete("k", newer)
            assert "k" not in db

    def test_a_version_holds_when_the_shelf_is_opened_again(self, name: str) -> None:
        with cshelve.open(name) as db:
            db["k"] = 1
            _, version = db.get_versioned("k")
        with cshelve.open(name) as db:
            db.replace("k", 2, version)
            assert db["k"] == 2

    def test_two_shelves_of_one_file_see_what_the_other_has_written(
        self, name: str, dbm_backend: str
    ) -> None:
        if dbm_backend != "dbm.sqlite3":
            pytest.skip("the file is open for one at a time")
        with cshelve.open(name) as first, cshelve.open(name) as second:
            first["n"] = 0
            _, version = first.get_versioned("n")
            assert second.modify("n", lambda n: n + 1) == 1
            with pytest.raises(cshelve.ConflictError):
                first.replace("n", 5, version)
            assert first.modify("n", lambda n: n + 1) == 2

    def test_modify_loses_nothing_among_threads(self, name: str, dbm_backend: str) -> None:
        if dbm_backend == "dbm.sqlite3":
            pytest.skip("its connection is for one thread")
        with cshelve.open(name) as db, ThreadPoolExecutor(8) as pool:
            for _ in range(40):
                pool.submit(db.modify, "n", lambda n: n + 1, default=0)
            pool.shutdown()
            assert db["n"] == 40

    def test_one_of_many_threads_sets_a_default_and_one_pops_it(
        self, name: str, dbm_backend: str
    ) -> None:
        if dbm_backend == "dbm.sqlite3":
            pytest.skip("its connection is for one thread")
        with cshelve.open(name) as db, ThreadPoolExecutor(8) as pool:
            defaults = set(pool.map(lambda n: db.setdefault("k", n), range(8)))
            assert len(defaults) == 1
            popped = list(pool.map(lambda _: db.pop("k", None), range(8)))
            assert sorted(popped, key=str)[:1] == list(defaults)
            assert popped.count(None) == 7

    def test_a_connection_of_sqlite_is_for_one_thread_as_with_shelve(
        self, name: str, dbm_backend: str
    ) -> None:
        if dbm_backend != "dbm.sqlite3":
            pytest.skip("only of sqlite")
        errors: list[Exception | None] = []
        for open_one in OPENERS:
            with open_one(name) as db:
                db["k"] = 1
                thread = threading.Thread(
                    target=lambda db=db: errors.append(ending_of(lambda: db["k"])[1])
                )
                thread.start()
                thread.join()
        assert len(errors) == 2
        theirs, ours = errors
        assert theirs is not None
        assert isinstance(ours, type(theirs))
        assert isinstance(ours, cshelve.StorageError)
        assert str(theirs) in str(ours)

    def test_it_works_in_the_thread_of_its_caller(self, name: str) -> None:
        seen = set()

        class Noting(Wrapper):
            def put(self, name: str, data: bytes, **conditions: Any) -> str:
                seen.add(threading.current_thread())
                return super().put(name, data, **conditions)

        with cshelve.open_provider(Noting(Dbm(name))) as db:
            db.update({str(number): number for number in range(10)})
        assert seen == {threading.current_thread()}

    def test_a_pickled_shelf_is_opened_again(self, name: str) -> None:
        with cshelve.open(name, "n") as db:
            db["k"] = [1]
            pickled, view = pickle.dumps(db), pickle.dumps(db.prefix("k"))
        with pickle.loads(pickled) as again:
            assert dict(again.items()) == {"k": [1]}
            again["k"] = [2]
        with pickle.loads(view) as again:
            assert again[""] == [2]

    def test_a_pickled_shelf_keeps_what_its_flag_says_beside(
        self, name: str, dbm_backend: str
    ) -> None:
        if dbm_backend != "dbm.gnu":
            pytest.skip("only of gdbm")
        with cshelve.open(name, "nu") as db, pickle.loads(pickle.dumps(db)) as again:
            again["k"] = 1  # Without a lock on the file, so that both can be open.

    def test_a_relative_path_leads_a_pickle_nowhere_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with cshelve.open("shelf") as db:
            db["k"] = 1
            by_name = pickle.dumps(db)
        with cshelve.open_from_dict(rigs.local_config(Path("shelf"))) as db:
            by_configuration = pickle.dumps(db)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with pickle.loads(by_name) as db:
            assert db["k"] == 1
        with pytest.raises(cshelve.Error):
            pickle.loads(by_configuration)


class TestConfiguration:
    def test_reaches_the_same_files(self, tmp_path: Path) -> None:
        file = tmp_path / "shelf.ini"
        file.write_text(f"[default]\nprovider = dbm\npath = {tmp_path / 'shelf'}\n")
        with cshelve.open(file) as db:
            db["k"] = 1
        with shelve.open(str(tmp_path / "shelf"), "r") as db:
            assert db["k"] == 1

    def test_needs_a_path(self) -> None:
        with pytest.raises(cshelve.ConfigurationError, match=r"\[default\] path: .*required"):
            cshelve.open_from_dict({"default": {"provider": "dbm"}})

    @pytest.mark.parametrize(
        ("section", "options"),
        [
            ("default", {"serializer": "json"}),
            ("default", {"use_pickle": "false"}),
            ("default", {"use_versionning": "true"}),
            ("default", {"use_versioning": "true"}),
            ("default", {"key_prefix": "users/"}),
            ("default", {"checksum": "true"}),
            ("default", {"shelf_name": "x"}),
            ("default", {"max_value_bytes": "5"}),
            ("default", {"compatibility": "1.x"}),
            ("compression", {"algorithm": "zlib"}),
            ("encryption", {"algorithm": "aes256", "key": "k" * 32}),
            ("signing", {"algorithm": "hmac-sha256", "key": "k" * 32}),
        ],
    )
    def test_refuses_what_shelve_could_not_read(
        self, name: str, section: str, options: dict[str, Any]
    ) -> None:
        config = rigs.local_config(Path(name))
        config[section] = config.get(section, {}) | options
        with pytest.raises(cshelve.ConfigurationError, match=r"so that shelve can read") as caught:
            cshelve.open_from_dict(config)
        assert f"[{section}]" in str(caught.value)
        del config["default"]["path"], config["default"]["provider"]
        with pytest.raises(cshelve.ConfigurationError, match=r"so that shelve can read"):
            cshelve.open_provider(Dbm(name), config=config)

    def test_refuses_a_serializer(self, name: str) -> None:
        functions: dict[str, Any] = {
            "serializer": lambda value, protocol: b"",
            "deserializer": lambda data: None,
        }
        with pytest.raises(cshelve.ConfigurationError, match="a serializer is not allowed"):
            cshelve.open_from_dict(rigs.local_config(Path(name)), **functions)
        with pytest.raises(cshelve.ConfigurationError, match="has no serializer"):
            cshelve.open(name, **functions)

    def test_refuses_an_option_of_another_provider(self, name: str) -> None:
        config = rigs.local_config(Path(name))
        config["default"]["folder_path"] = name
        with pytest.raises(cshelve.ConfigurationError, match="no such option"):
            cshelve.open_from_dict(config)

    def test_a_path_may_begin_at_home_and_refer_to_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("SHELF", "~/shelf")
        for path in ("~/shelf", "$SHELF"):
            with cshelve.open_from_dict(rigs.local_config(Path(path))) as db:
                assert db.provider.location == str(tmp_path / "shelf")
