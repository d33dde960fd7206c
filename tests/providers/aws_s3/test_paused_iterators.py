"""An iteration over many keys may pause for as long as it likes, and holds up nobody meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

import cshelve
from testbed.fault_proxy import FaultProxy
from tests.providers.aws_s3.rig import engine_of, permits_taken
from tests.rigs import Place, S3Rig, small_pages

pytestmark = [pytest.mark.s3, pytest.mark.once]

# What is tested takes a fraction of it; a request that has to wait for a time-out takes 20 s.
SECONDS = 10.0
READ_SECONDS = 0.3
PAUSE_SECONDS = 0.45
# More than may be under way at once.
SMALL = {f"k{number:02}": number for number in range(14)}

Opener = Callable[..., cshelve.CloudShelf]


@pytest.fixture(params=["direct", "boto3"])
def opened(request: pytest.FixtureRequest, s3: S3Rig) -> Iterator[Opener]:
    """Open a shelf that has `SMALL` in it."""
    places = []

    def open_one(**default: Any) -> cshelve.CloudShelf:
        config = s3.config(engine=request.param, **default)
        place = Place(config)
        places.append(place)
        db = place.open()
        assert engine_of(db) == request.param
        db.update(SMALL)
        return db

    yield open_one
    for place in places:
        place.close()


def in_time(act: Callable[[], Any]) -> Any:
    """Do something in a thread of its own, and fail the test if that does not end."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001  # for whoever waits
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if errors:
        raise errors[0]
    assert results, f"no end after {SECONDS} seconds"
    return results[0]


each_concurrency = pytest.mark.parametrize("concurrency", [1, 4])
in_any_thread = pytest.mark.parametrize(
    "act", [lambda act: act(), in_time], ids=["same thread", "another thread"]
)


@each_concurrency
def test_a_body_that_writes_is_not_held_up(concurrency: int, opened: Opener) -> None:
    db = opened(concurrency=concurrency)

    def seconds_of(pairs: Callable[[], Any]) -> float:
        begun = time.monotonic()
        for key, value in pairs():
            db[key] = value + 1
        return time.monotonic() - begun

    at_once = min(seconds_of(lambda: list(db.items())) for _ in range(2))
    assert min(in_time(lambda: seconds_of(db.items)) for _ in range(2)) < 4 * at_once + 0.1
    assert dict(db.items()) == {key: value + 4 for key, value in SMALL.items()}
    assert permits_taken(db) == 0


@each_concurrency
@in_any_thread
def test_a_body_that_does_everything(
    concurrency: int, act: Callable[[Callable[[], Any]], Any], opened: Opener
) -> None:
    db = opened(concurrency=concurrency)

    def everything(key: str) -> None:
        assert key in db
        assert db[key] == SMALL[key]
        db.modify(key, lambda value: value + 1)
        db.update({f"{key}-{number}": number for number in range(3)})
        assert list(db.get_many(f"{key}-{number}" for number in range(3)))
        db.delete_many(f"{key}-{number}" for number in range(3))

    def go_through() -> None:
        for key, _ in db.get_many(list(SMALL)[:4]):
            act(partial(everything, key))

    in_time(go_through)
    assert len(db) == len(SMALL)
    assert permits_taken(db) == 0


@each_concurrency
def test_other_threads_go_on(concurrency: int, opened: Opener) -> None:
    db = opened(concurrency=concurrency)
    pairs = iter(db.get_many(SMALL))
    first = next(pairs)

    def write_and_read(name: str) -> None:
        for number in range(8):
            db[name] = number
            assert db[name] == number

    begun = time.monotonic()
    threads = [
        threading.Thread(target=write_and_read, args=(f"of {which}",), daemon=True)
        for which in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
    assert not any(thread.is_alive() for thread in threads), time.monotonic() - begun
    assert dict([first, *in_time(lambda: list(pairs))]) == SMALL
    assert permits_taken(db) == 0


def test_two_of_them(opened: Opener) -> None:
    db = opened(concurrency=2)
    one, two = iter(db.get_many(SMALL)), iter(db.items())
    first_of_each = in_time(lambda: (next(one), next(two)))
    in_time(lambda: db.update(a=1, b=2))
    assert in_time(lambda: db["a"] + db["b"]) == 3
    # In turns, so that each is paused while the other one goes on.
    rest: list[list[Any]] = [[], []]

    def in_turns() -> None:
        for _ in range(len(SMALL) - 1):
            rest[0].append(next(one))
            rest[1].append(next(two))

    in_time(in_turns)
    assert dict([first_of_each[0], *rest[0]]) == SMALL
    assert dict([first_of_each[1], *rest[1]]).items() <= {**SMALL, "a": 1, "b": 2}.items()
    for pairs in (one, two):
        pairs.close()  # type: ignore[attr-defined]
    assert permits_taken(db) == 0


@each_concurrency
def test_one_within_another(concurrency: int, opened: Opener) -> None:
    db = opened(concurrency=concurrency)
    few = list(SMALL)[:3]

    def all_pairs() -> int:
        count = 0
        for one, _ in db.get_many(few):
            for two, value in db.get_many(few):
                for three in db.keys():  # noqa: SIM118
                    count += one <= two <= three and value == SMALL[two]
                    break
        return count

    assert in_time(all_pairs) == 1
    assert permits_taken(db) == 0


@each_concurrency
def test_a_pause_that_is_longer_than_the_time_for_an_answer(
    concurrency: int, s3: S3Rig, opened: Opener
) -> None:
    db = opened(concurrency=concurrency, read_timeout_seconds=READ_SECONDS)
    pairs = iter(db.get_many(SMALL))
    found = [next(pairs) for _ in range(3)]
    for has_closed_connections in (False, True):
        time.sleep(PAUSE_SECONDS)
        if has_closed_connections:
            s3.proxy.drop_connections()
        found += [in_time(lambda: next(pairs)) for _ in range(4)]
    found += in_time(lambda: list(pairs))
    assert found == list(SMALL.items())
    # What was sent before the pause had been answered by then.
    with s3.proxy.counting() as seen:
        db["k00"] = 0
    assert seen.total == 1


def test_a_write_of_many_whose_source_pauses(s3: S3Rig, opened: Opener) -> None:
    db = opened(concurrency=4, read_timeout_seconds=READ_SECONDS)

    def slow_source() -> Iterator[tuple[str, int]]:
        for number in range(12):
            if number == 6:
                time.sleep(PAUSE_SECONDS)
                s3.proxy.drop_connections()
                db["between"] = 1
            yield f"w{number}", number

    in_time(lambda: db.update(slow_source()))
    assert {key: value for key, value in db.items() if key.startswith("w")} == {
        f"w{number}": number for number in range(12)
    }


@each_concurrency
def test_one_thread_begins_and_another_one_closes(concurrency: int, opened: Opener) -> None:
    db = opened(concurrency=concurrency)
    for _ in range(3):
        pairs: Any = db.get_many(SMALL)
        next(pairs)
        in_time(pairs.close)
        assert list(pairs) == []
    assert permits_taken(db) == 0
    assert not [each.name for each in threading.enumerate() if each.name.startswith("cshelve")]
    assert in_time(lambda: dict(db.get_many(SMALL))) == SMALL


class TestKeys:
    """Of several pages of a listing, one of which is asked for ahead."""

    NAMES = frozenset(f"{number:04}" for number in range(210))

    @pytest.fixture(scope="class")
    @classmethod
    def config(cls, s3_rig: S3Rig) -> dict[str, dict[str, Any]]:
        config = s3_rig.config(engine="direct")
        # Round the proxy: it is slower than the server.
        config["provider_params"]["endpoint_url"] = s3_rig.server.endpoint_url
        with closing(cshelve.open_from_dict(config)) as db:
            db.update(dict.fromkeys(cls.NAMES, 0))
        return config

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        small_pages(monkeypatch, 100)

    @pytest.fixture(params=["direct", "boto3"])
    def opened(
        self, request: pytest.FixtureRequest, s3_rig: S3Rig, config: dict[str, dict[str, Any]]
    ) -> Iterator[Callable[..., tuple[cshelve.CloudShelf, FaultProxy]]]:
        with FaultProxy(s3_rig.server.endpoint_url) as proxy:
            places = []

            def open_one(**default: Any) -> tuple[cshelve.CloudShelf, FaultProxy]:
                changed = {**config["default"], "engine": request.param, **default}
                params = {"endpoint_url": proxy.endpoint_url}
                places.append(Place({"default": changed, "provider_params": params}))
                return places[-1].open(), proxy

            yield open_one
            for place in places:
                place.close()

    @each_concurrency
    def test_a_body_that_uses_the_shelf(
        self, concurrency: int, opened: Callable[..., tuple[cshelve.CloudShelf, FaultProxy]]
    ) -> None:
        db, _ = opened(concurrency=concurrency)
        found = []

        def go_through() -> None:
            for number, key in enumerate(db):
                found.append(key)
                if number % 10 == 0:
                    assert db[key] == 0
                    assert len(list(db.get_many([key, "0000", "0001"]))) >= 2

        in_time(go_through)
        assert set(found) == self.NAMES
        assert len(found) == len(self.NAMES)
        assert permits_taken(db) == 0

    @each_concurrency
    def test_a_pause_that_is_longer_than_the_time_for_an_answer(
        self, concurrency: int, opened: Callable[..., tuple[cshelve.CloudShelf, FaultProxy]]
    ) -> None:
        db, proxy = opened(concurrency=concurrency, read_timeout_seconds=READ_SECONDS)
        keys = iter(db)
        found = [next(keys) for _ in range(150)]
        time.sleep(PAUSE_SECONDS)
        proxy.drop_connections()
        in_time(lambda: db["0000"])
        found += in_time(lambda: list(keys))
        assert set(found) == self.NAMES
        assert len(found) == len(self.NAMES)
