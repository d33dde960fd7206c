"""Measure how many copies of a large value are in memory while it is stored and read.

    python -m benchmarks.copies [MiB]

Runs on Linux, with one process for each figure. A figure is the peak of the process's memory while
it sets or reads one `bytes` value, minus the memory that it used before, in multiples of the value.
When reading, one copy is the result itself. The shelf is in a folder and, with each engine, in a
bucket of a SeaweedFS on this machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cshelve
from benchmarks.bucket import config_in, server_with_bucket
from benchmarks.machine import described

KEY = cshelve.generate_key()
Config = dict[str, dict[str, Any]]

CHAINS: dict[str, Config] = {
    "plain": {},
    "checksum": {"default": {"checksum": True}},
    "hmac-sha256": {"signing": {"algorithm": "hmac-sha256", "key": KEY}},
    "zlib": {"compression": {"algorithm": "zlib", "level": 1}},
    "zstd": {"compression": {"algorithm": "zstd"}},
    "lz4": {"compression": {"algorithm": "lz4"}},
    "aes256": {"encryption": {"algorithm": "aes256", "key": "k" * 32}},
    "aes256-gcm": {"encryption": {"algorithm": "aes256-gcm", "key": KEY}},
    "zstd, aes256-gcm": {
        "compression": {"algorithm": "zstd"},
        "encryption": {"algorithm": "aes256-gcm", "key": KEY},
    },
}
ENGINES = ("direct", "boto3")
BLOCK = 1 << 16


def main(mebibytes: int = 256) -> None:
    print(described("cshelve", "cryptography", "pycryptodome", "lz4", "backports.zstd"))
    print(f"\ncopies of a value of {mebibytes} MiB, half of which compresses\n")
    print("| | `db[key] = value` | `db[key]`, the result included |")
    print("|---|---|---|")
    for name, chain in CHAINS.items():
        with tempfile.TemporaryDirectory() as folder:
            show(name, in_folder(folder, chain), mebibytes)
    with server_with_bucket() as server:
        for engine in ENGINES:
            show(f"plain, in S3, {engine}", config_in(server, engine=engine), mebibytes)


def show(name: str, config: Config, mebibytes: int) -> None:
    written, read = (in_a_process(act, config, mebibytes) for act in ("write", "read"))
    print(f"| {name} | {written:.2f} | {read:.2f} |", flush=True)


def in_folder(folder: str, chain: Config) -> Config:
    default = {"provider": "filesystem", "folder_path": folder, **chain.get("default", {})}
    return {**chain, "default": default}


def in_a_process(act: str, config: Config, mebibytes: int) -> float:
    """Run `write` or `read` in another process, and return the number of copies."""
    arguments = [act, str(mebibytes), json.dumps(config)]
    command = [sys.executable, "-m", "benchmarks.copies", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def write(size: int, config: Config) -> float:
    value = value_of(size)
    with cshelve.open_from_dict(config) as db:
        db["small"] = b"imports what is imported later"
        return peak_of(lambda: db.__setitem__("key", value)) / size


def read(size: int, config: Config) -> float:
    with cshelve.open_from_dict(config) as db:
        assert db["small"]
        results = []
        peak = peak_of(lambda: results.append(db["key"]))
        assert results == [value_of(size)] or len(results[0]) == size
        return peak / size


def value_of(size: int) -> bytes:
    return b"".join(os.urandom(BLOCK) + bytes(BLOCK) for _ in range(size // (2 * BLOCK)))


def peak_of(act: Callable[[], object]) -> int:
    """Return the peak memory during an act, minus the memory in use before it."""
    Path("/proc/self/clear_refs").write_text("5")  # Resets the peak: man 5 proc.
    before = in_status("VmRSS")
    act()
    return in_status("VmHWM") - before


def in_status(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", mebibytes, config]:
            print(write(int(mebibytes) << 20, json.loads(config)))
        case ["read", mebibytes, config]:
            print(read(int(mebibytes) << 20, json.loads(config)))
        case [*rest]:
            main(*map(int, rest))
