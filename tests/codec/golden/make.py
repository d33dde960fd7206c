"""Write records of every combination into `records.jsonl`: those that are not in it yet.

    python -m tests.codec.golden.make

What is in the file stays as it is, for ever: it stands for what is in somebody's bucket. A line is
the combination's name, the configuration that reads it, the key that it lies under, and the record.
Those whose name ends so were written by cshelve 1.6.0, in a folder.
"""

from __future__ import annotations

import base64
import itertools
import json
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cshelve
from tests.rigs import provider_of

RECORDS = Path(__file__).parent / "records.jsonl"

# Keys of nobody, written out so that the records can be read again.
KEY = base64.b64encode(bytes(range(32))).decode()
KEY_OF_1X = "cshelve's tests: thirty-two bytes"[:32]
WEAK_KEY_OF_1X = KEY_OF_1X[:16]

VALUES: dict[str, Any] = {
    "pickle": {"numbers": [1, 2.5, None], "text": "größer " * 30, "set": {1}},
    "bytes": b"just bytes, " * 20,
    "json": {"numbers": [1, 2.5, None], "text": "größer " * 30},
    "msgpack": {"numbers": [1, 2.5, None], "text": "größer " * 30, "bytes": b"\0\xff"},
    "functions": {"numbers": [1, 2.5, None], "text": "größer " * 30},
}
# Three thousand years, after which these records are missing.
FAR_OFF = {"expire_after_seconds": 1e11}
COMPRESSIONS = ("none", "zlib", "zstd", "lz4")
PROTECTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "none": {},
    "checksum": {"default": {"checksum": True}},
    "aes256": {"encryption": {"algorithm": "aes256", "key": KEY_OF_1X}},
    "aes256-gcm": {"encryption": {"algorithm": "aes256-gcm", "key": KEY}},
    "hmac-sha256": {"signing": {"algorithm": "hmac-sha256", "key": KEY}},
    "aes256+hmac-sha256": {
        "encryption": {"algorithm": "aes256", "key": KEY_OF_1X},
        "signing": {"algorithm": "hmac-sha256", "key": KEY},
    },
    "aes256-gcm+checksum": {
        "default": {"checksum": True},
        "encryption": {"algorithm": "aes256-gcm", "key": KEY},
    },
    "expiry": {"default": FAR_OFF},
    "aes256+expiry": {
        "default": FAR_OFF,
        "encryption": {"algorithm": "aes256", "key": KEY_OF_1X},
    },
    "aes256-gcm+expiry": {
        "default": FAR_OFF,
        "encryption": {"algorithm": "aes256-gcm", "key": KEY},
    },
    "hmac-sha256+checksum+expiry": {
        "default": {**FAR_OFF, "checksum": True},
        "signing": {"algorithm": "hmac-sha256", "key": KEY},
    },
    "hmac-sha256+shelf_name": {
        "default": {"shelf_name": "größer"},
        "signing": {"algorithm": "hmac-sha256", "key": KEY},
    },
}


def to_text(value: Any, protocol: int) -> bytes:
    """The program's own serializer, in these records."""
    return repr(value).encode()


def from_text(data: bytes) -> Any:
    """The one that goes with it."""
    return eval(data)  # Of our own records, in a test.


def functions_of(serializer: str) -> dict[str, Any]:
    if serializer != "functions":
        return {}
    return {"serializer": to_text, "deserializer": from_text}


def combinations() -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Name every combination, and give its configuration."""
    for serializer, compression, protection in itertools.product(VALUES, COMPRESSIONS, PROTECTIONS):
        config: dict[str, dict[str, Any]] = {"default": {}}
        if serializer not in ("pickle", "functions"):
            config["default"]["serializer"] = serializer
        if compression != "none":
            config["compression"] = {"algorithm": compression}
        for section, options in PROTECTIONS[protection].items():
            config[section] = {**config.get(section, {}), **options}
        yield f"{serializer} {compression} {protection}", config
    for serializer, compression, encrypted in itertools.product(
        ("pickle", "bytes"), ("none", "zlib"), (False, True)
    ):
        config = {"default": {"use_versioning": False, "serializer": serializer}}
        if compression != "none":
            config["compression"] = {"algorithm": compression}
        if encrypted:
            config["encryption"] = {"algorithm": "aes256", "key": KEY_OF_1X}
        protection = "aes256" if encrypted else "none"
        yield f"{serializer} {compression} {protection} unversioned", config
    yield (
        "bytes none aes256 with a weak key",
        {
            "default": {"serializer": "bytes"},
            "encryption": {"algorithm": "aes256", "key": WEAK_KEY_OF_1X},
        },
    )


def record_of(name: str, config: dict[str, dict[str, Any]], key: str) -> bytes:
    """Let a shelf in memory store the value, and take what it stored."""
    serializer = name.split()[0]
    in_memory = {**config, "default": {**config["default"], "provider": "in-memory"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the weak key.
        db = cshelve.open_from_dict(in_memory, **functions_of(serializer))
    with db:
        db[key] = VALUES[serializer]
        record: bytes = provider_of(db).get(key).data
        return record


def main() -> None:
    lines = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    known = {json.loads(line)["name"] for line in lines}
    made = [
        (name, config, record_of(name, config, f"größer/{name}"))
        for name, config in combinations()
        if name not in known
    ]
    for protocol in range(6):
        if (name := f"pickle none none bare, protocol {protocol}") not in known:
            made.append((name, {"default": {}}, pickle.dumps(VALUES["pickle"], protocol)))
    with RECORDS.open("a") as file:
        for name, config, record in made:
            line = {
                "name": name,
                "config": config,
                "key": f"größer/{name}",
                "record": base64.b64encode(record).decode(),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{len(known)} records were there, {len(made)} are new")


if __name__ == "__main__":
    main()
