"""Everything that a program may do with a shelf, one operation after the other."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import cshelve

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["OF_FLAG", "PARTS", "Shelf", "refused"]

# Sizes with which a value is transferred in parts, as small as S3 allows.
PARTS = {"multipart_threshold_bytes": 5 << 20, "multipart_chunk_bytes": 5 << 20}
LARGE = bytes(6 << 20)


@dataclass
class Shelf:
    """A shelf that is opened with the credentials in question, and prepared by an administrator."""

    config: dict[str, dict[str, Any]]
    admin: S3Client

    @property
    def bucket(self) -> str:
        return str(self.config["default"]["bucket_name"])

    def open(self, flag: str) -> cshelve.CloudShelf:
        return cshelve.open_from_dict(self.config, flag)

    def of_files(self, flag: str) -> cshelve.CloudShelf:
        """Open a part of the shelf whose objects are the plain values, as files need."""
        prefix = f"{self.config['default']['key_prefix']}/files"
        plain = {"serializer": "bytes", "use_versioning": "false", "key_prefix": prefix}
        return cshelve.open_from_dict(
            {**self.config, "default": {**self.config["default"], **plain}}, flag
        )

    def objects(self) -> set[str]:
        """Return the keys of the bucket as the administrator sees them."""
        listed = self.admin.list_objects_v2(Bucket=self.bucket)
        return {entry["Key"] for entry in listed.get("Contents", ())}

    def uploads(self) -> list[Any]:
        """Return the unfinished uploads as the administrator sees them."""
        return list(self.admin.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))

    def has_bucket(self) -> bool:
        return self.bucket in {each["Name"] for each in self.admin.list_buckets()["Buckets"]}


Operation = Callable[[Shelf], None]


def on_shelf(act: Callable[[cshelve.CloudShelf], object], flag: str) -> Operation:
    def operation(shelf: Shelf) -> None:
        with shelf.open(flag) as db:
            act(db)

    return operation


def missing_keys(db: cshelve.CloudShelf) -> None:
    assert db.get("absent") is None
    assert "absent" not in db


def listings(db: cshelve.CloudShelf) -> None:
    assert "a" in set(db)
    assert len(db) >= 2
    assert {entry.key for entry in db.entries("a")} == {"a"}
    assert "b" in set(db.keys(start_after="a"))


def many_values(db: cshelve.CloudShelf) -> None:
    assert dict(db.get_many(["a", "b"])) == {"a": 1, "b": 2}
    assert dict(db.items(on_error="skip"))["a"] == 1  # The files are not records.


def one_value(db: cshelve.CloudShelf) -> None:
    assert db["a"] == 1
    assert "a" in db
    assert db.info("a").serializer == "pickle"
    assert db.get_versioned("a")[0] == 1


def large_value(db: cshelve.CloudShelf) -> None:
    assert db["large"] == LARGE


def download(shelf: Shelf) -> None:
    with shelf.of_files("r") as db:
        db.download("large", target := io.BytesIO())
    assert target.getvalue() == LARGE


def writes(db: cshelve.CloudShelf) -> None:
    db["new"] = 1
    db.set("soon", 1, expire_after_seconds=3600)
    db.set_many({"x": 1, "y": 2})
    db.update(z=3)


def uploads(shelf: Shelf) -> None:
    with shelf.of_files("w") as db:
        db.upload("file", io.BytesIO(b"file"))
        db.upload("large file", io.BytesIO(LARGE))


def large_writes(db: cshelve.CloudShelf) -> None:
    db["large"] = LARGE
    db.replace("large", LARGE, db.get_versioned("large")[1])


def conditional_writes(db: cshelve.CloudShelf) -> None:
    assert db.modify("count", lambda n: n + 1, default=0) == 1
    assert db.setdefault("once", 1) == 1
    version = db.replace("versioned", 1, None)
    db.replace("versioned", 2, version)


def deletes(db: cshelve.CloudShelf) -> None:
    db.update(one=1, two=2, three=3, four=4)
    del db["one"]
    assert db.pop("two") == 2
    db.delete_many(["three", "four"])
    db.delete("five", db.replace("five", 5, None))


def copies(db: cshelve.CloudShelf) -> None:
    db["original"] = 1
    db.copy("original", "copy")
    assert db["copy"] == 1
    db.move("copy", "moved")
    assert db["moved"] == 1


def rewriting(db: cshelve.CloudShelf) -> None:
    part = db.prefix("rewritten/")
    part["a"] = 1
    part.rewrite()
    part.set("b", 1, expire_after_seconds=0.001)
    while "b" in part:
        pass
    assert part.expire() == 1


def clearing(db: cshelve.CloudShelf) -> None:
    db["new"] = 1
    db.clear()
    assert list(db) == []


def failing_upload(shelf: Shelf) -> None:
    """An upload that fails leaves no parts, which would cost money."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 5 << 20:
                raise OSError("the disk is broken")
            return super().read(size)

    with shelf.of_files("w") as db, pytest.raises(OSError, match="the disk is broken"):
        db.upload("broken", Broken(bytes(16 << 20)))
    assert shelf.uploads() == []


def creating(flag: str) -> Operation:
    def operation(shelf: Shelf) -> None:
        # A bucket that never was: SeaweedFS may remember a deleted one.
        assert not shelf.has_bucket()
        with shelf.open(flag) as db:
            db["a"] = 1

    return operation


def emptying(shelf: Shelf) -> None:
    with shelf.open("n") as db:
        assert list(db) == []


READING: Mapping[str, Operation] = {
    "missing keys": on_shelf(missing_keys, "r"),
    "listings": on_shelf(listings, "r"),
    "one value": on_shelf(one_value, "r"),
    "many values": on_shelf(many_values, "r"),
    "a large value": on_shelf(large_value, "r"),
    "a download": download,
}
WRITING: Mapping[str, Operation] = {
    "writes": on_shelf(writes, "w"),
    "uploads": uploads,
    "large writes": on_shelf(large_writes, "w"),
    "conditional writes": on_shelf(conditional_writes, "w"),
    "deletes": on_shelf(deletes, "w"),
    "copies": on_shelf(copies, "w"),
    "rewriting": on_shelf(rewriting, "w"),
    "a failing upload": failing_upload,
    "clearing": on_shelf(clearing, "w"),
}
OF_FLAG: Mapping[str, Mapping[str, Operation]] = {
    "r": READING,
    "w": {**READING, **WRITING},
    "c": {**READING, **WRITING},
    "n": {**READING, **WRITING, "emptying": emptying},
}


def refused(shelf: Shelf, flag: str, admins: Shelf) -> Iterator[tuple[str, str]]:
    """Yield the operations of a flag that the credentials may not carry out, with the errors.

    `admins` is the same shelf with an administrator's credentials.
    """
    if flag in "cn":
        yield from _refused(shelf, {"creating the bucket": creating(flag)})
    fill(admins)
    yield from _refused(shelf, OF_FLAG[flag])


def _refused(shelf: Shelf, operations: Mapping[str, Operation]) -> Iterator[tuple[str, str]]:
    for name, operation in operations.items():
        try:
            operation(shelf)
        except (cshelve.Error, AssertionError) as error:
            yield name, f"{type(error).__name__}: {error}"


def fill(shelf: Shelf) -> None:
    """Store what the operations read, and create the bucket if it does not exist."""
    with shelf.open("c") as db:
        db.update(a=1, b=2, large=LARGE)
    with shelf.of_files("w") as db:
        db["large"] = LARGE
