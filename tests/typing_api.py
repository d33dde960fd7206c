"""How a program that is checked with `mypy --strict` uses cshelve; checked, never run."""

from __future__ import annotations

import logging
import shelve
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, assert_type

import cshelve
from cshelve._config.sections import Sections
from cshelve.options import Option, boolean, integer, options_of, text
from cshelve.providers.base import Entry, Item, Provider
from cshelve.testing import CountingProvider, shelf_over

config: dict[str, dict[str, Any]] = {"default": {"provider": "in-memory"}}

assert_type(cshelve.open("shelf.ini"), shelve.Shelf[Any])
assert_type(cshelve.open(Path("shelf.ini"), "r", 5, True), shelve.Shelf[Any])
assert_type(cshelve.open_from_dict(config), cshelve.CloudShelf)
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
    assert_type(shelf.get("key"), Any)
    assert_type("key" in shelf, bool)
    assert_type(len(shelf), int)
    shelf.update({"a": 1}, b=2)
    shelf.update([("a", 1)])
    shelf.set_many({"a": 1}, progress=lambda progress: print(progress.done, progress.total))
    shelf.set_many([("a", 1)])
    assert_type(shelf.get_many(["a"]), Iterator[tuple[str, Any]])
    shelf.delete_many({"a"})
    assert_type(shelf.prefix("users/"), cshelve.CloudShelf)
    assert_type(shelf.modify("n", lambda n: n + 1, default=0), Any)
    shelf.modify("n", lambda n: cshelve.DELETE)
    value, version = shelf.get_versioned("n")
    assert_type(version, str)
    assert_type(shelf.replace("n", value, version), str)
    shelf.replace("new", value, None)
    shelf.delete("n", version)
    assert_type(shelf.rewrite(progress=print, exclusive=True), int)

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
    assert_type(list(provider.entries()), list[Entry])
    assert_type(shelf_over(CountingProvider(provider)), cshelve.CloudShelf)
