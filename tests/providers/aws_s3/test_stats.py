"""What `db.stats` says is what the wire saw, under both engines."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

import cshelve
from cshelve.providers import Stats
from testbed.faults import Answer, CutBody, Delay, Fault, Reset
from tests.providers.aws_s3.rig import each_engine, warmed_up, without_pauses
from tests.rigs import Place, S3Rig, object_of, wait_until

pytestmark = [pytest.mark.s3, pytest.mark.once, each_engine]

GET, HEAD, PUT, DELETE = "GetObject", "HeadObject", "PutObject", "DeleteObject"
LIST, DELETES, COPY = "ListObjectsV2", "DeleteObjects", "CopyObject"
CREATE, PART, COMPLETE = "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"

CHUNK = 5 << 20
LARGE = bytes(range(256)) * ((5 << 12) + 1)  # A little more than a chunk.
MANY = {f"n{number:02}": f"value {number}" for number in range(12)}
BUSY = Answer(503, "SlowDown")

Act = Callable[[cshelve.CloudShelf], object]


@pytest.fixture
def db(s3: S3Rig, engine: str) -> Iterator[cshelve.CloudShelf]:
    sizes = {"multipart_threshold_bytes": CHUNK, "multipart_chunk_bytes": CHUNK}
    place = Place(s3.config(None, engine=engine, **sizes))
    with without_pauses():
        shelf = warmed_up(place.open())
        shelf["k"] = "a value"
        yield shelf
        place.close()


def used_by(s3: S3Rig, db: cshelve.CloudShelf, act: Act) -> Stats:
    """Return what the shelf says that an act has sent and received, once the wire agrees."""
    with s3.proxy.counting() as seen, db.stats.measuring() as used:
        act(db)
    assert used.requests == Counter(seen.operations)
    assert used.bytes_sent == sum(request.bytes_received for request in seen.requests)
    assert used.bytes_received == sum(request.bytes_sent for request in seen.requests)
    return used


def raising(error: type[Exception], act: Act) -> Act:
    def run(db: cshelve.CloudShelf) -> None:
        with pytest.raises(error):
            act(db)

    return run


ACTS: dict[str, tuple[Act, dict[str, int]]] = {
    "read": (lambda db: db["k"], {GET: 1}),
    "read an absent key": (lambda db: db.get("absent"), {GET: 1}),
    "write": (lambda db: db.__setitem__("k", "new"), {PUT: 1}),
    "in": (lambda db: "k" in db, {HEAD: 1}),
    "in an absent key": (lambda db: "absent" in db, {HEAD: 1}),
    "delete": (lambda db: db.__delitem__("k"), {HEAD: 1, DELETE: 1}),
    "write many": (lambda db: db.set_many(MANY), {PUT: len(MANY)}),
    "read many": (lambda db: dict(db.get_many(["k", "absent"])), {GET: 2}),
    "delete many": (lambda db: db.delete_many(["k", "absent"]), {DELETES: 1}),
    "list": (lambda db: [*db.keys()], {LIST: 2}),
    "read all": (lambda db: dict(db.items()), {LIST: 1, GET: 1}),
    "clear": (lambda db: db.clear(), {LIST: 1, DELETES: 1}),
    "write if absent": (lambda db: db.setdefault("new", 1), {GET: 1, PUT: 1}),
    "write if unchanged": (lambda db: db.modify("k", lambda _: 1), {GET: 1, PUT: 1}),
    "a conflict": (
        raising(cshelve.ConflictError, lambda db: db.replace("k", 1, None)),
        {PUT: 1, GET: 1},  # Which asks whether what is there has expired.
    ),
    "write a large value": (
        lambda db: db.__setitem__("large", LARGE),
        {CREATE: 1, PART: 2, COMPLETE: 1},
    ),
}


def expire_one(db: cshelve.CloudShelf) -> None:
    db.set("over", 1, expire_after_seconds=1e-9)
    assert db.expire() == 1


def replace_expired(db: cshelve.CloudShelf) -> None:
    db.set("k", 1, expire_after_seconds=1e-9)
    db.replace("k", 2, None)


ACTS |= {
    "inspect": (lambda db: db.provider.inspect("k"), {GET: 1}),
    "copy": (lambda db: db.copy("k", "copy"), {GET: 1, COPY: 1}),
    "copy an absent key": (raising(KeyError, lambda db: db.copy("absent", "copy")), {GET: 1}),
    "move": (lambda db: db.move("k", "moved"), {GET: 1, COPY: 1, DELETE: 1}),
    "copy all": (
        lambda db: cshelve.copy(db.prefix("k"), db.prefix("other/")),
        {LIST: 1, GET: 1, COPY: 1},
    ),
    "expire": (expire_one, {PUT: 1, LIST: 1, GET: 2, DELETE: 1}),
    "replace what has expired": (replace_expired, {PUT: 3, GET: 2}),
}


@pytest.mark.parametrize("name", ACTS)
def test_each_request_and_the_bodies_of_both_sides_count(
    name: str, engine: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    act, requests = ACTS[name]
    used = used_by(s3, db, act)
    assert used.requests == requests
    assert used.retries == 0
    assert used.waited_seconds > 0
    assert used.engine == engine


def of_file(method: str, name: str, size_bytes: int) -> Act:
    def run(db: cshelve.CloudShelf) -> None:
        file = io.BytesIO(LARGE[:size_bytes])
        getattr(db, method)(name, file)
        if method == "download":
            assert file.getvalue() == LARGE[:size_bytes]

    return run


FILES: dict[str, tuple[Act, dict[str, int]]] = {
    "inspect what is empty": (lambda db: db.provider.inspect("empty"), {GET: 1, HEAD: 1}),
    "upload": (of_file("upload", "new", 9), {PUT: 1}),
    "upload what is large": (
        of_file("upload", "new", len(LARGE)),
        {CREATE: 1, PART: 2, COMPLETE: 1},
    ),
    "download": (of_file("download", "small", 9), {GET: 1}),
    "download what is empty": (of_file("download", "empty", 0), {GET: 1, HEAD: 1}),
    "download what is large": (of_file("download", "large", len(LARGE)), {GET: 2}),
    "download an absent key": (raising(KeyError, of_file("download", "absent", 0)), {GET: 1}),
    "copy what is large": (lambda db: db.copy("large", "copy"), {GET: 1, COPY: 1}),
    "make a link": (lambda db: db.presigned_url("small"), {}),
    "expire": (lambda db: db.expire(), {}),
    "a conflict": (
        raising(cshelve.ConflictError, lambda db: db.replace("small", b"", None)),
        {PUT: 1},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_what_comes_from_files_and_goes_to_them_counts(name: str, engine: str, s3: S3Rig) -> None:
    sizes = {"multipart_threshold_bytes": CHUNK, "multipart_chunk_bytes": CHUNK}
    plain = {"use_versioning": False, "serializer": "bytes"}
    act, requests = FILES[name]
    place = Place(s3.config(None, engine=engine, **sizes, **plain))
    with warmed_up(place.open(), b"") as db:
        db.update({"empty": b"", "small": LARGE[:9]})
        if "large" in name:
            db["large"] = LARGE
        assert used_by(s3, db, act).requests == requests


def test_a_server_that_copies_nothing_costs_a_read_and_a_write_more(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    with s3.proxy.inject(Answer(405, "MethodNotAllowed"), operation=COPY):
        used = used_by(s3, db, lambda db: db.copy("k", "copy"))
    assert used.requests == {GET: 2, COPY: 1, PUT: 1}
    assert used.retries == 0
    cost = used.cost()
    assert cost.requests == pytest.approx((2 * 0.005 + 2 * 0.0004) / 1000)


def test_ranges_of_a_large_value_count_as_far_as_they_are_read(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    db["large"] = LARGE
    with s3.proxy.counting() as seen, db.stats.measuring() as used:
        assert db["large"] == LARGE
    assert used.requests == Counter(seen.operations) == {GET: 2}
    # The rest of the first answer is not read.
    assert len(LARGE) < used.bytes_received < len(LARGE) + 1000


FAULTS: dict[str, tuple[Fault, Act, str]] = {
    "a busy server, read": (BUSY, lambda db: db["k"], GET),
    "a busy server, write": (BUSY, lambda db: db.__setitem__("k", "new"), PUT),
    "a busy server, in": (BUSY, lambda db: "k" in db, HEAD),
    "a busy server, list": (BUSY, lambda db: [key for key in db], LIST),  # noqa: C416  # no len
    "a busy server, delete many": (BUSY, lambda db: db.delete_many(["k"]), DELETES),
    "a busy server, write if unchanged": (BUSY, lambda db: db.modify("k", lambda _: 1), PUT),
    "a busy server, write a part": (BUSY, lambda db: db.__setitem__("k", LARGE), PART),
    "a busy server, write many": (BUSY, lambda db: db.set_many(MANY), PUT),
    "an error, read many": (
        Answer(500, "InternalError"),
        lambda db: dict(db.get_many(["k", "absent"])),
        GET,
    ),
    "a reset, read": (Reset(before=True), lambda db: db["k"], GET),
    "a cut body, read": (CutBody(3), lambda db: db["k"], GET),
    "an empty response, list": (
        Answer(200, body=b""),
        lambda db: [key for key in db],  # noqa: C416  # no len
        LIST,
    ),
    "a lost response, write if absent": (Reset(before=True), lambda db: db.setdefault("x", 1), PUT),
    "a busy server, copy": (BUSY, lambda db: db.copy("k", "copy"), COPY),
    "a busy server, inspect": (BUSY, lambda db: db.provider.inspect("k"), GET),
    "a cut body, inspect": (CutBody(3), lambda db: db.provider.inspect("k"), GET),
    "a lost response, copy": (Reset(before=False), lambda db: db.copy("k", "copy"), COPY),
    "a cut body, read many": (CutBody(3), lambda db: dict(db.get_many(["k"])), GET),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_retry_counts(name: str, engine: str, s3: S3Rig, db: cshelve.CloudShelf) -> None:
    fault, act, operation = FAULTS[name]
    with s3.proxy.inject(fault, operation=operation) as rule:
        used = used_by(s3, db, act)
    assert rule.hits == 1
    assert used.retries == 1


def test_each_of_several_retries_counts(engine: str, s3: S3Rig, db: cshelve.CloudShelf) -> None:
    with s3.proxy.inject(BUSY, operation=GET, times=3):
        used = used_by(s3, db, lambda db: db["k"])
    assert (used.requests[GET], used.retries) == (4, 3)


def test_a_request_that_fails_for_good_counts_with_its_retries(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    with s3.proxy.inject(BUSY, operation=GET, times=None):
        used = used_by(s3, db, raising(cshelve.StorageError, lambda db: db["k"]))
    assert used.retries == used.requests[GET] - 1
    # The next request is a first one.
    assert used_by(s3, db, lambda db: db["k"]).retries == 0


def test_requests_that_nobody_waits_for_any_more_count(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    keys = ["n00", "n01", "n02"]
    db.set_many(dict.fromkeys(keys, 1))
    for key in keys[1:]:
        s3.proxy.inject(Delay(0.2), operation=GET, key=object_of(db, key))
    with s3.proxy.counting() as seen, db.stats.measuring() as used:
        for key, _ in db.get_many(keys):
            assert key == "n00"
            wait_until(lambda: seen.total == 3)
            break
    assert used.requests == {GET: 3}


def test_a_prefix_view_has_the_stats_of_the_shelf(
    engine: str, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    assert db.prefix("users/").stats is db.stats is db.provider.stats
