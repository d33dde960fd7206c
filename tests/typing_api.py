"""How a program that is checked with mypy or pyright uses cshelve; checked, never run."""

from __future__ import annotations

import logging
import pickle
import shelve
from collections.abc import AsyncIterator, ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import cshelve
import cshelve.providers
from cshelve._config.sections import Sections
from cshelve._shelf.read_many import OnError
from cshelve.options import Option, boolean, integer, options_of, text
from cshelve.providers.base import Entry, Item, Provider
from cshelve.testing import CountingProvider, shelf_over


@dataclass
class User:
    name: str
    visits: int = 0


config: dict[str, dict[str, Any]] = {"default": {"provider": "in-memory"}}

assert_type(cshelve.open("shelf.ini"), cshelve.CloudShelf[Any])
assert_type(cshelve.open(Path("shelf.ini"), "r", 5, True), cshelve.Shelf[Any])
assert_type(cshelve.open_from_dict(config), cshelve.CloudShelf[Any])
assert_type(cshelve.generate_key(), str)
assert_type(options_of("in-memory"), list[Option[Any]])


def options(config: Sections) -> None:
    assert_type(config.take(Option("name", text, None, "A name.")), str | None)
    assert_type(config.take(Option("name", text, "", "A name.", required=True)), str)
    assert_type(config.take(Option("count", integer, 3, "How many.", least=1)), int)
    assert_type(config.take(Option("switch", boolean, False, "Whether.")), bool)


def serialize(value: Any, protocol: int) -> bytes:
    return repr((value, protocol)).encode()


def deserialize(data: bytes) -> Any:
    return data.decode()


cshelve.open("shelf.ini", serializer=serialize, deserializer=deserialize).close()
cshelve.open_from_dict(config, serializer=serialize, deserializer=deserialize).close()

with cshelve.open("s3://bucket", provider_params={"region_name": "eu-west-3"}) as db:
    mapping: MutableMapping[str, Any] = db
    db["key"] = object()
    keys: Iterator[str] = iter(db)

with cshelve.open_from_dict(config, flag="n", logger=logging.getLogger("mine")) as shelf:
    assert_type(shelf["key"], Any)
    assert_type(shelf.get("key"), Any | None)
    assert_type("key" in shelf, bool)
    assert_type(len(shelf), int)
    shelf.update({"a": 1}, b=2)
    shelf.update([("a", 1)])
    shelf.set_many({"a": 1}, progress=lambda progress: print(progress.done, progress.total))
    shelf.set_many([("a", 1)])
    assert_type(shelf.get_many(["a"]), Iterator[tuple[str, Any]])
    assert_type(shelf.get_many(["a"], on_error="skip"), Iterator[tuple[str, Any]])
    for _key, value in shelf.items(on_error="return"):
        assert_type(value, Any | cshelve.RecordError)
    assert_type(list(shelf.values(on_error="raise")), list[Any])
    shelf.get_many(["a"], on_error="ignore")  # type: ignore[call-overload]
    shelf.delete_many({"a"})
    assert_type(shelf.prefix("users/"), cshelve.CloudShelf)
    assert_type(shelf.modify("n", lambda n: n + 1, default=0), Any)
    shelf.modify("n", lambda n: cshelve.DELETE)
    value, version = shelf.get_versioned("n")
    assert_type(version, str)
    assert_type(shelf.replace("n", value, version), str)
    shelf.copy("a", "b")
    shelf.move("a", "b")
    assert_type(shelf.presigned_url("a", expires_seconds=60), str)
    shelf.upload("a", Path("file"), progress=lambda progress: print(progress.total_bytes))
    with open("file", "rb") as file, open("other", "wb") as other, open("text") as lines:
        shelf.upload("a", file)
        shelf.download("a", other)
        shelf.upload("a", lines)  # type: ignore[arg-type]
    assert_type(cshelve.copy({"a": 1}, shelf, skip_existing=True, verify=True), int)
    cshelve.copy(shelf, {1: 1})  # type: ignore[dict-item]
    shelf.replace("new", value, None)
    shelf.delete("n", version)
    assert_type(shelf.rewrite(progress=print, exclusive=True), int)
    with shelf.stats.measuring() as used:
        assert_type(used, cshelve.providers.Stats)
    assert_type(used.requests["GetObject"], int)
    assert_type(used.engine, str | None)
    assert_type(used.cost(cshelve.Prices(per_gb_received=0)).total, float)
    shelf.set("k", 1, expire_after_seconds=3600)
    shelf.set("k", 1, expire_after_seconds="an hour")  # type: ignore[arg-type]
    assert_type(list(shelf.entries("a", start_after="b")), list[cshelve.Entry])
    assert_type(shelf.info("k").expires, datetime | None)
    assert_type(shelf.keys(start_after="k"), KeysView[str])
    shelf.set_many({"a": 1}, progress=True)
    shelf.set_many({"a": 1}, progress="bar")  # type: ignore[arg-type]
    assert_type(shelf.expire(progress=print, exclusive=True), int)

try:
    db["key"]
except cshelve.BulkError as error:
    assert_type(error.failures, dict[str, Exception])
except cshelve.OutcomeUnknownError as error:
    assert_type(error.stored, int | None)
except (cshelve.AuthError, cshelve.StorageError):
    pass


def with_a_provider(provider: Provider) -> None:
    assert_type(provider.get("name"), Item)
    assert_type(provider.put("name", b"data", if_absent=True), str)
    assert_type(provider.delete("name"), bool | None)
    assert_type(provider.expires_at("name"), float | None)
    assert_type(list(provider.entries()), list[Entry])
    assert_type(shelf_over(CountingProvider(provider)), cshelve.CloudShelf)


def with_values_of_one_type(ada: User) -> None:
    db: cshelve.Shelf[User] = cshelve.open("users.ini")
    same: cshelve.CloudShelf[User] = db
    as_before: shelve.Shelf[User] = db
    mapping: MutableMapping[str, User] = db
    with db as entered:
        assert_type(entered, cshelve.CloudShelf[User])

    db["ada"] = ada
    db["ada"] = "no user"  # type: ignore[assignment]
    db.set("ada", "no user")  # type: ignore[arg-type]
    assert_type(db["ada"], User)
    assert_type(db["ada"].visits, int)
    assert_type(db.get("ada"), User | None)
    assert_type(db.get("ada", ada), User)
    assert_type(db.get("ada", 0), User | int)
    assert_type(db.pop("ada"), User)
    assert_type(db.pop("ada", None), User | None)
    assert_type(db.setdefault("ada", ada), User)
    db.setdefault("ada")  # type: ignore[call-arg]
    assert_type(db.popitem(), tuple[str, User])
    assert_type(list(db), list[str])
    assert_type(db.keys(), KeysView[str])
    assert_type(db.values(), ValuesView[User])
    assert_type(db.items(), ItemsView[str, User])
    for key, user in db.items():
        assert_type(key, str)
        assert_type(user, User)

    db.update({"ada": ada}, grace=ada)
    db.update([("ada", ada)])
    db.update(other=ada)
    db.update(db)
    db.update({"ada": 1})  # type: ignore[arg-type]
    db.set_many({"ada": ada})
    db.set_many((name, ada) for name in ("ada", "grace"))
    db.set_many({"ada": 1})  # type: ignore[arg-type]
    assert_type(db.get_many(["ada"]), Iterator[tuple[str, User]])

    assert_type(db.get_versioned("ada"), tuple[User, str])
    assert_type(db.replace("ada", ada, None), str)
    db.replace("ada", 1, None)  # type: ignore[arg-type]
    assert_type(db.prefix("users/"), cshelve.CloudShelf[User])
    assert_type(db.writeback, bool)
    again: cshelve.Shelf[User] = pickle.loads(pickle.dumps(db))
    print(same, as_before, mapping, again)


def with_records_that_cannot_be_read(db: cshelve.Shelf[User], on_error: OnError) -> None:
    assert_type(db.get_many(["ada"], on_error="skip"), Iterator[tuple[str, User]])
    assert_type(db.items(on_error="raise"), ItemsView[str, User])
    assert_type(db.values(on_error="skip"), ValuesView[User])

    unread = db.get_many(["ada"], progress=print, on_error="return")
    assert_type(unread, Iterator[tuple[str, User | cshelve.RecordError]])
    assert_type(db.items(on_error="return"), ItemsView[str, User | cshelve.RecordError])
    assert_type(db.values(on_error=on_error), ValuesView[User | cshelve.RecordError])
    for name, user in unread:
        if isinstance(user, cshelve.RecordError):
            print(name, user)
        else:
            assert_type(user, User)


def visited(user: User) -> User:
    return User(user.name, user.visits + 1)


def visited_or_new(user: User | None) -> User:
    return User("new") if user is None else visited(user)


def with_modify(db: cshelve.Shelf[User], counters: cshelve.Shelf[int]) -> None:
    assert_type(db.modify("ada", visited), User)
    assert_type(db.modify("ada", visited, default=User("ada")), User)
    assert_type(db.modify("ada", visited_or_new, default=None), User)
    db.modify("ada", visited_or_new, default="no user")  # type: ignore[arg-type]
    db.modify("ada", lambda user: "no user")  # type: ignore[arg-type, return-value]

    assert_type(counters.modify("n", lambda n: n + 1, default=0), int)
    assert_type(counters.modify("n", lambda n: n + 1), int)
    assert_type(counters.modify("n", lambda n: n - 1 if n else cshelve.DELETE), int)
    counters.modify("n", lambda n: n - 1 if n else cshelve.DELETE, default=0)


def with_any_shelf(db: cshelve.CloudShelf) -> Any:
    assert_type(db["key"], Any)
    return db.modify("key", lambda value: [*value, 1], default=[])


def with_a_local_shelf() -> None:
    db = cshelve.open_provider(cshelve.providers.Dbm("notes"), "c")
    assert_type(db, cshelve.CloudShelf[Any])


async def visited_later(user: User) -> User:
    return visited(user)


async def with_asyncio(ada: User) -> None:
    async with cshelve.aopen("users.ini", "r") as opened:
        assert_type(opened, cshelve.AsyncShelf[Any])
    await cshelve.aopen(config, logger=logging.getLogger("mine"))

    db: cshelve.AsyncShelf[User] = await cshelve.aopen(cshelve.providers.InMemory())
    assert_type(await db.get("ada"), User)
    assert_type(await db.get("ada", None), User | None)
    assert_type(await db.get("ada", ada), User)
    await db.set("ada", ada, expire_after_seconds=60)
    await db.set("ada", "no user")  # type: ignore[arg-type]
    assert_type(await db.contains("ada"), bool)
    assert_type(await db.pop("ada"), User)
    assert_type(await db.pop("ada", None), User | None)
    assert_type(await db.setdefault("ada", ada), User)
    assert_type(await db.modify("ada", visited), User)
    assert_type(await db.modify("ada", visited_later), User)
    assert_type(await db.modify("ada", visited_or_new, default=None), User)
    assert_type(await db.get_versioned("ada"), tuple[User, str])
    assert_type(await db.replace("ada", ada, None), str)
    await db.delete("ada", "version")
    await db.delete("ada")
    assert_type(await db.info("ada"), cshelve.Info)
    assert_type(db.keys(start_after="ada"), AsyncIterator[str])
    assert_type(db.items(), AsyncIterator[tuple[str, User]])
    assert_type(db.items(on_error="return"), AsyncIterator[tuple[str, User | cshelve.RecordError]])
    assert_type(db.values(), AsyncIterator[User])
    assert_type(db.get_many(["ada"]), AsyncIterator[tuple[str, User]])
    await db.set_many({"ada": ada}, progress=print)
    await db.set_many({"ada": 1})  # type: ignore[arg-type]
    await db.delete_many(["ada"])
    await db.clear()
    await db.sync()
    assert_type(db.prefix("users/"), cshelve.AsyncShelf[User])
    await db["ada"]  # type: ignore[index]
    await db.close()


async def with_counters(counters: cshelve.AsyncShelf[int]) -> None:
    assert_type(await counters.modify("n", lambda n: n + 1, default=0), int)
    assert_type(await counters.modify("n", lambda n: n - 1 if n else cshelve.DELETE), int)
