"""`cshelve.copy`: every key from any mapping to any other."""

from __future__ import annotations

import pickle
import shelve
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Item
from cshelve.providers.in_memory import InMemory
from cshelve.providers.wrapper import Wrapper
from cshelve.testing import CountingProvider, FailingProvider
from testbed.faults import Answer
from tests.providers.aws_s3.rig import each_engine, threads_left, without_pauses
from tests.rigs import Place, S3Rig, folder_config, memory_config, object_of, provider_of
from tests.shelf.files.rig import Watching

PAIRS = {f"k/{number}": [number] * number for number in range(8)}
# More than are on their way, or read in advance, at the same time.
MORE = {f"k/{number}": [number] * number for number in range(20)}
# A class that no program has.
STRANGER = b"\x80\x05c_no_such_module\nClass\n."
LIST, GET, PUT, COPY = "ListObjectsV2", "GetObject", "PutObject", "CopyObject"
KEY = cshelve.generate_key()


@pytest.fixture
def in_memory() -> Iterator[Place]:
    """One place, for what is the same from and to every store that other tests copy."""
    place = Place(memory_config())
    yield place
    place.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Place]:
    place = Place(folder_config(tmp_path / "other"))
    yield place
    place.close()


class TestFromAMappingToAShelf:
    def test_from_a_dict(self, place: Place) -> None:
        db = place.open()
        db["kept"] = 1
        assert cshelve.copy(PAIRS, db) == 8
        assert dict(db.items()) == {**PAIRS, "kept": 1}

    def test_from_a_file_of_shelve(self, in_memory: Place, tmp_path: Path) -> None:
        with shelve.open(str(tmp_path / "file")) as file:
            file.update(PAIRS)
            assert cshelve.copy(file, in_memory.open()) == 8
        assert dict(in_memory.open().items()) == PAIRS

    def test_a_value_that_cannot_be_read_or_written_is_the_failure_of_its_key(
        self, place: Place, tmp_path: Path
    ) -> None:
        db = place.open()
        with shelve.open(str(tmp_path / "file")) as file:
            file["a"], file["c"] = 1, 3
            file.dict[b"b"] = STRANGER  # type: ignore[attr-defined]  # all shelves have it
            with pytest.raises(cshelve.BulkError, match="1 key could not be copied: 'b'") as caught:
                cshelve.copy(file, db)
        assert isinstance(caught.value.failures["b"].__cause__, ModuleNotFoundError)
        assert dict(db.items()) == {"a": 1, "c": 3}
        with pytest.raises(cshelve.BulkError, match="'l'"):
            cshelve.copy({"l": lambda: None, "m": 1}, db)
        assert db["m"] == 1

    def test_a_key_that_is_no_text_is_a_mistake(self, place: Place) -> None:
        with pytest.raises(cshelve.KeyTypeError):
            cshelve.copy({1: 1}, place.open())  # type: ignore[dict-item]


class TestFromAShelfToAMapping:
    def test_to_a_dict(self, place: Place) -> None:
        db, target = place.open(), {"kept": 1}
        db.update(PAIRS)
        assert cshelve.copy(db, target, verify=True) == 8
        assert target == {**PAIRS, "kept": 1}

    def test_to_a_file_of_shelve(self, in_memory: Place, tmp_path: Path) -> None:
        db = in_memory.open()
        db.update(PAIRS)
        with shelve.open(str(tmp_path / "file")) as file:
            assert cshelve.copy(db, file) == 8
            assert dict(file) == PAIRS

    def test_a_value_that_cannot_be_read_is_the_failure_of_its_key(self, place: Place) -> None:
        db = place.open()
        db.update(a=1, c=3)
        provider_of(db).put("b", STRANGER)
        target: dict[str, int] = {}
        with pytest.raises(cshelve.BulkError) as caught:
            cshelve.copy(db, target)
        assert isinstance(caught.value.failures["b"], cshelve.ClassNotFoundError)
        assert target == {"a": 1, "c": 3}

    def test_of_a_mapping_that_breaks_the_key_is_named(self, place: Place) -> None:
        class Full(dict[str, Any]):
            def __setitem__(self, key: str, value: Any) -> None:
                raise OSError("full")

        db = place.open()
        db["k"] = 1
        with pytest.raises(cshelve.BulkError, match="OSError: full"):
            cshelve.copy(db, Full())

    @pytest.mark.parametrize("value", [float("nan"), {"a": [float("nan")]}])
    def test_verify_accepts_values_that_equal_nothing(
        self, value: Any, place: Place, tmp_path: Path
    ) -> None:
        db = place.open()
        db["k"] = value
        with shelve.open(str(tmp_path / "file")) as file:
            assert cshelve.copy(db, file, verify=True) == 1

    def test_verify_finds_what_a_mapping_did_not_keep(self, place: Place) -> None:
        class Forgetful(dict[str, Any]):
            def __getitem__(self, key: str) -> Any:
                return None if key == "b" else super().__getitem__(key)

        db = place.open()
        db.update(a=1, b=2)
        with pytest.raises(cshelve.BulkError) as caught:
            cshelve.copy(db, Forgetful(), verify=True)
        assert list(caught.value.failures) == ["b"]


class TestBetweenShelves:
    def test_to_a_folder_and_back(self, place: Place, other: Place) -> None:
        db = place.open()
        db.update(PAIRS)
        watching = Watching()
        assert cshelve.copy(db, other.open(), progress=watching) == 8
        assert dict(other.open().items()) == PAIRS
        assert watching.told[-1].done == 8
        assert watching.told[-1].bytes > 0
        db.clear()
        assert cshelve.copy(other.open("r"), db) == 8
        assert dict(db.items()) == PAIRS

    def test_from_a_local_shelf_and_to_one(self, in_memory: Place, tmp_path: Path) -> None:
        with cshelve.open(str(tmp_path / "a")) as local:
            local.update(PAIRS)
            provider_of(local).put("stranger", STRANGER)
            assert cshelve.copy(local, in_memory.open()) == 9
        with cshelve.open(str(tmp_path / "b")) as local:
            assert cshelve.copy(in_memory.open(), local, verify=True) == 9
        with shelve.open(str(tmp_path / "b")) as file:
            assert {key: file[key] for key in PAIRS} == PAIRS
            assert bytes(file.dict[b"stranger"]) == STRANGER  # type: ignore[attr-defined]

    def test_between_prefixes_of_one_shelf(self, place: Place) -> None:
        db = place.open()
        db.prefix("a/").update(PAIRS)
        assert cshelve.copy(db.prefix("a/"), db.prefix("b/")) == 8
        assert dict(db.prefix("b/").items()) == PAIRS
        assert len(db) == 16

    def test_a_strangers_pickle_is_copied_and_never_loaded(
        self, place: Place, other: Place
    ) -> None:
        provider_of(db := place.open()).put("k", STRANGER)
        assert cshelve.copy(db, other.open()) == 1
        assert provider_of(other.open()).get("k").data == STRANGER

    @pytest.mark.encryption
    @pytest.mark.parametrize(
        "sections",
        [
            {"signing": {"algorithm": "hmac-sha256", "key": KEY}},
            {"encryption": {"algorithm": "aes256-gcm", "key": KEY}},
            {"encryption": {"algorithm": "aes256", "key": "k" * 32}},
            {"compression": {"algorithm": "zlib"}},
            {"default": {"checksum": True}},
        ],
    )
    def test_a_record_is_made_as_the_target_is_configured_without_unpickling(
        self, sections: dict[str, dict[str, Any]], in_memory: Place, other: Place
    ) -> None:
        source = in_memory.open()
        source["k"] = "v" * 1000
        provider_of(source).put("stranger", STRANGER)
        for name, options in sections.items():
            other.config.setdefault(name, {}).update(options)
        target = other.open()
        assert cshelve.copy(source, target) == 2
        assert target["k"] == "v" * 1000
        assert provider_of(target).get("k").data != provider_of(source).get("k").data
        with pytest.raises(cshelve.ClassNotFoundError):
            target["stranger"]
        with cshelve.open_provider(InMemory()) as back:
            assert cshelve.copy(target, back, verify=True) == 2
            assert back["k"] == "v" * 1000
            assert provider_of(back).get("k").data == provider_of(source).get("k").data

    def test_with_another_serializer_values_are_made(self, place: Place, other: Place) -> None:
        source = place.open()
        source.update(a=[1], b={1, 2})
        other.config["default"]["serializer"] = "json"
        with pytest.raises(cshelve.BulkError) as caught:
            cshelve.copy(source, other.open())
        assert list(caught.value.failures) == ["b"]
        assert dict(other.open().items()) == {"a": [1]}

    def test_bytes_are_not_taken_for_pickles(self, place: Place, other: Place) -> None:
        place.config["default"]["serializer"] = "bytes"
        place.open()["k"] = pickle.dumps("not for loading")
        assert cshelve.copy(place.open(), other.open()) == 1
        assert other.open()["k"] == pickle.dumps("not for loading")

    def test_functions_of_programs_that_differ_are_called(self, place: Place) -> None:
        def dumps(value: Any, protocol: int) -> bytes:
            return repr(value).encode()

        def dumps_backwards(value: Any, protocol: int) -> bytes:
            return repr(value).encode()[::-1]

        source = place.open(serializer=dumps, deserializer=lambda data: data.decode())
        source["k"] = 12
        with cshelve.open_provider(
            InMemory(), serializer=dumps_backwards, deserializer=lambda data: data[::-1].decode()
        ) as target:
            assert cshelve.copy(source, target) == 1
            assert target["k"] == "'12'"

    def test_a_damaged_record_is_the_failure_of_its_key(self, place: Place) -> None:
        place.config["default"]["checksum"] = True
        source = place.open()
        source.update(a=1, b=2)
        data = provider_of(source).get("a").data
        provider_of(source).put("a", data[:-1] + bytes([data[-1] ^ 1]))
        with cshelve.open_provider(InMemory()) as target:
            with pytest.raises(cshelve.BulkError) as caught:
                cshelve.copy(source, target)
            assert isinstance(caught.value.failures["a"], cshelve.CorruptRecordError)
            assert dict(target) == {"b": 2}

    @pytest.mark.parametrize("error_at", ["k/0", "k/7", "k/19"])
    def test_a_key_that_cannot_be_read_does_not_stop_the_others(self, error_at: str) -> None:
        store = FailingProvider(InMemory(exists=True))
        with cshelve.open_provider(store) as source, cshelve.open_provider(InMemory()) as target:
            source.update(MORE)
            store.fail("get", cshelve.AuthError("archived"), name=error_at, times=None)
            with pytest.raises(cshelve.BulkError) as caught:
                cshelve.copy(source, target)
            assert list(caught.value.failures) == [error_at]
            assert dict(target) == {k: v for k, v in MORE.items() if k != error_at}

    def test_what_would_hit_every_key_ends_it(self) -> None:
        store = FailingProvider(InMemory())
        gone = cshelve.StorageError("gone")
        gone.about_shelf = True
        with cshelve.open_provider(store) as target:
            store.fail("put", gone, name="k/3", times=None)
            with pytest.raises(cshelve.StorageError, match="gone") as caught:
                cshelve.copy(PAIRS, target)
        assert (caught.value.stored, caught.value.failed, caught.value.not_attempted) == (3, 1, 4)

    def test_the_caches_are_written_first_and_show_the_copies(
        self, place: Place, other: Place
    ) -> None:
        source, target = place.open(writeback=True), other.open(writeback=True)
        source["k"], target["k"] = [1], ["before"]
        target["l"] = []
        source["k"].append(2)
        target["l"].append("changed")
        assert cshelve.copy(source, target) == 1
        assert target["k"] == [1, 2]
        assert dict(place.open().items()) == {"k": [1, 2]}
        target.sync()
        assert dict(other.open().items()) == {"k": [1, 2], "l": ["changed"]}

    def test_is_refused_where_the_target_only_reads(self, place: Place) -> None:
        place.open().close()
        with pytest.raises(cshelve.ReadOnlyError):
            cshelve.copy({"k": 1}, place.open("r"))

    def test_of_a_closed_shelf_is_refused(self, place: Place) -> None:
        db = place.open()
        db.close()
        for source, target in ((db, dict[str, Any]()), (dict[str, Any](), db)):
            with pytest.raises(ValueError, match="closed shelf"):
                cshelve.copy(source, target)

    def test_onto_a_part_of_itself_is_refused(self, place: Place) -> None:
        db, same = place.open(), place.open()
        db["k"] = 1
        for source, target in [
            (db, db),
            (db, same),
            (db, db.prefix("x/")),
            (same.prefix("x/"), db),
            (db.prefix("x"), same.prefix("xy")),
        ]:
            with pytest.raises(cshelve.ConfigurationError, match="contains the other"):
                cshelve.copy(source, target)
        pairs: dict[str, int] = {}
        with pytest.raises(cshelve.ConfigurationError):
            cshelve.copy(pairs, pairs)

    @pytest.mark.parametrize("pair", [("file.ini", {}), ({}, "file.ini"), ({}, None), ([], {})])
    def test_what_is_no_mapping_is_refused(self, pair: tuple[Any, Any]) -> None:
        with pytest.raises(cshelve.ConfigurationError, match="has to be an open shelf"):
            cshelve.copy(*pair)


class TestSkipExisting:
    def test_goes_on_where_an_interrupted_copy_ended(self, place: Place, other: Place) -> None:
        source, target = place.open(), other.open()
        source.update(MORE)

        def stop(progress: cshelve.Progress) -> None:
            if progress.done == 7:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cshelve.copy(source, target, progress=stop)
        there = set(target)
        assert 7 <= len(there) < 20
        watching = Watching()
        assert cshelve.copy(source, target, skip_existing=True, progress=watching) == (
            20 - len(there)
        )
        assert watching.told[-1].done == 20
        assert dict(target.items()) == MORE
        assert threads_left() == []

    def test_leaves_what_is_there_by_one_listing(self) -> None:
        store = CountingProvider(InMemory())
        with cshelve.open_provider(store) as target:
            target["k/1"] = "kept"
            store.calls.clear()
            assert cshelve.copy(PAIRS, target, skip_existing=True) == 7
            assert target["k/1"] == "kept"
            methods = [call.method for call in store.calls]
        assert methods.count("names") == 1
        assert "contains" not in methods

    def test_knows_what_is_only_in_the_cache(self, in_memory: Place) -> None:
        target = in_memory.open(writeback=True)
        target.cache["k/1"] = "kept"
        assert cshelve.copy(PAIRS, target, skip_existing=True) == 7
        assert target["k/1"] == "kept"

    def test_of_a_dict_leaves_what_is_there(self, place: Place) -> None:
        source, target = place.open(), {"a": 0}
        source.update(a=1, b=2)
        assert cshelve.copy(source, target, skip_existing=True) == 1
        assert target == {"a": 0, "b": 2}


class TestVerify:
    def test_reads_everything_again(self, place: Place, other: Place) -> None:
        source = place.open()
        source.update(PAIRS)
        assert cshelve.copy(source, other.open(), verify=True) == 8
        assert dict(other.open().items()) == PAIRS

    def test_reads_in_batches(self) -> None:
        pairs = {str(number): number for number in range(600)}
        store = CountingProvider(InMemory())
        with cshelve.open_provider(store) as target:
            assert cshelve.copy(pairs, target, verify=True) == 600
            assert dict(target.items()) == pairs

    @pytest.mark.parametrize("kind", ["damaged", "lost", "unreadable"])
    def test_finds_damage(self, kind: str, in_memory: Place) -> None:
        class Damaging(Wrapper):
            def put(self, name: str, data: bytes, **conditions: Any) -> str:
                if name == "k/3" and kind == "lost":
                    return "1"
                data = data[:-2] + b"]." if name == "k/3" else data
                return super().put(name, data, **conditions)

            def get(self, name: str) -> Any:
                if name == "k/3" and kind == "unreadable":
                    raise cshelve.AuthError("no")
                return super().get(name)

        source = in_memory.open()
        source.update(PAIRS)
        with cshelve.open_provider(Damaging(InMemory())) as target:
            with pytest.raises(cshelve.BulkError) as caught:
                cshelve.copy(source, target, verify=True)
            (key,) = caught.value.failures
            assert key == "k/3"
            expected = cshelve.AuthError if kind == "unreadable" else cshelve.CorruptRecordError
            assert isinstance(caught.value.failures[key], expected)
            assert len(target) == (7 if kind == "lost" else 8)

    def test_ends_at_what_would_hit_every_key(self) -> None:
        store = FailingProvider(InMemory())
        gone = cshelve.StorageError("gone")
        gone.about_shelf = True
        with cshelve.open_provider(store) as target:
            store.fail("put", gone, name="k/3", times=None)
            with pytest.raises(cshelve.StorageError, match="gone"):
                cshelve.copy(PAIRS, target, verify=True)
            assert dict(target) == {key: PAIRS[key] for key in ("k/0", "k/1", "k/2")}


@pytest.mark.s3
@each_engine
class TestWithinS3:
    @pytest.fixture
    def places(self, engine: str, s3: S3Rig) -> Iterator[tuple[Place, Place]]:
        with without_pauses():
            places = Place(s3.config(engine=engine)), Place(s3.config(engine=engine))
            yield places
            for place in places:
                place.close()
        assert threads_left() == []

    def counted(self, s3: S3Rig, act: Callable[[], int]) -> tuple[int, list[str]]:
        with s3.proxy.counting() as seen:
            number = act()
        return number, sorted(seen.operations)

    def test_the_server_copies(self, places: tuple[Place, Place], s3: S3Rig) -> None:
        source, target = (place.open() for place in places)
        source.update(PAIRS)
        watching = Watching()
        number, operations = self.counted(
            s3, lambda: cshelve.copy(source, target, progress=watching)
        )
        assert (number, operations) == (8, [COPY] * 8 + [GET] * 8 + [LIST])
        assert dict(target.items()) == PAIRS
        assert watching.told[-1] == (8, None, 0, None)

    def test_what_is_there_is_not_copied_again(
        self, places: tuple[Place, Place], s3: S3Rig
    ) -> None:
        source, target = (place.open() for place in places)
        source.update(PAIRS)
        target["k/1"] = "kept"
        number, operations = self.counted(
            s3, lambda: cshelve.copy(source, target, skip_existing=True)
        )
        assert (number, operations) == (7, [COPY] * 7 + [GET] * 7 + [LIST] * 2)
        assert target["k/1"] == "kept"

    def test_to_verify_the_records_come_this_way(
        self, places: tuple[Place, Place], s3: S3Rig
    ) -> None:
        source, target = (place.open() for place in places)
        source.update(PAIRS)
        number, operations = self.counted(s3, lambda: cshelve.copy(source, target, verify=True))
        assert (number, operations) == (8, [GET] * 16 + [LIST] + [PUT] * 8)

    def test_a_shelf_that_stores_otherwise_gets_records_of_its_own(
        self, places: tuple[Place, Place], s3: S3Rig
    ) -> None:
        places[1].config["compression"] = {"algorithm": "zlib"}
        source, target = (place.open() for place in places)
        source.update(PAIRS)
        number, operations = self.counted(s3, lambda: cshelve.copy(source, target))
        assert (number, operations) == (8, [GET] * 8 + [LIST] + [PUT] * 8)
        assert dict(target.items()) == PAIRS

    def test_of_another_user_the_records_come_this_way(
        self, places: tuple[Place, Place], s3: S3Rig
    ) -> None:
        user = s3.server.scoped
        who = {"key_id": user.access_key, "key_secret": user.secret_key}
        places[1].config["default"].update(who, key_prefix="team-a/copies")
        source, target = (place.open() for place in places)
        source.update(PAIRS)
        number, operations = self.counted(s3, lambda: cshelve.copy(source, target))
        assert (number, operations) == (8, [GET] * 8 + [LIST] + [PUT] * 8)
        target.clear()

    def test_a_key_that_fails_does_not_stop_the_others(
        self, places: tuple[Place, Place], s3: S3Rig
    ) -> None:
        source, target = (place.open() for place in places)
        source.update(PAIRS)
        s3.proxy.inject(Answer(403, "AccessDenied"), operation=COPY, after=3)
        with pytest.raises(cshelve.BulkError, match="1 key could not be copied") as caught:
            cshelve.copy(source, target)
        (failure,) = caught.value.failures.values()
        assert isinstance(failure, cshelve.AuthError)
        assert len(target) == 7

    def test_what_was_deleted_meanwhile_is_left_out(
        self, places: tuple[Place, Place], s3: S3Rig
    ) -> None:
        source, target = (place.open() for place in places)
        source.update(PAIRS)
        s3.proxy.inject(Answer(404, "NoSuchKey"), operation=COPY)
        assert cshelve.copy(source, target) == 7

    def test_a_key_that_cannot_be_read_does_not_stop_the_others(
        self, places: tuple[Place, Place], s3: S3Rig
    ) -> None:
        source = places[0].open()
        source.update(MORE)
        key = object_of(source, "k/7")
        s3.proxy.inject(Answer(403, "InvalidObjectState"), operation=GET, key=key, times=None)
        target: dict[str, Any] = {}
        with pytest.raises(cshelve.BulkError) as caught:
            cshelve.copy(source, target)
        assert list(caught.value.failures) == ["k/7"]
        assert len(target) == 19


@pytest.mark.parametrize("wrapped", [lambda inner: inner, Wrapper])
def test_a_shelf_in_memory_is_another_place_than_the_next(
    wrapped: Callable[[InMemory], Any],
) -> None:
    store = InMemory()
    with (
        cshelve.open_provider(wrapped(store)) as source,
        cshelve.open_provider(wrapped(InMemory())) as target,
        cshelve.open_provider(Wrapper(store)) as same,
    ):
        source["k"] = 1
        assert cshelve.copy(source, target) == 1
        assert dict(target) == {"k": 1}
        with pytest.raises(cshelve.ConfigurationError, match="contains the other"):
            cshelve.copy(source, same)


@pytest.mark.parametrize(
    ("of_source", "of_target"),
    [
        (lambda inner: inner, Wrapper),
        (Wrapper, lambda inner: inner),
        (Wrapper, lambda inner: Wrapper(Wrapper(inner))),
        (lambda inner: Wrapper(Wrapper(inner)), Wrapper),
        (lambda inner: Wrapper(Wrapper(inner)), lambda inner: inner),
    ],
)
def test_a_part_of_the_source_is_known_through_wrappers(
    of_source: Callable[[InMemory], Any], of_target: Callable[[InMemory], Any]
) -> None:
    store = InMemory()
    with (
        cshelve.open_provider(of_source(store)) as source,
        cshelve.open_provider(of_target(store)) as target,
    ):
        source["k"] = 1
        with pytest.raises(cshelve.ConfigurationError, match="contains the other"):
            cshelve.copy(source, target.prefix("copies/"))


def test_little_of_a_long_source_is_read_in_advance() -> None:
    """Nothing but the keys that are in flight is taken from it."""
    taken = count()

    class Long(dict[str, int]):
        def __iter__(self) -> Iterator[str]:
            return (str(next(taken)) for _ in range(1_000_000))

        def __getitem__(self, key: str) -> int:
            return 0

    def stop(progress: cshelve.Progress) -> None:
        raise KeyboardInterrupt

    with (
        cshelve.open_from_dict(memory_config()) as target,
        pytest.raises(KeyboardInterrupt),
    ):
        cshelve.copy(Long(), target, progress=stop)
    assert next(taken) < 10


class Unreadable(Wrapper):
    def get(self, name: str) -> Item:
        raise cshelve.StorageError(f"{name} is refused")


def test_thousands_of_keys_that_cannot_be_read_are_failures_each() -> None:
    inner = InMemory(exists=True)
    keys = {str(number) for number in range(5000)}
    for key in keys:
        inner.put(key, b"")
    source = cshelve.open_provider(Unreadable(inner))
    with source, pytest.raises(cshelve.BulkError) as caught:
        cshelve.copy(source, cshelve.open_provider(InMemory()))
    assert caught.value.failures.keys() == keys
