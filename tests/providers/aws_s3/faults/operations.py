"""Every operation of a shelf: what it sends, gives and leaves in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cshelve
from tests.providers.aws_s3.rig import rely_again_on_its_engine, warmed_up
from tests.rigs import Place, S3Rig, record_of, value_of

ATTEMPTS = 3
CONCURRENCY = 3

PATIENT: dict[str, Any] = {
    "total_max_attempts": ATTEMPTS,
    "read_timeout_seconds": 5,
    "concurrency": CONCURRENCY,
}

BEFORE: dict[str, Any] = {"a": "one", "b": ["two"], "k": 7}
MANY: dict[str, Any] = {"b": ["three"], "k": 8, **{f"n{number}": number for number in range(6)}}


@dataclass(frozen=True)
class Request:
    """A kind of request; one with a condition is sent once, and settled if its answer is lost."""

    operation: str
    is_conditional: bool = False

    def __str__(self) -> str:
        return f"{self.operation}-if" if self.is_conditional else self.operation


GET, HEAD, PUT, DELETE = map(Request, ["GetObject", "HeadObject", "PutObject", "DeleteObject"])
LIST, DELETES = map(Request, ["ListObjectsV2", "DeleteObjects"])
PUT_IF, DELETE_IF = replace(PUT, is_conditional=True), replace(DELETE, is_conditional=True)
WRITES = (PUT, DELETE, DELETES, PUT_IF, DELETE_IF)


@dataclass
class Case:
    """A shelf with `BEFORE` in it, and the way round everything to what the store has."""

    s3: S3Rig
    config: dict[str, dict[str, Any]]
    shelf: cshelve.CloudShelf
    """The one that all tests share."""
    opened: list[cshelve.CloudShelf] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)
    """The values of the ETags that were read."""

    @property
    def db(self) -> cshelve.CloudShelf:
        return self.opened[-1] if self.opened else self.shelf

    def open(self, flag: str, **options: Any) -> cshelve.CloudShelf:
        """Open a shelf in the same place, which is closed after the test."""
        self.opened.append(cshelve.open_from_dict(self.config, flag, **options))
        return self.opened[-1]

    def open_quietly(self, flag: str, **options: Any) -> cshelve.CloudShelf:
        """Open a shelf without a request."""
        config = {**self.config, "default": {**self.config["default"], "check_bucket": False}}
        self.opened.append(cshelve.open_from_dict(config, flag, **options))
        return self.opened[-1]

    def name(self, key: str) -> str:
        """Name the object of a key."""
        return f"{self.config['default']['key_prefix']}/{key}"

    @property
    def version(self) -> str:
        """What a HEAD round the proxy says of `k`."""
        return self.s3.client.head_object(**self._object("k"))["ETag"]

    def stored(self) -> dict[str, Any]:
        """Read everything that is in the store; a value that is not whole is an error."""
        return {key: self._value(key, etag) for key, etag in self._listed().items()}

    def reset(self) -> None:
        """Put `BEFORE` there, and nothing else, and let the shelf forget its failures."""
        rely_again_on_its_engine(self.shelf)
        listed = self._listed()
        for key in listed:
            if key not in BEFORE:
                self.s3.client.delete_object(**self._object(key))
        for key, value in BEFORE.items():
            if key not in listed or self._value(key, listed[key]) != value:
                self.s3.client.put_object(**self._object(key), Body=record_of(value))

    def close(self) -> None:
        for shelf in self.opened:
            shelf.cache.clear()
            shelf.close()

    def _listed(self) -> dict[str, str]:
        """Return keys and ETags."""
        prefix = self.name("")
        listed = self.s3.client.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        return {
            found["Key"].removeprefix(prefix): found["ETag"] for found in listed.get("Contents", ())
        }

    def _value(self, key: str, etag: str) -> Any:
        """Read and decode an object, once for each ETag, which is that of its bytes."""
        if etag not in self.known:
            data = self.s3.client.get_object(**self._object(key))["Body"].read()
            self.known[etag] = value_of(data)
        return self.known[etag]

    def _object(self, key: str) -> Any:
        return {"Bucket": self._bucket, "Key": self.name(key)}

    @property
    def _bucket(self) -> str:
        return str(self.config["default"]["bucket_name"])


def nothing(case: Case) -> Any:
    """Prepare nothing."""


def changed_in_cache(case: Case) -> None:
    """Have values in the cache that the store does not have."""
    shelf = case.open_quietly("w", writeback=True)
    for key, value in MANY.items():
        shelf.cache[key] = value


@dataclass(frozen=True)
class Operation:
    """What a program does, what it gets, and what the store has afterwards."""

    run: Callable[[cshelve.CloudShelf, Any], Any]
    sends: tuple[Request, ...]
    value: Any = None
    after: Mapping[str, Any] = field(default_factory=lambda: BEFORE)
    prepare: Callable[[Case], Any] = nothing
    """Before the fault; what it returns is given to `run`."""
    keys: int | None = None
    """How many keys it writes or deletes, if it is one of many keys."""
    flying: int = 1
    """How many requests for one key each fly at once."""
    is_uncounted: bool = False
    """Whether nobody knows beforehand how many these are."""


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in BEFORE.items() if key not in keys}


def version_of_k(case: Case) -> str:
    return case.version


OPERATIONS: dict[str, Operation] = {
    "getitem": Operation(lambda db, _: db["k"], (GET,), 7),
    "get": Operation(lambda db, _: db.get("k", "default"), (GET,), 7),
    "get absent": Operation(lambda db, _: db.get("x", "default"), (GET,), "default"),
    "in": Operation(lambda db, _: "k" in db, (HEAD,), True),
    "setitem": Operation(lambda db, _: db.__setitem__("k", 8), (PUT,), None, BEFORE | {"k": 8}),
    "del": Operation(lambda db, _: db.__delitem__("k"), (HEAD, DELETE), None, without("k")),
    "pop": Operation(lambda db, _: db.pop("k", "default"), (GET, DELETE_IF), 7, without("k")),
    "popitem": Operation(
        lambda db, _: db.popitem(), (LIST, GET, DELETE_IF), ("a", "one"), without("a")
    ),
    "setdefault present": Operation(lambda db, _: db.setdefault("k", "new"), (GET,), 7),
    "setdefault absent": Operation(
        lambda db, _: db.setdefault("x", "new"), (GET, PUT_IF), "new", BEFORE | {"x": "new"}
    ),
    "update": Operation(
        lambda db, _: db.update(MANY),
        (PUT,),
        None,
        BEFORE | MANY,
        keys=len(MANY),
        flying=CONCURRENCY,
    ),
    "set_many": Operation(
        lambda db, _: db.set_many(MANY),
        (PUT,),
        None,
        BEFORE | MANY,
        keys=len(MANY),
        flying=CONCURRENCY,
    ),
    "get_many": Operation(
        lambda db, _: list(db.get_many(["k", "b", "a"])),
        (GET,),
        [("k", 7), ("b", ["two"]), ("a", "one")],
        flying=CONCURRENCY,
    ),
    "items": Operation(
        lambda db, _: dict(iter(db.items())), (LIST, GET), BEFORE, flying=CONCURRENCY
    ),
    "values": Operation(
        lambda db, _: [value for value in db.values()],  # noqa: C416  # list() asks for len too
        (LIST, GET),
        list(BEFORE.values()),
        flying=CONCURRENCY,
    ),
    "eq": Operation(lambda db, _: db == BEFORE, (LIST, GET), True, flying=CONCURRENCY),
    "delete_many": Operation(
        lambda db, _: db.delete_many(["a", "k", "x"]), (DELETES,), None, without("a", "k"), keys=3
    ),
    "clear": Operation(
        lambda db, _: db.clear(), (LIST, DELETES), None, {}, keys=len(BEFORE), is_uncounted=True
    ),
    "len": Operation(lambda db, _: len(db), (LIST,), len(BEFORE)),
    "bool": Operation(lambda db, _: bool(db), (LIST,), True),
    "iter": Operation(lambda db, _: [key for key in db], (LIST,), list(BEFORE)),  # noqa: C416
    "modify": Operation(
        lambda db, _: db.modify("k", lambda n: n + 1), (GET, PUT_IF), 8, BEFORE | {"k": 8}
    ),
    "modify absent": Operation(
        lambda db, _: db.modify("x", lambda n: n + 1, default=0),
        (GET, PUT_IF),
        1,
        BEFORE | {"x": 1},
    ),
    "modify to DELETE": Operation(
        lambda db, _: db.modify("k", lambda _: cshelve.DELETE),
        (GET, DELETE_IF),
        cshelve.DELETE,
        without("k"),
    ),
    "get_versioned": Operation(lambda db, _: db.get_versioned("k")[0], (GET,), 7),
    "replace": Operation(
        lambda db, version: db.replace("k", 8, version) != version,
        (PUT_IF,),
        True,
        BEFORE | {"k": 8},
        version_of_k,
    ),
    "replace None": Operation(
        lambda db, _: isinstance(db.replace("x", 1, None), str),
        (PUT_IF,),
        True,
        BEFORE | {"x": 1},
    ),
    "delete with a version": Operation(
        lambda db, version: db.delete("k", version), (DELETE_IF,), None, without("k"), version_of_k
    ),
    "sync": Operation(
        lambda db, _: db.sync(),
        (PUT,),
        None,
        BEFORE | MANY,
        changed_in_cache,
        len(MANY),
        CONCURRENCY,
        is_uncounted=True,
    ),
    "close": Operation(
        lambda db, _: db.close(),
        (PUT,),
        None,
        BEFORE | MANY,
        changed_in_cache,
        len(MANY),
        CONCURRENCY,
        is_uncounted=True,
    ),
}


def opening(flag: str) -> Callable[[Any, Case], None]:
    def run(_: Any, case: Case) -> None:
        case.open(flag)

    return run


def itself(case: Case) -> Case:
    return case


OPENINGS: dict[str, Operation] = {
    "open r": Operation(opening("r"), (LIST,), prepare=itself),
    "open w": Operation(opening("w"), (LIST,), prepare=itself),
    "open c": Operation(opening("c"), (LIST,), prepare=itself),
    "open n": Operation(
        opening("n"), (LIST, DELETES), None, {}, itself, len(BEFORE), is_uncounted=True
    ),
}  # fmt: skip


def shared_case(s3_rig: S3Rig, config: dict[str, dict[str, Any]]) -> Case:
    return Case(s3_rig, config, warmed_up(Place(config).open()))
